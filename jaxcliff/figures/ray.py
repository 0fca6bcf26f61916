"""Along a ray of rewards: the optimal value goes on without a break, the policy jumps."""

import numpy as np
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, INK, dressed, figure_of, outside, panels, style, whole

MARKED = 40  # cliffs that are marked in both panels


def ray(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws the dataset of a path, `studies.ray(…)`.

    Above, the optimal return, continuous, with a kink where a cliff is visited; and the return under the true reward,
    which jumps, if there is one. Below, how many states differ from the policy at the start; a dot at every cliff, as
    high as the policy jumps where it goes; and how far a learner moved, if there is one.

    Args:
        ds: the dataset.
        axes: two axes to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "ray", "jc.studies.ray")
    with style():
        above, below = panels(axes, COLUMN, 3.2, rows=2, sharex=True)
        start, stop, breaks = ds.attrs["start"], ds.attrs["stop"], ds.breakpoints.values
        ends = np.concatenate([[start], breaks, [stop]])
        value = ds.return_at_start.values[:, None] + ds.return_slope.values[:, None] * np.stack(
            [ends[:-1], ends[1:]], axis=1
        )
        above.plot(
            np.stack([ends[:-1], ends[1:]], axis=1).ravel(), value.ravel(), color=INK["blue"], label="optimal return"
        )
        if "true_return" in ds:
            above.stairs(ds.true_return.values, ends, baseline=None, color=INK["red"], label="true return", lw=1.2)
            outside(above)
        above.set_ylabel("return")
        below.stairs(ds.states_changed.values, ends, baseline=None, color="black", lw=1.2)
        below.set_ylabel("states changed")
        below.yaxis.set_major_locator(whole())
        below.set_ylim(0, 1.08 * max(int(ds.states_changed.max()), 1))
        for t in breaks[ds.visited_tv.values > 0] if len(breaks) <= MARKED else ():
            above.axvline(t, color=INK["grey"], lw=0.5, ls=":", zorder=0)
        jump = below.twinx()
        jump.vlines(breaks, 0, ds.visited_tv.values, color=INK["green"], lw=0.9)
        jump.plot(breaks, ds.visited_tv.values, "o", color=INK["green"], ms=2.5, clip_on=False)
        if "learned_tv" in ds:
            jump.plot(ds.learned_t, ds.learned_tv, color=INK["red"], lw=1, label="learner, from its start")
            jump.legend(loc="upper left")
        jump.set_ylim(0, 1.08)
        jump.set_ylabel("jump where visited (TV)", color=INK["green"])
        jump.spines["right"].set_visible(True)
        below.set_xlabel("$t$: reward added, in units of $D$")
        below.set_xlim(start, stop)
        dressed((above, below, jump), colors, labels)
    return figure_of(above)

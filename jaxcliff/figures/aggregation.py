"""How stable the policy of a mixture is: against each of its rewards, against its weights, and under other mixtures."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import DASHES, PAGE, colour, dressed, figure_of, listed, mark, outside, panels, style

NAME = 56  # points; of a component in a legend


def aggregation_stability(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.aggregation_stability`.

    Left, the share of perturbed rewards that flip the policy, when one component moves alone and when all move alike;
    marked below, the exact radius of each. Middle, the same under other ways to combine the rewards. Right, what the
    policy of the mixture loses when the mixture moves towards one reward: nothing until its cliff, which is marked. Of
    many components the legends name those of the smallest radius.

    Args:
        ds: the dataset.
        axes: three axes to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "aggregation stability", "jc.studies.aggregation_stability")
    with style():
        left, middle, right = panels(axes, PAGE, 3.3, 3)
        radii = [*ds.radius.values, ds.attrs["joint_radius"]]
        names = listed(ds.sort.values.tolist(), NAME, np.argsort([*radii[:-1], -1.0], kind="stable"))
        for i, (name, radius) in enumerate(zip(names, radii, strict=True)):
            left.plot(ds["size"], ds.flips.isel(sort=i), label=name, color=colour(i), marker=mark(i))
            if 0 < radius < np.inf:
                left.axvline(radius, color=colour(i), lw=0.8, ls=":")
        if "learned_tv" in ds:
            for i in range(ds.sizes["sort"]):
                name = "learner's mean TV" if i == 0 else None
                left.plot(ds["size"], ds.learned_tv.isel(sort=i), "--", color=colour(i), label=name)
        left.set(xscale="log", xlabel="size (sup norm, units of reward)", ylabel="share that flips the policy")
        left.set_title("who moves (dotted: exact radius)")
        for i, name in enumerate(ds.aggregator.values):
            middle.plot(
                ds["size"], ds.aggregator_flips.isel(aggregator=i), label=str(name), color=colour(i), marker=mark(i)
            )
        middle.set(xscale="log", xlabel="size (sup norm, units of reward)", title="other ways to combine")
        middle.set_ylabel("share that flips the policy")
        names = listed(ds.component.values.tolist(), NAME, np.argsort(radii[:-1], kind="stable"))
        for i, name in enumerate(names):
            right.plot(ds.share, ds.regret.isel(component=i), DASHES[i % 4], label=name, color=colour(i))
            at = float(ds.breakpoint[i])
            if np.isfinite(at):
                right.plot(at, 0, mark(i), color=colour(i), clip_on=False, zorder=3)
        right.set(xlabel="way to that reward alone", ylabel="regret (units of reward)")
        right.set_title("under another mixture")
        right.set_ylim(bottom=0)
        for panel in (left, middle):
            panel.set_ylim(-0.02, 1.02)
        for panel in (left, middle):  # within a decade the numbers between would be written over each other
            panel.xaxis.set_minor_formatter(NullFormatter())
        for panel in (left, middle, right):
            room = {"bbox_to_anchor": (0.5, -0.22), "borderaxespad": 0.5}
            outside(panel, below=True, handlelength=1.4, columnspacing=1, **room)
        dressed((left, middle, right), colors, labels)
    return figure_of(left)

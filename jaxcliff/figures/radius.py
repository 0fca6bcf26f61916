"""How near cliffs are: the distribution of the distance to the nearest one over many rewards."""

import numpy as np
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, INK, dressed, figure_of, panels, style


def radius_distribution(
    ds: Dataset,
    *,
    mark: float | None = None,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws the dataset of a `census`.

    The share of rewards that have a cliff within a distance: by exact radii; by what their smallest gaps guarantee,
    which is less; and the line Cε that the share follows at small distances.

    Args:
        ds: the dataset, `jc.census(…).to_dataset()`.
        mark: a distance to mark, such as that of a reward one cares about.
        axes: one axis to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "Census", "jc.census(…).to_dataset()")
    with style():
        (panel,) = panels(axes, COLUMN, 2.6)
        constant, norm = ds.attrs["constant"], {"inf": "sup norm", "2": "2-norm", "1": "1-norm"}[ds.attrs["norm"]]
        share = (np.arange(ds.sizes["reward"]) + 1) / ds.sizes["reward"]
        for name, line, text in (("guarantee", "--", "by the gap alone (bound)"), ("radius", "-", "exact")):
            distance = np.sort(ds[name].values)
            drawn = (distance > 0) & np.isfinite(distance)
            look = INK["blue"] if name == "radius" else INK["grey"]
            panel.step(distance[drawn], share[drawn], line, where="post", color=look, label=text)
        ends = np.array([1 / ds.sizes["reward"], 1.0])
        if np.isfinite(constant):
            panel.plot(ends / constant, ends, ":", color=INK["red"], label=f"Cε, C = {float(f'{constant:.3g}'):,g}")
        if mark is not None and 0 < mark < np.inf:
            panel.axvline(mark, color="black", lw=0.9, label="this reward")
        panel.set(xscale="log", yscale="log", ylim=(ends[0], 1.3))
        panel.set(xlabel=f"distance ε ({norm}, units of reward)", ylabel="share of rewards with a cliff within ε")
        panel.legend(loc="lower right", frameon=True, edgecolor="none", framealpha=1)
        dressed((panel,), colors, labels)
    return figure_of(panel)

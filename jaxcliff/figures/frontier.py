"""What continuity costs: sensitivity against the worst loss, a line per regulariser."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import (
    COLUMN,
    DASHES,
    INK,
    PAGE,
    colour,
    dressed,
    figure_of,
    mark,
    outside,
    panels,
    style,
    words,
)


def frontier(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.frontier`.

    Left, for the smallest number of arms: every strength is a point (sensitivity, worst loss) on its map's line, and no
    map of two arms lies in the shaded region below 1/(8L). Right, how far above it each map is, over the number of
    arms: a number that no strength changes.

    Args:
        ds: the dataset.
        axes: two to draw on; a new figure if not given.
        colors, labels: one per entry of the legend, in its order; ours if not given.
    """
    checks.study(ds, "frontier", "jc.studies.frontier")
    few = ds.isel(actions=int(np.argmin(ds.actions.values)))
    with style():
        left, right = panels(axes, PAGE, COLUMN * 0.9, 2, 1, ", one for the frontier and one over the number of arms")
        left.set(xscale="log", yscale="log")
        for line, kind in enumerate(ds.kind.values.tolist()):
            look: Any = {"color": colour(line), "linestyle": DASHES[line % len(DASHES)]}
            one = few.sel(kind=kind)
            left.plot(one.sensitivity, one.regret, label=words(kind, 120), **look)
            above = 8 * ds["product"].sel(kind=kind)
            right.plot(ds.actions, above, marker=mark(line), markersize=4, **look)
        left.set_xlabel("sensitivity L (total variation per unit of reward)")
        left.set_ylabel("return given away, at worst")
        left.set_title(f"{int(few.actions)} arms" if ds.attrs["steps"] == 1 else f"{int(few.actions)} actions")
        if bool(few.bound.notnull().any()):
            reach = np.nanquantile(few.sensitivity, [0, 1])
            floor = float(few.bound.min()) / 4
            left.fill_between(reach, 1 / (8 * reach), floor, color=INK["grey"], alpha=0.25, lw=0)
            left.text(reach[0] * 1.5, floor * 1.7, "no policy map is here", color=INK["grey"])
            left.set(xlim=reach, ylim=(floor, None))
        right.set(xscale="log", yscale="log")
        right.axhline(1, color=INK["grey"], linewidth=0.8)
        right.set_xlabel("arms")
        right.set_ylabel("loss at worst × 8L")
        outside(left, below=True)
        dressed([left, right], colors, labels)
    return figure_of(left)

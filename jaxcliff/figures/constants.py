"""Trained pairs of rewards against the bounds of theory: measured over bound, a colour for each learner."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import INK, PAGE, colour, dressed, figure_of, mark, outside, panels, style, words

ACROSS = 3
LEAST = 1e-4  # of a ratio that is drawn
ROUNDING = 1e-6  # of a total variation
SPREAD = 0.35  # of the distance between two sizes, over which learners are set apart


def constants(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.constants`, one panel per family of problems.

    Over the size of the change: measured total variation over the tanh bound with twice the noise of seeds, the median
    of the pairs of each learner, and a line up to the largest. The shaded region above 1 is where the bound is
    violated; the legend says how many pairs keep out of it.

    Args:
        ds: the dataset.
        axes: one axis per family to draw on; a new figure if not given.
        colors, labels: one per entry of the legend, in its order; ours if not given.
    """
    checks.study(ds, "constants", "jc.studies.constants")
    ratio = ds.tv / (ds.tanh + 2 * ds.floor.mean("draw") + ROUNDING)
    if "done" in ds:
        ratio = ratio.where(ds.done)
    families = ds.family.values.tolist() if "family" in ds.dims else [None]
    across = min(len(families), ACROSS)
    rows = -(-len(families) // across)
    with style():
        each = panels(axes, PAGE if across > 1 else PAGE * 0.66, 3.6 * rows, across, rows, ", one for each family")
        for i, family in enumerate(families):
            _panel(each[i], ratio if family is None else ratio.sel(family=family))
            each[i].set_title("" if family is None else words(family, 150))
        for spare in each[len(families) :]:
            spare.set_axis_off()
        for line, name in enumerate(ds.learner.values.tolist()):
            told = (ratio.sel(learner=name) <= 1).where(ratio.sel(learner=name).notnull())
            label = f"{name}: {int(told.sum()):,} of {int(told.count()):,} inside"
            each[0].plot([], [], marker=mark(line), ms=4, color=colour(line), label=label)
        outside(each[0], below=True, ncols=2)
        if "done" in ds and not bool(ds.done.all()):
            figure_of(each[0]).suptitle(f"unfinished: {float(ds.done.mean()):.1%} of the points")
        dressed(each, colors, labels)
    return figure_of(each[0])


def _panel(axes: Axes, ratio: xr.DataArray) -> None:
    over = [name for name in ("problem", "strength", "draw") if name in ratio.dims]
    size = ratio["size"].values
    apart = np.diff(np.log(size)).min() * SPREAD if len(size) > 1 else 0.3
    several = ratio.learner.values.tolist()
    for line, name in enumerate(several):
        one = ratio.sel(learner=name)
        at = size * np.exp(apart * ((line + 0.5) / len(several) - 0.5) * 2)
        middle, top = (x.clip(min=LEAST).values for x in (one.median(over), one.max(over)))
        axes.vlines(at, middle, top, color=colour(line), lw=1)
        axes.plot(at, middle, mark(line), ms=4, color=colour(line))
    axes.set(xscale="log", yscale="log", xlabel="size of the change (units of reward)")
    axes.set_ylabel("measured / (tanh bound + 2 × seeds)")
    highest = max(2.0, 1.3 * float(np.nanmax(ratio.values)))
    axes.set_ylim(max(LEAST, min(0.1, float(np.nanquantile(ratio.values, 0.05)))), highest)
    axes.axhspan(1, highest, color=INK["red"], alpha=0.12, lw=0)
    axes.text(0.02, 0.98, "violated", va="top", color=INK["red"], transform=axes.transAxes)

"""How far a policy moves when its reward is perturbed, over the size of the perturbation."""

from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import INK, PAGE, SEQUENTIAL, dressed, figure_of, outside, panels, style, words

LINES = 5  # strengths that are drawn, the ends among them
ACROSS = 3  # panels in a row


def response(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.response`, one panel per family of problems.

    Lines are total variations, the mean over draws and problems, with the largest of all thin above it and the middle
    90 of a hundred draws as a band; dotted, the bound of theory. Points of a store that are not computed yet are left
    out, and the title says how many there are.

    Args:
        ds: the dataset.
        axes: one axis per family to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "response", "jc.studies.response")
    families = ds.family.values.tolist() if "family" in ds.dims else [None]
    across = min(len(families), ACROSS)
    rows = -(-len(families) // across)
    with style():
        height = 3.4 * rows if rows > 1 else 3.6
        each = panels(axes, PAGE if across > 1 else PAGE * 0.66, height, across, rows, ", one for each family")
        for i, family in enumerate(families):
            part = ds if family is None else ds.sel(family=family)
            _panel(each[i], part, float(np.atleast_1d(ds.attrs["steps"])[i]))
            if family is not None:
                each[i].set_title(words(family, 150))
        for spare in each[len(families) :]:
            spare.set_axis_off()
        outside(each[0], below=True, bbox_to_anchor=(0.5, -0.2), ncols=2)
        if "done" in ds and not bool(ds.done.all()):
            figure_of(each[0]).suptitle(f"unfinished: {float(ds.done.mean()):.1%} of the points")
        dressed(each, colors, labels)
    return figure_of(each[0])


def _panel(panel: Axes, ds: xr.Dataset, steps: float) -> None:
    """One family."""
    if "done" in ds:
        ds = ds.where(ds.done)
    size, kind = ds["size"].values, ds.attrs["map"]
    soft = "strength" in ds.dims
    shown = np.unique(np.linspace(0, ds.sizes["strength"] - 1, LINES).round().astype(int)) if soft else [0]
    shades = mpl.colormaps[SEQUENTIAL](np.linspace(0, 0.85, len(shown)))
    symbol = "β" if kind == "kl" else "α"
    for line, i in enumerate(shown):
        part = ds.isel(strength=i) if soft else ds
        colour = tuple(shades[line]) if soft else INK["blue"]
        label = f"{symbol} = {float(part.strength):.3g}" if soft else "mean"
        _line(panel, part, size, colour, label, soft)
        if kind in ("entropy", "kl"):
            panel.plot(size, np.tanh(size * steps / (2 * float(part.strength))), ":", color=colour, lw=1)
    if soft:
        panel.plot([], [], color="black", lw=0.6, label="largest")
    if kind in ("entropy", "kl"):
        panel.plot([], [], ":", color="black", lw=1, label="tanh bounds")
    panel.fill_between([], [], [], color="black", alpha=0.12, lw=0, label="90 of 100 draws")
    panel.set(xscale="log", ylim=(-0.02, 1.02), xlabel="size of the perturbation (units of reward)")
    panel.set_ylabel("total variation, largest over states")


def _line(panel: Axes, ds: xr.Dataset, size: Any, colour: Any, label: str, soft: bool) -> None:
    panel.plot(size, ds.tv_mean.mean("problem"), color=colour, label=label)
    panel.plot(size, ds.tv_max.max("problem"), color=colour, lw=0.6, label=None if soft else "largest")
    low, high = (x.clip(0, 1).mean("problem") for x in (ds.tv_quantile_low, ds.tv_quantile_high))
    ends = [np.abs(ds.tv_quantile.values - q).argmin() for q in (0.05, 0.95)]
    panel.fill_between(
        size, low.isel(tv_quantile=ends[0]), high.isel(tv_quantile=ends[1]), color=colour, alpha=0.12, lw=0
    )

"""Where, and how often, the policy flips: a map of states and a curve over the size of a change."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import INK, PAGE, SEQUENTIAL, dressed, figure_of, outside, panels, style, words

LARGEST_GRID = 1_000_000  # cells that are drawn
ARROWS = {"up": (0, -1), "right": (1, 0), "down": (0, 1), "left": (-1, 0)}


def flip_frequency(
    ds: Dataset,
    *,
    size: float | None = None,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.flip_frequency`.

    Left, where: the share of perturbed rewards that flip each state at one size of change, on the grid if states have
    a place there (with the base policy as arrows), over all sizes otherwise. Right, how often: the share that flips
    some state against the size, with the radius inside which no flip is possible.

    Args:
        ds: the dataset.
        size: for the map; the one at which the share of flipped rewards is nearest to 0.9 if not given.
        axes: two axes to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "flip frequency", "jc.studies.flip_frequency")
    with style():
        left, right = panels(axes, PAGE, 2.9, 2, width_ratios=(1.45, 1))
        wanted = ds.attrs["telling_size"] if size is None else size
        chosen = ds.isel(size=int(np.abs(ds["size"].values - wanted).argmin()))
        grid = "row" in ds.coords and (ds.row.max() + 1) * (ds.column.max() + 1) <= LARGEST_GRID
        if grid:
            _draw_grid(left, chosen)
        else:
            _draw_states(left, ds)
        _draw_curve(right, ds, float(chosen["size"]) if grid else None)
        dressed((right,), colors, labels)
    return figure_of(left)


def _draw_grid(axes: Axes, ds: xr.Dataset) -> None:
    row, column = ds.row.values, ds.column.values
    image = np.full((row.max() + 1, column.max() + 1), np.nan)
    image[row, column] = np.where(ds.decision.values, ds.flips.values, np.nan)
    axes.set_facecolor("#d9d9d9")
    top = max(float(np.nanmax(image)), 0.01)
    shown = axes.imshow(image, cmap=SEQUENTIAL, norm=Normalize(0, top), aspect="equal")
    for s in np.flatnonzero(~ds.decision.values):
        mark = "end" if ds.terminal.values[s] else "–"  # a dash: one action only
        axes.text(column[s], row[s], mark, ha="center", va="center", fontsize=6.5)
    names = ds.action_name.values if "action_name" in ds.coords else []
    for a, name in enumerate(names):
        if str(name) not in ARROWS:
            continue
        at = ds.optimal.values[:, a] & ds.decision.values
        dx, dy = ARROWS[str(name)]
        bright = ds.flips.values[at] > 0.6 * top
        axes.quiver(
            column[at] - 0.28 * dx,
            row[at] - 0.28 * dy,
            np.full(at.sum(), dx),
            np.full(at.sum(), dy),
            angles="xy",
            scale_units="xy",
            scale=1 / 0.56,
            width=0.008,
            color=np.where(bright, "black", "white"),
        )
    axes.set(xlabel="column", ylabel="row", title=f"where: rewards within {float(ds['size']):.3g} of the base")
    axes.set_xticks(range(0, image.shape[1], 1 + image.shape[1] // 12))
    axes.set_yticks(range(0, image.shape[0], 1 + image.shape[0] // 8))
    axes.figure.colorbar(shown, ax=axes, label="share of rewards that flip the state", shrink=0.9)


def _draw_states(axes: Axes, ds: xr.Dataset) -> None:
    states = np.flatnonzero(ds.decision.values)
    if len(states) == 0:
        axes.text(0.5, 0.5, "no state has a choice", ha="center", va="center", transform=axes.transAxes)
        axes.set(xlabel="state", ylabel="size")
        return
    order = states[np.argsort(-ds.flips.values[:, states].mean(axis=0), kind="stable")]
    shown = axes.imshow(ds.flips.values[:, order], cmap=SEQUENTIAL, norm=Normalize(0, 1), aspect="auto", origin="lower")
    step = 1 + (len(ds["size"]) - 1) // 7
    axes.set_yticks(range(0, len(ds["size"]), step), [f"{r:.2g}" for r in ds["size"].values[::step]])
    if len(order) <= 16:
        names = ds.state_name.values if "state_name" in ds.coords else ds.state.values
        axes.set_xticks(range(len(order)), [words(names[s], 70) for s in order], rotation=90)
    axes.set(
        xlabel="states, most often flipped first",
        ylabel="size (units of reward)",
        title="where: share of rewards that flip each state",
    )
    axes.figure.colorbar(shown, ax=axes, label="share of rewards", shrink=0.9)


def _draw_curve(axes: Axes, ds: xr.Dataset, marked: float | None) -> None:
    size, share, n = ds["size"].values, ds.any_flip.values, ds.attrs["count"]
    error = np.sqrt(np.maximum(share * (1 - share), 0) / n)
    logarithmic = bool((size > 0).all())
    axes.fill_between(
        size,
        np.maximum(share - 2 * error, 0),
        np.minimum(share + 2 * error, 1),
        color=INK["blue"],
        alpha=0.25,
        lw=0,
    )
    axes.plot(size, share, "o-", color=INK["blue"], label="flip some state (± 2 s.e.)", clip_on=False, zorder=3)
    if ds.any_undecided.values.max() > 0:
        axes.plot(size, ds.any_undecided.values, "s:", color=INK["grey"], label="undecided", clip_on=False)
    if "learned_tv" in ds:
        axes.plot(size, ds.learned_tv.values, "^--", color=INK["red"], label="learner: mean TV", clip_on=False)
    safe = ds.attrs["safe_radius"]
    if logarithmic:
        axes.set_xscale("log")
        left = size.min() / 1.3 if safe <= 0 else min(size.min(), safe) / 1.3
        axes.set_xlim(left, size.max() * 1.15)
    if safe > 0 and ds.attrs["norm"] == "inf":
        axes.axvspan(axes.get_xlim()[0], safe, color=INK["green"], alpha=0.18, lw=0)
        axes.axvline(safe, color=INK["green"], lw=1, label=f"certified: no flip below {safe:.2g}")
    if marked is not None:
        axes.axvline(marked, color=INK["red"], lw=1, ls="--", label="size used at left")
    _finish_curve(axes, ds)


def _finish_curve(axes: Axes, ds: xr.Dataset) -> None:
    axes.set_ylim(0, 1.02)
    norm: Any = {"inf": "sup norm", "2": "2-norm", "1": "1-norm"}[ds.attrs["norm"]]
    axes.set(
        xlabel=f"size ({norm}, units of reward)",
        ylabel="share of rewards",
        title=f"how often: {ds.attrs['count']:,} rewards per size",
    )
    above = axes.transAxes + ScaledTranslation(0, 20 / 72, figure_of(axes).dpi_scale_trans)  # inches: above the title
    outside(axes, bbox_to_anchor=(0.5, 1), bbox_transform=above, handlelength=1.6, ncols=1)

"""A case study: over its knob, what every policy map makes of it, and what the paper's chart shows."""

import re
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, INK, PAGE, colour, figure_of, one_each, outside, panels, style, words

ACROSS = 3  # panels in a row
DASHES = {"kl": "-", "entropy": "--", "best of N": "-.", "matched best of N": ":"}
FAR = 4  # times all others: from there on the optimum is off the page
NEAR = 1e-9  # of the page: positions so near to a cliff are on it

Looks = dict[str, tuple[str, Any]]  # of each entry of the legend: its words and its colour


def case_study(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.case_study`, a panel for each quantity.

    Black, the optimum, all it can be where actions tie (grey between), and as a circle what it is on the cliff if ties
    are shared; vertical, the cliff; hatched, where the arithmetic cannot tell whether actions tie. In colour the
    smoother maps; the learner is the mean of its runs, and bars reach from the least to the most. Stars are the paper's
    numbers, with how far off their reading may be.

    Args:
        ds: the dataset.
        axes: one axis per quantity to draw on; a new figure if not given.
        colors, labels: one per entry of the legend, in its order; ours if not given.
    """
    checks.study(ds, "case study", "jc.studies.case_study")
    count = ds.sizes["quantity"]
    across, rows = min(count, ACROSS), -(-count // ACROSS)
    with style():
        width = COLUMN * 1.25 if count == 1 else PAGE
        each = panels(axes, width, 3.3 * rows, across if axes is None else count, rows if axes is None else 1)
        looks = _looks(ds, colors, labels)
        for i, panel in enumerate(each[:count]):
            _panel(panel, ds, i, looks)
        for spare in each[count:]:
            spare.set_axis_off()
        figure = figure_of(each[0])
        drawn = dict(zip(*reversed(each[0].get_legend_handles_labels()), strict=True))
        entries = [drawn[said] for said, _ in looks.values()], [said for said, _ in looks.values()]
        if axes is None:
            figure.legend(*entries, loc="outside lower center", ncols=2 if count == 1 else 4)
            figure.suptitle(words(ds.attrs["title"], 280 if count == 1 else 480), fontsize=8.5)
        else:
            outside(each[0], *entries)
    return figure


def _looks(ds: xr.Dataset, colors: Any, labels: Any) -> Looks:
    """The entries of the legend in their order."""
    strength = f"{ds.attrs['strength']:.3g}"
    found: Looks = {"optimum": ("optimum", "black"), "ties": ("ties shared", "black")}
    if bool(ds.undecided.any()):
        found["undecided"] = ("undecided", INK["grey"])
    if ds.sizes["reading"]:
        found["paper"] = ("paper", "black")
    maps = {"kl": (f"KL, β = {strength}", 0), "entropy": (f"entropy, α = {strength}", 2)}
    maps["best of N"] = (f"best of {ds.attrs.get('best_of')}", 1)
    maps["matched best of N"] = (f"best of {ds.attrs.get('matched')}, as much KL", 3)
    found |= {name: (said, colour(line)) for name, (said, line) in maps.items() if name in ds["map"].values}
    if "learned" in ds:
        found["learner"] = (words(ds.attrs["learner"], 150), colour(4))
    for name, given in (("colors", colors), ("labels", labels)):
        if given is not None:
            one_each(given, len(found), name, f"entry of the legend ({', '.join(said for said, _ in found.values())})")
    said = [x for x, _ in found.values()] if labels is None else [str(x) for x in labels]
    shades = [x for _, x in found.values()] if colors is None else list(colors)
    return dict(zip(found, zip(said, shades, strict=True), strict=True))


def _panel(panel: Axes, ds: xr.Dataset, quantity: int, looks: Looks) -> None:
    """One quantity."""
    one = ds.isel(quantity=quantity)
    for x, first in zip(ds.threshold.values, ds.first.values, strict=True):
        panel.axvline(x, color=INK["grey"], lw=0.9 if first else 0.6, ls=":", zorder=0)
    if "learned" in ds:
        _learner(panel, one, *looks["learner"])
    for name, dashes in DASHES.items():
        if name in looks:
            said, shade = looks[name]
            x, y = _with_edges(one, one.measured.sel(map=name).values, name)
            steps = "steps-mid" if "best of" in name else "default"  # they jump, and not only where the optimum does
            panel.plot(x, y, dashes, color=shade, label=said, drawstyle=steps)
    _optimum(panel, one, looks)
    if "paper" in looks:
        read = ds.reading_of.values == quantity
        at, value, error = (ds[name].values[read] for name in ("reading_at", "reading_value", "reading_error"))
        said, shade = looks["paper"]
        panel.errorbar(at, value, error, fmt="*", ms=8, mfc="white", color=shade, lw=1, zorder=5, label=said)
    meaning = re.split("[:;]", ds.position.attrs["long_name"])[0]
    below = f"{ds.attrs['axis']}: {meaning}" if ds.sizes["quantity"] == 1 else ds.attrs["axis"]
    panel.set(xlabel=words(below, 230), ylabel=words(one["quantity"].item(), 200))
    margin = 0.02 * np.ptp(ds.position.values)
    panel.set_xlim(ds.position.values[0] - margin, ds.position.values[-1] + margin)
    _in_range(panel, one)


def _with_edges(one: xr.Dataset, y: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A map over the positions and both sides of the cliffs, in order; what is on a cliff is the circle's."""
    at, edges = one.position.values, one.threshold.values
    if not len(edges):
        return at, y
    sides = one.beside.sel(map=name).isel(side=[0, 2]).values.ravel()
    off = np.abs(at[:, None] - edges).min(axis=1) > NEAR * np.ptp(at)
    x = np.concatenate([at[off], np.repeat(edges, 2)])
    order = np.argsort(x, kind="stable")
    return x[order], np.concatenate([y[off], sides])[order]


def _optimum(panel: Axes, one: xr.Dataset, looks: Looks) -> None:
    """The optimum, ties and what is undecided."""
    said, shade = looks["optimum"]
    x, shared = _with_edges(one, one.measured.sel(map="uniform").values, "uniform")
    low, high = (_with_edges(one, one[name].values, "uniform")[1] for name in ("hard_low", "hard_high"))
    wide = high > low
    if wide.any():
        low, high = _carried(x, low, wide, one), _carried(x, high, wide, one)
        panel.fill_between(x, low, high, color=shade, alpha=0.12, lw=0, step="mid")
        panel.plot(x, np.where(wide, shared, np.nan), color=shade, lw=0.8, ls="--")
        panel.plot(x, high, color=shade, lw=1.2, drawstyle="steps-mid", zorder=3)
    panel.plot(x, low, color=shade, lw=1.2, drawstyle="steps-mid", zorder=3, label=said)
    tied = one.beside.sel(map="uniform", side="on").values
    said, shade = looks["ties"]
    panel.plot(one.threshold.values, tied, "o", ms=4.5, mfc="white", mec=shade, zorder=4, label=said)
    if "undecided" in looks:
        said, shade = looks["undecided"]
        band: Any = {"facecolor": "none", "edgecolor": shade, "hatch": "////", "lw": 0, "step": "mid"}
        place = panel.get_xaxis_transform()
        panel.fill_between(one.position, 0, 1, where=one.undecided, transform=place, label=said, **band)


def _carried(x: np.ndarray, y: np.ndarray, wide: np.ndarray, one: xr.Dataset) -> np.ndarray:
    """Where ties last, the side of a cliff has what the position next to it has: shares say nothing of the range."""
    found = y.copy()
    for edge in one.threshold.values:
        first, last = np.flatnonzero(x == edge)[[0, -1]]
        if first > 0 and wide[first - 1]:
            found[first] = y[first - 1]
        if last + 1 < len(x) and wide[last + 1]:
            found[last] = y[last + 1]
    return found


def _learner(panel: Axes, one: xr.Dataset, said: str, shade: Any) -> None:
    """Mean and range of its runs."""
    runs = one.learned.transpose("run", "trial").values
    mean = runs.mean(axis=0)
    reach = np.maximum([mean - runs.min(axis=0), runs.max(axis=0) - mean], 0)
    look: Any = {"color": shade, "lw": 0.9, "capsize": 1.5, "ms": 3.5, "zorder": 2}
    panel.errorbar(one.trial.values, mean, reach, fmt="s", label=said, **look)


def _in_range(panel: Axes, one: xr.Dataset) -> None:
    """An optimum far above all others is left to a word: a density of one action is as high as actions are narrow."""
    others = [one.measured.sel(map=name).values for name in DASHES if name in one["map"].values]
    if not others:
        return
    most, top = float(np.max(others)), float(one.hard_high.max())
    if top > FAR * most > 0:
        panel.set_ylim(-0.05 * most, 1.2 * most)
        panel.set_title(f"optimum: up to {top:.3g}")

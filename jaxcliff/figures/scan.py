"""A direction of rewards against the discount or a regulariser: borders that were searched for, and the distance."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.phase import FEW, POLICIES
from jaxcliff.figures.style import PAGE, SEQUENTIAL, counted, figure_of, one_each, panels, style, whole

AXIS = {"discount": "discount γ", "strength": "strength α (units of reward)"}
BASE = {"discount": "the base policy", "strength": "the hard optimum at $t$ = 0"}
NEAR = {"discount": "the base policy", "strength": "the soft policy at $t$ = 0, same α"}
WIDE = 30  # a ratio of strengths from which on their axis is logarithmic


def phase_scan(ds: Dataset, *, axes: AxesLike | None = None, colors: Names | None = None) -> Figure:
    """Draws a dataset of `studies.phase_scan`.

    Left, the best actions: up to eight sets have each a colour; of more, the colour says in how many states they differ
    from the optimum of the base reward (dashed). Black are the borders that were found; hatched is what is not certain.
    Right, how far the policy is from that of the base reward, in the state where it is farthest.

    Args:
        ds: the dataset.
        axes: two axes to draw on; a new figure if not given.
        colors: one per set of best actions, of up to eight.
    """
    checks.study(ds, "phase scan", "jc.studies.phase_scan")
    over = ds.attrs["over"]
    with style():
        left, right = panels(axes, PAGE, 3.0, 2)
        ts, values = ds.t.values, ds[over].values
        pieces = list(_pieces(ds))
        polygons = [polygon for polygon, _ in pieces]
        nodes = np.array([node for _, node in pieces])
        if len(np.unique(ds.region)) <= FEW:
            sets = len(np.unique(ds.region))
            own = POLICIES if colors is None else one_each(colors, sets, "colors", "set of best actions")
            colours = [own[r] for r in ds.region.values.ravel()[nodes]]
            left.add_collection(PolyCollection(polygons, facecolors=colours, edgecolors="face", lw=0.5))
        else:
            if colors is not None:
                raise ValueError("of more than eight sets of best actions the colour counts states: leave out colors")
            changed = ds.states_changed.values.ravel()[nodes]
            shown = PolyCollection(polygons, array=changed, edgecolors="face", lw=0.5, **counted(changed))
            left.add_collection(shown)
            left.figure.colorbar(shown, ax=left, label=f"states that differ from {BASE[over]}", ticks=whole())
        left.add_collection(LineCollection(list(_segments(ds)), colors="black", linewidths=0.6))
        if not ds.certain.values.all():
            left.contourf(ts, values, ~ds.certain.values, levels=[0.5, 1.5], hatches=["////"], colors="none")
        unseen = f" ({int(ds.missed.sum()):,} of {int(ds.exact.sum()):,} cliffs not seen)" if "missed" in ds else ""
        left.set_title(f"best actions{unseen}" if over == "discount" else "most probable actions")
        look: Any = {"cmap": SEQUENTIAL, "vmin": 0, "vmax": 1, "shading": "nearest", "rasterized": True}
        image = right.pcolormesh(ts, values, ds.tv, **look)
        right.figure.colorbar(image, ax=right, label="total variation, largest over states")
        right.set_title(f"distance to {NEAR[over]}")
        for panel in (left, right):
            if ts[0] < 0 < ts[-1]:
                panel.axvline(0, color="white", ls="--", lw=1)
            if over == "strength" and values[0] > 0 and values[-1] / values[0] >= WIDE:
                panel.set_yscale("log")
            panel.set(xlim=(ts[0], ts[-1]), ylim=(values[0], values[-1]))
            panel.set(xlabel="$t$: reward added, in units of $D$", ylabel=AXIS[over])
    return figure_of(left)


def _cells(ds: xr.Dataset) -> Iterator[tuple[list[tuple[int, int]], list[Any]]]:
    """Every cell of the grid: its four corners (row, column), and on the edge after each, the border point or None."""
    points = {
        (int(r), int(c), bool(a == "t")): (t, v)
        for r, c, a, t, v in zip(
            ds.edge_row.values,
            ds.edge_column.values,
            ds.edge_along.values,
            ds.border_t.values,
            ds.border_value.values,
            strict=True,
        )
    }
    for r in range(ds.region.shape[0] - 1):
        for c in range(ds.region.shape[1] - 1):
            edges = [(r, c, True), (r, c + 1, False), (r + 1, c, True), (r, c, False)]
            yield [(r, c), (r, c + 1), (r + 1, c + 1), (r + 1, c)], [points.get(edge) for edge in edges]


def _pieces(ds: xr.Dataset) -> Iterator[tuple[np.ndarray, int]]:
    """The parts into which borders cut every cell, each with the number of a grid point whose actions it has."""
    ts, values = ds.t.values, ds[ds.attrs["over"]].values
    for corners, crossings in _cells(ds):
        places = [(ts[c], values[r]) for r, c in corners]
        numbers = [r * len(ts) + c for r, c in corners]
        cut = [i for i in range(4) if crossings[i] is not None]
        if len(cut) < 2:
            yield np.array(places), numbers[0]
            continue
        centre = [tuple(np.mean([crossings[i] for i in cut], axis=0))] if len(cut) > 2 else []
        for first, second in zip(cut, [*cut[1:], cut[0] + 4], strict=True):
            between = [i % 4 for i in range(first + 1, second + 1)]
            yield (
                np.array([crossings[first], *(places[i] for i in between), crossings[second % 4], *centre]),
                numbers[between[0]],
            )


def _segments(ds: xr.Dataset) -> Iterator[np.ndarray]:
    """The borders inside every cell: from point to point, or to their centre where more than two meet."""
    for _, crossings in _cells(ds):
        points = np.array([point for point in crossings if point is not None])
        if len(points) == 2:
            yield points
        elif len(points) > 2:
            for point in points:
                yield np.array([point, points.mean(axis=0)])

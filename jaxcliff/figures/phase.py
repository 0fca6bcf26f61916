"""The phase diagram: regions of constant optimal policy with their exact borders, and how far each is from the base."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, PAGE, counted, figure_of, one_each, outside, panels, style, whole, words

# Okabe and Ito's eight, lightened so that borders and text stay legible on them; the base policy has the first.
POLICIES = ("#8fc7ea", "#f4c25e", "#7ccdb4", "#eda27a", "#e3b3cf", "#f5ec9b", "#5c9fcb", "#bdbdbd")
FEW = len(POLICIES)
NAMED, ROOM = 2, 60  # states of a region that a legend names, in so many points each
HALO = [withStroke(linewidth=2.2, foreground="white")]
CROSS: Any = {"marker": "+", "color": "black", "ms": 8, "mew": 1.4, "zorder": 5, "path_effects": HALO}
THIN, ALIKE, THICK = 0.25, 0.8, 2.2  # points; of borders that are all as high


def phase_diagram(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    names: Names | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.phase_diagram`.

    With up to eight policies each has its colour, and the legend says which states differ from the base (or how many).
    With more, neighbours differ in colour, and a second panel shows how many states differ. The weight of a border is
    the height of the jump there: of the true return if there is one, else of the policy where it is visited. The cross
    is the base reward, the circle the largest around it in which nothing switches; hatched is what is not certain.

    Args:
        ds: the dataset.
        axes: one axis, or two with more than eight policies; a new figure if not given.
        names: of the two directions, for the labels of the axes.
        colors: one per region; of more than eight policies, no longer such that neighbours differ.
        labels: one per region, for the legend of up to eight policies.
    """
    checks.study(ds, "phase diagram", "jc.studies.phase_diagram")
    many = ds.sizes["region"] > FEW
    if many and labels is not None:
        raise ValueError(f"labels are for the legend, and {ds.sizes['region']} policies have none: leave them out")
    names = None if names is None else one_each(names, 2, "names", "direction")
    with style():
        why = f" (two where there are more than {FEW} policies; here are {ds.sizes['region']})"
        first, *others = panels(axes, PAGE if many else COLUMN, 3.1, 2 if many else 1, why=why)
        polygons = np.split(ds.vertices.values, ds.offsets.values[1:-1])
        colours = _colours(ds, colors)
        _regions(first, ds, polygons, colours)
        if many:
            first.set_title(f"{ds.sizes['region']:,} policies (colours tell neighbours apart)")
            _key(first, ds)
        else:
            _legend(first, ds, colours, labels)
        for panel in others[: int(many)]:
            changed = ds.states_changed.values
            shown = PolyCollection(polygons, array=changed, edgecolors="face", lw=0.2, **counted(changed))
            panel.add_collection(shown)
            panel.add_collection(LineCollection(ds.segments.values, linewidths=0.2, colors="white"))
            panel.set_title("how many states change")
            panel.figure.colorbar(shown, ax=panel, label="states that differ from the base", shrink=0.9, ticks=whole())
        for panel in (first, *others[: int(many)]):
            _frame(panel, ds, names)
    return figure_of(first)


def weight_triangle(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    names: Names | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a phase diagram over the weights of three rewards as a triangle, one corner per reward.

    Arguments as in `phase_diagram`; `names` are those of the three rewards.
    """
    checks.study(ds, "phase diagram", "jc.studies.phase_diagram(mdp, weights_of=…)")
    if ds.attrs.get("plane") != "weights":
        raise ValueError("weight_triangle draws a phase diagram over weights: studies.phase_diagram(mdp, weights_of=…)")
    if ds.sizes["region"] > FEW and labels is not None:
        raise ValueError(f"labels are for the legend, and {ds.sizes['region']} policies have none: leave them out")
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])

    def place(points: Any) -> Any:
        """(w₂, w₃) on an equilateral triangle."""
        points = np.asarray(points)
        return points[..., :1] * corners[1] + points[..., 1:] * corners[2]

    names = None if names is None else one_each(names, 3, "names", "reward")
    with style():
        (panel,) = panels(axes, COLUMN, 3.1)
        polygons = np.split(place(ds.vertices.values), ds.offsets.values[1:-1])
        colours = _colours(ds, colors)
        panel.add_collection(PolyCollection(polygons, facecolors=colours, edgecolors="none"))
        panel.add_collection(LineCollection(place(ds.segments.values), linewidths=_weights(ds), colors="black"))
        panel.plot(*np.concatenate([corners, corners[:1]]).T, color="black", lw=0.8)
        panel.plot(*place([[ds.attrs["base_x"], ds.attrs["base_y"]]])[0], **CROSS)
        for k, (corner, va) in enumerate(zip(corners, ("top", "top", "bottom"), strict=True)):
            name = f"only reward {k + 1}" if names is None else f"only {words(names[k], 70)}"
            panel.annotate(name, corner, (0, -3 if va == "top" else 3), textcoords="offset points", ha="center", va=va)
        if ds.sizes["region"] <= FEW:
            _legend(panel, ds, colours, labels)
        else:
            panel.set_title(f"{ds.sizes['region']:,} policies", pad=14)
        panel.set_aspect("equal")
        panel.set_xlim(-0.12, 1.12)
        panel.set_ylim(-0.08, 0.95)
        panel.axis("off")
    return figure_of(panel)


def _colours(ds: xr.Dataset, given: Any = None) -> list[Any]:
    """The colour of every region: the policy's own if there are few, else one that no neighbour has."""
    if given is not None:
        return one_each(given, ds.sizes["region"], "colors", "region")
    return [POLICIES[number] for number in _numbers(ds)]


def _numbers(ds: xr.Dataset) -> Any:
    """A number per region, that of the base being 0."""
    count, base = ds.sizes["region"], ds.attrs["base_region"]
    if count <= FEW:
        keys = [o.tobytes() for o in ds.optimal.values]
        order = sorted(range(count), key=lambda i: (i != base, keys[i]))
        return np.argsort(order)
    neighbours: list[list[int]] = [[] for _ in range(count)]
    for i, j in ds.edges.values:
        neighbours[i].append(int(j))
        neighbours[j].append(int(i))
    found = np.full(count, -1)
    for i in [base, *np.argsort([-len(n) for n in neighbours], kind="stable")]:
        if found[i] < 0:
            taken = {int(found[j]) for j in neighbours[i]}
            found[i] = min(c for c in range(count) if c not in taken)
    return found % FEW


def _weights(ds: xr.Dataset) -> Any:
    height = np.abs(ds.return_jump.values) if "return_jump" in ds else ds.visited_tv.values
    scale = min(1.0, 12 / np.sqrt(max(ds.sizes["region"], 1)))  # many regions leave little room for lines
    if not len(height) or np.ptp(height) <= 1e-9 * height.max():
        return np.full(len(height), scale * ALIKE)
    return scale * (THIN + (THICK - THIN) * height / height.max())


def _regions(panel: Axes, ds: xr.Dataset, polygons: Any, colours: Any) -> None:
    panel.add_collection(PolyCollection(polygons, facecolors=colours, edgecolors="face", lw=0.2))
    panel.add_collection(LineCollection(ds.segments.values, linewidths=_weights(ds), colors="black"))
    unsure = ~ds.certain.values & (ds.region_of_pixel.values >= 0)
    if unsure.any():
        panel.contourf(ds.x, ds.y, unsure, levels=[0.5, 1.5], hatches=["////"], colors="none")


def _key(panel: Axes, ds: xr.Dataset) -> None:
    """What the weight of a border means, where borders differ."""
    weights = _weights(ds)
    if not len(weights) or np.ptp(weights) == 0:
        return
    what = "jump of the true return" if "return_jump" in ds else "jump of the policy where visited"
    handles = [Line2D([], [], color="black", lw=lw) for lw in (weights.min(), weights.max())]
    names = ["border", f"highest {what}"]
    outside(panel, handles, names, below=True)


def _legend(panel: Axes, ds: xr.Dataset, colours: list[Any], labels: Any) -> None:
    """The base policy first, then the regions in their order."""
    base = ds.attrs["base_region"]
    order = sorted(range(ds.sizes["region"]), key=lambda i: (i != base, i))
    box: Any = {"edgecolors": "black", "linewidths": 0.4}
    handles = [PolyCollection([], facecolors=[colours[i]], **box) for i in order]
    said = (
        _said(ds, base)
        if labels is None
        else [str(text) for text in one_each(labels, ds.sizes["region"], "labels", "region")]
    )
    outside(panel, handles, [said[i] for i in order])


def _said(ds: xr.Dataset, base: int) -> list[str]:
    """What a region changes: its states by name where all regions change few of them, else how many."""
    changed = (ds.optimal.values != ds.optimal.values[base]).any(axis=-1)
    if "state_name" in ds.coords and changed.sum(axis=1).max() <= NAMED:
        names = [" + ".join(words(ds.state_name.values[s], ROOM) for s in np.flatnonzero(row)) for row in changed]
    else:
        numbers = ds.states_changed.values.tolist()
        names = [f"{n} state{'s' * (n != 1)} changed" for n in numbers]
    return ["base policy" if i == base else name or "the same, other ties" for i, name in enumerate(names)]


def _frame(panel: Axes, ds: xr.Dataset, names: Names | None) -> None:
    (left, low), (right, high) = ds.corners.values.min(axis=0), ds.corners.values.max(axis=0)
    panel.set_xlim(left, right)
    panel.set_ylim(low, high)
    at, radius = (ds.attrs["base_x"], ds.attrs["base_y"]), ds.attrs["plane_radius"]
    panel.plot(*at, **CROSS)
    if 0 < radius < np.inf:
        panel.add_patch(Circle(at, radius, fill=False, ec="black", lw=0.9, zorder=5, path_effects=HALO))
    panel.set_aspect("equal")
    if ds.attrs["plane"] == "weights":
        panel.set(xlabel="weight $w_2$", ylabel="weight $w_3$")
    else:
        own = ["$x$", "X", "$y$", "Y"]
        if names is not None:  # in a text with mathematics in it, fonts are not asked for what the first lacks
            own = ["x", words(names[0], 60), "y", words(names[1], 60)]
        panel.set_xlabel(f"{own[0]}: reward added, in units of {own[1]}")
        panel.set_ylabel(f"{own[2]}: reward added, in units of {own[3]}")
    panel.set_facecolor("white")

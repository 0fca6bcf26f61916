"""From region to region: all cells of constant optimal policy in a convex piece of a plane of rewards.

In a cell every gap is a linear function of the two coordinates, so that a cell is the polygon that its policy's walls
leave of the domain. Across an edge the policy is the lexicographic optimum of `beside`: usually one switch. A whole
frontier of cells is evaluated and cut out at a time.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxcliff.geometry.beside import Ties, blurred
from jaxcliff.geometry.cones import Array
from jaxcliff.geometry.polygons import Polygons, intersect, precision

REAL = 4.0  # times how uncertain its place is, an edge must be long to be crossed
THINNEST = 1e-20  # a cell is kept if its area is more than this share of the square around it
MATCHES = 64.0  # times how uncertain it is, the end of an edge may be off that of its neighbour's
ROUNDED = 1e-14  # of the numbers of a wall: how exactly the corner of two is computed
OVERLAP = 1e-6  # of the area: cells that cover the domain cover it once


@dataclasses.dataclass
class Cells:
    """Cells [R] as polygons in ragged arrays, and the edges [E] between them."""

    vertices: Array
    offsets: Array
    actions: Array
    sets: Array
    edges: Array  # pairs of cells
    segments: Array  # the two ends of each edge
    covered: float  # share of the domain's area
    stopped: bool  # at the limit on cells
    complete: bool  # not stopped, and every edge lies on the frame or is that of a neighbour too


class _Edge(NamedTuple):
    """One side of a cliff: the cell, the policy beyond, its two ends and how wrong each of them can be along it."""

    cell: int
    beyond: bytes
    segment: Array
    give: Array


@dataclasses.dataclass
class _Frontier:
    actions: Array
    sets: Array
    gaps: Array  # [F, 3, S, A]
    error: Array  # of the gaps, [F, 3]
    polygons: Polygons


def walk(
    ties: Ties,
    parts: Array,
    corners: Array,
    actions: Array,
    max_regions: int,
    progress: Callable[[int, float], None] = lambda regions, covered: None,
) -> Cells:
    """All cells of R₀ + uX + vY, clean rewards [3, S, A], in the convex polygon `corners` of about unit size.

    It begins beside the middle, with any policy (one that is optimal nearby saves time); or beside another place, where
    the cell there is too thin to be seen.
    """
    cones = ties.cones
    index: dict[bytes, int] = {}  # of every policy seen, where it is
    cells: list[tuple[Array, Array, Array]] = []
    sets: dict[bytes, int] = {}
    edges: list[_Edge] = []
    covered, domain = 0.0, Polygons.copies(corners, 1).areas()[0]
    seen = True  # no edge is known to be there and too short to be crossed
    first = _beginning(ties, parts, corners, actions)
    fresh = {first.tobytes(): first}
    while fresh and len(cells) < max_regions:
        waiting = list(fresh.items())
        size = min(cones.at_a_time, max_regions - len(cells))
        batch, fresh = waiting[:size], dict(waiting[size:])
        front = _evaluate(ties, np.stack([actions for _, actions in batch]), parts, corners)
        areas, thick = front.polygons.areas(), _thick(front.polygons)
        kept = []
        for i, (key, actions) in enumerate(batch):
            name = np.packbits(front.sets[i]).tobytes()
            if name in sets or not thick[i]:
                index[key] = sets.get(name, -1)
                continue
            index[key] = sets[name] = len(cells)
            cells.append((actions, front.sets[i], front.polygons.vertices[i, : front.polygons.count[i]]))
            covered += areas[i] / domain
            kept.append(i)
        crossings, hidden = _crossings(ties, front, np.array(kept, int), parts)
        seen = seen and not hidden
        for i, neighbour, segment, give in crossings:
            key = neighbour.tobytes()
            edges.append(_Edge(index[batch[i][0]], key, segment, give))
            if key not in index:
                fresh.setdefault(key, neighbour)
        progress(len(cells), covered)
    pairs, segments, matched = _between(edges, index)
    return Cells(
        vertices=np.concatenate([cell[2] for cell in cells]),
        offsets=np.cumsum([0, *(len(cell[2]) for cell in cells)]),
        actions=np.stack([cell[0] for cell in cells]),
        sets=np.stack([cell[1] for cell in cells]),
        edges=pairs,
        segments=segments,
        covered=float(covered),
        stopped=bool(fresh),
        complete=not fresh and seen and matched and bool(abs(covered - 1) <= OVERLAP),
    )


def _beginning(ties: Ties, parts: Array, corners: Array, actions: Array) -> Array:
    """A policy whose cell can be seen: the one in the middle, or the first of a few other places'."""
    middle = corners.mean(axis=0)
    places = np.concatenate([middle[None], (middle + corners) / 2, (3 * middle + corners) / 4])
    aside = np.tile([0.0, 0.618, 0.786], (len(places), 1))
    begins = ties.beside(np.tile(actions, (len(places), 1)), parts[None], _points(places), aside)
    seen = np.flatnonzero(_thick(_evaluate(ties, begins, parts, corners).polygons))
    if not seen.size:
        raise ValueError("no region of this extent is wide enough for the arithmetic to see: enlarge it")
    return begins[seen[0]]


def _points(places: Array) -> Array:
    """(1, u, v)."""
    return np.concatenate([np.ones((len(places), 1)), places], axis=1)


def _evaluate(ties: Ties, actions: Array, parts: Array, corners: Array) -> _Frontier:
    """The gaps of policies as functions of the plane, the actions that tie all over their cells, and the cells."""
    cones = ties.cones
    gaps, error = cones.gaps(actions, parts[None])
    limits = np.stack([ties.limits(parts[None], np.tile(axis, (len(actions), 1)), error) for axis in np.eye(3)], axis=1)
    slope = np.hypot(gaps[:, 1], gaps[:, 2])
    walls = cones.walls(actions)
    level = slope <= np.hypot(limits[:, 1], limits[:, 2])[:, None, None]
    bounds = walls & ~level
    scale = np.where(bounds, 1 / np.where(bounds, slope, 1), 0)
    lanes = len(actions)
    normals = np.stack([gaps[:, 1] * scale, gaps[:, 2] * scale], axis=-1).reshape(lanes, -1, 2)
    slack = (error[:, 0, None, None] * scale).reshape(lanes, -1)
    polygons = intersect(corners, normals, (gaps[:, 0] * scale).reshape(lanes, -1), slack)
    lasting = walls & level & (gaps[:, 0] <= limits[:, 0, None, None])
    own = np.arange(cones.num_actions) == actions[..., None]
    return _Frontier(actions, own | lasting, gaps, error, polygons)


def _thick(polygons: Polygons) -> Array:
    """Which polygons are more than a rounded line, [F]."""
    size = np.where(polygons.used()[..., None], np.abs(polygons.vertices), 0).max(axis=(1, 2))
    return polygons.areas() > THINNEST * size**2


def _crossings(
    ties: Ties, front: _Frontier, kept: Array, parts: Array
) -> tuple[list[tuple[int, Array, Array, Array]], bool]:
    """(cell, the policy on the other side, the two ends, how wrong these can be) of every edge that is a cliff.

    And whether there certainly are edges too short to be crossed.
    """
    cones = ties.cones
    vertices, ends = front.polygons.vertices, front.polygons.following()
    labelled = front.polygons.used() & (front.polygons.labels >= 0)
    chosen = np.zeros(len(vertices), bool)
    chosen[kept] = True
    lanes, places = np.nonzero(labelled & chosen[:, None])
    starts, along = vertices[lanes, places], (ends - vertices)[lanes, places]
    points = _points(starts + along / 2)
    labels = front.polygons.labels[lanes, places]
    state, action = np.divmod(labels, cones.num_actions)
    # A wall is where its gap is 0: how well it is placed depends on its error and its slope.
    slope = np.hypot(*front.gaps[lanes, 1:, state, action].T)
    blur = np.maximum(precision(starts), precision(starts + along))
    blur = blur + (np.abs(points) * front.error[lanes]).sum(axis=1) / slope
    length = np.hypot(along[:, 0], along[:, 1])
    give = blur[:, None] / _sines(front.polygons)[lanes, places]
    real = np.flatnonzero(length > REAL * blur)
    short = np.flatnonzero(length <= REAL * blur)
    hidden = bool(short.size) and _hides(front, lanes[short], places[short])
    if not real.size:
        return [], hidden
    lanes, starts, along, points, length = lanes[real], starts[real], along[real], points[real], length[real]
    state, action, blur, give = state[real], action[real], blur[real], give[real]
    outward = np.stack([along[:, 1], -along[:, 0]], axis=-1) / length[:, None]

    gaps, error = front.gaps[lanes], front.error[lanes]
    value = np.einsum("ek,eksa->esa", points, gaps)
    there = ties.limits(parts[None], points, blurred(gaps, error, blur))
    tied = cones.counts & ~front.sets[lanes] & (value <= there[:, None, None])
    neighbours = front.actions[lanes].copy()
    simple = (tied.sum(axis=(-2, -1)) == 1) & tied[np.arange(len(lanes)), state, action]
    simple &= front.sets[lanes].sum(axis=(-2, -1)) == cones.num_states  # ties all over a cell can switch along
    neighbours[simple, state[simple]] = action[simple]
    size = cones.at_a_time
    hard = np.flatnonzero(~simple)
    for part in (hard[i : i + size] for i in range(0, len(hard), size)):
        onward = np.concatenate([np.zeros((len(part), 1)), outward[part]], axis=1)
        neighbours[part] = ties.beside(neighbours[part], parts[None], points[part], onward, blur[part])
    segments = np.stack([starts, starts + along], axis=1)
    return [(int(i), neighbours[e], segments[e], give[e]) for e, i in enumerate(lanes)], hidden


def _hides(front: _Frontier, lanes: Array, places: Array) -> bool:
    """Whether some edge too short to be crossed is certainly one: its wall misses the corner of the two beside it.

    Where walls meet in one point, as they do at a tie, rounding leaves edges of no length between them.
    """
    labels, count = front.polygons.labels, front.polygons.count
    here = labels[lanes, places]
    before = labels[lanes, np.where(places > 0, places - 1, count[lanes] - 1)]
    after = labels[lanes, np.where(places + 1 < count[lanes], places + 1, 0)]
    inside = (before >= 0) & (after >= 0)  # at the frame a short edge is the tip of a region outside
    lanes, here, before, after = lanes[inside], here[inside], before[inside], after[inside]
    walls = front.gaps.reshape(*front.gaps.shape[:2], -1)
    own, first, second = (walls[lanes, :, label] for label in (here, before, after))
    size = [np.hypot(w[:, 1], w[:, 2]) for w in (own, first, second)]
    cross = first[:, 1] * second[:, 2] - first[:, 2] * second[:, 1]
    sine = np.maximum(np.abs(cross) / (size[1] * size[2]), 1e-12)
    cross = np.where(cross == 0, 1, cross)
    corner = np.stack(
        [
            np.ones(len(cross)),
            (first[:, 2] * second[:, 0] - second[:, 2] * first[:, 0]) / cross,
            (second[:, 1] * first[:, 0] - first[:, 1] * second[:, 0]) / cross,
        ],
        axis=-1,
    )
    wrong = (np.abs(corner) * (front.error[lanes] + ROUNDED * np.abs(own))).sum(axis=1)
    misplaced = (np.abs(corner) * (front.error[lanes] + ROUNDED * (np.abs(first) + np.abs(second)))).sum(axis=1)
    moved = misplaced * (1 / size[1] + 1 / size[2]) / sine
    return bool((np.abs((own * corner).sum(axis=1)) > 2 * (wrong + size[0] * moved)).any())


def _sines(polygons: Polygons) -> Array:
    """Of the angles at the two ends of the edge that starts at each vertex, [F, V, 2]."""
    along = polygons.following() - polygons.vertices
    along = along / np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-300)[..., None]
    place = np.arange(along.shape[1])
    last = np.maximum(polygons.count - 1, 0)[:, None]
    before = np.take_along_axis(along, np.where(place > 0, place - 1, last)[..., None], axis=1)
    after = np.take_along_axis(along, np.where(place + 1 < polygons.count[:, None], place + 1, 0)[..., None], axis=1)
    turns = [np.abs(along[..., 0] * other[..., 1] - along[..., 1] * other[..., 0]) for other in (before, after)]
    return np.maximum(np.stack(turns, axis=-1), 1e-12)


def _between(edges: list[_Edge], index: dict[bytes, int]) -> tuple[Array, Array, bool]:
    """Every edge once, as a pair of cells with the first number smaller, and its ends; and whether all have two sides.

    Cells tile the plane face to face: where every edge is seen from both of its sides, with the same ends, no place is
    left for another cell.
    """
    sides: dict[tuple[int, int], _Edge] = {}
    matched = True
    for edge in edges:
        other = index.get(edge.beyond, -1)
        if other < 0 or other == edge.cell or (edge.cell, other) in sides:
            matched = False
        else:
            sides[edge.cell, other] = edge
    for (cell, other), edge in sides.items():
        back = sides.get((other, cell))
        if (
            back is None
            or (np.abs(edge.segment - back.segment[::-1]).max(axis=1) > MATCHES * (edge.give + back.give[::-1])).any()
        ):
            matched = False
    found = {(min(pair), max(pair)): edge.segment for pair, edge in reversed(sides.items())}
    pairs = np.array(list(found), int).reshape(-1, 2)
    return pairs, np.array(list(found.values())).reshape(-1, 2, 2), matched

"""From region to region: all cells of constant optimal policy in a convex piece of a plane of rewards.

In a cell every gap is a linear function of the two coordinates, so that a cell is the polygon that its policy's walls
leave of the domain. Across an edge the policy is the lexicographic optimum of `beside`: usually one switch. A whole
frontier of cells is evaluated and cut out at a time.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from jaxcliff.cliffs.beside import Ties, blurred
from jaxcliff.cliffs.cones import Array
from jaxcliff.cliffs.polygons import EPSILON, Polygons, intersect

SHORTEST = 1e-10  # an edge of the unit domain that is crossed
SMALLEST = 1e-20  # a cell that is kept


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
    complete: bool


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
    edges: list[tuple[int, bytes, Array]] = []
    covered, domain = 0.0, Polygons.copies(corners, 1).areas()[0]
    first = _beginning(ties, parts, corners, actions)
    fresh = {first.tobytes(): first}
    while fresh and len(cells) < max_regions:
        waiting = list(fresh.items())
        size = min(cones.at_a_time, max_regions - len(cells))
        batch, fresh = waiting[:size], dict(waiting[size:])
        front = _evaluate(ties, np.stack([actions for _, actions in batch]), parts, corners)
        areas = front.polygons.areas()
        kept = []
        for i, (key, actions) in enumerate(batch):
            name = np.packbits(front.sets[i]).tobytes()
            if name in sets or areas[i] <= SMALLEST:
                index[key] = sets.get(name, -1)
                continue
            index[key] = sets[name] = len(cells)
            cells.append((actions, front.sets[i], front.polygons.vertices[i, : front.polygons.count[i]]))
            covered += areas[i] / domain
            kept.append(i)
        for i, neighbour, segment in _crossings(ties, front, np.array(kept, int), parts):
            key = neighbour.tobytes()
            edges.append((index[batch[i][0]], key, segment))
            if key not in index:
                fresh.setdefault(key, neighbour)
        progress(len(cells), covered)
    pairs, segments = _between(edges, index)
    return Cells(
        vertices=np.concatenate([cell[2] for cell in cells]),
        offsets=np.cumsum([0, *(len(cell[2]) for cell in cells)]),
        actions=np.stack([cell[0] for cell in cells]),
        sets=np.stack([cell[1] for cell in cells]),
        edges=pairs,
        segments=segments,
        covered=float(covered),
        complete=not fresh and bool(abs(covered - 1) <= 1e-9),
    )


def _beginning(ties: Ties, parts: Array, corners: Array, actions: Array) -> Array:
    """A policy whose cell can be seen: the one in the middle, or the first of a few other places'."""
    middle = corners.mean(axis=0)
    places = np.concatenate([middle[None], (middle + corners) / 2, (3 * middle + corners) / 4])
    aside = np.tile([0.0, 0.618, 0.786], (len(places), 1))
    begins = ties.beside(np.tile(actions, (len(places), 1)), parts[None], _points(places), aside)
    seen = np.flatnonzero(_evaluate(ties, begins, parts, corners).polygons.areas() > SMALLEST)
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
    polygons = intersect(corners, normals, (gaps[:, 0] * scale).reshape(lanes, -1))
    lasting = walls & level & (gaps[:, 0] <= limits[:, 0, None, None])
    own = np.arange(cones.num_actions) == actions[..., None]
    return _Frontier(actions, own | lasting, gaps, error, polygons)


def _crossings(ties: Ties, front: _Frontier, kept: Array, parts: Array) -> list[tuple[int, Array, Array]]:
    """(cell, the policy on the other side, the two ends) of every edge that is a cliff."""
    cones = ties.cones
    ends = front.polygons.following()
    along = ends - front.polygons.vertices
    real = front.polygons.used() & (front.polygons.labels >= 0) & (np.hypot(*np.moveaxis(along, -1, 0)) > SHORTEST)
    chosen = np.zeros(len(real), bool)
    chosen[kept] = True
    lanes, places = np.nonzero(real & chosen[:, None])
    if not lanes.size:
        return []
    starts, along = front.polygons.vertices[lanes, places], along[lanes, places]
    middle = starts + along / 2
    outward = np.stack([along[:, 1], -along[:, 0]], axis=-1) / np.hypot(along[:, 0], along[:, 1])[:, None]

    points = _points(middle)
    gaps, error = front.gaps[lanes], front.error[lanes]
    labels = front.polygons.labels[lanes, places]
    state, action = np.divmod(labels, cones.num_actions)
    # A wall is where its gap is 0: how well it is placed depends on its error and its slope.
    slope = np.hypot(*gaps[np.arange(len(lanes)), 1:, state, action].T)
    blur = EPSILON + (np.abs(points) * error).sum(axis=1) / slope
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
    return [(int(i), neighbours[e], segments[e]) for e, i in enumerate(lanes)]


def _between(edges: list[tuple[int, bytes, Array]], index: dict[bytes, int]) -> tuple[Array, Array]:
    """Every edge once, as a pair of cells with the first number smaller, and its ends."""
    found: dict[tuple[int, int], Array] = {}
    for cell, key, segment in edges:
        other = index.get(key, -1)
        if other >= 0 and other != cell:
            found.setdefault((min(cell, other), max(cell, other)), segment)
    pairs = np.array(list(found), int).reshape(-1, 2)
    return pairs, np.array(list(found.values())).reshape(-1, 2, 2)

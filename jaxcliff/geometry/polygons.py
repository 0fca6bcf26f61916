"""Many convex polygons at once: clipped by half-planes, measured, found again. Vertices run counter-clockwise.

Polygons are padded: vertices [F, V, 2], of which the first `count` [F] are used; `labels` [F, V] say which line the
edge that starts at a vertex lies on.
"""

import dataclasses

import numpy as np

Array = np.ndarray
EPSILON = 1e-13  # of a vertex's coordinates: what sticks out of a half-plane by less is not cut off
ROUNDING = 4e-15  # of the unit domain: how wrong a vertex can be, wherever it lies


@dataclasses.dataclass
class Polygons:
    """A batch of convex polygons."""

    vertices: Array
    labels: Array
    count: Array

    @staticmethod
    def copies(corners: Array, number: int) -> "Polygons":
        """The same polygon several times; its own edges have the label −1."""
        shape = (number, *corners.shape)
        return Polygons(
            np.array(np.broadcast_to(corners, shape)), np.full(shape[:2], -1), np.full(number, len(corners))
        )

    def following(self) -> Array:
        """The other end of the edge that starts at each vertex, [F, V, 2]."""
        place = np.arange(self.vertices.shape[1])
        index = np.where(place + 1 < self.count[:, None], place + 1, 0)
        return np.take_along_axis(self.vertices, index[..., None], axis=1)

    def used(self) -> Array:
        """Which slots hold a vertex, [F, V]."""
        return np.arange(self.vertices.shape[1]) < self.count[:, None]

    def areas(self) -> Array:
        a, b = self.vertices, self.following()
        return np.where(self.used(), a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0], 0).sum(axis=1) / 2


def intersect(corners: Array, normals: Array, offsets: Array, slack: Array) -> Polygons:
    """The polygon `corners` cut down to n·p + b ≥ 0 for all half-planes of each of F polygons.

    Unit normals [F, W, 2], offsets and how wrong these can be, [F, W]; a normal 0 is no half-plane. Each round cuts off
    what sticks out farthest, so that few rounds suffice however many half-planes there are.
    """
    out = Polygons.copies(corners, len(normals))
    real = (normals != 0).any(axis=-1)
    todo = np.arange(len(normals))
    while todo.size:
        now = Polygons(out.vertices[todo], out.labels[todo], out.count[todo])
        depth = np.einsum("fwx,fvx->fwv", normals[todo], now.vertices) + (offsets + slack)[todo][..., None]
        depth = depth + precision(now.vertices)[:, None]
        depth = np.where(now.used()[:, None], depth, np.inf).min(axis=-1)
        depth = np.where(real[todo], depth, np.inf)
        deepest = depth.argmin(axis=1)
        cut = (np.take_along_axis(depth, deepest[:, None], axis=1)[:, 0] < 0) & (now.count > 0)
        todo, deepest = todo[cut], deepest[cut]
        if todo.size:
            now = Polygons(now.vertices[cut], now.labels[cut], now.count[cut])
            _put(out, todo, _clip(now, normals[todo, deepest], offsets[todo, deepest], deepest))
    return out


def precision(points: Array) -> Array:
    """How well points are placed, [..., 2] to [...]."""
    return ROUNDING + EPSILON * np.abs(points).max(axis=-1)


def _clip(polygons: Polygons, normal: Array, offset: Array, label: Array) -> Polygons:
    """One half-plane off every polygon."""
    v, used = polygons.vertices, polygons.used()
    following = polygons.following()
    height = np.einsum("fx,fvx->fv", normal, v) + offset[:, None]
    ahead = np.einsum("fx,fvx->fv", normal, following) + offset[:, None]
    inside, next_inside = height >= 0, ahead >= 0
    crosses = used & (inside != next_inside)
    share = np.where(crosses, height / np.where(crosses, height - ahead, 1), 0)
    crossing = v + share[..., None] * (following - v)
    lanes, slots = used.shape
    vertices = np.stack([v, crossing], axis=2).reshape(lanes, 2 * slots, 2)
    labels = np.stack([polygons.labels, np.where(inside, label[:, None], polygons.labels)], axis=2).reshape(
        lanes, 2 * slots
    )
    valid = np.stack([used & inside, crosses], axis=2).reshape(lanes, 2 * slots)
    count = valid.sum(axis=1)
    order = np.argsort(~valid, axis=1, kind="stable")[:, : max(int(count.max()), 1)]
    return Polygons(
        np.take_along_axis(vertices, order[..., None], axis=1), np.take_along_axis(labels, order, axis=1), count
    )


def _put(out: Polygons, lanes: Array, some: Polygons) -> None:
    """Writes some polygons back, widening the padding where needed."""
    extra = some.vertices.shape[1] - out.vertices.shape[1]
    if extra > 0:
        out.vertices = np.pad(out.vertices, [(0, 0), (0, extra), (0, 0)])
        out.labels = np.pad(out.labels, [(0, 0), (0, extra)])
    width = some.vertices.shape[1]
    out.vertices[lanes, :width], out.labels[lanes, :width], out.count[lanes] = some.vertices, some.labels, some.count


def locate(vertices: Array, offsets: Array, points: Array) -> Array:
    """Which polygon holds each point, [M]; −1 if none does. Ragged polygons: vertices [N, 2], offsets [R + 1]."""
    order = np.argsort(points[:, 1], kind="stable")
    ys = points[order, 1]
    found = np.full(len(points), -1)
    for slack in (0.0, _slack(vertices)):  # a point between two polygons, by the rounding of a corner, belongs to one
        for i in range(len(offsets) - 1):
            corners = vertices[offsets[i] : offsets[i + 1]]
            low, high = corners[:, 1].min() - slack, corners[:, 1].max() + slack
            band = order[np.searchsorted(ys, low) : np.searchsorted(ys, high, "right")]
            band = band[found[band] < 0]
            found[band[_inside(corners, points[band, 0], points[band, 1], slack)]] = i
        if (found >= 0).all():
            break
    return found


def rasterize(vertices: Array, offsets: Array, xs: Array, ys: Array) -> Array:
    """Which polygon holds each point of a grid, [len(ys), len(xs)]; −1 if none does."""
    found = np.full((len(ys), len(xs)), -1, np.int32)
    slack = _slack(vertices)
    for i in range(len(offsets) - 1):
        corners = vertices[offsets[i] : offsets[i + 1]]
        (left, low), (right, high) = corners.min(axis=0) - slack, corners.max(axis=0) + slack
        columns = slice(np.searchsorted(xs, left), np.searchsorted(xs, right, "right"))
        rows = slice(np.searchsorted(ys, low), np.searchsorted(ys, high, "right"))
        block = found[rows, columns]
        block[(block < 0) & _inside(corners, xs[columns], ys[rows, None], slack)] = i
    return found


def _slack(vertices: Array) -> float:
    """How far outside a point may be, so that none falls between two neighbours: the rounding of a corner."""
    return 4 * EPSILON * float(np.ptp(vertices, axis=0).max()) + 4e-16 * float(np.abs(vertices).max())


def _inside(corners: Array, x: Array, y: Array, slack: float) -> Array:
    inside = np.ones(np.broadcast_shapes(x.shape, y.shape), bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = np.hypot(bx - ax, by - ay)
        inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= -slack * length
    return inside

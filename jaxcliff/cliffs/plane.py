"""Across a plane of rewards R + xX + yY: the exact polygons in which one policy is optimal, and the cliffs between."""

from typing import Any

import numpy as np
from tqdm import tqdm

from jaxcliff import policies
from jaxcliff.cliffs.walls import optimal_policy
from jaxcliff.core import checks, datasets, devices
from jaxcliff.core.labels import Labels, labelled, many
from jaxcliff.core.records import by_hand, record
from jaxcliff.core.types import DataFrame, Dataset, Number, NumbersLike, PathLike, RewardLike, Rule, Whole
from jaxcliff.geometry import jumps, polygons
from jaxcliff.geometry.beside import Ties
from jaxcliff.geometry.cones import Array, Cones
from jaxcliff.geometry.walk import walk
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import Read, recorded
from jaxcliff.solvers.solution import tie_tolerance_of

DIMS: dict[str, tuple[str, ...]] = {
    "corners": ("corner", "axis"),
    "vertices": ("vertex", "axis"),
    "offsets": ("bound",),
    "actions": ("region", "state"),
    "optimal": ("region", "state", "action"),
    "undecided": ("region", "state", "action"),
    "optimal_return": ("region", "coefficient"),
    "true_return": ("region",),
    "edges": ("edge", "side"),
    "segments": ("edge", "end", "axis"),
    "tv": ("edge",),
    "visited_tv": ("edge",),
    "return_jump": ("edge",),
}


@record
class PolicyMap:
    """R regions of a plane, each a convex polygon with one policy (or set of tied policies), and E edges between them.

    Attributes:
        corners: of the piece of the plane that is mapped, counter-clockwise.
        vertices, offsets: the polygon of region i is `vertices[offsets[i]:offsets[i + 1]]`, counter-clockwise.
        actions: an optimal policy of each region, [R, S].
        optimal: the optimal actions, [R, S, A]: several in a state where they tie all over the region.
        undecided: those of them of which the arithmetic cannot tell whether they tie, [R, S, A].
        optimal_return: the optimal return in region i is c₀ + c₁x + c₂y with these three numbers, [R, 3].
        true_return: the return of each region's policy under the true reward, [R], or None.
        edges: pairs of regions, [E, 2]; segments: the two ends of each edge, [E, 2, 2].
        tv, visited_tv: how far the policy jumps across each edge, [E]: the largest total variation over states, and its
            mean over the states that the first region's policy visits; ties by the rule that was asked for.
        return_jump: the change of the true return from the first region to the second, [E], or None.
        covered: the share of the area that the regions cover: 1 up to rounding.
        tie_tolerance: gaps up to this are ties, in units of the span of the reward.
        stopped: whether the limit on regions stopped the walk: what is there is right, but not everything.
        complete: whether this is all there is: every edge lies on the frame, or is an edge of the neighbour too. False
            where the walk stopped, or the arithmetic could not follow an edge to its other side.
    """

    corners: Array
    vertices: Array
    offsets: Array
    actions: Array
    optimal: Array
    undecided: Array
    optimal_return: Array
    true_return: Any
    edges: Array
    segments: Array
    tv: Array
    visited_tv: Array
    return_jump: Any
    covered: float
    tie_tolerance: float
    stopped: bool
    complete: bool
    labels: Labels = labelled()
    made: Any = by_hand(default=None)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def polygon(self, region: Whole) -> Array:
        """The corners of one region (−1 is the last), [V, 2]."""
        region = checks.place(region, len(self), "region")
        return self.vertices[self.offsets[region] : self.offsets[region + 1]]

    @property
    def centres(self) -> Array:
        """A point inside every region, the mean of its corners, [R, 2]."""
        return np.add.reduceat(self.vertices, self.offsets[:-1], axis=0) / np.diff(self.offsets)[:, None]

    def neighbours(self, region: Whole) -> Array:
        """The regions that share an edge with one."""
        region = checks.place(region, len(self), "region")
        return np.concatenate([self.edges[self.edges[:, 0] == region, 1], self.edges[self.edges[:, 1] == region, 0]])

    def areas(self) -> Array:
        """The area of every region, [R]."""
        following = np.arange(1, len(self.vertices) + 1)
        following[self.offsets[1:] - 1] = self.offsets[:-1]
        first = np.repeat(self.vertices[self.offsets[:-1]], np.diff(self.offsets), axis=0)  # no digits lost far out
        (ax, ay), (bx, by) = (self.vertices - first).T, (self.vertices[following] - first).T
        return np.add.reduceat(ax * by - ay * bx, self.offsets[:-1]) / 2

    def locate(self, points: NumbersLike) -> Array:
        """The region of each point, [M, 2] to [M]; −1 outside."""
        points = checks.numbers(points, "points")
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"points have shape [M, 2], not {list(points.shape)}")
        return polygons.locate(self.vertices, self.offsets, points)

    def rasterize(self, resolution: Whole) -> Array:
        """The region of the centre of each pixel, so many in each direction, [y, x] from the lower left; −1 outside."""
        resolution = checks.whole(resolution, "resolution", 1)
        devices.require(4.0 * resolution**2, f"a raster of {resolution:,} × {resolution:,} pixels", "take fewer")
        low, high = self.corners.min(axis=0), self.corners.max(axis=0)
        xs, ys = (low + (high - low) * (np.arange(resolution)[:, None] + 0.5) / resolution).T
        return polygons.rasterize(self.vertices, self.offsets, xs, ys)

    def switches(self, edge: Whole) -> list[tuple[int, list[int], list[int]]]:
        """What switches across an edge: (state, its optimal actions in the first region, and in the second)."""
        return jumps.switches(*self.optimal[self.edges[checks.place(edge, len(self.edges), "edge")]])

    def summary(self) -> str:
        """One sentence."""
        unsure = self.undecided.any(axis=(-2, -1))
        several = (self.optimal.sum(axis=(-2, -1)) > self.actions.shape[1]) & ~unsure
        ties = f", {several.sum()} of them with actions that tie throughout" if several.any() else ""
        ties += (
            f", {unsure.sum()} of them with actions of which it is undecided whether they tie" if unsure.any() else ""
        )
        return f"{many(len(self), 'region')}{ties}, {many(len(self.edges), 'edge')}{self.gaps_in_words()}"

    def gaps_in_words(self) -> str:
        """What a map that is not complete lacks; '' for one that is."""
        if self.complete:
            return ""
        share = f"{self.covered:.1%} of the area is covered"
        if self.stopped:
            return f"; stopped at the limit on regions: {share}"
        return f"; incomplete, the arithmetic could not follow every edge to its other side: {share}"

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset, ragged polygons by offsets."""
        coordinates = {"axis": ["x", "y"], "coefficient": ["1", "x", "y"]}
        return datasets.to_dataset(self, DIMS, size=self.optimal.shape[1:], coordinates=coordinates)

    @classmethod
    def from_dataset(cls, ds: Dataset) -> "PolicyMap":
        """Back from a dataset."""
        return datasets.from_dataset(cls, ds, DIMS, Read(ds.attrs))

    def to_dataframe(self) -> DataFrame:
        """A pandas table with a row for every state that switches across an edge between two regions."""
        import pandas as pd

        rows = [
            {
                "from_region": int(self.edges[e, 0]),
                "to_region": int(self.edges[e, 1]),
                "state": self.labels.state(s),
                "leaves": " or ".join(self.labels.action(a, s) for a in before),
                "enters": " or ".join(self.labels.action(a, s) for a in after),
                "tv": self.tv[e],
                "visited_tv": self.visited_tv[e],
            }
            for e in range(len(self.edges))
            for s, before, after in self.switches(e)
        ]
        columns = ["from_region", "to_region", "state", "leaves", "enters", "tv", "visited_tv"]
        return pd.DataFrame(rows, columns=columns)

    def save(self, path: PathLike) -> None:
        """Writes a zarr folder."""
        self.to_dataset().to_zarr(path, mode="w", consolidated=False)

    @classmethod
    def load(cls, path: PathLike) -> "PolicyMap":
        """Reads a zarr folder."""
        import xarray as xr

        with xr.open_zarr(path, consolidated=False) as ds:
            return cls.from_dataset(ds.load())


@checks.host_geometry
@recorded
def policy_map(
    mdp: MDP,
    reward: RewardLike | None = None,
    x: RewardLike | None = None,
    y: RewardLike | None = None,
    extent: NumbersLike = (-1.0, 1.0, -1.0, 1.0),
    *,
    true_reward: RewardLike | None = None,
    rule: Rule = policies.uniform,
    tie_tolerance: Number | None = None,
    max_regions: Whole = 100_000,
    progress: bool = False,
) -> PolicyMap:
    """The exact map of the optimal policy over R + xX + yY.

    Args:
        mdp: the problem.
        reward: R, [S, A]; the problem's own if None.
        x, y: the rewards X and Y, [S, A].
        extent: (lowest x, highest x, lowest y, highest y).
        true_reward: another reward, [S, A], whose return is reported for every region.
        rule: how ties are broken where heights of jumps are measured: `jc.policies.uniform`, `first`, or a function of
            action sets.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        max_regions: where to stop; the map is then incomplete and says so.
        progress: show a progress bar.

    >>> import jaxcliff as jc
    >>> plan = jc.policy_map(jc.problems.bandit([0.0, 0.0, 0.0]), None, [[1.0, 0, 0]], [[0, 1.0, 0]])
    >>> len(plan), sorted(plan.areas().round(12).tolist())
    (3, [1.0, 1.5, 1.5])
    """
    cones = Cones.of(mdp)
    ends = checks.numbers(extent, "extent")
    if ends.shape != (4,) or not (ends[0] < ends[1] and ends[2] < ends[3] and np.isfinite(ends).all()):
        raise ValueError(f"extent is (lowest x, highest x, lowest y, highest y), not {checks.shown(extent)}")
    left, right, low, high = ends.tolist()
    corners = np.array([[left, low], [right, low], [right, high], [left, high]])
    plane = np.stack([cones.reward(reward), cones.reward(x, "x"), cones.reward(y, "y")])
    true = None if true_reward is None else cones.reward(true_reward, "the true reward")
    ties = Ties(cones, tie_tolerance_of(cones.dtype, tie_tolerance, reward))
    return map_plane(ties, plane, corners, true, rule, max_regions, progress)


def map_plane(
    ties: Ties,
    plane: Array,
    corners: Array,
    true_reward: Array | None,
    rule: Any,
    max_regions: Any,
    progress: bool,
) -> PolicyMap:
    """The map of a convex piece of a plane, given by its corners: clean rewards (R, X, Y), [3, S, A]."""
    max_regions, cones = checks.whole(max_regions, "max_regions", 1), ties.cones
    low, high = corners.min(axis=0), corners.max(axis=0)
    centre, half = low / 2 + high / 2, high / 2 - low / 2
    with np.errstate(over="ignore"):
        largest = 2 * np.maximum(half, np.abs(centre)) * np.abs(plane[1:]).max(axis=(1, 2))
    if not np.isfinite(largest).all():
        raise ValueError("the extent times its rewards is larger than float64 can hold")
    unit = np.stack([plane[0] + np.tensordot(centre, plane[1:], axes=1), *(half[:, None, None] * plane[1:])])
    with tqdm(total=1.0, desc="area", unit="", disable=not progress, bar_format="{l_bar}{bar}| {postfix}") as bar:

        def show(regions: int, covered: float) -> None:
            bar.set_postfix_str(f"{regions} regions", refresh=False)
            bar.update(min(covered, 1.0) - bar.n)

        begin = optimal_policy(cones, unit[0])
        cells = walk(ties, unit, (corners - centre) / half, begin, max_regions, show)
    vertices = centre + half * cells.vertices
    middles = np.add.reduceat(cells.vertices, cells.offsets[:-1], axis=0) / np.diff(cells.offsets)[:, None]
    acts = ties.verdict(cells.actions, cells.sets, unit[None], np.insert(middles, 0, 1.0, axis=1))
    chosen = jumps.policies_of(acts, rule)
    visits = cones.in_blocks(cones.visits, chosen)
    height = jumps.heights(visits, chosen, cells.edges[:, 0], cells.edges[:, 1], true_reward)
    slopes = np.stack([jumps.earned(visits, chosen, r) for r in plane], axis=-1)
    return PolicyMap(
        corners=corners,
        vertices=vertices,
        offsets=cells.offsets,
        actions=cells.actions,
        optimal=cells.sets,
        undecided=np.asarray(acts.undecided),
        optimal_return=slopes,
        true_return=height.get("true_return"),
        edges=cells.edges,
        segments=centre + half * cells.segments,
        tv=height["tv"],
        visited_tv=height["visited_tv"],
        return_jump=height.get("return_jump"),
        covered=cells.covered,
        tie_tolerance=ties.tolerance,
        stopped=cells.stopped,
        complete=cells.complete,
        labels=cones.mdp.labels,
    )

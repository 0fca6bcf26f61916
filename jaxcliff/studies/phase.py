"""The phase diagram: which policy is optimal where on a plane of rewards or of weights, exactly, and as a raster."""

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from jaxcliff import policies
from jaxcliff.cliffs.plane import PolicyMap, policy_map
from jaxcliff.cliffs.radius import nearest_cliff
from jaxcliff.cliffs.walls import Walls
from jaxcliff.cliffs.weights import weight_map
from jaxcliff.core import checks, devices
from jaxcliff.core.devices import float64
from jaxcliff.core.types import Key, Number, NumbersLike, RewardLike, RewardsLike, Rule, Whole
from jaxcliff.geometry import family, jumps
from jaxcliff.geometry.beside import Ties
from jaxcliff.geometry.cones import Array, Cones
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import recorded
from jaxcliff.solvers.solution import tie_tolerance_of
from jaxcliff.studies.learner import Learner, learn, ready

LEARNED_PIXELS = 32


@checks.host_study
@recorded
def phase_diagram(
    mdp: MDP,
    reward: RewardLike | None = None,
    x: RewardLike | None = None,
    y: RewardLike | None = None,
    extent: NumbersLike = (-1.0, 1.0, -1.0, 1.0),
    *,
    weights_of: RewardsLike | None = None,
    resolution: Whole = 256,
    true_reward: RewardLike | None = None,
    rule: Rule = policies.uniform,
    tie_tolerance: Number | None = None,
    learner: Learner | None = None,
    key: Key | None = None,
    max_regions: Whole = 100_000,
    progress: bool = False,
) -> xr.Dataset:
    """Exact regions and edges of R + xX + yY, and what they say on a grid of pixels.

    Args:
        mdp: the problem.
        reward: R, [S, A], the base; the problem's own if None.
        x, y: the rewards X and Y, [S, A].
        extent: (lowest x, highest x, lowest y, highest y).
        weights_of: instead of x and y, three rewards [3, S, A]: the plane is that of their weights, (w₂, w₃), and the
            base is equal weights.
        resolution: pixels in each direction.
        true_reward: another reward, [S, A], whose return is reported.
        rule: how ties are broken where policies are compared: `jc.policies.uniform`, `first`, or a function of action
            sets.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        learner: one's own, (mdp, rewards [B, S, A], key) → policies [B, S, A], asked on a coarse grid of its own: how
            far its policy moves from the one it learns at the base, beside how far the optimal one does.
        key: for the learner, a JAX random key.
        max_regions: where to stop; the map is then incomplete and says so.
        progress: show a progress bar.

    Returns:
        The dataset of a `PolicyMap` (regions, polygons, edges with their heights), and per region `tv_to_base` and
        `visited_tv_to_base`, `states_changed`; per pixel `region_of_pixel`, `smallest_gap`, `radius` (to the nearest
        cliff, sup norm over all entries of the reward), `certain` (no decision there is within the error of the
        arithmetic), and `value`, the optimal return; with a learner, `learned_tv` and `learned_regret`. Attributes:
        `base_x`, `base_y`, `base_radius` (sup norm), and `plane_radius`, the distance from the base to the nearest
        cliff within the plane, in its coordinates.
    """
    key = ready(learner, key)
    cones = Cones.of(mdp)
    if (weights_of is None) == (x is None or y is None):
        raise ValueError("say either x=… and y=…, two rewards, or weights_of=…, three")
    resolution = checks.whole(resolution, "resolution", 1)
    needed = 64.0 * resolution**2  # the points, and what is said about each
    devices.require(needed, f"a raster of {resolution:,} × {resolution:,} pixels", "take fewer")
    ties = Ties(cones, tie_tolerance_of(cones.dtype, tie_tolerance, reward if weights_of is None else weights_of))
    if weights_of is not None:
        weights_of = checks.numbers(weights_of, "weights_of")
    options: dict[str, Any] = {
        "true_reward": true_reward,
        "rule": rule,
        "tie_tolerance": ties.tolerance,
        "max_regions": max_regions,
    }
    if weights_of is None:
        plane = np.stack([cones.reward(reward), cones.reward(x, "x"), cones.reward(y, "y")])
        plan = policy_map(mdp, plane[0], plane[1], plane[2], extent, progress=progress, **options)
        base = np.zeros(2)
    else:
        if np.shape(weights_of)[:1] != (3,):
            raise ValueError(f"weights_of takes three rewards, [3, S, A], not shape {list(np.shape(weights_of))}")
        each = np.stack([cones.reward(r, f"reward {k}") for k, r in enumerate(weights_of)])
        plan = weight_map(mdp, each, progress=progress, **options).map
        plane = np.stack([each[0], each[1] - each[0], each[2] - each[0]])
        base = np.full(2, 1 / 3)
    ds = plan.to_dataset()
    low, high = plan.corners.min(axis=0), plan.corners.max(axis=0)
    xs, ys = (low + (high - low) * (np.arange(resolution)[:, None] + 0.5) / resolution).T
    region = plan.rasterize(resolution)
    here = np.concatenate([np.ones((resolution**2, 1)), np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)], axis=1)
    gap, radius, certain = _from_gaps(cones, plan, plane, region.ravel(), here)
    inside = region.ravel() >= 0
    value = np.where(inside, (here * plan.optimal_return[region.ravel()]).sum(axis=1), np.nan)

    def image(values: Array, **attributes: str) -> Any:
        return ("y", "x"), values.reshape(resolution, resolution), attributes

    unit = "reward"
    ds = ds.assign_coords(x=("x", xs), y=("y", ys)).assign(
        region_of_pixel=image(region, long_name="region"),
        smallest_gap=image(gap, units=unit, long_name="smallest gap"),
        radius=image(radius, units=unit, long_name="distance to the nearest cliff (sup norm)"),
        certain=image(certain, long_name="every decision is certain"),
        value=image(value, units=unit, long_name="optimal return"),
    )
    middle = plane[0] + np.tensordot(base, plane[1:], axes=1)
    near = nearest_cliff(mdp, middle, tie_tolerance=ties.tolerance)
    flat = nearest_cliff(mdp, middle, family=family.features(plane[1:]), norm="2", tie_tolerance=ties.tolerance)
    ds = ds.assign(_against_base(ties, plane, plan, base, near.walls, rule))
    ds.attrs |= {
        "study": "phase diagram",
        "plane": "rewards" if weights_of is None else "weights",
        "base_x": float(base[0]),
        "base_y": float(base[1]),
        "base_region": int(plan.locate(base[None])[0]),
        "base_radius": float(near.radius),
        "base_undecided": int(near.walls.undecided.any(axis=-1).sum()),
        "plane_radius": float(flat.radius),
        "rule": getattr(rule, "__name__", "a rule"),
    }
    return ds if learner is None else ds.assign(_learned(cones, plane, base, low, high, learner, key))


def _from_gaps(cones: Cones, plan: PolicyMap, plane: Array, region: Array, here: Array) -> tuple[Array, Array, Array]:
    """Smallest gap, distance to the nearest cliff, and whether all is certain, at points (1, x, y), [M, 3]."""
    gap, radius = np.full(len(here), np.nan), np.full(len(here), np.nan)
    certain = np.zeros(len(here), bool)
    order = np.argsort(region, kind="stable")
    ends = np.searchsorted(region[order], np.arange(len(plan) + 1))
    everywhere = np.ones(cones.counts.shape)
    for start in range(0, len(plan), cones.at_a_time):
        actions = plan.actions[start : start + cones.at_a_time]
        gaps, error = cones.gaps(actions, plane[None])
        norms, _ = cones.entry_norms(actions, everywhere * cones.counts, 1)
        for i in range(len(actions)):
            own = order[ends[start + i] : ends[start + i + 1]]
            walls = cones.walls(actions[i])
            if not len(own) or not walls.any():
                gap[own], radius[own], certain[own] = np.inf, np.inf, True
                continue
            values = here[own] @ gaps[i][:, walls]
            gap[own] = np.maximum(values.min(axis=1), 0)
            radius[own] = np.maximum((values / norms[i][walls]).min(axis=1), 0)
            ties = plan.optimal[start + i][walls]
            lowest = np.where(ties, np.inf, values).min(axis=1)
            certain[own] = (lowest > np.abs(here[own]) @ error[i]) & ~plan.undecided[start + i].any()
    return gap, radius, certain


def _against_base(
    ties: Ties, plane: Array, plan: PolicyMap, place: Array, base: Walls, rule: Callable[..., Any]
) -> dict[str, Any]:
    """How far each region's policy is from that of the base, where ties are ties too."""
    cones = ties.cones
    own = np.eye(cones.num_actions, dtype=bool)[base.actions] | base.tied | base.undecided
    acts = ties.verdict(
        np.concatenate([base.actions[None], plan.actions]),
        np.concatenate([own[None], plan.optimal]),
        plane[None],
        np.insert(np.concatenate([place[None], plan.centres]), 0, 1.0, axis=1),
    )
    chosen = jumps.policies_of(acts, rule)
    visits = cones.visits(chosen[:1])
    first = np.zeros(len(plan), int)
    height = jumps.heights(np.repeat(visits, len(chosen), axis=0), chosen, first, 1 + np.arange(len(plan)))
    changed = (plan.optimal != own).any(axis=-1).sum(axis=-1)
    return {
        "tv_to_base": (
            "region",
            height["tv"],
            {"long_name": "total variation to the base policy, largest over states"},
        ),
        "visited_tv_to_base": ("region", height["visited_tv"], {"long_name": "the same, over states visited"}),
        "states_changed": ("region", changed, {"long_name": "states whose optimal actions differ from the base's"}),
    }


def _learned(
    cones: Cones, plane: Array, base: Array, low: Array, high: Array, learner: Learner, key: Any
) -> dict[str, Any]:
    """What a learner does on a coarse grid: how far it is from what it learns at the base, and what it gives away."""
    steps = (np.arange(LEARNED_PIXELS)[:, None] + 0.5) / LEARNED_PIXELS
    xs, ys = (low + (high - low) * steps).T
    points = np.concatenate([base[None], np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)])
    rewards = plane[0] + np.tensordot(points, plane[1:], axes=1)
    with float64():
        learned = learn(learner, cones.mdp, rewards[0], rewards[1:], key)
    shape = (LEARNED_PIXELS, LEARNED_PIXELS)
    dims = ("learned_y", "learned_x")
    return {
        "learned_x": ("learned_x", xs),
        "learned_y": ("learned_y", ys),
        "learned_tv": (
            dims,
            learned.tv.reshape(shape),
            {"long_name": "the learner's total variation to its base policy"},
        ),
        "learned_regret": (
            dims,
            learned.regret.reshape(shape),
            {"units": "reward", "long_name": "return the learner gives away"},
        ),
    }

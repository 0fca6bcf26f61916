"""Aggregation stability: what happens to the policy of a mixture when one of its rewards, or its weights, move."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from tqdm import tqdm

from jaxcliff import metrics, policies
from jaxcliff.cliffs.radius import nearest_cliff
from jaxcliff.cliffs.ray import Path, cliffs_along_each
from jaxcliff.core import checks
from jaxcliff.core.labels import Labels
from jaxcliff.core.numerics import cast, placed
from jaxcliff.core.types import Key, Names, Number, NumbersLike, RewardsLike, WeightsLike, Whole
from jaxcliff.geometry import family
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import recorded
from jaxcliff.rewards import aggregate, perturb
from jaxcliff.solvers.solution import tie_tolerance_of
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.learner import Learner, learn, ready

STEPS = 33  # of the way from the mixture to each reward alone


@checks.host_study
@recorded
def aggregation_stability(
    mdp: MDP,
    rewards: RewardsLike,
    weights: WeightsLike | None = None,
    *,
    key: Key,
    sizes: NumbersLike | None = None,
    count: Whole = 256,
    names: Names | None = None,
    strength: Number | None = None,
    penalty: Number = 1.0,
    tie_tolerance: Number | None = None,
    learner: Learner | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """N rewards, their mixture, and its neighbours.

    Args:
        mdp: the problem; its own reward plays no part.
        rewards: components, [N, S, A].
        weights: [N], or [N, S] per state (`jc.aggregate.posterior`, `softmax_gate`, …); equal if not given.
        key: a JAX random key.
        sizes: of perturbations, in units of reward; 9 from the smallest radius to the span if not given.
        count: rewards per size and sort of perturbation.
        names: of the components.
        strength: of the soft minimum, a tenth of the mixture's span if not given; penalty: on the variance.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        learner: one's own, (mdp, rewards [B, S, A], key) → policies [B, S, A], measured on the same mixtures.
        progress: show a progress bar.

    Returns:
        A dataset with, per `component`: `weight` (mean over states); `radius`, the least change of this reward alone
        that flips the policy (1/w farther than the `joint_radius` of all together, an attribute); `breakpoint`, how far
        the mixture can go towards this reward alone before the policy jumps, exact (0 where it stands on a cliff, 1 is
        all the way, NaN never), and `breakpoints`, how many jumps lie on the way; and over `share` of the way `regret`,
        what the policy of the mixture loses when it is deployed under the mixture so moved. Per `sort` of perturbation
        (each component alone, all by the same amount) and `size`: `flips`, the share that certainly changes the policy,
        `undecided`, the share of which the arithmetic cannot tell, and `tv`, the mean over the states that are visited
        (and `learned_tv`, the mean of a learner's largest). Per `aggregator` and `size`, with one component drawn at
        random: the share of flips `aggregator_flips`; and its largest local Lipschitz constant `lipschitz`.
    """
    check_one(mdp)
    ready(learner, key)
    key, count = checks.random_key(key), checks.whole(count, "count", 1)
    rewards = cast(checks.array(rewards, "several rewards"), mdp.dtype)
    if rewards.ndim != 3 or rewards.shape[1:] != mdp.reward.shape or len(rewards) < 2:
        raise ValueError(
            f"several rewards have shape [N, {mdp.num_states}, {mdp.num_actions}] with N at least 2, not "
            f"{list(rewards.shape)}"
        )
    number = len(rewards)
    strength = None if strength is None else checks.number(strength, "strength")
    if strength is not None and not 0 < strength < np.inf:
        raise ValueError(f"strength must be one positive number, not {strength}")
    penalty = checks.number(penalty, "penalty")
    rewards = placed(np.where(mdp.decisions, rewards, np.zeros((), mdp.dtype)))
    given = np.full(number, 1 / number) if weights is None else checks.numbers(weights, "weights")
    own = checks.weights(given, number, mdp.num_states)
    labels = [f"reward {k}" for k in range(number)] if names is None else [str(name) for name in Labels(names).states]
    if len(labels) != number:
        raise ValueError(f"there are {number} rewards and {len(labels)} names")
    table = aggregate.per_state(np.broadcast_to(own, (number, mdp.num_states)))
    table = cast(table, mdp.dtype)
    mixed = aggregate.linear(rewards, table)
    base = solve(mdp, mixed)
    if not bool(base.ok):
        raise ValueError(f"the mixture could not be solved: {base.summary()}")
    tolerance = tie_tolerance_of(mdp.dtype, tie_tolerance)
    acts = policies.optimal_actions(base, tolerance)
    whole, actions = np.asarray(table, float), mdp.num_actions

    nearest = functools.partial(nearest_cliff, mdp, mixed, tie_tolerance=tolerance)
    joint = nearest(family=family.components(whole, actions))
    radius = [float(nearest(family=family.component(whole, k, actions)).radius) for k in range(number)]
    towards = cliffs_along_each(mdp, mixed, np.asarray(rewards - mixed), stop=1.0, tie_tolerance=tolerance)
    span = float(base.span) or 1.0
    if sizes is None:
        low = min([r for r in radius if 0 < r < np.inf] + [span / 10])
        sizes = np.geomspace(low / 2, max(span, 2 * low), 9)
    sizes = checks.numbers(sizes, "sizes")
    if sizes.ndim != 1 or not len(sizes) or not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError(f"sizes must be a list of positive numbers, not {sizes.tolist()}")

    aggregators: dict[str, Callable[[Any], Any]] = {
        "linear": lambda r: aggregate.linear(r, table),
        "worst case": aggregate.worst_case,
        "soft minimum": functools.partial(aggregate.soft_min, strength=span / 10 if strength is None else strength),
        "mean − variance": functools.partial(aggregate.mean_minus_variance, penalty=penalty),
    }
    share = np.linspace(0, 1, STEPS)
    flips: list[Any] = []
    unsure: list[Any] = []
    tv: list[Any] = []
    other, learned = [], []
    for i, size in enumerate(tqdm(sizes, "sizes", disable=not progress)):
        ball_key, which_key = jax.random.split(jax.random.fold_in(key, i))
        ball = perturb.ball(ball_key, mdp, size=size, count=count, reward=np.zeros(mixed.shape, mdp.dtype))
        mixtures, moved = _neighbours(mdp, rewards, table, mixed, ball.rewards, which_key)
        moved_acts = policies.optimal_actions(solve(mdp, mixtures), np.full(mixtures.shape[:-2], tolerance))
        for column, found in zip((flips, unsure, tv), _moves(mdp, acts, moved_acts), strict=True):
            column.append(np.asarray(found))
        if learner is not None:
            moves = learn(learner, mdp, mixed, np.asarray(mixtures).reshape(-1, *mixed.shape), which_key)
            learned.append(moves.tv.reshape(len(mixtures), count).mean(axis=1))
        other.append([_flips(mdp, f(rewards), f(moved), tolerance) for f in aggregators.values()])
    steepest = [float(np.max(aggregate.lipschitz(f, rewards))) for f in aggregators.values()]
    ds = xr.Dataset(
        {
            "weight": ("component", whole.mean(axis=1)),
            "radius": ("component", radius, {"units": "reward", "long_name": "distance to a cliff, this reward alone"}),
            "breakpoint": ("component", [_first(path) for path in towards]),
            "breakpoints": ("component", [len(p.breakpoints) for p in towards]),
            "regret": (("component", "share"), _deployed(mdp, acts, rewards, mixed, share), {"units": "reward"}),
            "flips": (("size", "sort"), np.stack(flips), {"long_name": "share that flips the policy"}),
            "undecided": (("size", "sort"), np.stack(unsure), {"long_name": "share left undecided, none flipped"}),
            "tv": (("size", "sort"), np.stack(tv), {"long_name": "mean total variation where the policy goes"}),
            "aggregator_flips": (("size", "aggregator"), np.array(other), {"long_name": "share that flips the policy"}),
            "lipschitz": ("aggregator", steepest),
        },
        {
            "component": np.array(labels, object),
            "sort": np.array([*labels, "all alike"], object),
            "size": ("size", sizes, {"units": "reward"}),
            "share": share,
            "aggregator": np.array(list(aggregators), object),
        },
        {
            "study": "aggregation stability",
            "count": count,
            "span": span,
            "joint_radius": float(joint.radius),
            "tie_tolerance": tolerance,
            "base_undecided": int(np.asarray(policies.ambiguous(acts)).sum()),
            "cliff": joint.summary(),
        },
    )
    if learned:
        ds["learned_tv"] = (("size", "sort"), np.stack(learned), {"long_name": "mean total variation of the learner"})
    if own.shape[1] == 1:
        moving = nearest(family=family.weights(np.asarray(rewards)))
        ds.attrs |= {"weight_radius": float(moving.radius), "weight_cliff": moving.summary()}
    return ds


def _first(path: Path) -> float:
    """Where the policy first jumps on the way: at once where actions tie at the start; NaN never."""
    if path.tied_start:
        return 0.0
    return path.first if len(path.breakpoints) else np.nan


@jax.jit
def _neighbours(
    mdp: MDP, rewards: jax.Array, table: jax.Array, mixed: jax.Array, steps: jax.Array, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mixtures of which every component alone, and all by the same amount, took a step; components of which one did."""
    number, count = len(rewards), len(steps)
    delta = jnp.where(mdp.decisions, steps, 0)
    alone = mixed + table[:, None, :, None] * delta
    which = jax.nn.one_hot(jax.random.randint(key, (count,), 0, number), number, dtype=mdp.dtype)
    moved = rewards + which[..., None, None] * delta[:, None]
    return jnp.concatenate([alone, (mixed + delta)[None]]), moved


@jax.jit
def _moves(mdp: MDP, acts: policies.ActionSets, moved: policies.ActionSets) -> tuple[jax.Array, ...]:
    """The shares of flips and undecided, and the mean distance where the base policy goes, over lanes of every sort."""
    flipped, unsure = metrics.flips(acts, moved)
    some = jnp.any(flipped, axis=-1)
    own = policies.uniform(acts)
    visits = jnp.sum(metrics.occupancy(mdp, own, normalized=True), axis=-1)
    distance = jnp.sum(visits * metrics.total_variation(policies.uniform(moved), own), axis=-1)
    return jnp.mean(some, axis=-1), jnp.mean(jnp.any(unsure, axis=-1) & ~some, axis=-1), jnp.mean(distance, axis=-1)


def _flips(mdp: MDP, base: jax.Array, rewards: jax.Array, tolerance: float) -> float:
    """The share of rewards that certainly flip the policy of a base."""
    before = policies.optimal_actions(solve(mdp, base), tolerance)
    after = policies.optimal_actions(solve(mdp, rewards), np.full(len(rewards), tolerance))
    return float(np.mean(np.asarray(metrics.flips(before, after)[0]).any(axis=-1)))


@jax.jit
def _deployed(mdp: MDP, acts: policies.ActionSets, rewards: jax.Array, mixed: jax.Array, share: jax.Array) -> jax.Array:
    """What the policy of the mixture loses under mixtures moved towards each reward, [N, STEPS]."""
    moved = mixed + jnp.asarray(share).astype(mdp.dtype)[:, None, None] * (rewards - mixed)[:, None]
    return metrics.regret(mdp, policies.uniform(acts), moved)

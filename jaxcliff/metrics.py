"""How far apart policies, or sets of optimal actions, are; what a policy earns, and what it leaves on the table."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.numerics import cast
from jaxcliff.core.types import LaneScalars, NumbersLike, Policies, PolicyLike, RewardsLike, StateFlags, Values
from jaxcliff.model.mdp import MDP
from jaxcliff.policies import ActionSets
from jaxcliff.solvers.evaluate import evaluate, occupancy
from jaxcliff.solvers.solve import solve

__all__ = [
    "discounted_entropy",
    "discounted_kl",
    "entropy",
    "expected_return",
    "flips",
    "hausdorff",
    "kl_divergence",
    "largest_total_variation",
    "regret",
    "sensitivity",
    "total_variation",
    "visited_total_variation",
]


def __dir__() -> list[str]:
    return list(__all__)


def total_variation(policy: PolicyLike, other: PolicyLike) -> Values:
    """TV(s) = ½ Σ_a |π(a|s) − π'(a|s)| for every state, [*B, S]."""
    return _distance(*_pair(policy, other))


@jax.jit
def _distance(policy: jax.Array, other: jax.Array) -> jax.Array:
    return 0.5 * jnp.sum(jnp.abs(policy - other), axis=-1)


def largest_total_variation(policy: PolicyLike, other: PolicyLike, where: NumbersLike | None = None) -> LaneScalars:
    """max_s TV(s), over all states or those marked in a boolean [S] (terminal states differ by nothing anyway)."""
    policy, other = _pair(policy, other)
    if where is not None:
        where = checks.array(where, "where")
        if where.dtype != bool or where.shape != policy.shape[-2:-1]:
            raise ValueError(f"where marks states in a boolean [{policy.shape[-2]}], not {list(where.shape)}")
    return _largest(policy, other, where)


@jax.jit
def _largest(policy: jax.Array, other: jax.Array, states: Any) -> jax.Array:
    distance = _distance(policy, other)
    return jnp.max(distance if states is None else jnp.where(states, distance, 0), axis=-1)


@checks.public
def visited_total_variation(mdp: MDP, policy: PolicyLike, other: PolicyLike) -> LaneScalars:
    """Σ_s d(s) TV(s), weighted by how often `policy` visits each state, as shares that sum to 1."""
    return _over_visits(occupancy(mdp, policy, normalized=True), total_variation(policy, other))


@jax.jit
def _over_visits(taken: jax.Array, values: jax.Array) -> jax.Array:
    """Σ_s d(s) values(s), of visits of actions."""
    return jnp.sum(jnp.sum(taken, axis=-1) * values, axis=-1)


def kl_divergence(policy: PolicyLike, other: PolicyLike) -> Values:
    """KL(π‖π')(s) = Σ_a π log(π/π') for every state, [*B, S]; infinite where π goes and π' does not."""
    return _divergence(*_pair(policy, other))


@jax.jit
def _divergence(policy: jax.Array, other: jax.Array) -> jax.Array:
    policy, other = jnp.broadcast_arrays(policy, other)
    goes = policy > 0
    ratio = jnp.where(goes, policy, 1) / jnp.where(goes & (other > 0), other, 1)
    terms = jnp.where(goes, policy * jnp.log(ratio), 0)
    return jnp.where(jnp.any(goes & ~(other > 0), axis=-1), jnp.inf, jnp.sum(terms, axis=-1)) + 0 * jnp.sum(
        policy + other, -1
    )


@checks.public
def flips(before: ActionSets, after: ActionSets) -> tuple[StateFlags, StateFlags]:
    """Where the set of optimal actions certainly changed, and where that is not decided, [*B, S] each.

    A state flips if some action is certainly optimal on one side and certainly suboptimal on the other.
    """
    _check_alike(before, after)
    return _flips(before, after)


@jax.jit
def _flips(before: ActionSets, after: ActionSets) -> tuple[StateFlags, StateFlags]:
    changed = (before.optimal & after.suboptimal) | (before.suboptimal & after.optimal)
    flipped = jnp.any(changed, axis=-1)
    unsure = jnp.any(before.undecided | after.undecided, axis=-1)
    return flipped, unsure & ~flipped


@checks.public
def hausdorff(before: ActionSets, after: ActionSets, distance: NumbersLike | None = None) -> tuple[Values, Values]:
    """The Hausdorff distance between the sets of optimal actions per state: a lower and an upper bound, [*B, S] each.

    The bounds differ only where an action is undecided. `distance` is a metric between actions, [A, A]; without it two
    actions are 1 apart, and the distance says whether the sets differ.
    """
    _check_alike(before, after)
    actions = before.gap.shape[-1]
    dtype = before.gap.dtype
    metric = 1 - np.eye(actions, dtype=dtype) if distance is None else checks.array(distance, "distance").astype(dtype)
    if metric.shape != (actions, actions):
        raise ValueError(f"distance must be a matrix between {actions} actions, not of shape {list(metric.shape)}")
    return _between(before, after, metric)


@jax.jit
def _between(before: ActionSets, after: ActionSets, metric: jax.Array) -> tuple[Values, Values]:
    certain = [acts.optimal for acts in (before, after)]
    possible = [acts.optimal | acts.undecided for acts in (before, after)]

    def excess(of: jax.Array, to: jax.Array) -> Values:
        """Max over `of` of the distance to the nearest of `to`; the metric's largest where `to` may be empty."""
        nearest = jnp.min(jnp.where(to[..., None, :], metric, jnp.max(metric)), axis=-1)
        return jnp.max(jnp.where(of, nearest, 0), axis=-1)

    lower = jnp.maximum(excess(certain[0], possible[1]), excess(certain[1], possible[0]))
    upper = jnp.maximum(excess(possible[0], certain[1]), excess(possible[1], certain[0]))
    return lower, jnp.maximum(lower, upper)


def entropy(policy: PolicyLike) -> Values:
    """H(s) = −Σ_a π log π for every state, [*B, S], in nats."""
    return _entropy(_pair(policy, policy)[0])


@jax.jit
def _entropy(policy: Policies) -> Values:
    return -jnp.sum(jnp.where(policy > 0, policy * jnp.log(jnp.where(policy > 0, policy, 1)), 0 * policy), axis=-1)


@checks.public
def discounted_entropy(mdp: MDP, policy: PolicyLike) -> LaneScalars:
    """Σ_s d(s) H(s): the expected discounted sum of entropies along an episode."""
    return _over_visits(occupancy(mdp, policy), entropy(policy))


@checks.public
def discounted_kl(mdp: MDP, policy: PolicyLike, other: PolicyLike) -> LaneScalars:
    """Σ_s d(s) KL(π‖π')(s): the expected discounted sum of divergences along an episode.

    At discount 1, and in a bandit, it is the divergence between what the two write: KL of the distributions of whole
    answers. Infinite where π goes and π' does not; what π never visits counts nothing.
    """
    return _over_visited(occupancy(mdp, policy), kl_divergence(policy, other))


@jax.jit
def _over_visited(taken: jax.Array, values: jax.Array) -> jax.Array:
    """The same where values of states that are never visited may be infinite."""
    visits = jnp.sum(taken, axis=-1)
    return jnp.sum(jnp.where(visits > 0, visits * values, 0 * visits), axis=-1)


@checks.public
def expected_return(mdp: MDP, policy: PolicyLike, rewards: RewardsLike | None = None) -> LaneScalars:
    """J(π) = Σ_s initial(s) V^π(s); lane axes of policies and rewards align from the right."""
    return _at_start(mdp.initial, evaluate(mdp, policy, rewards).values)


@jax.jit
def _at_start(initial: jax.Array, values: jax.Array) -> jax.Array:
    return jnp.sum(initial * values, axis=-1)


@checks.public
def regret(mdp: MDP, policy: PolicyLike, rewards: RewardsLike | None = None) -> LaneScalars:
    """How much less a policy earns than the best one does, under the problem's reward or under a second one.

    A policy that is optimal for one reward has no regret under it, however it breaks ties: harm shows under another.
    """
    best = _at_start(mdp.initial, solve(mdp, rewards).values)
    return best - expected_return(mdp, policy, rewards)


def sensitivity(policy: PolicyLike, other: PolicyLike, size: NumbersLike) -> LaneScalars:
    """max_s TV(s)/‖ΔR‖: how much policy a change of reward of this (realised) norm bought; 0 where nothing changed."""
    moved = largest_total_variation(policy, other)
    return _per_unit(moved, cast(checks.array(size, "the size"), moved.dtype))


@jax.jit
def _per_unit(moved: jax.Array, norm: jax.Array) -> jax.Array:
    still = jnp.where(moved > 0, jnp.inf, 0 * (moved + norm))  # 0, and NaN where either is
    return jnp.where(norm > 0, moved / jnp.where(norm > 0, norm, 1), still)


def _pair(policy: Any, other: Any) -> tuple[jax.Array, jax.Array]:
    """Two policies [..., S, A] whose lane axes align from the right."""
    policy, other = checks.array(policy, "a policy"), checks.array(other, "a policy")
    fit = min(policy.ndim, other.ndim) >= 2 and policy.shape[-2:] == other.shape[-2:]
    lanes = zip(reversed(policy.shape[:-2]), reversed(other.shape[:-2]), strict=False)
    if not fit or not all(a == b or 1 in (a, b) for a, b in lanes):
        raise ValueError(
            f"two policies [..., S, A] of one problem are compared, not shapes {list(policy.shape)} and "
            f"{list(other.shape)}"
        )
    return policy, other


def _check_alike(before: ActionSets, after: ActionSets) -> None:
    if before.gap.shape[-2:] != after.gap.shape[-2:]:
        raise ValueError(
            f"action sets of one problem are compared, not of {list(before.gap.shape[-2:])} and "
            f"{list(after.gap.shape[-2:])} states and actions"
        )

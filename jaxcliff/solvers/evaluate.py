"""A given policy: its values, how often it visits each action, and what any policy can reach."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core import checks
from jaxcliff.core.types import Flag, NumbersLike, Policies, PolicyLike, RewardsLike, Whole, Word
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import recorded
from jaxcliff.operators.selection import Average
from jaxcliff.solvers.solution import Solution
from jaxcliff.solvers.solve import run
from jaxcliff.solvers.visits import flow, visits


@checks.public
@recorded
def evaluate(
    mdp: MDP,
    policy: PolicyLike,
    rewards: RewardsLike | None = None,
    *,
    method: Word = "auto",
    tolerance: NumbersLike | None = None,
    max_iterations: Whole | None = None,
) -> Solution:
    """Values of a policy, with the same certificate as optimal ones.

        Q(s, a) = R(s, a) + γ Σ_s' P(s'|s, a) V(s'),   V(s) = Σ_a π(a|s) Q(s, a)

    Args:
        mdp: the problem.
        policy: π, [..., S, A]; rows are divided by their sums. Lane axes align with those of `rewards`. A lane
            whose rows are not distributions over legal actions (within 1e-5) fails with its status.
        rewards: [..., S, A]; the problem's own reward if not given.
        method, tolerance, max_iterations: as in `solve`; "policy_iteration" is one linear solve here.

    Returns:
        A `Solution` of kind "evaluation".
    """
    if isinstance(method, str) and method == "shared":
        raise ValueError("method 'shared' searches for an optimum: leave it out to evaluate a given policy")
    return run(mdp, Average(_as_policy(mdp, policy)), rewards, method, tolerance, None, max_iterations)


@checks.public
def occupancy(mdp: MDP, policy: PolicyLike, *, normalized: Flag = False) -> Policies:
    """Expected discounted number of times each action is taken from the initial distribution.

        d(s, a) = π(a|s) Σ_t γ^t P(s_t = s | s_0 ~ initial, π),   [..., S, A]

    It sums to 1/(1 − γ) (less where episodes end; terminal states count 0), or to 1 if `normalized`. The return
    of π is Σ d·R. Chains of at most 64 states are solved directly, others (and trees) by following the mass until
    what is left of it is below rounding; either way it is differentiable, in both modes. A policy that is no
    distribution over legal actions gives NaN.
    """
    return _occupancy(mdp, _as_policy(mdp, policy), checks.flag(normalized, "normalized"))


@functools.partial(jax.jit, static_argnums=2)
def _occupancy(mdp: MDP, policy: Policies, normalized: bool) -> Policies:
    policy = policy.astype(mdp.dtype)
    flat = policy.reshape(-1, *policy.shape[-2:])
    operator, sound = Average(flat).checked(
        mdp, jnp.isfinite(mdp.steps) & mdp.distributions & jnp.ones(len(flat), bool)
    )
    flat = operator.probabilities
    states = visits(mdp, flat, jnp.broadcast_to(mdp.initial, flat.shape[:-1]))
    taken = jnp.where(sound[:, None, None], states[..., None] * flat, jnp.nan).reshape(policy.shape)
    return taken / jnp.sum(taken, axis=(-2, -1), keepdims=True) if normalized else taken


@checks.public
def reachable(mdp: MDP) -> jax.Array:
    """Boolean [S]: states that some policy reaches with positive probability from the initial distribution."""
    check_one(mdp)
    return _reached(mdp)


@jax.jit
def _reached(mdp: MDP) -> jax.Array:
    if mdp.transitions is None:
        return mdp.initial > 0

    def spread(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        reached, _ = carry
        taken = jnp.where(reached[:, None] & mdp.decisions, jnp.ones((), mdp.dtype), 0)
        return reached | (flow(mdp, taken) > 0), reached

    start = mdp.initial > 0
    return jax.lax.while_loop(lambda c: jnp.any(c[0] != c[1]), spread, (start, start & False))[0]


def _as_policy(mdp: MDP, policy: Any) -> Policies:
    check_one(mdp)
    policy = checks.array(policy, "a policy")
    if policy.ndim < 2 or policy.shape[-2:] != mdp.reward.shape:
        s, a = mdp.reward.shape
        raise ValueError(
            f"a policy has shape [..., {s}, {a}], a distribution over actions for every state, not {list(policy.shape)}"
        )
    return policy if jnp.issubdtype(policy.dtype, jnp.floating) else policy.astype(mdp.dtype)

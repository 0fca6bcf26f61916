"""How often a policy visits each state: dᵀ = μᵀ(I − γP_π)⁻¹, the transpose of its values.

Chains of at most `DIRECT_STATES` are solved, others (and trees) followed until what is left of the mass is below
rounding.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff._numerics import unit_roundoff
from jaxcliff._types import LaneFlags, Policies, Values
from jaxcliff.mdp import MDP
from jaxcliff.solvers.linear import policy_system
from jaxcliff.solvers.loop import iterate
from jaxcliff.solvers.methods import choose_method


@jax.jit
def visits(mdp: MDP, policy: Policies, start: Values) -> Values:
    """Discounted visits of every state, [B, S], from a start [B, S] of any sign; terminal states count 0."""
    if mdp.terminal is not None:
        start = jnp.where(mdp.terminal, 0, start)
    if mdp.transitions is None:
        return start
    direct = choose_method(mdp) == "policy_iteration"
    found = _by_solving(mdp, policy, start) if direct else _by_following(mdp, policy, start)
    return found if mdp.terminal is None else jnp.where(mdp.terminal, 0, found)


def flow(mdp: MDP, taken: Policies) -> Values:
    """Σ_{s,a} taken(s, a) P(·|s, a): the transpose of `expect`."""
    return jax.vjp(mdp.expect, taken[..., 0])[1](taken)[0]  # linear: any point has the same derivative


def _by_solving(mdp: MDP, policy: Policies, start: Values) -> Values:
    if not mdp.pinned:
        total = jnp.sum(start, axis=-1, keepdims=True)
        start = start + mdp.discount / (1 - mdp.discount) * total / mdp.num_states
    lu, pivots, _ = jax.lax.linalg.lu(policy_system(mdp, mdp.discount, policy))
    return jax.scipy.linalg.lu_solve((lu, pivots), start[..., None], trans=1)[..., 0]


def _by_following(mdp: MDP, policy: Policies, start: Values) -> Values:
    u = unit_roundoff(mdp.dtype)
    steps = jnp.where(jnp.isfinite(mdp.steps), mdp.steps, 0)  # a problem that may never end is not followed

    def follow(state: tuple[Any, Any]) -> tuple[tuple[Any, Any], LaneFlags]:
        now, total = state
        now = mdp.discount * flow(mdp, now[..., None] * policy)
        if mdp.terminal is not None:
            now = jnp.where(mdp.terminal, 0, now)
        total = total + now
        left = jnp.sum(jnp.abs(now), axis=-1) * steps
        return (now, total), ~(left > u * jnp.sum(jnp.abs(total), axis=-1))

    never = jnp.zeros_like(start[..., 0], bool)
    return iterate(follow, (start, start), never, 2**30)[0][1]

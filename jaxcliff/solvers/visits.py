"""How often a policy visits each state: dᵀ = μᵀ(I − γP_π)⁻¹, the transpose of its values.

Small chains (and larger ones whose policy many starts share) are solved, others and trees followed until what is left
of the mass is below rounding.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff._numerics import unit_roundoff
from jaxcliff._types import LaneFlags, Policies, Values
from jaxcliff.mdp import MDP
from jaxcliff.solvers.linear import policy_system, solve_system
from jaxcliff.solvers.loop import iterate
from jaxcliff.solvers.methods import choose_method
from jaxcliff.transitions import Dense, Successors

FACTORED_STATES = 2048  # of one policy that many starts share


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


def visits_of(mdp: MDP, policy: Policies) -> Callable[[Values], Values]:
    """`visits` of one policy [S, A] from many starts [B, S]: its matrix is factored here, once."""
    if not isinstance(mdp.transitions, Dense | Successors) or mdp.num_states > FACTORED_STATES:
        return lambda start: visits(mdp, jnp.broadcast_to(policy, (*start.shape[:-1], *policy.shape)), start)
    lu, pivots, _ = jax.lax.linalg.lu(policy_system(mdp, mdp.discount, policy))

    def solve(start: Values) -> Values:
        if mdp.terminal is not None:
            start = jnp.where(mdp.terminal, 0, start)
        found = jax.scipy.linalg.lu_solve((lu, pivots), _deflated(mdp, start).T, trans=1).T
        return found if mdp.terminal is None else jnp.where(mdp.terminal, 0, found)

    return solve


def flow(mdp: MDP, taken: Policies) -> Values:
    """Σ_{s,a} taken(s, a) P(·|s, a): the transpose of `expect`."""
    return jax.vjp(mdp.expect, taken[..., 0])[1](taken)[0]  # linear: any point has the same derivative


def _by_solving(mdp: MDP, policy: Policies, start: Values) -> Values:
    systems = policy_system(mdp, mdp.discount, policy)
    return jax.vmap(solve_system)(jnp.swapaxes(systems, -1, -2), _deflated(mdp, start))


def _deflated(mdp: MDP, start: Values) -> Values:
    """The start from which the deflated system finds the visits."""
    if mdp.pinned:
        return start
    total = jnp.sum(start, axis=-1, keepdims=True)
    return start + mdp.discount / (1 - mdp.discount) * total / mdp.num_states


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

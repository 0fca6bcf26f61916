"""The linear system of a policy, both ways: what its states are worth, and how often it visits each of them.

    V = (I − γP_π)⁻¹ r,      dᵀ = μᵀ(I − γP_π)⁻¹

Values are found as every evaluation is. Visits of small chains (and of larger ones whose policy many starts share) are
solved for, those of others and of trees followed until what is left of the mass is below rounding. Each is the other's
transpose, which makes both differentiable in either mode, at any size, however they were found.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core.loop import iterate
from jaxcliff.core.numerics import contract, unit_roundoff
from jaxcliff.core.types import LaneFlags, Policies, Values
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors
from jaxcliff.operators.selection import Average
from jaxcliff.solvers.lanes import compiled
from jaxcliff.solvers.methods.linear import policy_system, solve_system
from jaxcliff.solvers.plans import DEFAULT_LIMIT, choose_method, plan
from jaxcliff.solvers.solution import default_tie_tolerance

FACTORED_STATES = 2048  # of one policy that many starts share


@jax.jit
def visits(mdp: MDP, policy: Policies, start: Values) -> Values:
    """Discounted visits of every state, [B, S], from a start [B, S] of any sign; terminal states count 0."""

    # Traced once, here: traced again at lowering, it would forget over which mesh axes it varies.
    @jax.jit
    def residual(states: Values) -> Values:
        return states - _at_work(mdp, mdp.discount * flow(mdp, _over_rows(mdp, states[..., None] * policy)))

    start = _at_work(mdp, start)
    if mdp.transitions is None:
        return start
    start = start + 0 * policy[..., 0]  # so that it varies over the mesh axes that the policy varies over
    return jax.lax.custom_linear_solve(
        residual, start, lambda _, start: _count(mdp, policy, start), lambda _, values: _evaluate(mdp, policy, values)
    )


@jax.jit
def propagate(mdp: MDP, policy: Policies, received: Values) -> Values:
    """(I − γP_π)⁻¹ received, [B, S]: what every state is worth if this much is received in each."""

    @jax.jit
    def residual(values: Values) -> Values:
        after = contract("bsa,bsa->bs", _over_rows(mdp, policy), mdp.expect(values))
        return values - _at_work(mdp, mdp.discount * after)

    if mdp.transitions is None:
        return received
    return jax.lax.custom_linear_solve(
        residual,
        received,
        lambda _, received: _evaluate(mdp, policy, received),
        lambda _, start: _count(mdp, policy, _at_work(mdp, start)),
    )


def visits_of(mdp: MDP, policy: Policies) -> Callable[[Values], Values]:
    """`visits` of one policy [S, A] from many starts [B, S]: its matrix is factored here, once."""
    if not isinstance(mdp.transitions, Dense | Successors) or mdp.num_states > FACTORED_STATES:
        return lambda start: visits(mdp, jnp.broadcast_to(policy, (*start.shape[:-1], *policy.shape)), start)
    lu, pivots, _ = jax.lax.linalg.lu(policy_system(mdp, mdp.discount, policy))

    def solve(start: Values) -> Values:
        start = _at_work(mdp, start)
        return _at_work(mdp, jax.scipy.linalg.lu_solve((lu, pivots), _deflated(mdp, start).T, trans=1).T)

    return solve


def flow(mdp: MDP, taken: Policies) -> Values:
    """Σ_{s,a} taken(s, a) P(·|s, a): the transpose of `expect`."""
    return jax.vjp(mdp.expect, taken[..., 0])[1](taken)[0]  # linear: any point has the same derivative


def _at_work(mdp: MDP, states: Values) -> Values:
    """Values or visits, 0 in terminal states."""
    return states if mdp.terminal is None else jnp.where(mdp.terminal, 0, states)


def _over_rows(mdp: MDP, taken: Policies) -> Policies:
    """Divided by the sums of the transition rows, which are 1: the derivative is that of the row divided by its sum."""
    if not isinstance(mdp.transitions, Dense | Successors):
        return taken
    total = mdp.expect(jnp.ones_like(taken[:1, :, 0]))
    total = jnp.where(total > 0, total, 1)
    return taken / (total / jax.lax.stop_gradient(total))


# Both are jitted for the same reason as the residuals.
@jax.jit
def _evaluate(mdp: MDP, policy: Policies, received: Values) -> Values:
    method = choose_method(mdp)
    tolerance = jnp.full_like(received[:, 0], default_tie_tolerance(received.dtype) / 4)
    rewards = jnp.broadcast_to(received[..., None], policy.shape)
    steps = plan(method, "evaluation", mdp, DEFAULT_LIMIT[method])
    limits = tuple(jnp.int32(n) for _, n in steps)
    return compiled(method, tuple(name for name, _ in steps))(
        (mdp, None, limits), Average(policy), rewards, tolerance, None
    ).values


@jax.jit
def _count(mdp: MDP, policy: Policies, start: Values) -> Values:
    direct = choose_method(mdp) == "policy_iteration"
    return _at_work(mdp, (_by_solving if direct else _by_following)(mdp, policy, start))


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
        now = _at_work(mdp, mdp.discount * flow(mdp, now[..., None] * policy))
        total = total + now
        left = jnp.sum(jnp.abs(now), axis=-1) * steps
        return (now, total), ~(left > u * jnp.sum(jnp.abs(total), axis=-1))

    never = jnp.zeros_like(start[..., 0], bool)
    return iterate(follow, (start, start), never, 2**30)[0][1]

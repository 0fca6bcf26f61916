"""Derivatives of a solution, implicit: no iteration is unrolled, and the tangent solve is policy evaluation.

V is the fixed point of V = op(R + γPV). Its derivative along any change of R, γ, P or the operator's own numbers is

    dV = (I − γP_π)⁻¹ [Σ_a π (dR + dγ PV + γ dP V) + ∂op],     dQ = dR + dγ PV + γ dP V + γP dV

with π the operator's policy. Forward mode solves it as the values of π under another reward, reverse mode by the visits of π.
So dV*/dR of a hard optimum is the discounted occupancy of its policy. Where actions tie, V* has a kink, and this is the
occupancy of the first best action: one element of the subdifferential, an extreme one. Q of an optimum that is unique
has the derivative stated; statuses, bounds and iteration counts have derivative 0.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from jaxcliff._numerics import contract
from jaxcliff._types import Policies, Values
from jaxcliff.mdp import MDP
from jaxcliff.solvers.lanes import compiled
from jaxcliff.solvers.methods import DEFAULT_LIMIT, choose_method
from jaxcliff.solvers.operators import Average
from jaxcliff.solvers.solution import Solution, default_tie_tolerance
from jaxcliff.solvers.visits import visits


@functools.cache
def differentiable(method: str, limit: int) -> Callable[..., Solution]:
    """The compiled solver of a method, with its derivatives with respect to the problem, the operator and the rewards."""
    solver = jax.custom_jvp(compiled(method, limit))

    def rule(primals: Any, tangents: Any) -> tuple[Solution, Solution]:
        solution = solver(*primals)
        leaves, structure = jax.tree.flatten(primals[:3])
        changes = jax.tree.leaves(tangents[:3], is_leaf=lambda t: isinstance(t, SymbolicZero))
        moving = tuple(i for i, t in enumerate(changes) if not isinstance(t, SymbolicZero))
        dq, dv = _tangent(structure, moving, leaves, [changes[i] for i in moving], solution)
        still = jax.tree.map(_zero, solution)
        return solution, still.replace(centred_q=dq, centred_values=dv)  # type: ignore[attr-defined]

    solver.defjvp(rule, symbolic_zeros=True)
    return solver


@functools.partial(jax.jit, static_argnums=(0, 1))
def _tangent(structure: Any, moving: tuple[int, ...], leaves: Any, changes: Any, solution: Solution) -> Any:
    """(dQ, dV) of every lane; 0 in lanes that were not solved."""

    def backup(*moved: jax.Array) -> tuple[jax.Array, jax.Array]:
        at = list(leaves)
        for i, leaf in zip(moving, moved, strict=True):
            at[i] = leaf
        mdp, operator, rewards = jax.tree.unflatten(structure, at)
        operator, rewards = jax.tree.map(lambda x: x.reshape(-1, *x.shape[lead:]), (operator, rewards))
        operator, _ = operator.checked(mdp, ok)
        q = jnp.where(counts, rewards + mdp.discount * mdp.expect(values), 0)
        return q, operator.value(jax.lax.stop_gradient(q), mdp.legal)[0]

    mdp, operator, _ = jax.tree.unflatten(structure, leaves)
    lead = solution.status.ndim
    ok = solution.ok.reshape(-1)
    values = jnp.where(ok[:, None], solution.values.reshape(ok.size, -1), 0)
    legal = ~jnp.isneginf(solution.centred_q.reshape(ok.size, *mdp.reward.shape))
    counts = mdp.decisions & legal & ok[:, None, None]
    operator = jax.tree.map(lambda x: x.reshape(ok.size, *x.shape[lead:]), operator)
    operator, _ = operator.checked(mdp, ok)

    (q, _), (dq, bonus) = jax.jvp(backup, [leaves[i] for i in moving], changes)
    policy = operator.policy(q, mdp.legal)
    free = ok[:, None] if mdp.terminal is None else ok[:, None] & ~mdp.terminal
    dv = _propagate(mdp, policy, jnp.where(free, contract("bsa,bsa->bs", policy, dq) + bonus, 0))
    dv = jnp.where(free, dv, 0)
    dq = jnp.where(counts, dq + mdp.discount * mdp.expect(dv), 0)
    return dq.reshape(solution.centred_q.shape), dv.reshape(solution.centred_values.shape)


def _propagate(mdp: MDP, policy: Policies, received: Values) -> Values:
    """(I − γP_π)⁻¹ received, a linear map whose transpose counts visits."""

    def residual(values: Values) -> Values:
        after = mdp.discount * contract("bsa,bsa->bs", policy, mdp.expect(values))
        return values - (after if mdp.terminal is None else jnp.where(mdp.terminal, 0, after))

    def evaluate(_: Any, received: Values) -> Values:
        method = choose_method(mdp)
        tolerance = jnp.full_like(received[:, 0], default_tie_tolerance(received.dtype) / 4)
        rewards = jnp.broadcast_to(received[..., None], policy.shape)
        return compiled(method, DEFAULT_LIMIT[method])(mdp, Average(policy), rewards, tolerance, None).values

    def count(_: Any, start: Values) -> Values:
        return visits(mdp, policy, start)

    if mdp.transitions is None:
        return received
    return jax.lax.custom_linear_solve(residual, received, evaluate, count)


def _zero(x: jax.Array) -> Any:
    if jnp.issubdtype(x.dtype, jnp.floating):
        return jnp.zeros_like(x)
    return np.zeros(x.shape, jax.dtypes.float0)

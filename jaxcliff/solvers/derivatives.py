"""Derivatives of a solution, implicit: no iteration is unrolled, and the tangent solve is policy evaluation.

V is the fixed point of V = op(R + γPV). Its derivative along any change of R, γ, P or the operator's own numbers is

    dV = (I − γP_π)⁻¹ [Σ_a π (dR + dγ PV + γ dP V) + ∂op],     dQ = dR + dγ PV + γ dP V + γP dV

with π the operator's policy. Forward mode solves it as the values of π under another reward, reverse mode by the
visits of π. So dV*/dR of a hard optimum is the discounted occupancy of its policy. Where actions tie, V* has a kink,
and this is the occupancy of the first best action: one element of the subdifferential, an extreme one. Statuses,
bounds and iteration counts have derivative 0.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxcliff.core.numerics import contract
from jaxcliff.core.types import ActionFlags, LaneFlags, Rewards, Values
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors
from jaxcliff.operators.selection import Operator
from jaxcliff.solvers.solution import Solution
from jaxcliff.solvers.visits import propagate


@jax.custom_jvp
def attach(mdp: MDP, operator: Operator, rewards: Rewards, solution: Solution) -> tuple[Rewards, Values]:
    """(Q, V) of a solution, up to its offset, as differentiable functions of what was solved."""
    return solution.centred_q, solution.centred_values


def _attach_tangent(primals: Any, tangents: Any) -> tuple[Any, Any]:
    *problem, solution = primals
    q, v = attach(*primals)
    leaves, structure = jax.tree.flatten(problem)
    changes = jax.tree.leaves(tangents[:3], is_leaf=lambda t: isinstance(t, SymbolicZero))
    moving = tuple(i for i, t in enumerate(changes) if not isinstance(t, SymbolicZero))
    values = v + solution.offset[..., None]
    return (q, v), _tangent(
        structure, moving, leaves, [changes[i] for i in moving], values, solution.ok, ~jnp.isneginf(q)
    )


attach.defjvp(_attach_tangent, symbolic_zeros=True)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _tangent(
    structure: Any,
    moving: tuple[int, ...],
    leaves: Any,
    changes: Any,
    values: Values,
    ok: LaneFlags,
    legal: ActionFlags,
) -> tuple[Rewards, Values]:
    """(dQ, dV) of every lane; 0 in lanes that were not solved, whose numbers enter nothing."""

    def unpack(moved: Any) -> tuple[MDP, Operator, Rewards]:
        at = list(leaves)
        for i, leaf in zip(moving, moved, strict=True):
            at[i] = leaf
        mdp, operator, rewards = jax.tree.unflatten(structure, at)
        operator, rewards = jax.tree.map(lambda x: x.reshape(ok.size, *x.shape[lead:]), (operator, rewards))
        return mdp, operator.checked(mdp, ok)[0], rewards

    def backup(*moved: jax.Array) -> Rewards:
        mdp, _, rewards = unpack(moved)
        after = mdp.expect(values)
        if isinstance(mdp.transitions, Dense | Successors):
            # Truth divides each row by its sum; so the derivative is that of the quotient.
            total = mdp.expect(jnp.ones_like(values[:1]))
            after = after / jnp.where(total > 0, total, 1)
        return jnp.where(counts, rewards + mdp.discount * after, 0)

    def bonus(*moved: jax.Array) -> Values:
        mdp, operator, _ = unpack(moved)
        return operator.value(q, mdp.legal)[0]  # q is a constant here: its part of the derivative is π·dq

    lead, shape = ok.ndim, legal.shape
    ok = ok.reshape(-1)
    moved = [leaves[i] for i in moving]
    mdp, operator, _ = unpack(moved)
    legal = legal.reshape(ok.size, *mdp.reward.shape)
    values = jnp.where(ok[:, None], values.reshape(ok.size, mdp.num_states), 0)
    counts = mdp.decisions & legal & ok[:, None, None]

    q, dq = jax.jvp(backup, moved, changes)
    _, own = jax.jvp(bonus, moved, changes)
    policy = operator.policy(q, mdp.legal)
    free = ok[:, None] if mdp.terminal is None else ok[:, None] & ~mdp.terminal
    dv = propagate(mdp, policy, jnp.where(free, contract("bsa,bsa->bs", policy, dq) + own, 0))
    dv = jnp.where(free, dv, 0)
    dq = jnp.where(counts, dq + mdp.discount * mdp.expect(dv), 0)
    return dq.reshape(shape), dv.reshape(shape[:-1])

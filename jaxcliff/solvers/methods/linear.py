"""The linear system of a policy: (I − γP_π) V = r_π, solved up to a constant, or transposed.

Where nothing pins the level of V, the matrix has the eigenvalue 1 − γ along the constants, which costs a
factor 1/(1 − γ) of precision. The *deflated* matrix I − γP_π + γ1νᵀ (ν uniform) moves that eigenvalue to 1; its
solution y is V up to a constant, V = y + 1·γνᵀy/(1 − γ). In float32 at γ = .999 the plain solve leaves a quarter
of all states undecided, the deflated one under one in a hundred.

Every dense system of the package is solved here, and on a CPU one after the other: jaxlib's batched LAPACK calls wait
for threads of the pool that they block, so that two of them at a time (two devices, two Python threads) can stand still
for ever. A test reads the lowered programs.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core.numerics import contract
from jaxcliff.core.types import Policies, Values
from jaxcliff.model.mdp import MDP


def policy_system(mdp: MDP, discount: jax.Array, policy: Policies) -> jax.Array:
    """The matrix of a policy, [B, S, S], deflated unless the level is pinned."""
    chain = mdp.transitions.under(policy)
    eye = jnp.eye(mdp.num_states, dtype=chain.dtype)
    if mdp.terminal is not None:
        chain = jnp.where(mdp.terminal[:, None], 0, chain)
    system = eye - discount * chain
    return system if mdp.pinned else system + discount / mdp.num_states


def policy_values(mdp: MDP, discount: jax.Array, policy: Policies, received: Values) -> Values:
    """V of each policy that receives this much in each state, up to a constant where no level is pinned."""
    if mdp.terminal is not None:
        received = jnp.where(mdp.terminal, 0, received)
    return jax.vmap(solve_system)(policy_system(mdp, discount, policy), received)


def solve_system(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """The solution of one system Mx = b, [S, S] and [S] or [S, K]; map over it for many."""
    right = right + 0 * matrix[0, 0]  # under shard_map, as varying as the matrix
    return jax.lax.custom_linear_solve(
        lambda x: contract("st,t...->s...", matrix, x),
        right,
        lambda _, right: _one(matrix, right),
        lambda _, right: _one(matrix.T, right),
    )


def _factored(matrix: jax.Array, right: jax.Array) -> jax.Array:
    lu, pivots, _ = jax.lax.linalg.lu(matrix)
    return jax.scipy.linalg.lu_solve((lu, pivots), right)


_one = jax.custom_batching.custom_vmap(_factored)


@_one.def_vmap
def _many(size: int, mapped: Any, matrix: jax.Array, right: jax.Array) -> tuple[jax.Array, bool]:
    if not mapped[0]:  # one matrix, many right sides: its columns
        columns = jnp.moveaxis(right, 0, -1).reshape(len(matrix), -1)
        found = _one(matrix, columns).reshape(*right.shape[1:], size)
        return jnp.moveaxis(found, -1, 0), True
    right = right if mapped[1] else jnp.broadcast_to(right, (size, *right.shape))
    found = jax.lax.platform_dependent(
        matrix, right, cpu=lambda m, b: jax.lax.map(lambda each: _one(*each), (m, b)), default=jax.vmap(_factored)
    )
    return found, True

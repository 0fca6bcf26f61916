"""A problem from arrays that somebody already has: dense or sparse, in either order of axes."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcliff import _checks
from jaxcliff._records import is_concrete
from jaxcliff.labels import Labels
from jaxcliff.mdp import MDP
from jaxcliff.transitions import Dense, Successors

AXES = ("SAS", "ASS")


def from_arrays(
    probabilities: Any,
    reward: Any,
    discount: Any,
    *,
    axes: Any = "SAS",
    legal: Any = None,
    terminal: Any = None,
    initial: Any = None,
    labels: Any = None,
) -> MDP:
    """The problem with transitions P(s'|s, a) and a reward per action, or per action and next state.

    Args:
        probabilities: [S, A, S], or [A, S, S] with axes="ASS"; or a list of A scipy-sparse matrices [S, S], which stay
            sparse. Rows must sum to 1 within 1e-5 and are divided by their sums. Zeros in the row of an illegal action,
            or of a terminal state, are fine.
        reward: [S, A]; or of the shape of the probabilities (a list of sparse matrices for a list), R(s, a, s'), of
            which
            the expectation is taken.
        discount: γ.
        axes: the order of the axes of dense arrays, "SAS" (state, action, next state) or "ASS" (action first).
        legal, terminal, initial, labels: as in `MDP`; terminal states are declared, never inferred.

        >>> import jaxcliff as jc
        >>> jc.problems.from_arrays([[[0.5, 0.5]], [[0.0, 1.0]]], [[1.0], [0.0]], discount=0.9)
        MDP(1 action, 2 states, Dense, discount 0.9, float32)
    """
    if axes not in AXES:
        raise ValueError(f"axes must be 'SAS' or 'ASS', not {axes!r}")
    transitions: Dense | Successors
    if _is_sparse_list(probabilities):
        transitions, reward = _from_sparse(probabilities, reward)
    else:
        transitions, reward = _from_dense(probabilities, reward, axes)
    return MDP(
        transitions,
        reward,
        discount,
        initial=initial,
        legal=legal,
        terminal=terminal,
        labels=Labels() if labels is None else labels,
    )


def _from_dense(probabilities: Any, reward: Any, axes: str) -> tuple[Dense, Any]:
    p, r = _checks.array(probabilities, "probabilities"), _checks.array(reward, "the reward")
    if p.ndim != 3:
        raise ValueError(f"probabilities must have shape [S, A, S], [A, S, S] or be sparse, not {list(p.shape)}")
    fits = {"SAS": p.shape[0] == p.shape[2], "ASS": p.shape[1] == p.shape[2]}
    if not fits[axes]:
        other = AXES[1 - AXES.index(axes)]
        hint = f"; they would fit axes={other!r}" if fits[other] else ""
        raise ValueError(f"probabilities of shape {list(p.shape)} do not fit axes={axes!r}{hint}")
    if r.ndim == 3:
        if r.shape != p.shape:
            raise ValueError(f"a reward per next state must have the shape {list(p.shape)}, not {list(r.shape)}")
        # The expectation under the rows as they will be, divided by their sums; impossible successors count nothing.
        total = jnp.sum(p, axis=-1)
        r = jnp.sum(jnp.where(p != 0, p * r.astype(jnp.result_type(p, r)), 0), axis=-1) / jnp.where(
            total != 0, total, 1
        )
        r = r if axes == "SAS" else r.T
    return Dense(p if axes == "SAS" else jnp.swapaxes(p, 0, 1)), r


def _is_sparse_list(probabilities: Any) -> bool:
    if isinstance(probabilities, Sequence) and not isinstance(probabilities, str) and len(probabilities):
        return all(hasattr(x, "tocsr") for x in probabilities)
    return False


def _from_sparse(matrices: Any, reward: Any) -> tuple[Successors, Any]:
    """Padded successor lists from one matrix per action."""
    rows = [x.tocsr().copy() for x in matrices]
    states = rows[0].shape[0]
    for a, row in enumerate(rows):
        if row.shape != (states, states):
            raise ValueError(
                f"the matrix of action {a} has shape {list(row.shape)}, that of action 0 {list(rows[0].shape)}"
            )
        _checks.array(row.data[:1], f"the matrix of action {a}")
        row.sum_duplicates()
        row.eliminate_zeros()
    width = max(1, max(int(np.diff(row.indptr).max(initial=0)) for row in rows))
    successors = np.zeros((states, len(rows), width), np.int32)
    probabilities = np.zeros(successors.shape, np.result_type(*(row.dtype for row in rows), np.float32))
    for a, row in enumerate(rows):
        owner = np.repeat(np.arange(states), np.diff(row.indptr))
        slot = np.arange(len(row.indices)) - row.indptr[owner]
        successors[owner, a, slot] = row.indices
        probabilities[owner, a, slot] = row.data
    if _is_sparse_list(reward):
        if len(reward) != len(rows):
            raise ValueError(f"there are {len(rows)} matrices of probabilities and {len(reward)} of rewards")
        for a, row in enumerate(reward):
            _checks.array(row.tocsr().data[:1], f"the reward of action {a}")
        received = [np.asarray(p.multiply(r).sum(axis=1)).ravel() for p, r in zip(rows, reward, strict=True)]
        total = [np.asarray(p.sum(axis=1)).ravel() for p in rows]
        reward = np.stack([x / np.where(t != 0, t, 1) for x, t in zip(received, total, strict=True)], axis=1)
    elif is_concrete(reward) and np.ndim(reward) != 2:
        raise ValueError(
            f"with sparse probabilities the reward is [S, A] or a list of sparse matrices, not {np.shape(reward)}"
        )
    return Successors(successors, probabilities), reward

"""A problem from arrays that somebody already has: dense or sparse, in either order of axes."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.labels import Labels
from jaxcliff.core.records import is_concrete
from jaxcliff.core.types import LabelsLike, Number, NumbersLike, RewardLike, Word
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors
from jaxcliff.problems import layouts

AXES = ("SAS", "ASS")


def from_arrays(
    probabilities: NumbersLike,
    reward: RewardLike,
    discount: Number,
    *,
    axes: Word = "SAS",
    layout: Word = "auto",
    legal: NumbersLike | None = None,
    terminal: NumbersLike | None = None,
    initial: NumbersLike | None = None,
    labels: LabelsLike | None = None,
) -> MDP:
    """The problem with transitions P(s'|s, a) and a reward per action, or per action and next state.

    Args:
        probabilities: [S, A, S], or [A, S, S] with axes="ASS"; or a list of A scipy-sparse matrices [S, S]. Rows must
            sum to 1 within 1e-5 and are divided by their sums. Zeros in the row of an illegal action, or of a terminal
            state, are fine.
        reward: [S, A]; or of the shape of the probabilities (a list of sparse matrices for a list), R(s, a, s'), of
            which the expectation is taken.
        discount: γ.
        axes: the order of the axes of dense arrays, "SAS" (state, action, next state) or "ASS" (action first).
        layout: how transitions are stored: as one array ("dense"), as lists of K successors per pair ("successors"), or
            as what is faster ("auto": successors for sparse matrices, and for an array where K ≤ S / 4; inside a JAX
            transformation an array stays one). K is the most successors of a pair, as the next power of two and at most
            S. Measured on a CPU with 64 to 1,024 states and 1 to 2,048 rewards, successors take 0.06 to 0.9 of the time
            of a dense array at K = S / 64, 0.6 to 1 at S / 4, and 1 to 1.8 at S / 2; with 16 states they cost the same.
            Problems are stacked (`jax.tree.map(lambda *x: jnp.stack(x), *problems)`, for `jax.vmap`) if they are stored
            alike: give all of them layout="dense", which always fits, or "successors" where their K is the same.
        legal, terminal, initial, labels: as in `MDP`; terminal states are declared, never inferred.

        >>> import jaxcliff as jc
        >>> jc.problems.from_arrays([[[0.5, 0.5]], [[0.0, 1.0]]], [[1.0], [0.0]], discount=0.9)
        MDP(1 action, 2 states, Dense, discount 0.9, float32)
    """
    if axes not in AXES:
        raise ValueError(f"axes must be 'SAS' or 'ASS', not {axes!r}")
    layouts.check_layout(layout)
    if _is_sparse_list(probabilities):
        transitions, reward = _from_sparse(probabilities, reward, layout)
    else:
        transitions, reward = _from_dense(probabilities, reward, axes, layout)
    return MDP(
        transitions,
        reward,
        discount,
        initial=initial,
        legal=legal,
        terminal=terminal,
        labels=Labels() if labels is None else labels,
    )


def _from_dense(probabilities: Any, reward: Any, axes: Word, layout: Word) -> tuple[Dense | Successors, Any]:
    p, r = checks.array(probabilities, "probabilities"), checks.array(reward, "the reward")
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
    return layouts.of_array(p if axes == "SAS" else jnp.swapaxes(p, 0, 1), layout), r


def _is_sparse_list(probabilities: Any) -> bool:
    if isinstance(probabilities, Sequence) and not isinstance(probabilities, str) and len(probabilities):
        return all(hasattr(x, "tocsr") for x in probabilities)
    return False


def _from_sparse(matrices: Any, reward: Any, layout: Word) -> tuple[Dense | Successors, Any]:
    """The model of one matrix per action."""
    rows = [x.tocsr().copy() for x in matrices]
    states = rows[0].shape[0]
    for a, row in enumerate(rows):
        if row.shape != (states, states):
            raise ValueError(
                f"the matrix of action {a} has shape {list(row.shape)}, that of action 0 {list(rows[0].shape)}"
            )
        checks.array(row.data[:1], f"the matrix of action {a}")
        row.sum_duplicates()
        row.eliminate_zeros()
    entries = [row.tocoo() for row in rows]
    pair = np.concatenate([entry.row.astype(np.int64) * len(rows) + a for a, entry in enumerate(entries)])
    state = np.concatenate([entry.col for entry in entries])
    probability = np.concatenate([entry.data for entry in entries])
    probability = probability.astype(np.result_type(probability, np.float32))
    if _is_sparse_list(reward):
        if len(reward) != len(rows):
            raise ValueError(f"there are {len(rows)} matrices of probabilities and {len(reward)} of rewards")
        for a, row in enumerate(reward):
            checks.array(row.tocsr().data[:1], f"the reward of action {a}")
        received = [np.asarray(p.multiply(r).sum(axis=1)).ravel() for p, r in zip(rows, reward, strict=True)]
        total = [np.asarray(p.sum(axis=1)).ravel() for p in rows]
        reward = np.stack([x / np.where(t != 0, t, 1) for x, t in zip(received, total, strict=True)], axis=1)
    elif is_concrete(reward) and np.ndim(reward) != 2:
        raise ValueError(
            f"with sparse probabilities the reward is [S, A] or a list of sparse matrices, not {np.shape(reward)}"
        )
    return layouts.of_entries(states, len(rows), pair, state, probability, layout), reward

"""How the transitions of somebody else's problem are stored: as one dense array, or as lists of successors."""

from typing import Any

import numpy as np

from jaxcliff.core import checks, devices
from jaxcliff.core.records import is_concrete
from jaxcliff.model.transitions import Dense, Successors

LAYOUTS = ("auto", "dense", "successors")
SPARSE = 4  # an array is stored as successors if K ≤ S / 4; `from_arrays` has the measurements


def check_layout(layout: Any) -> None:
    """A layout is one of three words."""
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise ValueError(f"layout must be 'auto', 'dense' or 'successors', not {checks.shown(layout)}")


def of_array(p: Any, layout: str) -> Dense | Successors:
    """The model of probabilities [S, A, S]; what is traced is stored as it is."""
    if not is_concrete(p):
        if layout == "successors":
            raise ValueError(
                "layout='successors' looks for zeros, so that probabilities cannot be traced by jax.jit, vmap or grad; "
                "call from_arrays outside, or take jc.Successors(states, probabilities) or layout='dense'"
            )
        return Dense(p)
    dense = Dense(p)  # checks the rows, and names the next state of a bad one
    if layout == "dense":
        return dense
    rows = np.asarray(dense.probabilities).reshape(-1, dense.num_states)
    if layout == "auto" and SPARSE * _width(np.count_nonzero(rows, axis=-1), dense.num_states) > dense.num_states:
        return dense
    pair, state = np.nonzero(rows)
    return of_entries(dense.num_states, dense.num_actions, pair, state, rows[pair, state], "successors")


def of_entries(
    states: int, actions: int, pair: np.ndarray, state: np.ndarray, probability: np.ndarray, layout: str
) -> Dense | Successors:
    """The model of a list of non-zero entries, each once: number s·A + a of the pair, next state, probability."""
    if layout == "dense":
        needed = float(states) * actions * states * probability.dtype.itemsize
        devices.require(needed, f"the dense array of {states} states and {actions} actions", "take layout='successors'")
        rows = np.zeros((states * actions, states), probability.dtype)
        rows[pair, state] = probability
        return Dense(rows.reshape(states, actions, states))
    order = np.argsort(pair, kind="stable")
    pair = pair[order]
    counts = np.bincount(pair, minlength=states * actions)
    slot = np.arange(len(pair)) - (np.cumsum(counts) - counts)[pair]
    width = _width(counts, states)
    successors = np.zeros((states * actions, width), np.int32)
    probabilities = np.zeros(successors.shape, probability.dtype)
    successors[pair, slot], probabilities[pair, slot] = state[order], probability[order]
    shape = (states, actions, width)
    return Successors(successors.reshape(shape), probabilities.reshape(shape))


def _width(counts: np.ndarray, states: int) -> int:
    """K, the most successors of a pair, as the next power of two: problems that resemble each other share programs."""
    most = int(counts.max(initial=1))
    return min(1 << (most - 1).bit_length(), states)

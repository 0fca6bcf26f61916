"""How long an episode can last: what stands in for 1/(1 − γ) in every bound when γ = 1.

At discount 1 a problem has values only if every policy terminates. That is a question about the graph: no *end
component* may exist, a set of states in which some action can be repeated for ever. The horizon H is the largest
expected number of steps to termination, over all states and policies: the optimum of a reward of 1 per step, found by
policy iteration on the host and then certified: if 1 + P_a t ≤ t + d for every action, with rounding counted in d < 1,
then t/(1 − d) bounds the expected steps of every policy, since t/(1 − d) ≥ 1 + P_a t/(1 − d).
"""

import warnings
from typing import Any

import numpy as np


def end_component(rows: Any, legal: np.ndarray, terminal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The states (and the actions in them, [S, A]) in which a policy can stay for ever; empty if there are none.

    Repeatedly keep the non-terminal states that have a legal action all of whose successors are kept.
    """
    states, actions = legal.shape
    pattern = rows.copy()
    pattern.data = np.ones(len(pattern.data))
    kept = ~terminal
    while True:
        escapes = (pattern @ (~kept).astype(float)).reshape(states, actions) > 0
        stays = legal & ~escapes & kept[:, None]
        smaller = stays.any(axis=1)
        if (smaller == kept).all():
            return kept, stays
        kept = smaller


def expected_horizon(rows: Any, legal: np.ndarray, terminal: np.ndarray) -> float:
    """H, an upper bound that is exact up to rounding. Every policy must terminate; infinite if H cannot be computed."""
    from scipy.sparse import diags_array, eye_array
    from scipy.sparse.linalg import MatrixRankWarning, spsolve

    states, actions = legal.shape
    rows = rows.astype(np.float64)
    total = np.asarray(rows.sum(axis=1)).ravel()
    rows = (diags_array(1 / np.where(total > 0, total, 1)) @ rows).tocsr()
    live = np.flatnonzero(~terminal)
    choice = legal.argmax(axis=1)
    steps, after = np.zeros(states), np.zeros((states, actions))
    for _ in range(1 + states * actions):
        chosen = rows[live * actions + choice[live]][:, live]
        system = eye_array(len(live), format="csc") - chosen.tocsc()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MatrixRankWarning)
            steps[live] = np.atleast_1d(spsolve(system, np.ones(len(live))))
        if not np.isfinite(steps).all():
            return np.inf
        after = np.where(legal & ~terminal[:, None], 1.0 + (rows @ steps).reshape(states, actions), -np.inf)
        better = after.max(axis=1) > np.where(terminal, np.inf, steps) * (1 + 1e-10)
        if not better.any():
            break
        choice = np.where(better, after.argmax(axis=1), choice)
    most = int(np.diff(rows.indptr).max())
    rounding = (most + 6) * 2.0**-53 * steps.max()
    excess = max(float((after.max(axis=1) - steps)[live].max()), 0.0) + rounding
    return float(np.nextafter(steps.max() / (1 - excess), np.inf)) if excess < 0.5 else np.inf

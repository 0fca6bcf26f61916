"""How long an episode can last: what stands in for 1/(1 − γ) in every bound when γ = 1.

At discount 1 a problem has values only if every policy terminates. That is a question about the graph: no
*end component* may exist, a set of states in which some action can be repeated for ever. The horizon H is
the largest expected number of steps to termination, over all states and policies: the optimum of a reward
of 1 per step, found by policy iteration on the host and then certified: if t ≥ (1 − ε)(1 + P_a t) holds for
every action, no policy lasts longer than t / (1 − ε) (induction over steps).
"""

from typing import Any

import numpy as np


def end_component(rows: Any, legal: np.ndarray, terminal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The states (and the actions in them, [S, A]) in which a policy can stay for ever; empty if there are none.

    Repeatedly keep the non-terminal states that have a legal action all of whose successors are kept.
    """
    states, actions = legal.shape
    pattern = rows.copy()
    pattern.data = np.ones_like(pattern.data)
    # A row that is empty ends the episode (a tree's last action): it cannot be repeated.
    ends = (pattern.sum(axis=1) == 0).reshape(states, actions)
    kept = ~terminal
    while True:
        escapes = (pattern @ (~kept).astype(float)).reshape(states, actions) > 0
        stays = legal & ~ends & ~escapes & kept[:, None]
        smaller = stays.any(axis=1)
        if (smaller == kept).all():
            return kept, stays
        kept = smaller


def expected_horizon(rows: Any, legal: np.ndarray, terminal: np.ndarray) -> float:
    """H, rounded up to a whole number of steps. Every policy must terminate."""
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import spsolve

    states, actions = legal.shape
    live = np.flatnonzero(~terminal)
    if len(live) == 0:
        return 1.0
    choice = legal.argmax(axis=1)
    steps = np.zeros(states)
    for _ in range(1 + states * actions):
        chosen = rows[live * actions + choice[live]][:, live]
        system = eye_array(len(live), format="csc") - chosen.tocsc()
        steps[live] = np.atleast_1d(spsolve(system, np.ones(len(live))))
        after = 1.0 + (rows @ steps).reshape(states, actions)
        after = np.where(legal & ~terminal[:, None], after, -np.inf)
        better = after.max(axis=1) > np.where(terminal, np.inf, steps) * (1 + 1e-10)
        if not better.any():
            break
        choice = np.where(better, after.argmax(axis=1), choice)
    excess = (after.max(axis=1)[live] - steps[live]) / after.max(axis=1)[live]
    excess = max(float(excess.max()), 0.0) + 1e-12
    return float(np.ceil(steps.max() / (1 - excess)))

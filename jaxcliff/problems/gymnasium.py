"""Problems from Gymnasium's toy_text tables."""

from typing import Any

import numpy as np

from jaxcliff.labels import Labels
from jaxcliff.mdp import MDP
from jaxcliff.transitions import Successors


def from_gymnasium(env: Any, discount: Any, *, labels: Any = None) -> MDP:
    """The problem of an environment with a table `P[s][a] = [(probability, next state, reward, done), …]`.

    Gymnasium marks transitions as the end, jaxcliff states. A state that is entered only by ending transitions becomes
    terminal (what its own row says never happens). An ending transition into any other state goes to one added terminal
    state, the last. Rewards are expectations over next states.

    Args:
        env: a Gymnasium environment such as `gymnasium.make("FrozenLake-v1")`, or the table itself.
        discount: γ; the table knows none.
        labels: names of states and actions; states are numbered as in the table if not given.
    """
    unwrapped = getattr(env, "unwrapped", env)
    table = unwrapped if isinstance(unwrapped, dict) else getattr(unwrapped, "P", None)
    if not isinstance(table, dict) or not table:
        raise ValueError(
            f"{type(unwrapped).__name__} has no table P[state][action]: only toy_text environments have one"
        )
    count = len(table)
    actions = {len(row) for row in table.values()}
    if set(table) != set(range(count)) or len(actions) != 1:
        raise ValueError("the table must number its states 0, 1, … and give each the same number of actions")
    num_actions = actions.pop()

    entries = [
        (s, a, float(p), int(t), float(r), bool(done))
        for s in range(count)
        for a in range(num_actions)
        for p, t, r, done in table[s][a]
        if p > 0
    ]
    for s, a, _, t, _, _ in entries:
        if not 0 <= t < count:
            raise ValueError(
                f"state {s}, action {a} of the table leads to state {t}; there are states 0 to {count - 1}"
            )
    start = getattr(unwrapped, "initial_state_distrib", None)
    begins = np.zeros(count, bool) if start is None else np.asarray(start) > 0
    ended = {t for _, _, _, t, _, done in entries if done}
    continued = {t for s, _, _, t, _, done in entries if not done}
    terminal = np.array([t in ended and t not in continued and not begins[t] for t in range(count)])
    added = any(done and not terminal[t] for s, _, _, t, _, done in entries if not terminal[s])
    size = count + added

    rows: dict[tuple[int, int], dict[int, float]] = {}
    reward = np.zeros((size, num_actions))
    for s, a, p, t, r, done in entries:
        if not terminal[s]:
            target = t if terminal[t] or not done else count
            row = rows.setdefault((s, a), {})
            row[target] = row.get(target, 0.0) + p
            reward[s, a] += p * r
    width = max(len(row) for row in rows.values())
    successors = np.zeros((size, num_actions, width), np.int32)
    probabilities = np.zeros(successors.shape)
    for (s, a), row in rows.items():
        successors[s, a, : len(row)] = list(row)
        probabilities[s, a, : len(row)] = list(row.values())
        reward[s, a] /= sum(row.values())
    ends = np.append(terminal, True) if added else terminal
    first = None if start is None else np.append(np.asarray(start, float), [0.0] * added)
    return MDP(
        Successors(successors, probabilities),
        reward,
        discount,
        initial=first,
        terminal=ends if ends.any() else None,
        labels=Labels() if labels is None else labels,
    )

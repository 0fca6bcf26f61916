"""Problems from Gymnasium's toy_text tables."""

import math
import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.core.types import Environment, LabelsLike, Number, Word
from jaxcliff.model.mdp import MDP
from jaxcliff.problems import layouts


def from_gymnasium(
    env: Environment, discount: Number, *, layout: Word = "auto", labels: LabelsLike | None = None
) -> MDP:
    """The problem of an environment with a table `P[s][a] = [(probability, next state, reward, done), …]`.

    Gymnasium marks transitions as the end, jaxcliff states. A state that is entered only by ending transitions becomes
    terminal (what its own row says never happens). An ending transition into any other state goes to one added terminal
    state, the last. Rewards are expectations over next states.

    Args:
        env: a Gymnasium environment such as `gymnasium.make("FrozenLake-v1")`, or the table itself.
        discount: γ; the table knows none.
        layout: "auto" or "successors" (lists of next states, as in the table), or "dense", as in `from_arrays`.
        labels: names of states and actions; states are numbered as in the table if not given.
    """
    layouts.check_layout(layout)
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

    entries = [entry for s in range(count) for a in range(num_actions) for entry in _entries(table, s, a)]
    start = getattr(unwrapped, "initial_state_distrib", None)
    if start is not None and np.shape(start) != (count,):
        raise ValueError(f"initial_state_distrib must have one entry for each of {count} states, not {np.shape(start)}")
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
    for (s, a), row in rows.items():
        reward[s, a] /= sum(row.values())
    listed = [(s * num_actions + a, t, p) for (s, a), row in rows.items() for t, p in row.items()]
    pair, state, probability = np.array(listed, float).reshape(-1, 3).T
    ends = np.append(terminal, True) if added else terminal
    first = None if start is None else np.append(np.asarray(start, float), [0.0] * added)
    return MDP(
        layouts.of_entries(size, num_actions, pair.astype(int), state.astype(int), probability, layout),
        reward,
        discount,
        initial=first,
        terminal=ends if ends.any() else None,
        labels=Labels(name=_name(env)) if labels is None else labels,
    )


def _entries(table: Any, s: int, a: int) -> Iterator[tuple[int, int, float, int, float, bool]]:
    """The transitions of a pair that have a probability; what is no transition is refused by its place."""
    if not hasattr(table[s], "__getitem__") or (isinstance(table[s], dict) and a not in table[s]):
        raise ValueError(f"state {s} of the table must number its actions 0, 1, …; action {a} is not there")
    for number, entry in enumerate(table[s][a]):
        place = f"transition {number} of state {s}, action {a} of the table"
        if not (isinstance(entry, tuple | list) and len(entry) == 4):
            raise ValueError(f"{place} is {entry!r}; it must be (probability, next state, reward, done)")
        p, t, r, done = entry
        for value, what in ((p, "probability"), (t, "next state"), (r, "reward")):
            if not isinstance(value, numbers.Real | np.bool_) or not math.isfinite(value):
                raise ValueError(f"{place} has the {what} {value!r}; it must be a finite number")
        if not 0 <= p <= 1 + 1e-5:
            raise ValueError(f"{place} has the probability {p}; it must lie between 0 and 1")
        if t != int(t) or not 0 <= t < len(table):
            raise ValueError(f"{place} leads to state {t}; there are states 0 to {len(table) - 1}")
        if not isinstance(done, bool | np.bool_) and done not in (0, 1):
            raise ValueError(f"{place} has done = {done!r}; it must be True or False")
        if p > 0:
            yield s, a, float(p), int(t), float(r), bool(done)


def _name(env: Any) -> str:
    """What Gymnasium calls it, such as FrozenLake-v1."""
    return str(getattr(getattr(env, "spec", None), "id", "") or "")

"""Ties that need no arithmetic: actions whose values are equal because what they do is.

Where an action is certainly suboptimal it can be left out: the optimal values stay what they are. In the problem of the
actions that remain, split the states until those of one class offer the same set of (reward, chances of each class),
compared number by number, bit for bit. Then all states of a class have the same optimal value, exactly (the partition
is a bisimulation), and so have two actions with equal rewards and equal chances of each class: duplicate actions, equal
rows, the symmetries of a grid, the many shortest ways through it. No error bound can show this, however small.

Rows are compared as multisets of (class, probability): sufficient, not necessary. What is found is certain; what is not
found stays undecided.
"""

import numpy as np

from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors, Tree

Array = np.ndarray
WORK = 10**8  # numbers that are compared before a search ends without an answer
END = 0  # the class of what is worth 0: terminal states, and the end of an episode


class Rows:
    """The transitions as what can be compared: successors [S, A, K] (S is the end), and a number for each probability.

    Probabilities are numbered from 1; 0 is no successor.
    """

    def __init__(self, mdp: MDP):
        states, actions = mdp.reward.shape
        self.terminal = np.zeros(states, bool) if mdp.terminal is None else np.asarray(mdp.terminal)
        t = mdp.transitions
        if isinstance(t, Successors):
            self.successors, p = np.asarray(t.states), np.asarray(t.probabilities)
        elif isinstance(t, Dense):
            p = np.asarray(t.probabilities)
            width = max(1, int((p != 0).sum(-1).max()))
            self.successors = np.argsort(p == 0, axis=-1, kind="stable")[..., :width]
            p = np.take_along_axis(p, self.successors, axis=-1)
        elif isinstance(t, Tree):
            child = t.vocabulary * np.arange(states)[:, None] + 1 + np.arange(actions)
            inside = (np.arange(actions) < t.vocabulary) & (child < states)
            self.successors, p = np.where(inside, child, states)[..., None], np.ones((states, actions, 1))
        else:
            self.successors, p = np.zeros((states, actions, 0), int), np.zeros((states, actions, 0))
        numbers, index = np.unique(p, return_inverse=True)
        self.chances = np.where(p == 0, 0, index.reshape(p.shape) + 1)
        self.kinds = len(numbers) + 2


def equal_actions(rows: Rows, rewards: Array, candidates: Array, work: int = WORK) -> tuple[Array | None, int]:
    """A number for every candidate action, [S, A], the same where values are certainly equal; −1 elsewhere.

    Rewards are [K, S, A]: actions must be equal under each. None if the search would take more than `work`; and what it
    took.
    """
    states, actions = candidates.shape
    at = np.argwhere(candidates)
    own = _numbered(np.moveaxis(rewards, 0, -1)[tuple(at.T)] + 0.0)  # −0 is 0
    successors, chances = rows.successors[tuple(at.T)], rows.chances[tuple(at.T)]
    classes = np.append(np.where(rows.terminal, END, END + 1), END)
    count, spent = len(np.unique(classes[:-1])), 0
    while True:
        spent += at.shape[0] * (successors.shape[1] + 2) + states * actions
        if spent > work:
            return None, spent
        reached = np.where(chances > 0, classes[successors] * rows.kinds + chances, -1)
        kind = np.full((states, actions), -1)
        kind[tuple(at.T)] = _numbered(np.column_stack([own, np.sort(reached, axis=1)]))
        offered = np.sort(kind, axis=1)
        offered[:, 1:][offered[:, 1:] == offered[:, :-1]] = -1  # a set: how often does not matter
        finer = _numbered(np.column_stack([classes[:-1], np.sort(offered, axis=1)]))
        if finer.max() + 1 == count:
            return kind, spent
        count = int(finer.max()) + 1
        classes = np.append(np.where(rows.terminal, END, finer + 1), END)


def settle(optimal: Array, undecided: Array, rewards: Array, mdp: MDP) -> Array:
    """Undecided actions that are certainly optimal, [B, S, A]: equal to one that is, or to all that can be best.

    Rewards are [B or 1, K, S, A]; where K > 1, what is found holds for every mixture of the K.
    """
    found = np.zeros_like(undecided)
    candidates = optimal | undecided
    ordered = np.sort(np.where(candidates, rewards[:, 0], np.nan), axis=-1)
    promising = ((ordered[..., 1:] == ordered[..., :-1]).any(axis=-1) & undecided.any(axis=-1)).any(axis=-1)
    if not promising.any() or (isinstance(mdp.transitions, Dense) and mdp.transitions.probabilities.size > WORK):
        return found
    rows, left = Rows(mdp), WORK
    for lane in map(int, np.flatnonzero(promising)):
        kind, spent = equal_actions(rows, rewards[min(lane, len(rewards) - 1)], candidates[lane], left)
        left -= spent
        if kind is None:
            break
        found[lane] = undecided[lane] & _settled(kind, optimal[lane], candidates[lane])
    return found


def _settled(kind: Array, optimal: Array, candidates: Array) -> Array:
    """Candidates that are all of one kind in their state, or of the kind of one that is certainly optimal."""
    highest = np.where(candidates, kind, -1).max(axis=-1, keepdims=True)
    lowest = np.where(candidates, kind, kind.max(initial=0) + 1).min(axis=-1, keepdims=True)
    twin = ((kind[:, :, None] == kind[:, None, :]) & optimal[:, None, :]).any(axis=-1)
    return candidates & ((highest == lowest) | twin)


def _numbered(rows: Array) -> Array:
    """Equal rows get equal numbers, from 0 on."""
    if rows.ndim == 1:
        rows = rows[:, None]
    if not rows.shape[1]:
        return np.zeros(len(rows), int)
    order = np.lexsort(rows.T)
    fresh = np.ones(len(rows), bool)
    fresh[1:] = (rows[order[1:]] != rows[order[:-1]]).any(axis=-1)
    numbers = np.empty(len(rows), int)
    numbers[order] = np.cumsum(fresh) - 1
    return numbers

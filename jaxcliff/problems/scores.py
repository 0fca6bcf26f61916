"""Tables of reward-model scores, one row per answer: a bandit whose contexts are the prompts."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcliff.core import datasets, devices
from jaxcliff.core.labels import Labels, brief
from jaxcliff.core.numerics import cast
from jaxcliff.core.types import DataFrame, Dataset, Names, Rewards, TableLike
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import Made
from jaxcliff.problems import columns, tables
from jaxcliff.problems.bandits import contextual_bandit

LOGPROB = "base_logprob"
WASTEFUL = 16  # cells of a padded table per answer, from which a table of WASTED bytes is refused
WASTED = 2**30


@dataclasses.dataclass(frozen=True)
class Scores:
    """A table of scores as a decision problem; `mdp, rewards = scores`.

    Attributes:
        mdp: the contextual bandit. A state is a context, in order of appearance; its reward is the mean of the models.
        rewards: [N, S, A], one table per reward model.
        names: of the reward models, which are the columns that were taken.
        base: the base policy, [S, A], if the table has log-probabilities: normalised over the answers that the table
            has for the context. An answer keeps at least the smallest mass that the dtype can hold: with none at all it
            would be illegal.
        base_log: the same as log-probabilities, float64 on the host; −∞ where a context has no such answer.
        left_out: the columns that were not taken, and why.
    """

    mdp: MDP
    rewards: Rewards
    names: tuple[str, ...]
    base: Any
    base_log: Any = None
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.mdp, self.rewards))

    def summary(self) -> str:
        """Which columns are reward models, which are not, and why."""
        taken = f"Reward models: {', '.join(map(brief, self.names))}."
        return f"{taken} Columns {_why(self.left_out)}." if self.left_out else taken

    def to_dataset(self) -> Dataset:
        """The scores as a labelled xarray dataset over reward model, context and action."""
        size = self.mdp.reward.shape
        table: Any = {"scores": (("model", "state", "action"), self.rewards)}
        if self.base is not None:
            table |= {"base": (("state", "action"), self.base)}
        names = {"model": self.names}
        labels, made = self.mdp.labels, Made({"mdp": self.mdp, "names": list(self.names)})
        return datasets.build("Scores", table, {}, labels=labels, size=size, coordinates=names, made=made)

    def to_dataframe(self) -> DataFrame:
        """The table again, one row per answer: context, action, and a column per reward model."""
        import pandas as pd

        mdp, scores = self.mdp, np.asarray(self.rewards)
        pairs = np.argwhere(np.asarray(mdp.decisions))
        columns: dict[str, Any] = {"context": [mdp.labels.states[s] for s, _ in pairs]}
        columns["action"] = [mdp.labels.actions[s][a] for s, a in pairs]
        columns |= {name: scores[k][tuple(pairs.T)] for k, name in enumerate(self.names)}
        return pd.DataFrame(columns)


def from_scores(
    table: TableLike,
    *,
    context: str = "context",
    action: str = "action",
    models: Names | None = None,
    base_logprob: str = LOGPROB,
) -> Scores:
    """The contextual bandit of a table with one row per (context, action).

    Args:
        table: a `.csv`, `.jsonl` or `.json` file, a list of rows (mappings), or columns by name (a mapping of arrays, a
            data frame). Contexts may offer different numbers of actions.
        context, action: the columns that name them.
        models: the columns of the reward models. If not given, every other column of numbers, but for those that have
            no name, are called an index or an id, count rows, or are the same for all answers of every context; `names`
            says which were taken, `left_out` which were not and why. A column that is named here is always taken.
        base_logprob: the column with the log-probability of the answer under the base policy; `"base_logprob"` need not
            exist.

    Where contexts have very different numbers of answers, `from_ragged_scores` pads less.

    >>> import jaxcliff as jc
    >>> table = {"": [0, 1, 2], "context": ["q1", "q1", "q2"], "action": ["yes", "no", "no"], "rm": [1.0, 0.5, 0.0]}
    >>> scores = jc.problems.from_scores(table)
    >>> mdp, rewards = scores
    >>> mdp, rewards.shape
    (MDP(2 actions, 2 states, no transitions, discount 0, float32), (1, 2, 2))
    >>> scores.summary()
    "Reward models: rm. Columns left out: '' (it has no name)."
    """
    answers = _read(table, context, action, models, base_logprob)
    states, width = len(answers.choices), max(map(len, answers.choices))
    needed = _bytes(len(answers.names), states, width)
    what = f"one table of {states:,} contexts with up to {width:,} answers, {len(answers.state):,} in all,"
    instead = "problems.from_ragged_scores makes several tables, of contexts with a similar number of answers"
    if needed > WASTED and states * width > WASTEFUL * len(answers.state):
        raise ValueError(f"{what} would need {needed / 1e9:.1f} GB of memory, nearly all of it padding; {instead}")
    devices.require(needed, what, instead)
    return _padded(answers, np.arange(states))


def from_ragged_scores(
    table: TableLike,
    *,
    context: str = "context",
    action: str = "action",
    models: Names | None = None,
    base_logprob: str = LOGPROB,
) -> list[Scores]:
    """The same as several problems, of contexts with a similar number of answers: padding at most doubles any.

    Contexts with 1 answer, 2 to 3, 4 to 7, … are a problem each, the smallest first; the columns that are taken are
    those of the whole table. Arguments as in `from_scores`.

    >>> import jaxcliff as jc
    >>> table = {"context": ["a", "b", "b", "b"], "action": ["x", "x", "y", "z"], "rm": [0.5, 1.0, 0.0, 0.25]}
    >>> [scores.mdp.reward.shape for scores in jc.problems.from_ragged_scores(table)]
    [(1, 1), (1, 3)]
    """
    answers = _read(table, context, action, models, base_logprob)
    size = np.array([len(names).bit_length() for names in answers.choices])
    groups = [np.flatnonzero(size == group) for group in np.unique(size)]
    cells = sum(len(group) * max(len(answers.choices[s]) for s in group) for group in groups)
    devices.require(_bytes(len(answers.names), 1, cells), f"{len(groups)} tables of {cells:,} cells")
    return [_padded(answers, group) for group in groups]


@dataclasses.dataclass(frozen=True)
class _Answers:
    """The rows of a table: to which context and which of its answers each belongs, and what it holds."""

    contexts: tuple[str, ...]
    choices: list[tuple[str, ...]]
    state: np.ndarray
    slot: np.ndarray
    names: tuple[str, ...]
    scores: np.ndarray  # [N, rows]
    logs: np.ndarray | None
    left_out: dict[str, str]


def _read(table: Any, context: str, action: str, rewards: Any, base_logprob: str) -> _Answers:
    read = tables.read(table)
    cells, where = read.columns, read.where
    wanted = None if rewards is None else _names(rewards)
    named = (context, action, *(wanted or ()), *([base_logprob] if base_logprob != LOGPROB else []))
    for name in named:
        if name not in cells:
            known = ", ".join(repr(brief(column)) for column in cells)
            asked = (
                f"; say which it is ({name}=; --{name} on the command line)" if name in ("context", "action") else ""
            )
            raise ValueError(f"the table has no column {name!r}; its columns are {known}{asked}")
    for name in [name for name in named if named.count(name) > 1][:1]:
        raise ValueError(f"the column {name!r} is given two parts: context, action, reward or base_logprob is one each")
    contexts, choices, state, slot = _places(cells[context], cells[action], context, action, where)
    reasons: dict[str, str] = {}
    if wanted is None:
        others = [name for name in cells if name not in (context, action, base_logprob)]
        found = {name: columns.why_left_out(cells[name], name, state, where) for name in others}
        wanted = tuple(name for name, reason in found.items() if reason is None)
        reasons = {name: reason for name, reason in found.items() if reason is not None}
    if not wanted:
        more = f": {_why(reasons)}; name those to take ({columns.ASKED})" if reasons else ""
        raise ValueError(f"the table has no column of scores beside {context!r} and {action!r}{more}")
    scores = np.array([columns.finite(cells[name], name, where) for name in wanted])
    limit = float(jnp.finfo(jnp.result_type(float)).max)
    for n, row in np.argwhere(np.abs(scores) > limit)[:1]:
        raise ValueError(
            f"{where(int(row))}: {wanted[n]} is {scores[n, row]:g}, which float32 cannot hold; "
            "switch 64-bit mode on (jax_enable_x64), or divide the column"
        )
    logs = None
    if base_logprob in cells and base_logprob not in wanted:
        logs = columns.finite(cells[base_logprob], base_logprob, where, "a log-probability")
        for row in np.flatnonzero(logs > 0)[:1]:
            raise ValueError(f"{where(int(row))}: {base_logprob} is {logs[row]:g}; a log-probability is at most 0")
    return _Answers(contexts, choices, state, slot, wanted, scores, logs, reasons)


def _names(rewards: Any) -> tuple[str, ...]:
    if isinstance(rewards, str):
        return (rewards,)
    if not isinstance(rewards, Iterable):
        raise TypeError(f"rewards are names of columns, such as ['helpful', 'honest'], not {brief(repr(rewards))}")
    return tuple(str(name) for name in rewards)


def _places(
    contexts: Any, actions: Any, context: str, action: str, where: Callable[[int], str]
) -> tuple[tuple[str, ...], list[tuple[str, ...]], np.ndarray, np.ndarray]:
    """The contexts, the answers of each, and for every row which of them it is."""
    states: dict[str, int] = {}
    choices: list[dict[str, int]] = []
    state, slot = np.zeros(len(contexts), int), np.zeros(len(contexts), int)
    for row, cells in enumerate(zip(contexts, actions, strict=True)):
        for cell, column in zip(cells, (context, action), strict=True):
            if tables.missing(cell):
                is_what = "empty" if isinstance(cell, str) else cell
                raise ValueError(
                    f"{where(row)}: {column} is {is_what}; every row needs one (write '(empty)' for a text without one)"
                )
        name, what = map(str, cells)
        s = states.setdefault(name, len(states))
        if s == len(choices):
            choices.append({})
        if what in choices[s]:
            raise ValueError(f"{where(row)}: context {brief(name)!r}, action {brief(what)!r} is there twice")
        state[row], slot[row] = s, choices[s].setdefault(what, len(choices[s]))
    return tuple(states), [tuple(names) for names in choices], state, slot


def _bytes(models: int, states: int, width: int) -> float:
    """What a padded table takes at the least: float64 on the host, then in JAX, and what is legal."""
    return states * width * ((models + 1) * (8 + jnp.finfo(jnp.result_type(float)).dtype.itemsize) + 1)


def _padded(answers: _Answers, group: np.ndarray) -> Scores:
    """These contexts as one problem, its rows as long as the longest."""
    choices = [answers.choices[s] for s in group]
    shape = len(group), max(map(len, choices))
    number = np.full(len(answers.choices), -1)
    number[group] = np.arange(len(group))
    rows = np.flatnonzero(number[answers.state] >= 0)
    at = number[answers.state[rows]], answers.slot[rows]
    legal = np.zeros(shape, bool)
    legal[at] = True
    components = np.zeros((len(answers.names), *shape))
    components[:, *at] = answers.scores[:, rows]
    labels = Labels([answers.contexts[s] for s in group], choices, name="scores")
    with np.errstate(over="ignore"):
        mean = components.mean(axis=0)  # exact where the sum is: dividing first would break ties
    mean = np.where(np.isfinite(mean), mean, (components / len(components)).sum(axis=0))
    mdp = contextual_bandit(mean, legal=legal).replace(labels=labels)
    base = log = None
    if answers.logs is not None:
        log = np.full(shape, -np.inf)
        log[at] = answers.logs[rows]
        log -= log.max(axis=1, keepdims=True)
        log -= np.log(np.exp(log).sum(axis=1, keepdims=True))
        least = 4 * float(jnp.finfo(mdp.dtype).tiny)  # a normal number, also when a row is divided by its sum
        base = cast(np.where(legal, np.maximum(np.exp(log), least), 0), mdp.dtype)
    rewards = cast(components, mdp.dtype)
    return Scores(mdp, rewards, answers.names, base, log, dict(answers.left_out))


def _why(left_out: Mapping[str, str]) -> str:
    return "left out: " + ", ".join(f"{brief(name)!r} ({reason})" for name, reason in left_out.items())

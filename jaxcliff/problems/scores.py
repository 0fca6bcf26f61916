"""Tables of reward-model scores, one row per answer: a bandit whose contexts are the prompts."""

import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcliff._types import Rewards
from jaxcliff.labels import Labels
from jaxcliff.mdp import MDP
from jaxcliff.problems.bandits import contextual_bandit


@dataclasses.dataclass(frozen=True)
class Scores:
    """A table of scores as a decision problem; `mdp, rewards = scores`.

    Attributes:
        mdp: the contextual bandit. A state is a context, in order of appearance; its reward is the mean of the models.
        rewards: [N, S, A], one table per reward model.
        names: of the reward models.
        base: the base policy, [S, A], if the table has log-probabilities: their exponentials, divided by their sum over
            the answers that the table has for the context.
    """

    mdp: MDP
    rewards: Rewards
    names: tuple[str, ...]
    base: Any

    def __iter__(self) -> Iterator[Any]:
        return iter((self.mdp, self.rewards))


def from_scores(
    table: Any,
    *,
    context: str = "context",
    action: str = "action",
    rewards: Any = None,
    base_logprob: str = "base_logprob",
) -> Scores:
    """The contextual bandit of a table with one row per (context, action).

    Args:
        table: a `.csv` or `.jsonl` file, a list of rows (mappings), or columns by name (a mapping of arrays, a data
            frame). Contexts may offer different numbers of actions.
        context, action: the columns that name them.
        rewards: the columns of the reward models; all that are left, if not given.
        base_logprob: the column with the log-probability of the answer under the base policy; need not exist.

    >>> import jaxcliff as jc
    >>> table = {"context": ["q1", "q1", "q2"], "action": ["yes", "no", "no"], "rm": [1.0, 0.5, 0.0]}
    >>> mdp, rewards = jc.problems.from_scores(table)
    >>> mdp, rewards.shape
    (MDP(2 actions, 2 states, no transitions, discount 0, float32), (1, 2, 2))
    """
    columns, where = _columns(table)
    rewards = [rewards] if isinstance(rewards, str) else rewards
    for name in (context, action, *(rewards or ())):
        if name not in columns:
            raise ValueError(f"the table has no column {name!r}; its columns are {', '.join(map(repr, columns))}")
    if rewards is None:
        rewards = [name for name in columns if name not in (context, action, base_logprob)]
    if not rewards:
        raise ValueError(f"the table has no column of scores beside {context!r} and {action!r}")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"the columns have different lengths: {lengths}")
    if not lengths[context]:
        raise ValueError("the table has no rows")

    states: dict[str, int] = {}
    choices: list[dict[str, int]] = []
    place = np.zeros((lengths[context], 2), int)
    for row, (where_from, what) in enumerate(zip(columns[context], columns[action], strict=True)):
        s = states.setdefault(str(where_from), len(states))
        if s == len(choices):
            choices.append({})
        if str(what) in choices[s]:
            raise ValueError(f"{where(row)}: context {where_from!r}, action {what!r} is there twice")
        place[row] = s, choices[s].setdefault(str(what), len(choices[s]))

    shape = len(states), max(len(names) for names in choices)
    at = (place[:, 0], place[:, 1])
    legal = np.zeros(shape, bool)
    legal[at] = True
    components = np.zeros((len(rewards), *shape))
    for n, name in enumerate(rewards):
        components[n][at] = _numbers(columns[name], name, where)
    base = None
    if base_logprob in columns:
        logs = _numbers(columns[base_logprob], base_logprob, where)
        for row in np.flatnonzero(logs > 0)[:1]:
            raise ValueError(f"{where(row)}: {base_logprob} is {logs[row]:g}; a log-probability is at most 0")
        table_of_logs = np.full(shape, -np.inf)
        table_of_logs[at] = logs
        mass = np.exp(table_of_logs - table_of_logs.max(axis=1, keepdims=True))
        base = jnp.asarray(mass / mass.sum(axis=1, keepdims=True))
    labels = Labels(tuple(states), [tuple(names) for names in choices])
    mdp = contextual_bandit(components.mean(axis=0), legal=legal).replace(labels=labels)
    return Scores(mdp, jnp.asarray(components).astype(mdp.dtype), tuple(rewards), base)


def _columns(table: Any) -> tuple[dict[str, Any], Any]:
    """Columns by name, and how to call a row in a message."""
    if isinstance(table, str | pathlib.Path):
        path = pathlib.Path(table)
        rows, first = _read(path)
        return _by_column(
            rows, lambda row: f"{path.name}, line {first + row}"
        ), lambda row: f"{path.name}, line {first + row}"
    if isinstance(table, Mapping) or hasattr(table, "columns"):
        return {str(name): np.asarray(table[name]) for name in table}, lambda row: f"row {row}"
    if isinstance(table, Sequence) and all(isinstance(row, Mapping) for row in table):
        return _by_column(list(table), lambda row: f"row {row}"), lambda row: f"row {row}"
    raise TypeError(f"a table is a .csv or .jsonl file, columns by name, or a list of rows, not {type(table).__name__}")


def _read(path: pathlib.Path) -> tuple[list[dict[str, Any]], int]:
    """The rows of a file, and the line of the first."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {str(path)!r}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8 text: {error}") from None
    match path.suffix:
        case ".csv":
            reader = csv.DictReader(io.StringIO(text, newline=""))  # a cell may hold a line break
            columns = list(reader.fieldnames or ())
            for name in [name for name in columns if columns.count(name) > 1][:1]:
                raise ValueError(f"{path.name} has two columns named {name!r}")
            return list(reader), 2
        case ".jsonl":
            rows = []
            for number, line in enumerate(text.split("\n"), 1):
                if not line.strip():
                    continue
                try:
                    rows.append(json.loads(line))
                except json.JSONDecodeError as error:
                    raise ValueError(f"{path.name}, line {number}: not JSON ({error.msg})") from None
                if not isinstance(rows[-1], dict):
                    raise ValueError(f"{path.name}, line {number}: a row is an object with names, such as {{…}}")
            return rows, 1
    raise ValueError(f"a table of scores is a .csv or .jsonl file, not {path.name!r}")


def _by_column(rows: list[Any], where: Any) -> dict[str, list[Any]]:
    if not rows:
        raise ValueError("the table has no rows")
    names = list(rows[0])
    for number, row in enumerate(rows):
        odd = set(names) ^ set(row)
        if odd or None in row.values():
            raise ValueError(f"{where(number)}: the row does not have the columns {', '.join(map(repr, names))}")
    return {name: [row[name] for row in rows] for name in names}


def _numbers(values: Any, name: str, where: Any) -> np.ndarray:
    try:
        numbers = np.asarray(values, float)
    except (TypeError, ValueError):
        numbers = np.array([_number(x) for x in values])
    for row in np.flatnonzero(~np.isfinite(numbers))[:1]:
        raise ValueError(f"{where(row)}: {name} is {values[row]!r}; a score must be a finite number")
    return numbers


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan

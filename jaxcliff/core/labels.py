"""Names of states and actions, for messages and figures."""

import collections
import unicodedata
from typing import Any

import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.records import static
from jaxcliff.core.types import Whole

LONGEST = 80  # characters of a name in a message


def brief(name: Any, most: int = LONGEST) -> str:
    """A name on one line, without control characters, its middle left out if it is longer than `most` characters.

    >>> brief("a name of many words", 11)
    'a nam…words'
    """
    line = "".join("�" if unicodedata.category(c) == "Cc" else c for c in " ".join(str(name).split()))
    if len(line) <= most:
        return line
    end = (most - 1) // 2
    return f"{line[: most - 1 - end]}…{line[len(line) - end :]}"


def many(number: int, one: str, several: str = "") -> str:
    """So many of a thing.

    >>> many(1, "cliff"), many(2, "policy", "policies")
    ('1 cliff', '2 policies')
    """
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _written(name: Any) -> Any:
    """A name that can be written to a file: half a surrogate pair, which JSON allows, is spelt out."""
    return name.encode("utf-8", "backslashreplace").decode() if isinstance(name, str) else name


class Labels:
    """Names of states and actions. All labels compare equal: they never make JAX trace a function again.

    So they stay outside of transformations: a problem that is traced, or that a jitted or mapped function returns, has
    none, unless that function gives it some.

    Args:
        states: one name per state.
        actions: one name per action; or, where states offer different actions, one list of names per state.
        positions: the (row, column) of each state where it has a place on a grid.
        name: of the problem.
    """

    def __init__(
        self,
        states: Any = (),
        actions: Any = (),
        positions: Any = (),
        name: str = "",
    ):
        self.name = str(_written(name))
        self.states = tuple(map(_written, checks.listed(states, "states of labels")))
        self._repeated = {name for name, times in collections.Counter(map(brief, self.states)).items() if times > 1}
        actions = checks.listed(actions, "actions of labels")
        self.per_state = any(_is_list(names) for names in actions)
        if self.per_state and not all(_is_list(names) for names in actions):
            raise ValueError("actions are one name per action, or one list of names per state, not some of each")
        self.actions = tuple(tuple(map(_written, a)) if self.per_state else _written(a) for a in actions)
        self.positions = tuple(checks.listed(positions, "positions of labels"))
        for place in self.positions:
            if not _is_list(place) or len(place) != 2:
                raise ValueError(f"positions are pairs (row, column), not {place!r}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labels)

    def __hash__(self) -> int:
        return hash(Labels)

    def __repr__(self) -> str:
        return f"Labels({len(self.states)} states, {len(self.actions)} {'lists of ' * self.per_state}actions)"

    def state(self, s: Any) -> str:
        """What a state is called, `goal`, or `state 3` where it has no name; its number too where two have the same.

        A long name is shortened, a line break becomes a space.
        """
        if not self.states:
            return f"state {s}"
        name = brief(self.states[s])
        return f"{name} (state {s})" if name in self._repeated else name

    def action(self, a: Any, state: Whole) -> str:
        """What an action is called in that state: `left`, or `action 1`."""
        names = self.actions[state] if self.per_state else self.actions
        if not a < len(names):
            return f"action {a}"
        name = brief(names[a])
        return f"{name} (action {a})" if sum(brief(other) == name for other in names) > 1 else name

    def action_names(self, states: int, actions: int) -> np.ndarray:
        """The names as an array, [A], or [S, A] with '' where a state has fewer; of strings, as objects."""
        if not self.per_state:
            return np.array(self.actions, object)
        table = np.full((states, actions), "", object)
        for s, names in enumerate(self.actions):
            table[s, : len(names)] = names
        return table

    def coordinates(self, states: int, actions: int) -> dict[str, Any]:
        """The names and positions as coordinates of a dataset over `state` and `action`."""
        found: dict[str, Any] = {}
        if self.states:
            found["state_name"] = ("state", np.array(self.states, object))
        if self.actions:
            names = self.action_names(states, actions)
            found["action_name"] = (("action",) if names.ndim == 1 else ("state", "action"), names)
        if self.positions:
            row, column = np.array(self.positions).T
            found |= {"row": ("state", row), "column": ("state", column)}
        return found

    @classmethod
    def from_coordinates(cls, coordinates: Any) -> "Labels":
        """Back from the coordinates of a dataset."""
        read = {name: np.asarray(coordinates[name]) for name in coordinates}
        actions = read.get("action_name", np.array([]))
        names = [[str(n) for n in row if n] for row in actions] if actions.ndim == 2 else [str(n) for n in actions]
        positions = zip(read["row"].tolist(), read["column"].tolist(), strict=True) if "row" in read else ()
        return cls([str(name) for name in read.get("state_name", ())], names, tuple(positions))

    def misfit(self, states: int, actions: int) -> str | None:
        """Why these are not labels of a problem of this size, as a sentence; None if they are."""
        longest = max((len(names) for names in self.actions), default=0) if self.per_state else 0
        expected = states if self.per_state else actions
        if len(self.states) not in (0, states) or len(self.actions) not in (0, expected) or longest > actions:
            given = f"lists of up to {longest} actions for {len(self.actions)} states" if self.per_state else ""
            given = given or f"labels for {len(self.states)} and {len(self.actions)}"
            return f"there are {states} states and {actions} actions, but {given}"
        if len(self.positions) not in (0, states):
            return f"there are {states} states, but labels give positions for {len(self.positions)}"
        return None


def labelled() -> Any:
    """The field of a record that holds its labels."""
    return static(default=Labels(), traced=Labels())


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray)

"""What a file may hold for every argument of a study or a builder, read off their signatures.

What a function takes is written once, there: a table of a file is a model with a field for every argument whose
annotation is one of those below. Every mistake becomes a line, with its place and the nearest name.
"""

import difflib
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import pydantic

from jaxcliff.core import types
from jaxcliff.core.numerics import placed
from jaxcliff.model.mdp import MDP
from jaxcliff.sweep import geomspace, grid

STRICT = pydantic.ConfigDict(extra="forbid", strict=True)
# Arguments that a file has no word for: how a study is run is said on the command line, and functions are Python's.
ASIDE = ("mdp", "key", "learner", "labels", "progress", "store", "executor", "workers", "shard", "overwrite")


class Space(pydantic.BaseModel):
    """Numbers from one to another."""

    model_config = STRICT
    start: float
    stop: float
    count: Annotated[int, pydantic.Field(ge=1)]
    spacing: Literal["linear", "geometric"] = "linear"

    def numbers(self) -> np.ndarray:
        return (grid if self.spacing == "linear" else geomspace)(self.start, self.stop, self.count).values


class Table(pydantic.BaseModel):
    """Numbers for every state and action: noise of a seed, 1 in one entry, or those of a file."""

    model_config = STRICT
    seed: int | None = None
    entry: Annotated[list[int], pydantic.Field(min_length=2, max_length=2)] | None = None
    file: str | None = None
    feature: int | None = None

    @pydantic.model_validator(mode="after")
    def one_of_them(self) -> "Table":
        if len([x for x in (self.seed, self.entry, self.file) if x is not None]) != 1:
            raise ValueError("must name one of seed, entry = [state, action], or file")
        if self.feature is not None and self.file is None:
            raise ValueError("must name the file that a feature is in: { file = …, feature = 0 }")
        return self

    def numbers(self, mdp: MDP, folder: Path) -> Any:
        states, actions = mdp.reward.shape
        if self.seed is not None:
            noise = jax.random.normal(jax.random.key(self.seed), (states, actions), mdp.dtype)
            return np.where(mdp.decisions, noise, 0)
        if self.entry is not None:
            s, a = self.entry
            if not (0 <= s < states and 0 <= a < actions):
                raise ValueError(f"there is no entry {self.entry}: there are {states} states and {actions} actions")
            return np.eye(states * actions, dtype=mdp.dtype)[s * actions + a].reshape(states, actions)
        found = _array(folder / str(self.file))
        if self.feature is None:
            return found
        if found.ndim != 3 or not 0 <= self.feature < len(found):
            raise ValueError(f"{self.file} holds {list(found.shape)} numbers, and no feature {self.feature}")
        return found[self.feature]


def _either(table: type[pydantic.BaseModel], *lists: Any) -> Any:
    """A table, or a list: which is meant is seen from what is written."""
    names = ("table", "flat", "deep")[: 1 + len(lists)]
    several = [Annotated[kind, pydantic.Tag(name)] for kind, name in zip((table, *lists), names, strict=True)]

    def meant(given: Any) -> str:
        if isinstance(given, dict | table):
            return "table"
        deep = isinstance(given, list) and any(isinstance(x, list) for x in given)
        return "deep" if len(lists) > 1 and deep else "flat"

    return Annotated[typing.Union[tuple(several)], pydantic.Discriminator(meant)]  # noqa: UP007


# What a file may hold for each kind of argument.
HELD: dict[Any, Any] = {
    types.Number: float,
    types.Whole: int,
    types.Flag: bool,
    types.Word: str,
    types.Norm: Literal["inf", "2", "1"],
    types.Where: Literal["all", "reachable", "visited"],
    types.Names: list[str],
    types.GridLike: list[str],
    types.NumbersLike: _either(Space, list[float], list[list[float]]),
    types.RewardLike: _either(Table, list[list[float]]),
    types.PolicyLike: _either(Table, list[list[float]]),
    types.RewardsLike: list[_either(Table, list[list[float]])],  # type: ignore[misc]
    types.WeightsLike: list[float],
    types.Rule: Literal["uniform", "first"],
    types.SettingsLike: dict[str, int],
    types.CaseLike: str,
    types.KnobsLike: dict[str, int | float],
}
PLAIN: dict[Any, Any] = {types.RewardLike: list[list[float]]}
WORDS = {"string": "a word", "integer": "a whole number", "number": "a number", "boolean": "true or false"}


def arguments(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Name → (kind, default) of what a file can say."""
    found = inspect.signature(inspect.unwrap(function)).parameters.values()
    several = {p.name: (plain(p.annotation), p.default) for p in found if p.name not in ASIDE}
    return {name: each for name, each in several.items() if each[0] in HELD}


def plain(annotation: Any) -> Any:
    """What an annotation is without None."""
    several = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    return several[0] if len(several) == 1 else annotation


def model(name: str, several: Mapping[str, tuple[Any, Any]], tables: bool = True) -> type[pydantic.BaseModel]:
    """A table with a field for every argument; without a problem at hand, rewards are numbers and no tables."""
    fields: dict[str, Any] = {}
    for argument, (kind, default) in several.items():
        held = HELD[kind] if tables else PLAIN.get(kind, HELD[kind])
        needed = default is inspect.Parameter.empty
        fields[argument] = (held, ...) if needed else (held | None, None if callable(default) else default)
    return pydantic.create_model(name, __config__=STRICT, **fields)


def said(table: Any) -> list[tuple[str, Any]]:
    """What a file says of a table."""
    return [(name, getattr(table, name)) for name in type(table).model_fields if name in table.model_fields_set]


def value(given: Any, mdp: Any, folder: Path) -> Any:
    """An argument as a study takes it; files are looked for in a folder."""
    if isinstance(given, Space):
        return given.numbers()
    if isinstance(given, Table):
        return placed(np.asarray(given.numbers(mdp, folder)))
    if isinstance(given, list) and any(isinstance(x, Table) for x in given):
        return np.stack([np.asarray(value(x, mdp, folder)) for x in given])
    return given


def checked(kind: type[pydantic.BaseModel], given: Any, place: str, lines: list[str], also: Any = ()) -> Any:
    """A table that fits its model; or None, and a line for everything that does not fit."""
    if not isinstance(given, dict):
        lines.append(f"{place}: is {given!r}; it must be a table, [{place}]")
        return None
    try:
        return kind(**given)
    except pydantic.ValidationError as error:
        lines += [".".join(filter(None, (place, _told(each, kind, also)))) for each in error.errors()]
        return None


def _told(error: Any, kind: type[pydantic.BaseModel], also: Any) -> str:
    """Place and sentence of one of pydantic's errors."""
    place = [str(x) for x in error["loc"] if x not in ("table", "flat", "deep")]
    where, given, sort = ".".join(place), error["input"], error["type"]
    if sort == "extra_forbidden":
        known = [*kind.model_fields, *also] if len(place) == 1 else _fields_at(kind, place[0])
        return f"{where}: there is no such name{near(place[-1], known)}; there are {', '.join(known)}"
    if sort == "missing":
        return f"{where}: is missing"
    text = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ").removeprefix("a valid ")
    if sort == "value_error":
        return f"{where}: {text}"
    return f"{where}: is {_short(given)}; it must be {WORDS.get(text, text)}"


def _fields_at(kind: type[pydantic.BaseModel], name: str) -> list[str]:
    """The names in a table within a table."""
    for inner in (Space, Table):
        if inner.__name__ in str(kind.model_fields[name].annotation) + str(kind.model_fields[name].metadata):
            return list(inner.model_fields)
    return []


def _short(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:58]} …"


def near(name: Any, known: Any) -> str:
    """The name that may have been meant."""
    found = difflib.get_close_matches(name, list(known), 1) if isinstance(name, str) else []
    return f"; did you mean {found[0]}?" if found else ""


def _array(path: Path) -> np.ndarray:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise ValueError(f"{path} must be an array that numpy.save has written (.npy)") from None
    if not isinstance(found, np.ndarray):
        raise ValueError(f"{path} holds several arrays; save the one that is meant with numpy.save (.npy)")
    return found


def described(function: Callable[..., Any]) -> dict[str, str]:
    """What the docstring says of each argument."""
    text = inspect.getdoc(function) or ""
    text = text[text.index("Args:") :].split("\n\n")[0] if "Args:" in text else ""
    found: dict[str, str] = {}
    for names, words in re.findall(r"^    ([\w, ]+): (.*(?:\n        .*)*)", text, re.M):
        first = re.split(r"(?<=[.;])\s", " ".join(words.split()))[0].rstrip(".;")
        found |= dict.fromkeys(names.split(", "), first)
    return found

"""A study in a TOML file: which one, of which problem, with what."""

import dataclasses
import difflib
import functools
import inspect
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import jax
import pydantic

from jaxcliff import policies, problems, studies
from jaxcliff.config import held
from jaxcliff.core import types
from jaxcliff.model.mdp import MDP

TABLES = (".csv", ".jsonl", ".json")
FAMILIES = ("response", "constants")  # studies of several problems


class MistakesError(ValueError):
    """All that is wrong with a file, a line each."""

    def __init__(self, name: str, lines: list[str]):
        self.lines = [f"{name} cannot be used:", *(f"  {line}" for line in lines)]
        super().__init__("\n".join(self.lines))


@dataclasses.dataclass(frozen=True)
class Study:
    """What a file asks for, ready to be run. `said` is all that the file says, but for where the store is."""

    name: str
    store: Path
    seed: int
    float64: bool
    arguments: dict[str, Any]
    problem: Any
    said: dict[str, Any]

    def run(self, **how: Any) -> Any:
        """The study's dataset; `how` are arguments of a sweep."""
        function = getattr(studies, self.name)
        key = {"key": jax.random.key(self.seed)} if "key" in inspect.signature(function).parameters else {}
        about = [] if self.problem is None else [self.problem]
        return function(*about, **self.arguments, **key, **how)

    @property
    def sweeps(self) -> bool:
        """Whether it is a sweep, which goes into its store piece by piece."""
        return "store" in inspect.signature(getattr(studies, self.name)).parameters


def read(path: Path, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a file says, with other values at places such as "axes.strength.count"."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder; name a file such as study.toml") from None
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; `jaxcliff run --example response` prints one") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no TOML: {error}") from None
    for place, new in (changes or {}).items():
        _put(given, place, new)
    return given


def _put(given: dict[str, Any], place: str, new: Any) -> None:
    *tables, last = place.split(".")
    for name in tables:
        inner = given.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ValueError(f"--set {place}: {name} is {inner!r}, and nothing is in it")
        given = inner
    given[last] = new


def understood(given: dict[str, Any], name: str, folder: Path) -> Study:
    """The study that a file asks for; all mistakes at once. It builds the problem, so precision is chosen before."""
    lines: list[str] = []
    study, known = given.get("study"), studies.__all__
    if study not in known:
        told = "is missing" if study is None else f"is {study!r}"
        lines.append(f"study: {told}; it must be one of {', '.join(known)}{held.near(study, known)}")
    tables = tables_of(next(iter(difflib.get_close_matches(str(study), known, 1)), "response"))
    own = {table: held.checked(model, given.get(table, {}), table, lines) for table, model in tables.items()}
    rest = {name: x for name, x in given.items() if name not in (*tables, "problem", "study")}
    head = held.checked(_head(), rest, "", lines, ["study", "problem", *tables])
    if study in known and not has_problem(str(study)):
        makers: dict[str, Callable[[], list[MDP]]] = {}
        lines += ["problem: this study is about none; leave it out"] if "problem" in given else []
    else:
        makers = _makers(given.get("problem"), study in FAMILIES, lines)
    if lines:
        raise MistakesError(name, lines)
    built = {family: make() for family, make in makers.items()}
    first = next(iter(built.values()))[0] if built else None
    problem = first if study not in FAMILIES else built.get("", built)
    try:
        arguments = {n: held.value(x, first, folder) for table in own.values() for n, x in held.said(table)}
    except ValueError as error:
        raise MistakesError(name, [str(error)]) from None
    if "rule" in arguments:
        arguments["rule"] = getattr(policies, arguments["rule"])
    store = Path(head.store or f"{study}.zarr")
    said = {n: x for n, x in given.items() if n != "store"} | {"seed": head.seed, "float64": head.float64}
    return Study(
        str(study), store, head.seed, head.float64, arguments, problem, json.loads(json.dumps(said, default=str))
    )


def has_problem(study: str) -> bool:
    """Whether a study is about a problem; some are about policy maps alone."""
    return "mdp" in inspect.signature(getattr(studies, study)).parameters


@functools.cache
def _head() -> type[pydantic.BaseModel]:
    fields: dict[str, Any] = {"store": (str | None, None), "float64": (bool, True)}
    fields["seed"] = (Annotated[int, pydantic.Field(ge=0, lt=2**63)], 0)
    return pydantic.create_model("File", __config__=held.STRICT, **fields)


@functools.cache
def tables_of(study: str) -> dict[str, type[pydantic.BaseModel]]:
    """The tables of a study's file: `axes` are its arguments that are lists of numbers, `settings` the others."""
    several: dict[str, dict[str, Any]] = {"settings": {}, "axes": {}}
    for name, (kind, default) in held.arguments(getattr(studies, study)).items():
        several["axes" if kind is types.NumbersLike else "settings"][name] = (kind, default)
    return {table: held.model(table, arguments) for table, arguments in several.items()}


@functools.cache
def builders() -> dict[str, type[pydantic.BaseModel]]:
    """The builders of problems that a file can name, and what each takes."""
    found = {}
    for name in problems.__all__:
        function = inspect.unwrap(getattr(problems, name))
        if not inspect.isfunction(function) or name.startswith(("from_", "load")):
            continue
        if inspect.signature(function).return_annotation is MDP:
            more: dict[str, Any] = {"builder": (types.Word, "")}
            if "key" in inspect.signature(function).parameters:
                more |= {"seed": (types.Whole, 0), "seeds": (types.Whole, None)}
            found[name] = held.model(name, more | held.arguments(function), tables=False)
    return found


def _families() -> str:
    return " or ".join(f'study = "{name}"' for name in FAMILIES)


def _makers(given: Any, families: bool, lines: list[str]) -> dict[str, Callable[[], list[MDP]]]:
    """What builds the problems of every family; the only one has no name."""
    if not isinstance(given, dict) or not given:
        lines.append('problem: is missing; name a builder or a file, as in [problem] and builder = "garnet"')
        return {}
    several = not ({"builder", "file"} & set(given)) and all(isinstance(x, dict) for x in given.values())
    if several and not families:
        lines.append(f"problem: this study is about one problem; families are for {_families()}")
        return {}
    each = {f"problem.{name}": (name, x) for name, x in given.items()} if several else {"problem": ("", given)}
    return {name: _maker(x, place, families, lines) for place, (name, x) in each.items()}


def _maker(given: dict[str, Any], place: str, families: bool, lines: list[str]) -> Callable[[], list[MDP]]:
    if "file" in given:
        if not isinstance(given["file"], str) or len(given) > 1:
            lines.append(f'{place}: a file stands alone, as in file = "problem.npz"')
        return lambda: [_problem(Path(given["file"]))]
    known, name = builders(), given.get("builder")
    if name not in known:
        told = "is missing" if name is None else f"is {name!r}"
        lines.append(f"{place}.builder: {told}; it must be one of {', '.join(known)}{held.near(name, known)}")
        return list
    table = held.checked(known[name], given, place, lines)
    seeds = getattr(table, "seeds", None)
    if seeds is not None and not families:
        lines.append(f"{place}.seeds: several problems are for {_families()}; here say seed = 0")
    if seeds is not None and seeds < 1:
        lines.append(f"{place}.seeds: is {seeds}; it must be at least 1")
    return functools.partial(_built, name, table)


def _built(name: str, table: Any) -> list[MDP]:
    function, own = getattr(problems, name), ("builder", "seed", "seeds")
    given = {n: x.numbers() if isinstance(x, held.Space) else x for n, x in held.said(table) if n not in own}
    if "seed" not in type(table).model_fields:
        return [function(**given)]
    seeds = [table.seed] if table.seeds is None else range(table.seed, table.seed + table.seeds)
    return [function(jax.random.key(seed), **given) for seed in seeds]


def _problem(path: Path) -> MDP:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.suffix.lower() in TABLES:
        return problems.from_scores(path).mdp
    return problems.load(path)

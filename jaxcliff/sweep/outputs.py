"""What a point gives: arrays with names, the same everywhere."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxcliff.core import checks
from jaxcliff.sweep import statistics
from jaxcliff.sweep.axes import Axis
from jaxcliff.sweep.statistics import Statistics

Point = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Field:
    """One array that a point gives: its name, and of one point its axes, shape, dtype and units."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    units: str = ""


def check(point: Any, axes: Mapping[str, Axis]) -> None:
    """A point can be called with a key and the names of the axes."""
    if not callable(point):
        raise ValueError(f"the point must be a function (key, **coordinates) → results, not {checks.shown(point)}")
    try:
        inspect.signature(point).bind(None, **dict.fromkeys(axes))
    except TypeError as error:
        raise ValueError(
            f"the point is called as (key, {', '.join(f'{name}=…' for name in axes)}), and does not take that: {error}"
        ) from None
    except ValueError:  # some callables have no signature
        pass


def named(answer: Any, axes: Mapping[str, Axis]) -> dict[str, tuple[tuple[str, ...] | None, Any, str]]:
    """What a point returned, as (axes, array, units) by name."""
    if not isinstance(answer, Mapping) or not answer:
        raise ValueError(f"a point must return a dictionary of arrays by name, not {checks.shown(answer)}")
    found = {}
    for name, given in answer.items():
        if not isinstance(name, str) or not name.isidentifier() or name in axes or name in ("done", "key"):
            raise ValueError(
                f"a result of a point cannot be called {checks.shown(name)}: choose a word that is no axis"
            )
        own, value, units = _triple(name, given)
        array = checks.array(value, f"the result {name!r} of the point")
        if own is not None and (len(own) != array.ndim or set(own) & set(axes) or len(set(own)) < len(own)):
            raise ValueError(
                f"the result {name!r} of the point has shape {list(array.shape)}, and its axes are called {list(own)}: "
                "one name each, and none of the sweep's"
            )
        found[name] = own, array, units
    return found


def _triple(name: str, given: Any) -> tuple[tuple[str, ...] | None, Any, str]:
    if not isinstance(given, tuple):
        return None, given, ""
    if not 2 <= len(given) <= 3:
        raise ValueError(f"the result {name!r} of the point must be an array, or (axes, array, units)")
    own = (given[0],) if isinstance(given[0], str) else tuple(given[0])
    if not all(isinstance(dim, str) and dim.isidentifier() for dim in own):
        raise ValueError(f"the axes of the result {name!r} of the point must be words, not {checks.shown(given[0])}")
    return own, given[1], str(given[2]) if len(given) == 3 else ""


def described(answer: Any, axes: Mapping[str, Axis]) -> list[Field]:
    """The fields of what a point returned (arrays, or only their shapes)."""
    fields = []
    lengths: dict[str, int] = {}
    for name, (own, array, units) in named(answer, axes).items():
        dims = tuple(f"{name}_{i}" for i in range(array.ndim)) if own is None else own
        for dim, n in zip(dims, array.shape, strict=True):
            if lengths.setdefault(dim, n) != n:
                raise ValueError(
                    f"the axis {dim!r} of the point's results has length {lengths[dim]}, and in {name!r} {n}"
                )
        fields.append(Field(name, dims, tuple(array.shape), np.dtype(array.dtype).name, units))
    return fields


def reductions(fields: Sequence[Field], axes: Mapping[str, Axis]) -> dict[str, Statistics]:
    """The statistics of every output that is kept, by its name."""
    given = next((dict(axis.reduce) for axis in axes.values() if axis.reduce is not None), {})
    names = [field.name for field in fields]
    for name in given:
        if name and name not in names:
            raise ValueError(f"reduce= names an output {name!r}; the point gives {', '.join(names)}")
    whole = given.get("")
    found = {name: given.get(name, whole) for name in names}
    return {name: kept for name, kept in found.items() if kept is not None}


def kept_fields(fields: Sequence[Field], kept: Mapping[str, Statistics]) -> list[Field]:
    """The fields of a sweep whose draws are reduced: `tv_mean`, `tv_max`, …"""
    found = []
    for field in fields:
        if field.name not in kept:
            continue
        for end, (dtype, shape) in statistics.kept_as(kept[field.name], np.dtype(field.dtype), field.shape).items():
            more = tuple(f"{field.name}_{x}" for x in {"histogram": ["bin"]}.get(end, ["quantile"]))
            dims = (*field.dims, *more[: len(shape) - len(field.shape)])
            units = (
                ""
                if end in ("count", "histogram")
                else f"{field.units}²" * bool(field.units)
                if end == "m2"
                else field.units
            )
            found.append(Field(f"{field.name}_{end}", dims, shape, dtype.name, units))
    return found


def unlike(first: Sequence[Field], other: Sequence[Field]) -> str:
    """In which output two points differ."""
    ours, theirs = ({f.name: f for f in fields} for fields in (first, other))
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            return f"{name!r} {_told(ours.get(name))} at the first, and {_told(theirs.get(name))} here"
    return "their order differs"


def _told(field: Field | None) -> str:
    return "is missing" if field is None else f"is {field.dtype} {list(field.shape)} {list(field.dims)}"

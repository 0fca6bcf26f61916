"""The named axes of a sweep: numbers, records that are stacked along a first axis, values of Python's, random draws."""

import dataclasses
import keyword
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.types import Names, Number, SettingsLike, Whole, Word
from jaxcliff.sweep.statistics import Statistics, statistics

TAKEN = ("key", "done")  # names that a sweep needs for itself


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis.

    `values` is an array, or a tree of arrays, whose first axis it is; a list of Python's if it is `static`; None if it
    is one of draws. `reduce` are the statistics in which a sweep keeps the outputs over draws, and not the outputs.
    """

    values: Any
    count: int
    units: str = ""
    static: bool = False
    reduce: Mapping[str, Statistics] | None = None

    def __len__(self) -> int:
        return self.count

    @property
    def drawn(self) -> bool:
        """Whether its coordinate is a random key."""
        return self.values is None

    def labels(self) -> np.ndarray:
        """What stands along the axis in a dataset: its numbers or words where it has some, else 0, 1, 2, …"""
        if self.static:
            kinds = {type(x) for x in self.values}
            plain = kinds <= {bool} or kinds <= {int, float}
            return np.array(self.values if plain else [getattr(x, "__name__", str(x)) for x in self.values])
        if isinstance(self.values, np.ndarray) and self.values.ndim == 1:
            return self.values
        return np.arange(self.count)


def grid(start: Number, stop: Number, count: Whole, units: Word = "") -> Axis:
    """So many numbers at equal distances, the ends included.

    >>> grid(0.0, 1.0, 5).values.tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    ends = _end("start", start), _end("stop", stop)
    return _numbers(np.linspace(*ends, checks.whole(count, "count", 1)), units)


def geomspace(start: Number, stop: Number, count: Whole, units: Word = "") -> Axis:
    """So many positive numbers at equal ratios, the ends included."""
    ends = _end("start", start), _end("stop", stop)
    if min(ends) <= 0:
        raise ValueError(f"geomspace goes between positive numbers, not from {ends[0]} to {ends[1]}")
    return _numbers(np.geomspace(*ends, checks.whole(count, "count", 1)), units)


def draws(count: Whole, reduce: SettingsLike | None = None) -> Axis:
    """An axis of random keys: the same draws at every place of the other axes.

    Args:
        count: how many. More of them keep those that were there before.
        reduce: keep statistics over the draws, and not what each draw gives: names of statistics for all outputs, or by
            name of an output, or `jc.sweep.statistics(…)`.
    """
    return Axis(None, checks.whole(count, "count", 1), reduce=None if reduce is None else _reductions(reduce))


def _reductions(reduce: Any) -> dict[str, Statistics]:
    """Statistics by the name of the output; "" is the name for all."""
    given = reduce if isinstance(reduce, Mapping) else {"": reduce}
    if not given:
        raise ValueError("reduce= names no output; give names of statistics, such as reduce=['mean', 'max']")
    return {name: _statistics(x) for name, x in given.items()}


def _statistics(given: Any) -> Statistics:
    if isinstance(given, Statistics):
        return given
    return statistics(*([given] if isinstance(given, str) else checks.listed(given, "the statistics to reduce to")))


def read(axes: Any, static: Names = ()) -> dict[str, Axis]:
    """The axes that a user names, in their order; `static` are the names of those with values of Python's."""
    pairs = list(axes.items()) if isinstance(axes, Mapping) else _pairs(axes)
    found: dict[str, Axis] = {}
    static = [static] if isinstance(static, str) else checks.listed(static, "static")
    for name, values in pairs:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(
                f"an axis is named by a word, as it is an argument of the point; not by {checks.shown(name)}"
            )
        if name in TAKEN:
            raise ValueError(f"an axis cannot be called {name!r}: a sweep needs that name; choose another")
        if name in found:
            raise ValueError(f"there are two axes {name!r}; put all values on one")
        found[name] = _axis(name, values, name in static)
    if not found:
        raise ValueError("a sweep needs at least one axis, such as {'strength': [0.1, 1.0]}")
    if unknown := [name for name in static if name not in found]:
        raise ValueError(f"static names axes, and there is no axis {unknown[0]!r}; there are {', '.join(found)}")
    if len(reduced := [name for name, axis in found.items() if axis.reduce]) > 1:
        raise ValueError(f"one axis of draws can be reduced, not {' and '.join(reduced)}: put all draws on one")
    return found


def _pairs(axes: Any) -> list[tuple[Any, Any]]:
    listed = checks.listed(axes, "axes")
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in listed):
        raise ValueError("axes must be a mapping from names to values, such as {'strength': [0.1, 1.0]}")
    return [(pair[0], pair[1]) for pair in listed]


def _axis(name: str, values: Any, static: bool) -> Axis:
    if isinstance(values, Axis):
        if static:
            raise ValueError(f"axis {name!r} is static: give its values as a list, not as numbers that are traced")
        return values
    if static:
        listed = checks.listed(values, f"axis {name!r}")
        return Axis(listed, _length(name, len(listed)), static=True)
    if isinstance(values, jax.Array) and checks.is_key(values):
        raise ValueError(
            f"axis {name!r} holds random keys; name an axis of draws instead: jc.sweep.draws({len(values)})"
        )
    if not isinstance(values, list | tuple | range | np.ndarray | jax.Array):
        return _stacked(name, values)
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        hint = f"; if its values are Python's own, add static=[{name!r}]"
        raise ValueError(f"axis {name!r} must hold numbers, not {checks.shown(values)}{hint}")
    if not array.ndim:
        raise ValueError(f"axis {name!r} must be a list, not the one number {checks.shown(values)}")
    _length(name, len(array))
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(
            f"axis {name!r} holds NaN, at place {int(np.isnan(array).reshape(len(array), -1).any(-1).argmax())}"
        )
    return _numbers(array, "")


def _stacked(name: str, values: Any) -> Axis:
    """A record, or any tree, whose arrays have one first axis."""
    leaves = jax.tree.leaves(values)
    lengths = {x.shape[0] if getattr(x, "ndim", 0) else None for x in leaves}
    if len(lengths) != 1 or None in lengths or isinstance(values, str):
        raise ValueError(
            f"axis {name!r} must be a list of numbers, or a record whose arrays all have the axis first; not "
            f"{checks.shown(values)}"
        )
    return Axis(jax.tree.map(np.asarray, values), _length(name, int(lengths.pop() or 0)))


def _numbers(values: np.ndarray, units: str) -> Axis:
    return Axis(values, len(values), str(units))


def _end(name: str, value: Any) -> float:
    found = checks.number(value, name)
    if not np.isfinite(found):
        raise ValueError(f"{name} must be a finite number, not {found}")
    return found


def _length(name: str, length: int) -> int:
    if not length:
        raise ValueError(f"axis {name!r} has no points; give it at least one")
    return length

"""Finished records as labelled xarray datasets, and back: arrays become variables, the other fields attributes.

The axes of a variable are named once, with "..." for the axes of a batch of rewards: `reward`, or `reward_0`, … where a
batch has several.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels

Dims = dict[str, tuple[str, ...]]
ASIDE = {"labels", "made"}  # fields of a record that are neither variables nor attributes


def build(
    kind: str,
    variables: Mapping[str, tuple[tuple[str, ...], Any]],
    attributes: dict[str, Any],
    *,
    labels: Labels | None = None,
    size: tuple[int, ...] | None = None,
    coordinates: dict[str, Any] | None = None,
    made: Any = None,
) -> Any:
    """A dataset of variables, each with the names of its axes; what is None is left out.

    Args:
        kind: of the record.
        variables: (names of the axes, array) by name.
        attributes: numbers and words; arrays with axes become variables over the batch.
        labels: names of states and actions; `size` is how many there are of each.
        size: see labels.
        coordinates: names along other axes.
        made: what says how it was made (`model.provenance`).
    """
    import xarray as xr

    given = {name: (own, np.asarray(x)) for name, (own, x) in variables.items() if x is not None}
    given |= {name: (("...",), np.asarray(x)) for name, x in attributes.items() if np.ndim(x)}
    plain = {name: _plain(x) for name, x in attributes.items() if not np.ndim(x)}
    found = {name: (_axes(own, x.ndim), x) for name, (own, x) in given.items()}
    named = {name: np.array(values, object) for name, values in (coordinates or {}).items()}
    named |= labels.coordinates(*size) if labels is not None and size else {}
    return xr.Dataset(found, named, plain | {"kind": kind} | ({} if made is None else made.attributes()))


def to_dataset(
    record: Any, dims: Dims, *, size: tuple[int, ...] | None = None, coordinates: dict[str, Any] | None = None
) -> Any:
    """A record as a dataset: `dims` names the axes of its arrays, its other fields become attributes."""
    variables = {name: (own, getattr(record, name)) for name, own in dims.items()}
    rest = {name: getattr(record, name) for name in sorted(set(record.__dataclass_fields__) - set(dims) - ASIDE)}
    more: dict[str, Any] = {"labels": getattr(record, "labels", None), "made": getattr(record, "made", None)}
    return build(type(record).__name__, variables, rest, size=size, coordinates=coordinates, **more)


def from_dataset(cls: type, ds: Any, dims: Dims, made: Any = None) -> Any:
    """The record that a dataset was made of."""
    if ds.attrs.get("kind") != cls.__name__:
        raise ValueError(f"this dataset is not a {cls.__name__}: its kind is {ds.attrs.get('kind')!r}")
    fields = set(cls.__dataclass_fields__)  # type: ignore[attr-defined]
    arrays = {name: np.asarray(ds[name]) if name in ds else None for name in dims}
    read = {name: ds.attrs[name] for name in fields - set(dims) - ASIDE}
    numbers = {name: bool(x) if isinstance(x, int | np.integer) else x for name, x in read.items()}
    labels = {"labels": Labels.from_coordinates(ds.coords)} if "labels" in fields else {}
    return cls(**arrays, **numbers, **labels, **({"made": made} if "made" in fields else {}))


def _axes(own: tuple[str, ...], number: int) -> tuple[str, ...]:
    if own[:1] != ("...",):
        return own
    lead = number - len(own) + 1
    return ("reward",) * lead + own[1:] if lead < 2 else (*(f"reward_{i}" for i in range(lead)), *own[1:])


def _plain(x: Any) -> Any:
    """What an attribute can hold."""
    if isinstance(x, str):
        return x
    return int(x) if isinstance(x, bool | np.bool_) else float(x)

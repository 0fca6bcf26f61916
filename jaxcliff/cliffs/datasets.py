"""Finished geometry as labelled xarray datasets, and back: arrays become variables, the other fields attributes."""

from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels


def to_dataset(
    record: Any, dims: dict[str, tuple[str, ...]], coordinates: dict[str, Any], size: tuple[int, int] | None = None
) -> Any:
    """A record as a dataset: `dims` names the axes of its arrays; `size`, of states and actions, is for their names."""
    import xarray as xr

    arrays = {name: (own, getattr(record, name)) for name, own in dims.items() if getattr(record, name) is not None}
    rest = set(record.__dataclass_fields__) - set(dims) - {"labels"}
    numbers = {name: getattr(record, name) for name in sorted(rest)}
    plain = {name: _plain(x) for name, x in numbers.items()}
    labels = record.labels.coordinates(*size) if size else {}
    named = {name: np.array(values, object) for name, values in coordinates.items()}
    return xr.Dataset(arrays, named | labels, plain | {"kind": type(record).__name__})


def from_dataset(cls: type, ds: Any, dims: dict[str, tuple[str, ...]]) -> Any:
    """The record that a dataset was made of."""
    if ds.attrs.get("kind") != cls.__name__:
        raise ValueError(f"this dataset is not a {cls.__name__}: its kind is {ds.attrs.get('kind')!r}")
    arrays = {name: np.asarray(ds[name]) if name in ds else None for name in dims}
    rest = set(cls.__dataclass_fields__) - set(dims) - {"labels"}  # type: ignore[attr-defined]
    numbers = {name: bool(x) if isinstance(x := ds.attrs[name], int | np.integer) else x for name in rest}
    labels = {"labels": Labels.from_coordinates(ds.coords)} if "labels" in cls.__dataclass_fields__ else {}  # type: ignore[attr-defined]
    return cls(**arrays, **numbers, **labels)


def _plain(x: Any) -> Any:
    """What an attribute can hold."""
    if isinstance(x, str):
        return x
    return int(x) if isinstance(x, bool) else float(x)

"""Finished geometry as labelled xarray datasets, and back: arrays become variables, the other fields attributes."""

from typing import Any

import numpy as np

from jaxcliff.labels import Labels


def to_dataset(
    record: Any, dims: dict[str, tuple[str, ...]], coordinates: dict[str, Any], size: tuple[int, int]
) -> Any:
    """A record as a dataset: `dims` names the axes of its arrays, `size` is the number of states and actions."""
    import xarray as xr

    arrays = {name: (own, getattr(record, name)) for name, own in dims.items() if getattr(record, name) is not None}
    rest = set(record.__dataclass_fields__) - set(dims) - {"labels"}
    numbers = {name: getattr(record, name) for name in sorted(rest)}
    plain = {name: int(x) if isinstance(x, bool) else float(x) for name, x in numbers.items()}
    named = {name: np.array(values, object) for name, values in coordinates.items()}
    return xr.Dataset(arrays, named | record.labels.coordinates(*size), plain | {"kind": type(record).__name__})


def from_dataset(cls: type, ds: Any, dims: dict[str, tuple[str, ...]]) -> Any:
    """The record that a dataset was made of."""
    if ds.attrs.get("kind") != cls.__name__:
        raise ValueError(f"this dataset is not a {cls.__name__}: its kind is {ds.attrs.get('kind')!r}")
    arrays = {name: np.asarray(ds[name]) if name in ds else None for name in dims}
    rest = set(cls.__dataclass_fields__) - set(dims) - {"labels"}  # type: ignore[attr-defined]
    numbers = {name: bool(x) if isinstance(x := ds.attrs[name], int | np.integer) else float(x) for name in rest}
    return cls(**arrays, **numbers, labels=Labels.from_coordinates(ds.coords))

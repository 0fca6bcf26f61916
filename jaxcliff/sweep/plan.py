"""What a sweep computes, in one record that another process, or another day, can go on with."""

import dataclasses
import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.version import __version__
from jaxcliff.sweep.axes import Axis
from jaxcliff.sweep.layout import Layout, choose
from jaxcliff.sweep.outputs import Field, kept_fields, reductions
from jaxcliff.sweep.point import Box, Loop, Program, Seed
from jaxcliff.sweep.statistics import Statistics
from jaxcliff.sweep.store import Store, differences

BATCH, MANY, LOOPED, FEWEST = 2**12, 2**17, 4, 64  # points of a box: on a processor, elsewhere; of a loop; at least
MEMORY = 2.0**30  # bytes that a box may need; elsewhere an eighth of what there is
SHOWN = 5  # differences that a sentence lists
LISTED = 16  # numbers of an axis that a configuration lists; of more it keeps the ends and a hash


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A point, its axes, and how they are divided. `outputs` are the fields of a point, `kept` their statistics."""

    point: Any
    axes: dict[str, Axis]
    seed: Seed
    traced: bool
    x64: bool
    layout: Layout
    outputs: tuple[Field, ...]
    kept: dict[str, Statistics]
    settings: dict[str, Any]
    attributes: dict[str, Any]

    @property
    def reduced(self) -> bool:
        """Whether draws are kept as statistics only."""
        return any(axis.reduce is not None for axis in self.axes.values())

    @property
    def stored(self) -> list[str]:
        """The axes of what is kept."""
        return [name for name, axis in self.axes.items() if axis.reduce is None]

    @property
    def fields(self) -> list[Field]:
        """What is kept of every point."""
        return kept_fields(self.outputs, self.kept) if self.reduced else list(self.outputs)

    def computer(self, devices: Any = None) -> Box:
        """What computes boxes of it on this machine; made once."""
        made = self.__dict__.setdefault("_computers", {})
        key = None if devices is None else tuple(map(str, devices))
        if key not in made:
            given = self.point, self.axes, self.seed, self.layout, self.kept
            made[key] = Program(*given, devices=devices) if self.traced else Loop(*given)
        return made[key]

    def memory(self, devices: Any = None) -> float:
        """Bytes that a box needs."""
        computer = self.computer(devices)
        return computer.memory() if isinstance(computer, Program) else 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {name: x for name, x in self.__dict__.items() if name != "_computers"}

    def configuration(self) -> dict[str, Any]:
        """What must be the same for whoever goes on with it."""
        return {
            "point": name_of(self.point),
            "axes": {name: _described(axis) for name, axis in self.axes.items()},
            "seed": self.seed,
            "traced": self.traced,
            "64-bit mode": self.x64,
            "outputs": {f.name: [f.dtype, list(f.shape), list(f.dims), f.units] for f in self.outputs},
            "settings": self.settings,
            "box": list(self.layout.box),
            "chunk": list(self.layout.chunk),
            "draws at a time": self.layout.block,
        }

    def description(self) -> dict[str, Any]:
        """What a store keeps of it."""
        return {
            "axes": self.stored,
            "sizes": list(self.layout.sizes),
            "chunk": list(self.layout.chunk),
            "fields": [dataclasses.asdict(field) for field in self.fields],
            "configuration": self.configuration(),
            "program": self.program(),
            "points": self.layout.points,
        }

    def program(self) -> dict[str, str]:
        """By what the function is known, and its numbers: comparable for the same versions and platform only."""
        made = {"jaxcliff": __version__, "jax": jax.__version__, "platform": jax.default_backend()}
        return made | {"hash": self._fingerprint()}

    def _fingerprint(self) -> str:
        found = hashlib.sha256()
        if not self.traced:
            try:
                found.update(pickle.dumps(self.point))
            except Exception:  # what cannot be pickled is known by its name
                found.update(name_of(self.point).encode())
            code = getattr(self.point, "__code__", None)
            found.update(repr((code.co_code, code.co_names)).encode() if code else b"")
            return found.hexdigest()[:12]
        computer = self.computer()
        assert isinstance(computer, Program)
        for jaxpr in computer.jaxprs():
            found.update(re.sub(r" at 0x[0-9a-f]+", "", str(jaxpr)).encode())
            for number in jax.tree.leaves(jaxpr.consts):
                found.update(np.ascontiguousarray(np.asarray(number)).tobytes())
        return found.hexdigest()[:12]

    def coordinates(self) -> Any:
        """A dataset of what stands along the axes."""
        import xarray as xr

        coords: dict[str, Any] = {
            name: (name, self.axes[name].labels(), {"units": self.axes[name].units}) for name in self.stored
        }
        dims = {dim for field in self.fields for dim in field.dims}
        for name, kept in self.kept.items():
            if kept.edges is not None:
                below = np.concatenate([[-np.inf], kept.edges])
                coords[f"{name}_bin"] = (f"{name}_bin", below, {"long_name": "lower edge; the next is the upper one"})
            if kept.quantiles is not None:
                coords[f"{name}_quantile"] = (f"{name}_quantile", kept.quantiles)
        return xr.Dataset(coords={name: x for name, x in coords.items() if name in dims or name in self.stored})


def name_of(point: Any) -> str:
    """A function's module and name; of a partial one, that of what it is part of."""
    point = getattr(point, "func", point)
    known = point if hasattr(point, "__qualname__") else type(point)
    return f"{known.__module__}.{known.__qualname__}"


def sendable(sweep: Sweep) -> bytes:
    """The record for another process."""
    try:
        return pickle.dumps(sweep)
    except Exception as error:
        raise ValueError(
            f"{name_of(sweep.point)} cannot be sent to another process ({error}): define the point in a module, and "
            "give it what it needs by functools.partial"
        ) from None


def _settings(given: Any) -> dict[str, Any]:
    """Settings that a store can keep: what JSON holds."""
    if not isinstance(given or {}, Mapping):
        raise ValueError(f"settings must be a dictionary, not {checks.shown(given)}")
    try:
        return json.loads(json.dumps(dict(given or {})))
    except (TypeError, ValueError) as error:
        raise ValueError(f"settings must be numbers, words and lists of those ({error})") from None


def _described(axis: Axis) -> dict[str, Any]:
    found: dict[str, Any] = {"count": len(axis)}
    if axis.units:
        found["units"] = axis.units
    if axis.static:
        found["values"] = [str(x) for x in axis.labels().tolist()]
    elif not axis.drawn:
        labels = axis.labels().tolist()
        own = hashlib.sha256()
        for leaf in jax.tree.leaves(axis.values):
            own.update(f"{leaf.dtype}{leaf.shape}".encode() + np.ascontiguousarray(leaf).tobytes())
        short = len(labels) <= LISTED and isinstance(axis.values, np.ndarray) and axis.values.ndim == 1
        found["values"] = labels if short else {"first": labels[0], "last": labels[-1], "hash": own.hexdigest()[:12]}
    if axis.reduce is not None:
        found["reduce"] = {
            name: {
                "statistics": list(kept.names),
                "edges": None if kept.edges is None else kept.edges.tolist(),
                "quantiles": None if kept.quantiles is None else kept.quantiles.tolist(),
            }
            for name, kept in axis.reduce.items()
        }
    return found


def planned(
    point: Any,
    axes: dict[str, Axis],
    known: Store | None = None,
    *,
    seed: Seed = 0,
    traced: bool = True,
    batch: int | None = None,
    chunk: Any = None,
    settings: Any = None,
    attributes: Any = None,
    devices: Any = None,
) -> Sweep:
    """The record of a sweep; divided as the store says that is there, whose sweep it has to be."""
    outputs = tuple((Program if traced else Loop)(point, axes, seed).fields())
    kept = reductions(outputs, axes)
    reduced = next((axis for axis in axes.values() if axis.reduce is not None), None)
    if reduced is not None and not kept:
        raise ValueError("reduce= keeps no output of the point")
    stored = {name: axis for name, axis in axes.items() if axis.reduce is None}
    if clash := {f.name for f in kept_fields(outputs, kept)} & set(stored):
        raise ValueError(f"the statistic {min(clash)} has the name of an axis; rename the axis")
    sizes, alone = tuple(map(len, stored.values())), tuple(axis.static for axis in stored.values())
    draws, given = 1 if reduced is None else len(reduced), _chunk(chunk, stored)
    points = batch or ((BATCH if jax.default_backend() == "cpu" else MANY) if traced else LOOPED)
    record: dict[str, Any] = {"point": point, "axes": axes, "seed": seed, "traced": traced, "x64": x64()}
    record |= {"outputs": outputs, "kept": kept, "settings": _settings(settings), "attributes": dict(attributes or {})}

    def divided(points: int) -> Sweep:
        return Sweep(layout=choose(sizes, alone, draws, points, given), **record)

    if known is not None:
        own = known.description["configuration"]
        free = batch is None and chunk is None and list(known.sizes) == list(sizes)
        division = Layout(sizes, tuple(own["box"]), tuple(own["chunk"]), draws, own["draws at a time"])
        sweep = Sweep(layout=division, **record) if free else divided(points)
        check_same(sweep, known)
        return sweep
    sweep = divided(points)
    room = _room()
    while batch is None and traced and points > FEWEST and (needed := sweep.memory(devices)) > room:
        points = max(int(points * room / needed / 1.25), FEWEST)
        sweep = divided(points)
    return sweep


def _room() -> float:
    """Bytes that a box may need: several are under way at a time."""
    if jax.default_backend() == "cpu":
        return MEMORY
    known = jax.local_devices()[0].memory_stats() or {}
    return max(known.get("bytes_limit", 0) / 8, MEMORY)


def check_same(sweep: Sweep, known: Store) -> None:
    """A store holds this sweep, or the sentence says in what it is another."""
    ours, theirs = json.loads(json.dumps(sweep.configuration())), known.description["configuration"]
    lines = differences(ours, theirs)
    lines = [line for line in lines if not line.startswith(("box ", "chunk ", "draws "))] or lines  # those follow
    mine, made = sweep.program(), known.description["program"]
    if not lines and mine["hash"] != made["hash"] and all(mine[name] == made[name] for name in mine if name != "hash"):
        lines = ["the point computes something else (another function, or other numbers in it)"]
    if lines:
        told = "; ".join(lines[:SHOWN]) + "; …" * (len(lines) > SHOWN)
        raise ValueError(f"the store {known.path} holds another sweep: {told}. Choose another folder, or overwrite it")


def x64() -> bool:
    """Whether JAX computes in float64 here."""
    return jnp.result_type(float) == jnp.float64


def _chunk(chunk: Any, stored: Mapping[str, Any]) -> tuple[int | None, ...]:
    if chunk is None:
        return (None,) * len(stored)
    if not isinstance(chunk, Mapping):
        raise ValueError(f"chunk must be a dictionary from names of axes to numbers, not {checks.shown(chunk)}")
    for name in chunk:
        if name not in stored:
            raise ValueError(f"chunk names an axis {name!r} that is not stored; there are {', '.join(stored)}")
    given = {name: checks.whole(n, f"chunk of {name!r}", 1) for name, n in chunk.items()}
    return tuple(min(given[name], len(axis)) if name in given else None for name, axis in stored.items())

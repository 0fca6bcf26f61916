"""What computes boxes of points: one compiled program, or a loop on the host.

A program nests one `jax.vmap` per axis, the first outermost: what does not depend on an axis is computed once for all
of it. Lanes that each carried a problem of their own would cost many times as much, so axes that make the problem come
first. Random keys come from the seed and the places on the axes: never from a box, a chunk, or a device.
"""

import functools
import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks, slices
from jaxcliff.core.numerics import placed
from jaxcliff.sweep import statistics
from jaxcliff.sweep.axes import Axis
from jaxcliff.sweep.layout import Layout
from jaxcliff.sweep.outputs import Field, Point, described, named, unlike
from jaxcliff.sweep.statistics import Statistics

Seed = int | list[int]  # a whole number, or the data of a random key: what can be written down
FEW = 2**16  # points of a sweep whose programs are compiled with less effort: they run a third longer
BOXES = "boxes"  # the axis of a mesh
Task = tuple[Sequence[np.ndarray], np.ndarray]  # a box: places on the stored axes, and which draws


class Box:
    """What programs and loops have in common."""

    devices: Sequence[Any] | None = None

    def __init__(
        self,
        point: Point,
        axes: dict[str, Axis],
        seed: Seed,
        layout: Layout | None = None,
        kept: Mapping[str, Statistics] | None = None,
    ):
        self.point, self.axes, self.kept = point, axes, kept or {}
        self.root = root_key(seed)
        self.layout = layout or Layout((), (), ())
        self.reduced = next((name for name, axis in axes.items() if axis.reduce is not None), None)
        self.stored = [name for name in axes if name != self.reduced]

    def fields(self) -> list[Field]:
        """What one point gives."""
        raise TypeError(f"{type(self).__name__} computes nothing")

    def prepare(self, places: Sequence[np.ndarray]) -> None:
        """Whatever has to be done before threads ask for a box at these places."""

    def run(self, tasks: Sequence[Task]) -> list[dict[str, np.ndarray]]:
        """Some boxes, as many as there are devices at most."""
        raise TypeError(f"{type(self).__name__} computes nothing")

    def call(self, root: jax.Array, index: Mapping[str, Any], coordinates: Mapping[str, Any]) -> Any:
        """The point at a place: with a key of its own, and those of its draws."""
        points, drawn = jax.random.split(root)
        own = functools.reduce(jax.random.fold_in, (index[name] for name in self.axes), points)
        given = {}
        for name, axis in self.axes.items():
            if axis.drawn:
                given[name] = jax.random.fold_in(jax.random.fold_in(drawn, zlib.crc32(name.encode())), index[name])
            else:
                given[name] = coordinates[name]
        return self.point(own, **given)

    def statics(self, places: Mapping[str, int]) -> dict[str, Any]:
        """The values of Python's at these places."""
        return {name: self.axes[name].values[i] for name, i in places.items() if self.axes[name].static}


class Program(Box):
    """A box in one program, for every combination of static values; several boxes on as many devices."""

    def __init__(self, *args: Any, devices: Sequence[Any] | None = None):
        super().__init__(*args)
        self.devices = devices
        self.traced = [name for name, axis in self.axes.items() if not axis.static]
        self._traces: dict[tuple[int, ...], Any] = {}
        self._programs: dict[tuple[int, ...], slices.Shared] = {}

    def fields(self) -> list[Field]:
        """The same for all static values."""
        found = [self._fields(places) for places in self._static_places()]
        for places, fields in zip(self._static_places(), found, strict=True):
            if fields != found[0]:
                where = ", ".join(f"{name}={checks.shown(x)}" for name, x in self.statics(places).items())
                raise ValueError(
                    f"a point must give the same arrays everywhere: {unlike(found[0], fields)}, at {where}"
                )
        return found[0]

    def _fields(self, places: dict[str, int]) -> list[Field]:
        seen: list[Field] = []

        def record(root: jax.Array, index: Any, values: Any) -> Any:
            answer = self.call(root, index, values | self.statics(places))
            seen.extend(described(answer, self.axes))
            return [x for _, x, _ in named(answer, self.axes).values()]

        at = dict.fromkeys(self.axes, 0) | places
        values = {name: _part(self.axes[name], at[name]) for name in self._valued()}
        try:
            jax.eval_shape(record, self.root, at, jax.tree.map(placed, values))
        except TypeError as error:
            if not isinstance(error, jax.errors.JAXTypeError) and "traced" not in str(error):
                raise
            what = str(error).splitlines()[0]
            raise ValueError(
                f"JAX cannot trace the point ({what}): write it with jax.numpy; or name axes whose values it needs as "
                "Python's in static=; or say traced=False, and it is called once per point"
            ) from error
        return seen

    def jaxprs(self) -> list[Any]:
        """Of all programs."""
        return [self._trace(places).jaxpr for places in self._static_places()]

    def memory(self) -> float:
        """Bytes that the first program needs for what it holds meanwhile and gives, by its own account."""
        found = self._compiled(next(self._static_places())).program.memory_analysis()
        return float(found.temp_size_in_bytes + found.output_size_in_bytes) if found is not None else 0.0

    def prepare(self, places: Sequence[np.ndarray]) -> None:
        """Compiles the program of a box, which threads would compile several times."""
        self._compiled(self._statics_at(places))

    def run(self, tasks: Sequence[Task]) -> list[dict[str, np.ndarray]]:
        """Some boxes of the same static values."""
        full = [*tasks, *[tasks[-1]] * (len(self.devices or [0]) - len(tasks))]
        statics = self._statics_at(tasks[0][0])
        answer = self._compiled(statics)(*self._arguments(full, statics))
        host = {name: np.asarray(x) for name, x in answer.items()}
        box, lead = self.layout.box, 1 + len(self.layout.box) - len(statics)
        return [{name: x[i].reshape(*box, *x.shape[lead:]) for name, x in host.items()} for i in range(len(tasks))]

    def _static_places(self) -> Any:
        names = [name for name in self.axes if self.axes[name].static]
        several = itertools.product(*(range(len(self.axes[name])) for name in names))
        return (dict(zip(names, places, strict=True)) for places in several)

    def _statics_at(self, places: Sequence[np.ndarray]) -> dict[str, int]:
        return {name: int(i[0]) for name, i in zip(self.stored, places, strict=True) if self.axes[name].static}

    def _valued(self) -> list[str]:
        """The axes that are traced and have values."""
        return [name for name in self.traced if not self.axes[name].drawn]

    def _trace(self, statics: dict[str, int]) -> Any:
        key = tuple(statics.values())
        if key not in self._traces:
            first = dict(zip(self.stored, self.layout.indices(next(self.layout.boxes(0))), strict=True))
            places = [np.asarray([statics[name]]) if name in statics else i for name, i in first.items()]
            tasks = [(places, self.layout.drawn(0))] * len(self.devices or [0])
            self._traces[key] = jax.jit(self._several(statics)).trace(*self._arguments(tasks, statics))
        return self._traces[key]

    def _compiled(self, statics: dict[str, int]) -> slices.Shared:
        key = tuple(statics.values())
        if key not in self._programs:
            self._programs[key] = slices.Shared(self._trace(statics), self.layout.points <= FEW, self.devices)
        return self._programs[key]

    def _arguments(self, tasks: Sequence[Task], statics: Mapping[str, int]) -> Any:
        """The root key; and of each box, along a first axis, places, the values there, and which draws there are."""
        boxes = []
        for places, draws in tasks:
            at = dict(zip(self.stored, places, strict=True)) | ({self.reduced: draws} if self.reduced else {})
            index = {name: np.asarray(at[name][0] if name in statics else at[name], np.int32) for name in self.axes}
            values = {name: _part(self.axes[name], at[name]) for name in self._valued()}
            boxes.append((index, values, np.asarray(draws < self.layout.draws)))
        return self.root, *jax.tree.map(lambda *x: placed(np.stack(x)), *boxes)

    def _several(self, statics: Mapping[str, int]) -> Callable[..., Any]:
        """One box per device."""
        one = self._box(statics)

        def first(root: jax.Array, *trees: Any) -> Any:
            return jax.tree.map(lambda x: x[None], one(root, *jax.tree.map(lambda x: x[0], trees)))

        if self.devices is None:
            return first
        from jax.sharding import AxisType, PartitionSpec

        mesh = jax.make_mesh((len(self.devices),), (BOXES,), devices=self.devices, axis_types=(AxisType.Auto,))
        spread = PartitionSpec(BOXES)
        specs: dict[str, Any] = {"in_specs": (PartitionSpec(), spread, spread, spread), "out_specs": spread}
        # Nothing goes between devices; JAX's own check that it does not stumbles over a `cond` under two `vmap`s.
        return jax.shard_map(first, mesh=mesh, check_vma=False, **specs)

    def _box(self, statics: Mapping[str, int]) -> Callable[..., Any]:
        fixed = self.statics(statics)

        def cell(root: jax.Array, index: Any, values: Any) -> Any:
            found = named(self.call(root, index, values | fixed), self.axes)
            return {name: jnp.asarray(x) for name, (_, x, _) in found.items()}

        def box(root: jax.Array, index: Any, values: Any, there: jax.Array) -> Any:
            nested = cell
            for name in self.traced[::-1]:
                mapped = {n: 0 if n == name else None for n in index}
                nested = jax.vmap(nested, in_axes=(None, mapped, {n: mapped[n] for n in values}))
            found = nested(root, index, values)
            if self.reduced is None:
                return found
            return _reduced(found, self.traced.index(self.reduced), there, self.kept)

        return box


class Loop(Box):
    """A box on the host: a function that is called once per point, with numbers of numpy's and values of Python's."""

    def fields(self) -> list[Field]:
        """Those of the first point."""
        return described(self._at(dict.fromkeys(self.axes, 0)), self.axes)

    def run(self, tasks: Sequence[Task]) -> list[dict[str, np.ndarray]]:
        """Boxes, point by point."""
        return [self._box(places, draws[draws < self.layout.draws]) for places, draws in tasks]

    def _box(self, places: Sequence[np.ndarray], draws: np.ndarray) -> dict[str, np.ndarray]:
        along = [*places, draws] if self.reduced else places
        names = [*self.stored, *([self.reduced] if self.reduced else [])]
        points = [dict(zip(names, map(int, at), strict=True)) for at in itertools.product(*along)]
        known: dict[Any, Any] = {}  # a box at the edge of the grid holds a point more than once
        fields = None
        for at in points:
            key = tuple(at.values())
            if key in known:
                continue
            answer = self._at(at)
            found = described(answer, self.axes)
            fields = fields or found
            if found != fields:
                where = ", ".join(f"{name}={self.axes[name].labels()[i]}" for name, i in at.items())
                raise ValueError(f"a point must give the same arrays everywhere: {unlike(fields, found)}, at {where}")
            known[key] = {name: np.asarray(x) for name, (_, x, _) in named(answer, self.axes).items()}
        shape = tuple(len(i) for i in along)
        several = [known[tuple(at.values())] for at in points]
        whole = {name: np.stack([one[name] for one in several]) for name in several[0]}
        whole = {name: x.reshape(*shape, *x.shape[1:]) for name, x in whole.items()}
        if self.reduced is None:
            return whole
        reduced = _reduced(jax.tree.map(placed, whole), len(places), jnp.ones(len(draws), bool), self.kept)
        return {name: np.asarray(x) for name, x in reduced.items()}

    def _at(self, at: Mapping[str, int]) -> Any:
        return self.call(self.root, at, self._coordinates(at))

    def _coordinates(self, at: Mapping[str, int]) -> dict[str, Any]:
        plain = {name: self.axes[name] for name in self.axes if not self.axes[name].drawn}
        return {name: x.values[at[name]] if x.static else _part(x, at[name]) for name, x in plain.items()}


def root_key(seed: Seed) -> jax.Array:
    """The key from which all others come."""
    if isinstance(seed, list):
        return jax.random.wrap_key_data(jnp.asarray(np.array(seed, np.uint32)))
    return jax.random.key(seed)


def _part(axis: Axis, places: Any) -> Any:
    """The values at some places."""
    return jax.tree.map(lambda x: np.asarray(x)[places], axis.values)


def _reduced(found: Any, place: int, there: jax.Array, kept: Mapping[str, Statistics]) -> dict[str, jax.Array]:
    """Statistics over one axis of all outputs, by "output.statistic"."""
    answer: dict[str, jax.Array] = {}
    for name, which in kept.items():
        several = statistics.of_block(jnp.moveaxis(found[name], place, -1), there, which.edges)
        answer |= {f"{name}.{end}": x for end, x in several.items()}
    return answer

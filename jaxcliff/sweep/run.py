"""`jc.sweep.run`: a function of one point, over named axes, on whatever there is to compute with."""

import concurrent.futures
import contextlib
import datetime
import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.types import (
    CoordinatesLike,
    Dataset,
    DevicesLike,
    ExecutorLike,
    Flag,
    Key,
    Names,
    PathLike,
    PointLike,
    SettingsLike,
    ShardLike,
    Whole,
)
from jaxcliff.core.version import __version__
from jaxcliff.sweep import store as stores
from jaxcliff.sweep import work
from jaxcliff.sweep.axes import read
from jaxcliff.sweep.outputs import check
from jaxcliff.sweep.plan import Sweep, check_same, planned, sendable
from jaxcliff.sweep.progress import Progress


def run(
    point: PointLike,
    axes: CoordinatesLike,
    store: PathLike | None = None,
    *,
    seed: Whole | Key = 0,
    static: Names = (),
    traced: Flag = True,
    executor: ExecutorLike | None = None,
    workers: Whole | None = None,
    shard: ShardLike | None = None,
    devices: DevicesLike | None = None,
    batch: Whole | None = None,
    chunk: SettingsLike | None = None,
    overwrite: Flag = False,
    settings: SettingsLike | None = None,
    attributes: SettingsLike | None = None,
    progress: Flag = False,
) -> Dataset:
    """Computes a function of one point at every point of a grid, and keeps what it has.

    >>> import jax.numpy as jnp
    >>> wave = lambda key, x, power: {"height": jnp.sin(x) ** power}
    >>> ds = run(wave, {"x": [0.0, 0.5, 1.0], "power": [1.0, 2.0]})
    >>> dict(ds.sizes)
    {'x': 3, 'power': 2}

    Args:
        point: a pure function (key, **coordinates) → {name: array}, or {name: (names of axes, array, units)}, written
            for one point, that JAX can trace.
        axes: an ordered mapping from names to values: numbers, or `jc.sweep.grid`, `geomspace`, `draws`; an array
            [n, …], or a record whose arrays have the axis first (problems stacked by `jax.tree.map`). Name what makes
            the problem first.
        store: a folder to keep the results in, and to go on from where it has some; without one, memory.
        seed: of all random keys, a whole number or a JAX random key. A point's key depends on it and on its place on
            the axes, so that longer axes keep the points that were there.
        static: names of axes with values of Python's, which get a program each.
        traced: False for a function that JAX cannot trace, called once per point (host geometry: radii, rays, maps).
        executor: any of `concurrent.futures`, of dask, submitit or mpi4py, whose workers compute; needs a store.
        workers: so many processes of this machine, which compute.
        shard: (i, n) to compute only every n-th chunk, from the i-th; needs a store.
        devices: of JAX, each of which computes; all accelerators if there are some, else the cores of the processor.
        batch: about how many points one program computes.
        chunk: by name of an axis, how many points of it are kept together; fixed when a store is made.
        overwrite: begin anew where there is a store.
        settings: a dictionary that describes the point: who goes on must have the same.
        attributes: of the dataset.
        progress: show it.

    Returns:
        A dataset with the axes as dimensions; from a store, one that reads what it is asked for, whose `done` says
        which points have been computed.
    """
    named = read(axes, static)
    check(point, named)
    part = _shard(shard)
    for name, given in (("executor", executor), ("shard", shard)):
        if given is not None and store is None:
            raise ValueError(f"{name}= needs a store, where the results meet: store='folder'")
    if executor is not None and workers is not None:
        raise ValueError("executor= brings workers of its own; leave workers= out")
    path = None if store is None else Path(store)
    if path is not None and checks.flag(overwrite, "overwrite"):
        stores.remove(path)
    known = None if path is None or not _holds_something(path) else stores.Store(path)
    several = _devices(devices)
    sweep = planned(
        point,
        named,
        known,
        seed=_seed(seed),
        traced=checks.flag(traced, "traced"),
        batch=None if batch is None else checks.whole(batch, "batch", 1),
        chunk=chunk,
        settings=settings,
        attributes=attributes,
        devices=several,
    )
    show = checks.flag(progress, "progress")
    if workers is not None:
        with _processes(workers) as pool, _place(path) as place:
            return _stored(sweep, place, known, part, pool, None, show, keep=path is not None)
    if path is None:
        return _in_memory(sweep, several, show)
    return _stored(sweep, path, known, part, executor, several, show)


def _in_memory(sweep: Sweep, devices: Any, progress: bool) -> Dataset:

    whole = {f.name: np.zeros((*sweep.layout.sizes, *f.shape), f.dtype) for f in sweep.fields}
    bar, stop = Progress(sweep.layout.points, 0, progress), work.Stop()
    with stop.listening():
        for number, values, _ in work.here(sweep, sweep.computer(devices), range(sweep.layout.chunks), stop):
            region = sweep.layout.region(number)
            for name, x in values.items():
                whole[name][region] = x
            bar.add(_points(sweep, number), values)
    bar.end()
    if stop.asked:
        raise KeyboardInterrupt(
            "the sweep was interrupted; without a store nothing is kept: name one, to go on from it"
        )
    found = {f.name: ((*sweep.stored, *f.dims), whole[f.name], {"units": f.units}) for f in sweep.fields}
    return sweep.coordinates().assign(found).assign_attrs(_attributes(sweep))


def _stored(
    sweep: Sweep,
    path: Path,
    known: stores.Store | None,
    part: tuple[int, int],
    executor: Any,
    devices: Any,
    progress: bool,
    keep: bool = True,
) -> Dataset:
    payload = sendable(sweep) if executor is not None else b""
    if known is None:
        stores.create(path, sweep.description(), sweep.coordinates(), _attributes(sweep))
        known = stores.Store(path)
        check_same(sweep, known)  # another process may have been faster
    for place, file in known.damaged():
        known.log(damaged=int(np.ravel_multi_index(place, known.grid)) if place else 0, file=file)
        known.forget(place)
        print(f"jaxcliff: {path}: {file} is damaged; its chunk is computed again", file=_stderr())
    marked = known.marked().ravel()
    mine = [int(i) for i in np.flatnonzero(~marked) if i % part[1] == part[0]]
    before = sum(_points(sweep, int(i)) for i in np.flatnonzero(marked))
    bar, stop = Progress(before + sum(_points(sweep, i) for i in mine), before, progress), work.Stop()
    known.log(began=len(mine), devices=[str(d) for d in jax.local_devices()], jax=jax.__version__, jaxcliff=__version__)
    with stop.listening():
        if executor is not None:
            several = work.elsewhere(payload, path.absolute(), mine, executor, None, stop)
        else:
            several = _written(known, sweep, work.here(sweep, sweep.computer(devices), mine, stop))
        try:
            for number, values, _ in several if mine else ():
                bar.add(_points(sweep, number), values)
        except OSError as error:
            said = f"cannot write to the store {path}: {error.strerror or error}"
            raise work.UnfinishedError(f"{said}. What is marked as done is kept; run again to go on") from None
        finally:
            bar.end()
            known.log(ended=bar.done - before)
    if stop.asked and bar.done < bar.points:
        raise KeyboardInterrupt(f"the sweep was interrupted; {path} keeps {bar.line()}; run the same again to go on")
    return known.open() if keep else known.open().drop_vars(stores.DONE).load()


def _written(store: stores.Store, sweep: Sweep, several: Iterator[Any]) -> Iterator[Any]:
    """Each chunk, after it is on the disk."""
    for number, values, seconds in several:
        store.write(sweep.layout.place(number), values)
        store.log(chunk=number, seconds=round(seconds, 3))
        yield number, values, seconds


def _attributes(sweep: Sweep) -> dict[str, Any]:
    import json

    made = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    own = {"kind": "sweep", "jaxcliff": __version__, "jax": jax.__version__, "made": made, "seed": sweep.seed}
    own["settings"] = json.dumps(sweep.settings)
    return own | sweep.attributes


def _points(sweep: Sweep, number: int) -> int:
    return int(np.prod([s.stop - s.start for s in sweep.layout.region(number)], dtype=np.int64)) * sweep.layout.draws


def _seed(seed: Any) -> Any:
    if isinstance(seed, jax.Array) and (checks.is_key(seed) or seed.ndim):
        key = checks.random_key(seed)
        return np.asarray(jax.random.key_data(key) if checks.is_key(key) else key).tolist()
    return checks.whole(seed, "seed", 0, 2**63 - 1)


def _shard(shard: Any) -> tuple[int, int]:
    if shard is None:
        return 0, 1
    listed = checks.listed(shard, "shard")
    if len(listed) != 2:
        raise ValueError(f"shard must be (i, n), this part and how many there are, not {checks.shown(shard)}")
    count = checks.whole(listed[1], "the number of shards", 1)
    return checks.whole(listed[0], "the shard", 0, count - 1), count


def _devices(devices: Any) -> Any:
    """Those that compute, where a user names some or there are several accelerators; None for whatever JAX takes."""
    if devices is not None:
        return checks.listed(devices, "devices")
    several = jax.local_devices()
    return several if jax.default_backend() != "cpu" and len(several) > 1 else None


def _holds_something(path: Path) -> bool:
    if path.exists() and not path.is_dir():
        raise ValueError(f"the store {path} must be a folder, and is a file")
    return path.is_dir() and any(path.iterdir())


@contextlib.contextmanager
def _processes(workers: Any) -> Iterator[Any]:
    """So many processes that start from nothing: a process that is forked after JAX began can hang."""
    count = checks.whole(workers, "workers", 1)
    with concurrent.futures.ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as several:
        yield several


@contextlib.contextmanager
def _place(path: Path | None) -> Iterator[Path]:
    """The folder of a store; one that goes again where none is named."""
    if path is not None:
        yield path
        return
    folder = tempfile.mkdtemp(prefix="jaxcliff-")
    try:
        yield Path(folder) / "store"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stderr() -> Any:
    import sys

    return sys.stderr

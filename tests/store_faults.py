"""Kills a writer of a sweep's store again and again, and looks at what is left: run by tests/test_store.py.

Knows the store's file only, neither JAX nor the package, so that a process is forked in milliseconds. A writer dies
after a random time, at a random write to the disk, or in the middle of a file whose half then has its final name.
"""

import importlib.util
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import time

import numpy as np

PLACE = pathlib.Path(__file__).parents[1] / "jaxcliff/sweep/store.py"
SIZES, CHUNK = (7, 6), (2, 2)
FIELDS = [
    {"name": "tv", "dims": [], "shape": [], "dtype": "float64", "units": "1"},
    {"name": "visits", "dims": ["state"], "shape": [3], "dtype": "float32", "units": ""},
    {"name": "status", "dims": [], "shape": [], "dtype": "int8", "units": ""},
]
DESCRIPTION = {"axes": ["x", "y"], "sizes": SIZES, "chunk": CHUNK, "fields": FIELDS, "configuration": {"seed": 0}}


def loaded():
    spec = importlib.util.spec_from_file_location("store", PLACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def truth():
    rng = np.random.default_rng(0)
    status = np.zeros(SIZES, np.int8)  # the fill value: a file of zeros has to be there too
    return {"tv": rng.random(SIZES), "visits": rng.random((*SIZES, 3)).astype(np.float32), "status": status}


def write(stores, path):
    """What every process of a sweep does: makes the store, forgets what is damaged, writes what is left."""
    import xarray as xr

    if not path.exists():
        coordinates = xr.Dataset(coords={"x": np.arange(7.0), "y": ("y", list("abcdef"))})
        stores.create(path, DESCRIPTION, coordinates, {})
    store = stores.Store(path)
    for place, _ in store.damaged():
        store.forget(place)
    for place in map(tuple, np.argwhere(~store.marked()).tolist()):
        store.write(place, {name: x[store.region(place)] for name, x in truth().items()})
        store.log(chunk=list(place))


def faulty(rng):
    """Arranges for this process to die at some write."""
    left = rng.randrange(40)
    real_sync, real_replace = os.fsync, pathlib.Path.replace

    def sync(handle):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real_sync(handle)

    def replace(self, target):
        nonlocal left
        left -= 1
        if left < 0:
            os.truncate(self, rng.randrange(self.stat().st_size))
            real_replace(self, target)
            os.kill(os.getpid(), signal.SIGKILL)
        return real_replace(self, target)

    if rng.random() < 0.5:
        os.fsync = sync
    else:
        pathlib.Path.replace = replace


def whole(store, damaged, known):
    """The chunks that are marked and undamaged; their values are right (those that are known have been read)."""
    found = set(map(tuple, np.argwhere(store.marked()).tolist())) - damaged
    for place in found - known:
        for name, x in store.read(place).items():
            assert (x == truth()[name][store.region(place)]).all(), (place, name)
    return found


def killed(stores, path, rng):
    """One writer, and whether it was killed."""
    timed = rng.random() < 0.4
    child = os.fork()
    if not child:
        if not timed:
            faulty(rng)
        try:
            write(stores, path)
        except BaseException as error:
            print("a writer failed:", repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    if timed:
        time.sleep(rng.random() * 0.08)
        os.kill(child, signal.SIGKILL)
    code = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(code) or os.WEXITSTATUS(code) == 0, code
    return os.WIFSIGNALED(code)


def main(folder, kills, seed):
    import google_crc32c  # noqa: F401
    import xarray  # noqa: F401
    import zarr  # noqa: F401

    stores, rng = loaded(), random.Random(seed)
    path = pathlib.Path(folder) / "store"
    found = {"kills": 0, "stores": 0, "again": 0, "damaged": 0, "torn marks": 0}
    before, logged = set(), 0
    while found["kills"] < kills:
        rng.seed(rng.random())
        found["kills"] += killed(stores, path, rng)
        if not path.exists():
            continue
        store = stores.Store(path)
        history = [tuple(line["chunk"]) for line in store.history()]
        found["again"] += len(set(history[logged:]) & before)
        damaged = store.damaged()
        found["damaged"] += len(damaged)
        found["torn marks"] += sum(file.startswith("done/") for _, file in damaged)
        known, before, logged = before, whole(store, {place for place, _ in damaged}, before), len(history)
        assert known <= before
        if len(before) == store.marked().size:
            with store.open() as ds:
                assert all((ds[name].values == x).all() for name, x in truth().items())
                assert ds.done.values.all()
            shutil.rmtree(path)
            found["stores"] += 1
            before, logged = set(), 0
    strange = {"jax", "jaxcliff"} & set(sys.modules)
    left = sorted(p.name for p in pathlib.Path(folder).iterdir() if p.name != "store")
    print(json.dumps(found | {"modules": sorted(strange), "left": len(left)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

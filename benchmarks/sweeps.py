"""What a sweep costs beyond its solver, in time and in memory, and what it costs to look at what it has kept.

Rewards of a 64-state problem are drawn, solved and compared with the optimum before. *Bare* is that function, jitted
and mapped over as many draws as the engine's boxes hold, by a thread for every core, and nothing done with the answers.
"""

import concurrent.futures
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc
from benchmarks import measure
from benchmarks.cases import Record, middling
from jaxcliff.core.devices import cores

SIGMA = 0.02
REWARDS = 2**19
TURNS = 5
FEW, MANY = 10**5, 10**6  # rewards whose peak memory is compared
OPENED = 10**6


def measured(name: str) -> Iterator[Record]:
    """The engine in memory and with a store, against the bare function; memory; and opening a store."""
    mdp = middling()[0]
    with tempfile.TemporaryDirectory() as folder:
        places = (Path(folder) / f"store{i}" for i in range(10**6))
        box = _box(mdp)
        runs = {
            "bare": _bare(mdp, box),
            "in memory": lambda: swept(mdp, REWARDS, None),
            "into a store": lambda: swept(mdp, REWARDS, next(places)),
            "statistics only": lambda: reduced(mdp, REWARDS),
        }
        found = _in_pairs(runs)
        bare = found["bare"]
        for method, times in found.items():
            ratios = [a / b for a, b in zip(times, bare, strict=True)]
            yield _record(name, method, REWARDS, times, times_solve=float(np.median(ratios)))
    for kind in ("stored", "reduced"):
        peaks = {}
        for count in (FEW, MANY):
            peaks[count], seconds = _apart(kind, count)
            ratio = {"times_fewer": peaks[count] / peaks[FEW]}
            yield _record(name, f"memory, {kind}", count, [seconds], process_bytes=peaks[count], **ratio)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        wave = {"x": np.linspace(0, 1, 1000), "y": np.linspace(0, 1, OPENED // 1000)}
        jc.sweep.run(_wave, wave, path)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", OPEN.format(path=str(path))], check=True)
        fresh = time.perf_counter() - began
        import xarray as xr

        times = measure.seconds(lambda: xr.open_zarr(path).height.shape, repeats=3)[1]
        yield _record(name, "opened", OPENED, times, fresh_process=fresh)


OPEN = "import xarray as xr; ds = xr.open_zarr({path!r}); assert ds.sizes['x'] == 1000"


def flips(mdp: jc.MDP, key: Any, draw: Any) -> dict[str, Any]:
    """One reward drawn and solved: in how many states the policy is certainly another one."""
    noise = SIGMA * jax.random.normal(draw, mdp.reward.shape, mdp.dtype)
    before, after = jc.solve(mdp), jc.solve(mdp, mdp.reward + noise)
    flipped, unsure = jc.metrics.flips(jc.optimal_actions(before), jc.optimal_actions(after))
    return {
        "flips": jnp.sum(flipped),
        "undecided": jnp.sum(unsure),
        "value": jnp.sum(mdp.initial * after.values),
        "status": after.status,
    }


def swept(mdp: jc.MDP, count: int, path: Path | None) -> Any:
    """Every draw's results kept."""
    return jc.sweep.run(functools.partial(flips, mdp), {"draw": jc.sweep.draws(count)}, path)


def reduced(mdp: jc.MDP, count: int) -> Any:
    """Statistics kept only."""
    axes = {"none": [0], "draw": jc.sweep.draws(count, ["mean", "m2", "max"])}
    return jc.sweep.run(functools.partial(_reduced, mdp), axes)


def _reduced(mdp: jc.MDP, key: Any, none: Any, draw: Any) -> dict[str, Any]:
    return flips(mdp, key, draw)


def _wave(key: Any, x: Any, y: Any) -> dict[str, Any]:
    return {"height": jnp.sin(9 * x) * y, "slope": 9 * jnp.cos(9 * x) * y}


def _box(mdp: jc.MDP) -> int:
    """How many draws the engine computes at a time."""
    from jaxcliff.sweep.axes import read
    from jaxcliff.sweep.plan import planned

    return planned(functools.partial(flips, mdp), read({"draw": jc.sweep.draws(REWARDS)})).layout.box[0]


def _bare(mdp: jc.MDP, box: int) -> Callable[[], Any]:
    """The same work with nothing around it."""
    one = jax.jit(jax.vmap(functools.partial(flips, mdp), (None, 0)))
    keys = jax.random.split(jax.random.key(1), REWARDS).reshape(-1, box)

    def run(i: int) -> Any:
        with jax.enable_x64(True):
            return jax.tree.map(np.asarray, one(keys[i, 0], keys[i]))

    def whole() -> Any:
        with concurrent.futures.ThreadPoolExecutor(cores()) as threads:
            return list(threads.map(run, range(len(keys))))

    return whole


def _in_pairs(runs: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
    """Seconds of each, in turns, warm; a sweep's own compiling, which every call does, is measured and taken off."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    compiling = dict.fromkeys(runs, 0.0)
    listened = [0.0]

    def listen(event: str, seconds: float, **_: Any) -> None:
        if "compile" in event or "trace" in event or "to_mlir" in event:
            listened[0] += seconds

    jax.monitoring.register_event_duration_secs_listener(listen)
    for turn in range(TURNS + 1):
        for name, run in runs.items():
            listened[0] = 0.0
            began = time.perf_counter()
            run()
            compiling[name] = listened[0]
            if turn:
                times[name].append(time.perf_counter() - began - listened[0])
    return times


def _apart(kind: str, count: int) -> tuple[int, float]:
    """(peak bytes, seconds) of a process of its own."""
    code = f"from benchmarks import sweeps; sweeps.alone({kind!r}, {count})"
    own = os.environ | {"JAX_ENABLE_X64": "1"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=own)
    peak, seconds = run.stdout.split()
    return int(peak), float(seconds)


def alone(kind: str, count: int) -> None:
    """Prints the peak resident bytes of this process after one sweep, and its seconds."""
    mdp = middling()[0]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        swept(mdp, count, Path(folder) / "store") if kind == "stored" else reduced(mdp, count)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(status.split("VmHWM:")[1].split()[0]) * 1024, time.perf_counter() - began)


def _record(case: str, method: str, lanes: int, times: list[float], **more: Any) -> Record:
    none = ("floors", "memory_floors", "times_best_peer", "times_naive", "error", "peak_bytes", "process_bytes")
    size = {"dtype": "float64", "states": 64, "actions": 4, "discount": 0.95, "lanes": lanes, "compile_seconds": 0.0}
    return {"case": case, "method": method, "seconds": times} | dict.fromkeys(none) | size | more

"""A sweep's store, and who fills it: it goes on where it was, whoever is killed, rots, or computes elsewhere."""

import concurrent.futures
import functools
import json
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.sweep.store import Store
from tests import sweep_points as points
from tests.conftest import X64
from tests.test_sweep import GRID, assert_same

sweep = jc.sweep


def test_a_sweep_goes_on_where_it_was(tmp_path, monkeypatch):
    path = tmp_path / "store"
    whole = sweep.run(points.wave, GRID)
    given = {"chunk": {"x": 2}, "settings": {"for": "a test"}}
    first = sweep.run(points.wave, GRID, path, shard=(0, 3), **given)
    assert 0 < first.done.mean() < 1
    second = sweep.run(points.wave, GRID, path, shard=(1, 3), **given)
    assert first.done.values.sum() < second.done.values.sum()
    done = sweep.run(points.wave, GRID, path, **given)
    assert done.done.all()
    assert_same(whole, done)
    computed = [line["chunk"] for line in Store(path).history() if "chunk" in line]
    assert sorted(computed) == list(range(4)), "every chunk once"
    before = {file: file.stat().st_mtime_ns for file in path.rglob("c/*") if file.is_file()}
    assert_same(whole, sweep.run(points.wave, GRID, path, settings={"for": "a test"}))
    assert before == {file: file.stat().st_mtime_ns for file in path.rglob("c/*") if file.is_file()}
    assert json.loads(done.attrs["settings"]) == {"for": "a test"}


def test_another_sweep_is_refused_in_words(tmp_path):
    path = tmp_path / "store"
    sweep.run(points.wave, GRID, path)
    before = (path / "zarr.json").read_bytes()
    others = {
        "seed is 1 here and 0 in the store": {"seed": 1},
        "axes.power.count is 2 here and 3": {"axes": {**GRID, "power": [1, 2]}},
        "axes.x.values": {"axes": {**GRID, "x": sweep.grid(0, 2, 7, "reward")}},
        'settings.for is "fun" here and nothing': {"settings": {"for": "fun"}},
        'point is "tests.sweep_points.other_wave"': {"point": points.other_wave},
        "traced is false here and true": {"traced": False},
        "chunk is": {"chunk": {"x": 2}},
    }
    for words, given in others.items():
        given = {"point": points.wave, "axes": GRID} | given
        with pytest.raises(ValueError, match=f"holds another sweep: .*{re.escape(words)}"):
            sweep.run(given.pop("point"), given.pop("axes"), path, **given)
    with jax.enable_x64(not X64), pytest.raises(ValueError, match="64-bit mode is"):
        sweep.run(points.wave, GRID, path)
    assert (path / "zarr.json").read_bytes() == before
    bent = np.linspace(0, 1, 20)
    sweep.run(points.wave, {**GRID, "x": bent.copy()}, tmp_path / "long")
    bent[7] += 0.01
    with pytest.raises(ValueError, match=r"axes\.x\.values"):
        sweep.run(points.wave, {**GRID, "x": bent}, tmp_path / "long")
    again = sweep.run(points.wave, GRID, path, seed=1, overwrite=True)
    assert again.attrs["seed"] == 1


def test_another_function_of_the_same_name_is_refused(tmp_path):
    """Also one that closes over other numbers."""

    def maker(number):
        return lambda key, x: {"y": x + jnp.asarray([number, 1.0])}

    sweep.run(maker(1.0), {"x": [1.0]}, tmp_path / "store")
    sweep.run(maker(1.0), {"x": [1.0]}, tmp_path / "store")
    with pytest.raises(ValueError, match="the point computes something else"):
        sweep.run(maker(2.0), {"x": [1.0]}, tmp_path / "store")


def test_the_numbers_of_a_function_are_the_same_in_every_process(tmp_path):
    """What a store knows its point by depends on no address, order of a set, or process."""
    mdps = points.stack(2, states=6, actions=3, branching=3)
    axes = {"mdp": mdps, "size": [0.1], "draw": sweep.draws(2)}
    sweep.run(points.hard, axes, tmp_path / "store", shard=(0, 2), chunk={"mdp": 1})
    code = (
        "import jax, jaxcliff as jc; from tests import sweep_points as points; "
        "mdps = points.stack(2, states=6, actions=3, branching=3); "
        "axes = {'mdp': mdps, 'size': [0.1], 'draw': jc.sweep.draws(2)}; "
        f"print(jc.sweep.run(points.hard, axes, {str(tmp_path / 'store')!r}).done.values.all())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split()[-1] == "True"


def test_what_has_rotted_is_computed_again(tmp_path, capsys):
    path = tmp_path / "store"
    whole = sweep.run(points.wave, GRID, path, chunk={"x": 3}).load()
    file = path / "height/c/1/0/0"
    file.write_bytes(file.read_bytes()[:-3])
    assert_same(whole, sweep.run(points.wave, GRID, path))
    assert "height/c/1/0/0 is damaged; its chunk is computed again" in capsys.readouterr().err
    assert any(line.get("damaged") == 1 for line in Store(path).history())


def test_what_cannot_be_written_ends_in_a_sentence(tmp_path, monkeypatch):
    """The disk is full at the third chunk: two are kept, and the next run needs no others."""
    path, written = tmp_path / "store", []
    real = Store.write

    def full(self, place, values):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(place)
        real(self, place, values)

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(ValueError, match=r"cannot write to the store .*No space left on device.*run again to go on"):
        sweep.run(points.wave, GRID, path, chunk={"x": 1})
    assert Store(path).marked().sum() == 2
    monkeypatch.setattr(Store, "write", real)
    assert_same(sweep.run(points.wave, GRID), sweep.run(points.wave, GRID, path))


def test_a_folder_that_vanishes_is_not_made_anew(tmp_path, monkeypatch):
    import shutil

    path = tmp_path / "store"
    real = Store.log

    def vanishing(self, **entry):
        real(self, **entry)
        if "chunk" in entry:
            shutil.rmtree(path)

    monkeypatch.setattr(Store, "log", vanishing)
    with pytest.raises(ValueError, match="has vanished"):
        sweep.run(points.wave, GRID, path, chunk={"x": 1})
    assert not path.exists()


# ---- other processes


def spawned(workers):
    return concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def test_workers_of_an_executor_compute(tmp_path):
    with spawned(2) as executor:
        ds = sweep.run(points.wave, GRID, tmp_path / "store", chunk={"x": 2}, executor=executor)
        assert ds.done.all()
        assert_same(sweep.run(points.wave, GRID), ds)
        axes = {"seed": range(4)}
        ds = sweep.run(points.radius, axes, tmp_path / "host", chunk={"seed": 1}, traced=False, executor=executor)
    assert_same(sweep.run(points.radius, axes, traced=False), ds)
    hosts = {line["process"] for line in Store(tmp_path / "host").history() if "chunk" in line}
    assert os.getpid() not in hosts


def test_a_worker_that_dies_costs_its_chunk(tmp_path):
    point = functools.partial(points.deadly, marker=str(tmp_path / "died"))
    axes, given = {"x": np.arange(4.0)}, {"traced": False, "chunk": {"x": 1}}
    open(tmp_path / "died-0.0", "w").close()  # the first point is looked at here, and lives
    for _ in range(3):
        with spawned(1) as executor, pytest.raises(ValueError, match="the workers are gone"):
            sweep.run(point, axes, tmp_path / "store", executor=executor, **given)
    with spawned(1) as executor:
        ds = sweep.run(point, axes, tmp_path / "store", executor=executor, **given)
    np.testing.assert_array_equal(ds.height, np.arange(4.0) ** 2)
    computed = [line["chunk"] for line in Store(tmp_path / "store").history() if "chunk" in line]
    assert sorted(computed) == [0, 1, 2, 3]


def test_dask_brings_back_what_a_dead_worker_had_in_hand(tmp_path):
    distributed = pytest.importorskip("distributed")
    point = functools.partial(points.deadly, marker=str(tmp_path / "died"))
    for x in (0.0, 1.0, 3.0):  # at 2 a worker dies
        open(tmp_path / f"died-{x}", "w").close()
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(2, **options) as cluster, distributed.Client(cluster) as client:
        axes, executor = {"x": np.arange(4.0)}, client.get_executor()
        ds = sweep.run(point, axes, tmp_path / "store", executor=executor, traced=False, chunk={"x": 1})
    np.testing.assert_array_equal(ds.height, np.arange(4.0) ** 2)
    assert (tmp_path / "died-2.0").exists()
    assert bool(ds.done.all())


EVERYWHERE = """
import jax, os, signal, sys, threading, time, jaxcliff as jc
from jaxcliff.sweep import executors
from jaxcliff.sweep.store import Store
from tests import sweep_points as points

def run(path, **how):
    mdps = points.stack(4, states=24, actions=4, branching=4, discount=0.95)
    axes = {"mdp": mdps, "size": jc.sweep.geomspace(0.01, 1, 40), "draw": jc.sweep.draws(16)}
    jc.sweep.run(points.decided, axes, path, chunk={"size": 8}, batch=128, **how)

if __name__ == "__main__":
    way, path = sys.argv[1:3]
    if way == "devices":
        run(path, devices=jax.devices())
    elif way == "shard":
        run(path, shard=(int(sys.argv[3]), 2))
    elif way == "distributed":
        run(path, shard=executors.place(coordinator_address=sys.argv[4], num_processes=2, process_id=int(sys.argv[3])))
    elif way == "dask":
        from distributed import Client, LocalCluster
        options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "silence_logs": 50}
        with LocalCluster(2, **options) as cluster, Client(cluster) as client:
            def kill():
                while not (os.path.exists(path) and Store(path).marked().any()):
                    time.sleep(0.05)
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            threading.Thread(target=kill, daemon=True).start()
            run(path, executor=client.get_executor())
    else:
        run(path)
"""


@pytest.mark.slow
def test_every_way_of_computing_says_the_same(tmp_path):
    """One device, eight, two shards, two processes of jax.distributed, dask with a worker that is killed."""
    script = tmp_path / "everywhere.py"
    script.write_text(EVERYWHERE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ways = {
        "one": [[]],
        "devices": [[]],
        "shard": [["0"], ["1"]],
        "distributed": [["0", address], ["1", address]],
        "dask": [[]],
    }
    root = str(pathlib.Path(jc.__file__).parents[1])
    own = os.environ | {"PYTHONPATH": root, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    found = {}
    for way, several in ways.items():
        path = tmp_path / way
        commands = [[sys.executable, str(script), way, str(path), *more] for more in several]
        for process in [subprocess.Popen(command, env=own) for command in commands]:
            assert process.wait(timeout=300) == 0, way
        found[way] = Store(path).open().load()
        assert bool(found[way].done.all())
    first = found["one"]
    assert set(np.unique(first.said)) >= {-1, 1}
    for ds in found.values():
        np.testing.assert_array_equal(ds.status, first.status)
        assert not np.any(ds.said.values * first.said.values == -1)
        np.testing.assert_allclose(ds.bound, first.bound, rtol=1e-6, atol=1e-13 if X64 else 1e-5)
        assert np.all(np.abs(ds["values"].values - first["values"].values) <= 2 * first.bound.values[..., None])


def test_workers_that_fail_are_named(tmp_path):
    with spawned(1) as executor, pytest.raises(ValueError, match=r"2 of 4 chunks failed; chunk 2: .*no root of -2"):
        sweep.run(
            points.rooted,
            {"x": [1.0, 4.0, -2.0, -1.0]},
            tmp_path / "store",
            chunk={"x": 1},
            traced=False,
            executor=executor,
        )
    assert Store(tmp_path / "store").marked().tolist() == [True, True, False, False]


SLOW = """
import sys, jaxcliff as jc
from tests import sweep_points as points
print("begins", flush=True)
jc.sweep.run(points.slow, {"x": [float(i) for i in range(60)]}, sys.argv[1], traced=False, chunk={"x": 2})
"""


def test_ctrl_c_finishes_the_chunk_in_hand(tmp_path):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(tmp_path / "store")], **pipes)
    assert process.stdout.readline() == "begins\n"
    while not any((tmp_path / "store").rglob("done/c/*")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert "run the same again to go on" in error
    store = Store(tmp_path / "store")
    assert 0 < store.marked().sum() < 30
    assert store.damaged() == []
    assert "ended" in list(store.history())[-1]


@pytest.mark.slow
def test_killed_at_random_moments_the_bits_are_the_same(tmp_path):
    """Fifty processes that solve, killed at any moment from the store's making to the last chunk."""
    rng, path = np.random.default_rng(0), tmp_path / "store"
    code = (
        "import jax, sys, jaxcliff as jc; from tests import sweep_points as points; "
        "mdps = points.stack(4, states=6, actions=3, branching=3); "
        "axes = {'mdp': mdps, 'size': [0.01 * i for i in range(1, 41)], 'draw': jc.sweep.draws(4)}; "
        "jc.sweep.run(points.hard, axes, sys.argv[1], batch=4)"
    )
    whole, kills = None, 0
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "whole")], check=True)
    whole = Store(tmp_path / "whole").open().load()
    assert np.prod(Store(tmp_path / "whole").grid) >= 10
    while kills < 50:
        process = subprocess.Popen([sys.executable, "-c", code, str(path)])
        try:
            process.wait(timeout=float(rng.uniform(2, 9)))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            continue
        assert process.returncode == 0
        assert_same(whole, Store(path).open())
        computed = [line["chunk"] for line in Store(path).history() if "chunk" in line]
        assert len(computed) - len(set(computed)) == 0
        path = tmp_path / f"store {kills}"

"""A long solve runs in slices: the same bits however long they are, and Ctrl-C ends it within seconds."""

import signal
import subprocess
import sys
import textwrap
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.core import slices
from jaxcliff.solvers import lanes, plans
from jaxcliff.solvers.methods import policy_iteration
from tests.conftest import needs_x64

SWIM = jc.problems.river_swim(12, discount=0.99)
SOFT = jc.Entropy(0.01)
WAYS = {
    "value iteration": {"method": "value_iteration"},
    "policy iteration": {"method": "policy_iteration"},
    "in groups": {"method": "policy_iteration"},
    "newton": {"method": "policy_iteration", "regularizer": SOFT},
    "soft sweeps": {"method": "value_iteration", "regularizer": SOFT},
    "around a base": {},
}


def bits(solution):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(solution)]


@needs_x64
@pytest.mark.parametrize("name", WAYS)
def test_bits_do_not_depend_on_how_long_a_slice_is(name, rng, monkeypatch, fresh_programs):
    """However often a solve is left and taken up again after its first slice, which is as long everywhere."""
    if name == "in groups":
        monkeypatch.setattr(policy_iteration, "MATRIX_ENTRIES", 5 * 12**2)
        monkeypatch.setattr(plans, "sweeps_first", lambda states: 30)
    noise = 0.3 * rng.normal(size=(80, *SWIM.reward.shape))
    rewards = SWIM.reward + jnp.asarray(noise, SWIM.dtype)
    way = {"around": jc.factorize(SWIM, capacity=2)} if name == "around a base" else WAYS[name]
    calls = []
    plain = slices.Programs.__call__

    def counted(*args, **options):
        calls.append(1)
        return plain(*args, **options)

    monkeypatch.setattr(slices.Programs, "__call__", counted)
    whole = jc.solve(SWIM, rewards, **way)
    once = len(calls)
    assert once <= 3  # one for every stage
    monkeypatch.setattr(slices, "FIRST_WORK", 2e4)
    found, needed = [], []
    for seconds in (0.0, 1e9):  # ever shorter slices, and ever longer ones
        calls.clear()
        monkeypatch.setattr(slices, "SLICE", seconds)
        found.append(jc.solve(SWIM, rewards, **way))
        needed.append(len(calls))
    assert needed[0] > needed[1] > once + 1
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*map(bits, found), strict=True))
    assert (found[0].ok == whole.ok).all()
    assert (np.abs(found[0].values - whole.values) <= (found[0].error_bound + whole.error_bound)[:, None]).all()


@needs_x64
def test_blocks_cover_every_lane_once(rng, monkeypatch, fresh_programs):
    monkeypatch.setattr(lanes, "LEAST_LANES", 7)
    monkeypatch.setattr(lanes, "CACHED_ENTRIES", 1)
    for count in (6, 7, 8, 29):
        rewards = SWIM.reward + jnp.asarray(rng.normal(size=(count, *SWIM.reward.shape)), SWIM.dtype)
        found = jc.solve(SWIM, rewards, method="value_iteration")
        traced = jax.jit(lambda r: jc.solve(SWIM, r, method="value_iteration"))(rewards)
        assert found.status.shape == (count,)
        assert (np.abs(found.values - traced.values) <= (found.error_bound + traced.error_bound)[:, None]).all()
    twice = jc.solve(SWIM, rewards[:28].reshape(4, 7, *SWIM.reward.shape), method="value_iteration")
    assert twice.q_values.shape == (4, 7, *SWIM.reward.shape)
    np.testing.assert_allclose(twice[3, 2].values, found[23].values, atol=float(found.error_bound[23]) * 2)


@needs_x64
def test_an_interrupt_ends_a_long_solve_within_seconds():
    """Three times, at different moments of a solve that would take hours."""
    program = """
        import jax, jaxcliff as jc
        mdp = jc.problems.river_swim(20_000, discount=0.9999999)
        for _ in range(3):
            print("ready", flush=True)
            try:
                jc.solve(mdp, method="value_iteration")
            except KeyboardInterrupt as interrupt:
                print(f"caught: {interrupt}", flush=True)
        print(jc.solve(jc.problems.bandit([1.0, 0.0])).summary())
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for wait in (1.0, 0.2, 3.0):
        assert running.stdout.readline() == "ready\n"
        time.sleep(wait)
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        caught = running.stdout.readline()
        assert time.monotonic() - began < 20
        assert caught.startswith("caught: a solve was interrupted"), caught + running.stderr.read()
    assert "converged" in running.communicate(timeout=60)[0]


@needs_x64
def test_an_interrupt_ends_the_command_with_a_sentence(tmp_path):
    """Whatever it is at: compiling, solving, drawing."""
    program = [sys.executable, "-m", "jaxcliff", "atlas", "--out", str(tmp_path / "atlas")]
    running = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout.readline().startswith("grid: MDP(")
    time.sleep(2.0)
    began = time.monotonic()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert time.monotonic() - began < 20
    assert running.returncode == 130
    assert "jaxcliff: interrupted; what was finished is kept" in err
    assert "Traceback" not in err

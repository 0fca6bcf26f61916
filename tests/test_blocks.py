"""Solves with numbers in hand: over blocks, cores, precisions and stages, every lane gets its own answer."""

import contextlib

import jax
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.core import slices
from jaxcliff.solvers import blocks, lanes, plans
from jaxcliff.solvers import solve as solving
from jaxcliff.solvers.methods import value_iteration
from tests.conftest import as_users_run, needs_x64
from tests.oracle import Problem

pytestmark = needs_x64
COUNT = 200


@pytest.fixture
def at_scale(monkeypatch, fresh_programs):
    """What large batches do, at a size that is solved at once: several blocks, a search, lanes that go on together."""
    monkeypatch.setattr(lanes, "LEAST_LANES", 64)
    monkeypatch.setattr(lanes, "CACHED_ENTRIES", 1)
    monkeypatch.setattr(blocks, "PADDED", 64)
    monkeypatch.setattr(blocks, "SMALL", 0)
    monkeypatch.setattr(value_iteration, "SEARCH_WORK", 1)
    monkeypatch.setattr(solving, "LANES_FOR_A_BASE", 64)
    monkeypatch.setattr(plans, "sweeps_before_a_base", lambda kind, mdp: 40)


def batch(rng, discount=0.95):
    """Rewards that take different numbers of sweeps."""
    mdp = jc.problems.river_swim(12, discount=discount)
    return mdp, np.asarray(mdp.reward) + rng.normal(size=(COUNT, 12, 2)) * np.geomspace(1e-3, 3, COUNT)[:, None, None]


def same(one, other):
    return all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


WAYS = {
    "sweeps": {"method": "value_iteration"},
    "a stage for the rest": {"method": "policy_iteration"},
    "around its own solution": {},
    "soft": {"method": "value_iteration", "regularizer": jc.Entropy(0.1)},
    "soft, around its own": {"regularizer": jc.Entropy(0.1)},
}


@as_users_run
@pytest.mark.parametrize("name", WAYS)
def test_the_bits_of_a_lane_depend_on_nobody(name, rng, at_scale, monkeypatch):
    """Nor on where it stands, nor on how many cores there are."""
    monkeypatch.setattr(plans, "sweeps_first", lambda states: 40)
    mdp, rewards = batch(rng)
    whole = jc.solve(mdp, rewards, **WAYS[name])
    assert whole.ok.all()
    assert len(np.unique(whole.iterations)) > 1
    order = rng.permutation(COUNT)
    assert same(whole[order], jc.solve(mdp, rewards[order], **WAYS[name]))
    company = rewards.copy()
    company[: COUNT // 2] = rewards[-1]
    assert same(whole[COUNT // 2 :], jc.solve(mdp, company, **WAYS[name])[COUNT // 2 :])
    monkeypatch.setattr(blocks, "cores", lambda: 7)
    assert same(whole, jc.solve(mdp, rewards, **WAYS[name]))


@pytest.mark.parametrize("name", ["sweeps", "a stage for the rest", "around its own solution"])
def test_certificates_hold_however_values_were_found(name, rng, at_scale):
    mdp, rewards = batch(rng, discount=0.999)
    sol = jc.solve(mdp, rewards, **WAYS[name])
    assert sol.ok.all()
    for lane in range(0, COUNT, 37):
        q, _ = Problem(mdp, rewards[lane]).solve_float()
        assert np.abs(np.asarray(sol.q_values[lane], float) - q).max() <= float(sol.error_bound[lane]) + 1e-9


def test_a_search_in_float32_reaches_no_other_answer(rng, at_scale, monkeypatch):
    """Whatever the size of a reward, those included that float32 has no numbers for."""
    mdp, rewards = batch(rng)
    rewards *= np.tile([1e-300, 1e-30, 1.0, 1e30, 1e280], COUNT // 5)[:, None, None]
    found = jc.solve(mdp, rewards, method="value_iteration")
    monkeypatch.setattr(value_iteration, "SEARCH_WORK", np.inf)
    blocks.PROGRAMS.clear()
    plain = jc.solve(mdp, rewards, method="value_iteration")
    assert (found.status == plain.status).all()
    assert found.ok.all()
    assert (np.abs(found.values - plain.values) <= (found.error_bound + plain.error_bound)[:, None]).all()
    assert found.iterations.mean() < 0.8 * plain.iterations.mean()


def test_every_lane_is_answered_by_one_block(rng, at_scale, monkeypatch):
    """Also in the last one, which starts among the lanes of its neighbour: their answers must not be mixed."""
    answered = []

    class Room(np.ndarray):
        def __setitem__(self, at, value):
            lanes = at if isinstance(at, slice) else at[-1]
            answered.extend([(id(self), lane) for lane in range(*lanes.indices(COUNT))])
            super().__setitem__(at, value)

    made = blocks._room
    rooms = []
    monkeypatch.setattr(blocks, "_room", lambda *args: rooms.append(made(*args).view(Room)) or rooms[-1])
    mdp, rewards = batch(rng)
    monkeypatch.setattr(blocks, "spare_lanes", lambda batch: 0)  # one round of blocks
    blocks.PROGRAMS.clear()
    assert jc.solve(mdp, rewards, method="value_iteration").ok.all()
    assert len(answered) == len(set(answered)) == COUNT * len(rooms) > 0


def test_auto_says_what_it_took(rng, at_scale):
    mdp, rewards = batch(rng, discount=0.999)
    assert jc.solve(mdp, rewards).method == "value_iteration, shared"
    assert jc.solve(mdp, rewards[:10]).method == "value_iteration"
    strengths = np.full((COUNT, 1), 0.1)
    assert "shared" not in jc.solve(mdp, rewards, regularizer=jc.Entropy(strengths)).method


def test_lanes_that_are_left_go_on_where_they_stood(rng, at_scale, monkeypatch):
    """They take as many sweeps as where every block goes on to its end."""
    mdp, rewards = batch(rng)
    found = jc.solve(mdp, rewards, method="value_iteration")
    monkeypatch.setattr(blocks, "spare_lanes", lambda batch: 0)
    blocks.PROGRAMS.clear()
    plain = jc.solve(mdp, rewards, method="value_iteration")
    assert len(np.unique(plain.iterations)) > 3
    assert (found.iterations == plain.iterations).all()


def test_a_limit_of_a_few_sweeps_is_one_in_any_company(rng, at_scale):
    """Also where all but a few lanes of a block have finished before."""
    mdp, rewards = batch(rng, discount=0.999)
    slow = np.arange(COUNT) % 20 == 0
    for limit in (1, 2, 3, 5):
        options = {"tolerance": np.where(slow, 0, 1e9), "max_iterations": limit}
        sol = jc.solve(mdp, rewards, method="value_iteration", **options)
        assert (sol.status[slow] == jc.Status.ITERATION_LIMIT).all()
        assert (sol.iterations[slow] == (limit if limit < 4 else 4)).all()


def test_sweeps_that_prepare_for_a_method_are_not_among_its_steps(rng, at_scale, monkeypatch):
    monkeypatch.setattr(plans, "sweeps_first", lambda states: 40)
    mdp, rewards = batch(rng)
    assert 0 < jc.solve(mdp, rewards, method="policy_iteration").iterations.max() < 40


def test_threads_compute_with_the_settings_of_their_caller(rng, at_scale):
    mdp, rewards = batch(rng)
    whole = jc.solve(mdp, rewards)
    rewards32, mdp32 = rewards.astype(np.float32), mdp.astype(np.float32)
    with jax.enable_x64(False):
        assert jc.solve(mdp32, rewards32).q_values.dtype == np.float32
    device = jax.devices()[1]
    with jax.default_device(device):
        there = jc.solve(mdp, rewards)
    assert same(whole, there)


def test_an_interrupt_ends_a_solve_of_many_quick_blocks(rng, at_scale, monkeypatch):
    """Each ends within its first slice; the third finds that somebody has pressed Ctrl-C."""
    asked, ran, plain = [], [], slices.Programs.__call__

    @contextlib.contextmanager
    def held():
        def check():
            asked.append(1)
            if len(asked) > 2:
                raise KeyboardInterrupt

        yield check

    def counted(*args, **options):
        ran.append(1)
        return plain(*args, **options)

    mdp, rewards = batch(rng)
    monkeypatch.setattr(slices, "held_interrupts", held)
    monkeypatch.setattr(slices.Programs, "__call__", counted)
    with pytest.raises(KeyboardInterrupt):
        jc.solve(mdp, np.tile(rewards, (10, 1, 1)), method="value_iteration")
    assert len(ran) == 2

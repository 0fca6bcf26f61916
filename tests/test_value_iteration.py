"""Sweeps go to the limit of a geometric series at once, and lose nothing where there is none."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.operators.selection import Greedy
from jaxcliff.solvers import blocks
from jaxcliff.solvers.batch import prepare
from jaxcliff.solvers.methods import value_iteration
from tests.conftest import needs_x64
from tests.oracle import Problem

pytestmark = needs_x64
LANES = 64


@pytest.fixture
def circles(rng):
    """Rewards so rough that a lane rather goes round in a circle than to its goal; its error shrinks by γ a sweep."""
    mdp = jc.problems.gridworld(("....", "...G"), slip=0.1, discount=0.99)
    return mdp, np.asarray(mdp.reward) + 0.3 * rng.normal(size=(LANES, 8, 4))


def swept(mdp, rewards, **options):
    blocks.PROGRAMS.clear()
    return jc.solve(mdp, rewards, method="value_iteration", max_iterations=20_000, **options)


def bounds_hold(mdp, rewards, sol, lanes):
    for lane in lanes:
        problem = Problem(mdp, rewards[lane])
        counts = problem.counts
        error = np.asarray(sol.q_values[lane])[counts] - problem.solve_float()[0][counts]
        assert np.abs(error).max() <= float(sol.error_bound[lane]) + 1e-11


def test_what_is_still_to_come_is_added_up(circles, monkeypatch, fresh_programs):
    """A fifth of the sweeps, and bounds as good: rounding keeps no error alive, where two are equally slow."""
    mdp, rewards = circles
    found = swept(mdp, rewards)
    monkeypatch.setattr(value_iteration, "MISSES", 0)
    plain = swept(mdp, rewards)
    assert np.median(found.iterations) < np.median(plain.iterations) / 5
    assert (found.error_bound <= 1.5 * plain.error_bound).all()
    bounds_hold(mdp, rewards, found, range(0, LANES, 5))


def test_steps_too_far_cost_time_and_no_accuracy(circles, monkeypatch, fresh_programs):
    """A lane that is sent anywhere takes no rounding floor for the consequences, and sweeps on."""
    mdp, rewards = circles
    plain = swept(mdp, rewards, tolerance=1e-9)
    monkeypatch.setattr(value_iteration, "FORESIGHT", 64)
    monkeypatch.setattr(value_iteration, "_ahead", lambda batch, looks, *h: jnp.where(looks, 100 * h[-1] + 3.0, h[-1]))
    astray = swept(mdp, rewards, tolerance=1e-9)
    assert (plain.status == 0).all()
    assert (astray.status == 0).all()
    assert astray.iterations.max() > plain.iterations.max()
    bounds_hold(mdp, rewards, astray, range(0, LANES, 5))


def test_only_series_are_added_up(circles, rng):
    """λ = ±.99 at once, and −1; not a series slower than any of the problem's, and no changes without a direction."""
    mdp, rewards = circles
    batch = prepare(mdp, Greedy(), jnp.asarray(rewards[:8]))
    first, second, limit = np.where(np.asarray(mdp.terminal)[:, None], 0, rng.normal(size=(3, 8, 8)))
    powers = np.arange(5)[:, None, None]
    h = limit + first * np.array([-0.99, 0.9, 0.99, 0.99, -1, 0.999, 1, 0]) ** powers
    h[..., 3] += second[:, 3] * (-0.99) ** powers[..., 0]
    h[..., -1] = np.where(np.asarray(mdp.terminal), 0, rng.normal(size=(5, 8)))
    found = value_iteration._ahead(batch, jnp.ones(8, bool), *map(jnp.asarray, h[[0, 2, 3, 4]]))
    np.testing.assert_allclose(found[:, :5], limit[:, :5], atol=1e-11)
    np.testing.assert_array_equal(found[:, 5:], h[-1][:, 5:])


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_series_of_any_size_are_added_up(circles, scale):
    """No square of a change is too small or too large to be taken."""
    mdp, rewards = circles
    whole, part = swept(mdp, rewards, tolerance=1e-9), swept(mdp, rewards * scale, tolerance=1e-9)
    assert part.ok.all()
    assert np.median(part.iterations) <= 1.2 * np.median(whole.iterations)

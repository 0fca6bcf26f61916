"""Directions against the discount or the temperature: borders in closed form, and exact cliffs found and missed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import jaxcliff as jc
from tests.conftest import needs_x64
from tests.geometry import F64, draw

pytestmark = needs_x64


def later(ways):
    """Now 1 and the end; or later t, in as many ways: state 0 → 1 → the end."""
    following = np.array([[2] + [1] * (ways - 1), [2] * ways, [2] * ways])
    legal = np.array([[True, True] + [False] * (ways - 2), [True] * ways, [True] + [False] * (ways - 1)])
    reward = np.zeros((3, ways))
    reward[0, 0] = 1
    direction = np.zeros((3, ways))
    direction[1] = 1
    terminal = np.array([False, False, True])
    transitions = jc.Successors(following[..., None])
    return jc.MDP(transitions, jnp.asarray(reward, F64), 0.5, legal=legal, terminal=terminal), direction


def test_waiting_is_worth_it_above_a_border_in_closed_form():
    """γt = 1."""
    mdp, direction = later(2)
    ts, discounts = np.linspace(0.5, 3, 12), np.linspace(0.3, 0.95, 9)
    ds = jc.studies.phase_scan(mdp, None, direction, ts, discount=discounts, tolerance=1e-8)
    np.testing.assert_allclose(ds.border_t * ds.border_value, 1, atol=1e-7)
    expected = (discounts[:, None] * ts > 1).astype(int)
    assert (np.diff(expected, axis=1) != 0).sum() + (np.diff(expected, axis=0) != 0).sum() == ds.sizes["border"]
    assert ds.region.values.max() == 1
    assert len(set(zip(ds.region.values.ravel(), expected.ravel(), strict=True))) == 2
    assert ds.missed.values.sum() == 0
    assert ds.attrs["farthest"] <= 1e-8 * ds.attrs["step_t"]


def test_entropy_pays_for_many_ways_to_wait():
    """Soft value of waiting: γ(t + α log K); the hard border is the row of temperature 0."""
    ways, discount = 5, 0.5
    mdp, direction = later(ways)
    ts, strengths = np.linspace(0, 3, 10), np.linspace(0, 1, 8)
    ds = jc.studies.phase_scan(mdp, None, direction, ts, strength=strengths, tolerance=1e-8)
    assert ds.sizes["border"] > 8
    np.testing.assert_allclose(discount * (ds.border_t + ds.border_value * np.log(ways)), 1, atol=1e-7 * np.log(ways))
    assert (ds.tv.values[:, 0] == 0).all()  # t = 0 is the base
    rewards = np.asarray(mdp.reward) + ts[:, None, None] * direction
    soft = jc.solve(mdp, jnp.asarray(rewards), regularizer=jc.Entropy(strengths[-1])).policy
    np.testing.assert_allclose(ds.tv.values[-1], jc.metrics.largest_total_variation(soft[0], soft), atol=1e-12)
    visited = jc.metrics.visited_total_variation(mdp, soft[0], soft)
    np.testing.assert_allclose(ds.visited_tv.values[-1], visited, atol=1e-12)


@pytest.mark.parametrize("name", ["garnet", pytest.param("masked", marks=pytest.mark.slow)])
def test_no_border_is_far_from_an_exact_cliff_and_the_missed_are_counted(name, rng, tmp_path):
    mdp = draw(name, rng, 0.9)
    direction = rng.normal(size=mdp.reward.shape)
    ts, discounts = np.linspace(-1, 1, 9), np.linspace(0, 0.95, 5)
    ds = jc.studies.phase_scan(mdp, None, direction, ts, discount=discounts, tolerance=1e-5)
    assert ds.certain.values.all()
    assert ds.attrs["farthest"] <= 1e-5 * ds.attrs["step_t"]
    found = np.array([((ds.edge_along == "t") & (ds.edge_row == row)).values.sum() for row in range(5)])
    assert (found + ds.missed.values == ds.exact.values).all()
    assert ds.missed.values.sum() > 0  # a grid as coarse as this does miss some
    # Cliffs counted by solving thousands of rewards on each row.
    fine = np.linspace(-1, 1, 4001)
    rewards = jnp.asarray(np.asarray(mdp.reward) + fine[:, None, None] * direction)
    for row in (1, 3):
        acts = jc.optimal_actions(jc.solve(mdp.replace(discount=discounts[row]), rewards))
        before, after = (jax.tree.map(lambda x, cut=cut: x[cut], acts) for cut in (np.s_[:-1], np.s_[1:]))
        assert int(jc.metrics.flips(before, after)[0].any(-1).sum()) == ds.exact.values[row]
        # Regions of that row are the policies of its grid points.
        here = np.asarray(acts.optimal)[:: 4000 // 8]
        same = (here[:, None] == here[None]).all(axis=(-2, -1))
        assert (same == (ds.region.values[row][:, None] == ds.region.values[row][None])).all()
    ds.to_zarr(tmp_path / "scan.zarr", mode="w", consolidated=False)
    again = xr.open_zarr(tmp_path / "scan.zarr", consolidated=False).load()
    jc.figures.phase_scan(again).savefig(tmp_path / "scan.pdf")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "say either discount=… or strength=…"),
        ({"discount": [0.5, 1.0]}, r"a discount lies in \[0, 1\)"),
        ({"strength": [-1.0, 1.0]}, "a strength is not negative"),
        ({"discount": [0.5]}, "discount must be at least two increasing"),
        ({"discount": [0.5, 0.6], "positions": [1.0, 0.0]}, "positions must be at least two increasing"),
        ({"discount": [0.5, 0.6], "tolerance": 0.0}, "tolerance is a share of a step"),
    ],
)
def test_bad_calls_get_a_sentence(options, sentence):
    mdp, direction = later(2)
    with pytest.raises(ValueError, match=sentence):
        jc.studies.phase_scan(mdp, None, direction, options.pop("positions", [0.0, 1.0]), **options)
    with pytest.raises(ValueError, match="a bandit has no discount"):
        jc.studies.phase_scan(jc.problems.bandit([1.0, 0.0]), None, [[1.0, 0.0]], [0.0, 1.0], discount=[0.1, 0.2])


def test_a_learner_is_asked_at_every_discount():
    """One that knows its discount takes the later reward if γt > 1, and says what it knows of the rest."""
    mdp, direction = later(2)

    def learner(mdp, rewards, key):
        waits = mdp.discount * rewards[:, 1, 0] > rewards[:, 0, 0]
        policy = jnp.full(rewards.shape, 0.5, rewards.dtype).at[:, 2].set(jnp.array([1.0, 0.0], rewards.dtype))
        return policy.at[:, 0].set(jnp.stack([~waits, waits], axis=-1).astype(rewards.dtype))

    ts, discounts = np.array([0.0, 1.5, 3.0]), np.array([0.4, 0.8])
    options = {"tolerance": 0.1, "learner": learner, "key": jax.random.key(0)}
    ds = jc.studies.phase_scan(mdp, None, direction, ts, discount=discounts, **options)
    assert ds.learned_tv.values.tolist() == [[0, 0, 1], [0, 1, 1]]
    ds = jc.studies.phase_scan(mdp, None, direction, ts, strength=[0.1, 0.2], **options)
    assert ds.learned_tv.values.tolist() == [0, 0, 1]

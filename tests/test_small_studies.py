"""Studies of problems so small that their numbers are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.studies.flips import _flip_shares, _smallest_gaps
from jaxcliff.studies.learner import learn
from jaxcliff.studies.scan import most_probable
from tests.conftest import needs_x64
from tests.geometry import F64, bandit, decide, draw
from tests.test_scan import later

pytestmark = needs_x64


def test_a_pixel_on_a_border_is_not_certain_but_a_tie_all_over_a_region_is():
    on = jc.studies.phase_diagram(bandit(0.0, 0.0), None, [[1.0, 0]], [[0.0, 0]], resolution=3)
    assert on.certain.values.tolist() == [[True, False, True]] * 3
    twins = jc.studies.phase_diagram(bandit(0.0, 0.0, 0.5), None, [[1.0, 1.0, 0]], [[0.0, 0, 0]], resolution=4)
    assert twins.certain.values.all()


def test_what_changes_in_one_of_three_states_is_counted_once():
    mdp = jc.problems.contextual_bandit(jnp.asarray([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], F64))
    x, y = np.zeros((2, 3, 2))
    x[0, 1] = 2.0
    ds = jc.studies.phase_diagram(mdp, None, x, y, resolution=4)
    assert sorted(ds.tv_to_base.values) == [0, 1]
    assert sorted(ds.visited_tv_to_base.values) == pytest.approx([0, 1 / 3])
    assert sorted(ds.states_changed.values) == [0, 1]
    ray = jc.studies.ray(mdp, None, x)
    assert ray.states_changed.values.tolist() == [0, 1]


def test_distances_in_a_scan_are_those_of_its_policies(rng):
    mdp = draw("garnet", rng, 0.9)
    direction = rng.normal(size=mdp.reward.shape)
    ts, discounts = np.linspace(-1, 1, 5), np.array([0.5, 0.8])
    ds = jc.studies.phase_scan(mdp, None, direction, ts, discount=discounts, tolerance=0.1)
    base = decide(mdp, mdp.reward)[0]
    rewards = np.asarray(mdp.reward) + ts[:, None, None] * direction
    for row, discount in enumerate(discounts):
        here = decide(mdp.replace(discount=jnp.asarray(discount, F64)), rewards)[0]
        own, other = jnp.asarray(base.astype(float)), jnp.asarray(here.astype(float))
        expected = jc.metrics.visited_total_variation(mdp, own, other)
        np.testing.assert_allclose(ds.visited_tv.values[row], expected, atol=1e-12)
        np.testing.assert_allclose(ds.tv.values[row], jc.metrics.largest_total_variation(own, other), atol=1e-12)
        np.testing.assert_array_equal(ds.states_changed.values[row], (here != base).any(axis=-1).sum(axis=-1))


def test_only_one_of_three_decisions_can_flip():
    reward = np.array([[1.0, 0.0], [100.0, 0.0], [100.0, 0.0]])
    mdp = jc.problems.contextual_bandit(jnp.asarray(reward, F64))
    ds = jc.studies.aggregation_stability(mdp, [reward, reward], key=jax.random.key(0), count=256, sizes=[1e-3, 4.0])
    assert (ds.flips.values[0] == 0).all()
    assert (ds.flips.values[1] > 0.1).all()
    np.testing.assert_allclose(ds.tv, ds.flips / 3, atol=1e-12)
    assert (ds.aggregator_flips.values[0] == 0).all()
    assert (ds.aggregator_flips.sel(aggregator=["linear", "worst case"]).values[1] > 0.05).all()
    np.testing.assert_allclose(ds.lipschitz.sel(aggregator=["linear", "worst case", "soft minimum"]), 1)


def test_the_temperature_curve_of_two_arms_is_known():
    alpha, gap = np.array([0.05, 0.2, 1.0]), 0.4
    ds = jc.studies.temperature_curve(bandit(1.0, 0.6), key=jax.random.key(0), count=8, strength=alpha)
    p = 1 / (1 + np.exp(gap / alpha))
    np.testing.assert_allclose(ds.lost, gap * p, atol=1e-12)
    np.testing.assert_allclose(ds.mass, p, atol=1e-12)
    np.testing.assert_allclose(ds.to_uniform, p, atol=1e-12)
    np.testing.assert_allclose(ds.bonus, -p * np.log(p) - (1 - p) * np.log1p(-p), rtol=1e-9)
    np.testing.assert_allclose(ds.local, 2 * p * (1 - p) / alpha, rtol=1e-9)
    assert (ds.tightness >= ds.sensitivity / ds.tanh * (1 - 1e-9)).all()


def test_ways_count_in_the_limit_of_a_tie():
    """Now 1, or later 2 at γ = ½ in two ways: as good, but of more trajectories."""
    mdp, direction = later(2)
    ds = jc.studies.temperature_curve(
        mdp, np.asarray(mdp.reward) + 2 * direction, key=jax.random.key(0), count=4, strength=[1e-3]
    )
    assert ds.to_limit.values[0] <= 1e-6
    assert ds.to_uniform.values[0] > 0.05


def test_gaps_of_the_most_probable_actions_are_twice_as_uncertain():
    """The difference of two Q, each as wrong as the bound says."""
    soft = jc.solve(bandit(1.0, 0.7), regularizer=jc.Entropy(0.5))
    for error, decided in ((0.1, True), (0.2, False)):
        acts = most_probable(soft.replace(gap_error=jnp.full_like(soft.gap_error, error)))
        assert acts.suboptimal.tolist() == [[False, decided]]


def test_how_far_a_coarse_border_is_from_the_exact_one():
    mdp, direction = later(2)
    ds = jc.studies.phase_scan(mdp, None, direction, [1.0, 2.6], discount=[0.4, 0.5], tolerance=0.3)
    along = ds.edge_along.values == "t"
    off = np.abs(ds.border_t - 1 / ds.discount[ds.edge_row].values)[along]
    assert ds.attrs["farthest"] == pytest.approx(float(off.max()))
    assert ds.attrs["farthest"] > 0.01


def test_a_gap_as_large_as_the_tolerance_is_not_certain():
    mdp, direction = later(2)
    t = 2 * (1 + 2e-11)  # γt − 1 is 1e-11 of the span, which is t
    ds = jc.studies.phase_scan(mdp, None, direction, [1.0, t, 3.0], discount=[0.4, 0.5], tolerance=0.1)
    assert ds.certain.values.tolist() == [[True, True, True], [True, False, True]]


def test_regret_of_a_mixture_of_two_rewards_of_a_bandit_is_known():
    """(.7, .45) towards (0, 1.5): arm 0 is behind by 1.75 s − .25; towards (1, 0) it stays ahead."""
    rewards = np.array([[[1.0, 0.0]], [[0.0, 1.5]]])
    ds = jc.studies.aggregation_stability(bandit(0.0, 0.0), rewards, [0.7, 0.3], key=jax.random.key(0), count=4)
    share = ds.share.values
    expected = [0 * share, np.maximum(1.75 * share - 0.25, 0)]
    np.testing.assert_allclose(ds.regret, expected, atol=1e-12)


def test_ties_that_the_base_has_already_are_no_change():
    """Two arms tie in the first context whatever x is; the second context goes over at x = ½."""
    mdp = jc.problems.contextual_bandit(jnp.asarray([[1.0, 1.0], [1.0, 0.5]], F64))
    ds = jc.studies.phase_diagram(mdp, None, [[0.0, 0], [0, 1.0]], np.zeros((2, 2)), resolution=4)
    assert sorted(ds.states_changed.values) == [0, 1]
    assert sorted(ds.tv_to_base.values) == [0, 1]


def test_a_smallest_gap_is_what_it_certainly_is():
    mdp = bandit(1.0, 0.4)
    acts = jc.optimal_actions(jc.solve(mdp))
    unsure = acts.replace(gap_bound=jnp.full_like(acts.gap_bound, 0.1))
    assert _smallest_gaps(mdp, unsure).tolist() == pytest.approx([0.5])


def test_a_reward_flips_or_is_undecided_and_never_both():
    """Of two rewards one flips the first of two states; the second is undecided under both."""
    mdp = jc.problems.contextual_bandit(jnp.asarray([[1.0, 0.0], [1.0, 0.0]], F64))
    rewards = jnp.asarray([[[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]], F64)
    moved, second = jc.optimal_actions(jc.solve(mdp, rewards)), jnp.asarray([[False], [True]])
    moved = moved.replace(
        optimal=moved.optimal & ~second, suboptimal=moved.suboptimal & ~second, undecided=moved.undecided | second
    )
    flips, unsure, any_flip, any_unsure = _flip_shares(jc.optimal_actions(jc.solve(mdp)), moved)
    assert (flips.tolist(), unsure.tolist()) == ([0.5, 0], [0, 1])
    assert (float(any_flip), float(any_unsure)) == (0.5, 0.5)


def test_the_circle_of_a_plane_touches_its_border():
    """1 = x + y."""
    ds = jc.studies.phase_diagram(bandit(1.0, 0.0), None, [[0.0, 1.0]], [[0.0, 1.0]], resolution=2)
    assert ds.attrs["plane_radius"] == pytest.approx(np.sqrt(0.5))
    assert ds.attrs["base_radius"] == pytest.approx(0.5)


def test_a_learner_is_measured_against_what_it_learns_for_the_base():
    def greedy(mdp, rewards, key):
        return (rewards == rewards.max(axis=-1, keepdims=True)).astype(rewards.dtype)

    found = learn(greedy, bandit(1.0, 0.0), [[1.0, 0.0]], [[[0.0, 1.0]], [[2.0, 0.0]]], jax.random.key(0))
    assert found.tv.tolist() == [1, 0]

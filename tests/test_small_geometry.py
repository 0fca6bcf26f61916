"""Cliffs that can be worked out by hand: thin regions, lasting ties, wrong turns, samples, unreachable states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxcliff as jc
from jaxcliff.geometry.beside import Ties
from tests.conftest import needs_x64
from tests.geometry import F64, bandit, by_set, decide, draw

pytestmark = needs_x64


def test_a_region_too_thin_to_be_seen_in_the_middle():
    plan = jc.policy_map(bandit(0.0, 0.0, 1e-22), None, [[1.0, -1.0, 0.0]], [[0.0, 0.0, 0.0]])
    assert plan.complete
    assert by_set(plan) == pytest.approx({(0,): 2.0, (1,): 2.0})


def test_a_tie_all_over_a_region_ends_with_a_switch_elsewhere():
    """s0 may go to s1, which can take u, or to s2, which takes 0: they tie where u < 0."""
    following = np.array([[2, 1], [3, 3], [3, 3], [3, 3]])[..., None]
    terminal = np.arange(4) == 3
    legal = np.array([[True, True], [True, True], [True, False], [True, False]])
    mdp = jc.MDP(jc.Successors(following), jnp.zeros((4, 2), F64), 0.9, legal=legal, terminal=terminal)
    x = np.zeros((4, 2))
    x[1, 1] = 1.0
    plan = jc.policy_map(mdp, None, x, np.zeros((4, 2)), (-1.5, 1, -1, 1))
    assert plan.complete
    sets = {tuple(s[:2].ravel().tolist()): a for s, a in zip(plan.optimal, plan.areas(), strict=True)}
    assert sets == pytest.approx({(True, True, True, False): 3.0, (False, True, False, True): 2.0})


def test_a_wrong_policy_behind_a_breakpoint_shows_in_the_value(monkeypatch):
    right, calls = Ties.beside, []

    def wrong_once(self, actions, *args):
        calls.append(1)
        return np.array([[1]]) if len(calls) == 2 else right(self, actions, *args)

    monkeypatch.setattr(Ties, "beside", wrong_once)
    path = jc.cliffs_along(bandit(1.0, 0.5, 0.0), None, [[0.0, 1.0, 3.0]])
    assert path.value_jump[0] == pytest.approx(1 / 6)


def test_a_map_with_a_hole_is_not_complete(monkeypatch):
    monkeypatch.setattr("jaxcliff.geometry.walk.THINNEST", 1.2)
    plan = jc.policy_map(bandit(0.0, 0.0, 0.0), None, [[1.0, 0, 0]], [[0, 1.0, 0]])
    assert by_set(plan) == pytest.approx({(0,): 1.5, (1,): 1.5})
    assert plan.covered == pytest.approx(0.75)
    assert not plan.complete


def test_a_map_with_a_hole_too_small_for_its_area_is_not_complete(monkeypatch):
    """The third arm wins in a corner of 1e-4 × 1e-4."""
    plain, arms = bandit(0.0, 0.0, 1e-4 - 1), ([[1.0, 0, 0]], [[0, 1.0, 0]])
    assert len(jc.policy_map(plain, None, *arms)) == 3
    monkeypatch.setattr("jaxcliff.geometry.walk.THINNEST", 1e-6)
    plan = jc.policy_map(plain, None, *arms)
    assert len(plan) == 2
    assert abs(plan.covered - 1) < 1e-7
    assert not plan.complete


def test_a_census_counts_rewards_on_a_cliff(rng):
    rewards = rng.normal(size=(512, 1, 2))
    rewards[:128, 0, 1] = rewards[:128, 0, 0]
    found = jc.census(bandit(0.0, 0.0), rewards)
    expected = np.abs(rewards[:, 0, 0] - rewards[:, 0, 1]) / 2
    np.testing.assert_allclose(found.radius, expected, atol=1e-12)
    np.testing.assert_allclose(found.guarantee, expected, atol=1e-12)
    assert found.tied == 0.25
    assert found.standard_error == pytest.approx(found.constant / 8)  # of the 512^⅔ = 64 smallest


def test_sampled_weights_of_four_arms_are_known():
    """Arm k pays w_k: the nearest cliff is half the lead away, by weights that keep their sum."""
    found = jc.weight_map(bandit(0.0, 0.0, 0.0, 0.0), np.eye(4)[:, None], key=jax.random.key(0))
    best = np.sort(found.weights, axis=1)[:, ::-1]
    np.testing.assert_array_equal(found.actions[:, 0], found.weights.argmax(axis=1))
    np.testing.assert_allclose(found.radius, (best[:, 0] - best[:, 1]) / 2, atol=1e-12)
    np.testing.assert_array_equal(found.returns, np.eye(4)[found.actions[:, 0]])
    assert (found.weights**2).mean() == pytest.approx(2 / (4 * 5), abs=0.005)  # uniform on the simplex


def test_sampled_weights_keep_their_sum():
    """One reward pays 1 for the first arm, three pay ½ for the second: the border is at w₁ = ⅓."""
    rewards = np.array([[[1.0, 0.0]], *[[[0.0, 0.5]]] * 3])
    found = jc.weight_map(bandit(0.0, 0.0), rewards, count=64, key=jax.random.key(0))
    np.testing.assert_allclose(found.radius, np.abs(found.weights[:, 0] - 1 / 3), atol=1e-12)


def test_states_that_cannot_be_reached_need_no_mending():
    model = jc.Successors(np.array([[[0], [1]], [[1], [0]], [[0], [1]]]))
    reward = jnp.asarray([[1.0, 0.0], [0.0, 0.3], [0.5, 0.0]], F64)
    mdp = jc.MDP(model, reward, 0.5, initial=jnp.asarray([1.0, 0, 0], F64))
    wanted = np.append(jc.walls(mdp).actions[:2], 1)
    assert jc.repair(mdp, wanted, gap=0.0, where="reachable").size <= 1e-9
    assert jc.repair(mdp, wanted, gap=0.0).size > 0.1


def test_the_rest_of_the_policy_is_the_best_with_this_action():
    """s1 goes to s0 or ends with .3; where s0 must take the arm that pays 0, s1 had better end, and must stay so."""
    following = np.array([[2, 2], [0, 2], [2, 2]])[..., None]
    terminal = np.arange(3) == 2
    mdp = jc.MDP(jc.Successors(following), jnp.asarray([[1.0, 0], [0, 0.3], [0, 0]], F64), 0.5, terminal=terminal)
    only = np.zeros((3, 2), bool)
    only[0] = True
    found = jc.best_tiebreaker(mdp, state=0, action=1, budget=1.0, family=jc.family.mask(only))
    assert found.gap == pytest.approx(0.6)
    assert found.upper == pytest.approx(1.0)


def test_parameters_that_may_stay_level_keep_the_sum():
    """Two rewards that move the gap alike: half a step each against a whole one of the third."""
    family = jc.family.weights([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]])
    near = jc.nearest_cliff(bandit(1.0, 0.0), family=family)
    assert near.radius == pytest.approx(0.5)
    np.testing.assert_allclose(near.parameters, [-0.5, -0.5, 1.0])
    assert decide(bandit(1.0, 0.0), near.beyond(1.001))[0].tolist() == [[False, True]]


def test_a_very_high_level_does_not_matter(rng):
    mdp = draw("garnet", rng, 0.9)
    actions, reward = rng.integers(3, size=8), np.asarray(mdp.reward)
    plain = jc.repair(mdp, actions, gap=0.1)
    assert jc.repair(mdp, actions, reward + 1e10, gap=0.1).size == pytest.approx(plain.size, rel=1e-4)


def test_the_guarantee_of_a_ray_of_a_bandit_is_its_radius():
    for norm in ("inf", "2", "1"):
        near = jc.nearest_cliff(bandit(1.0, 0.0), family=jc.family.features([[[-1.0, 1.0]]]), norm=norm)
        assert near.guarantee == pytest.approx(float(near.radius))


def test_gaps_up_to_the_tolerance_are_ties():
    near, still = bandit(1.0, 1 - 1e-8, 0.0), [[0.0, 0.0, 0.0]]
    sharp = jc.cliffs_along(near, None, [[0.0, 1.0, 0.0]], stop=1.0)
    assert not sharp.tied_start
    assert sharp.breakpoints.tolist() == pytest.approx([1e-8], rel=1e-6, abs=0)
    blunt = jc.cliffs_along(near, None, [[0.0, 1.0, 0.0]], stop=1.0, tie_tolerance=1e-6)
    assert blunt.tied_start
    assert len(blunt.breakpoints) == 0
    assert by_set(jc.policy_map(near, None, still, still)) == pytest.approx({(0,): 4.0})
    assert by_set(jc.policy_map(near, None, still, still, tie_tolerance=1e-6)) == pytest.approx({(0, 1): 4.0})


def test_a_gap_finer_than_the_numbers_of_the_reward_is_refused():
    with pytest.raises(ValueError, match="the arithmetic cannot tell gaps"):
        jc.repair(bandit(1e9, 0.0), [1], gap=1e-9)


def test_a_potential_moves_no_gap_whatever_the_rounding(rng):
    mdp = draw("dense", rng, 0.9)
    potential = rng.normal(size=mdp.num_states)
    shaping = 0.9 * np.asarray(mdp.transitions.probabilities) @ potential - potential[:, None]
    near = jc.nearest_cliff(mdp, family=jc.family.features(shaping[None]))
    assert np.isinf(near.radius)
    assert near.state == -1


def test_weights_that_keep_their_sum_have_a_norm_of_their_own():
    """The first of three weights decides; half of ½ goes to each of the others, or all to one of them."""
    family = jc.family.weights([[[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]])
    for norm, radius in (("inf", 0.5), ("2", np.sqrt(0.25 + 2 * 0.0625)), ("1", 1.0)):
        assert jc.nearest_cliff(bandit(0.5, 0.0), norm=norm, family=family).radius == pytest.approx(radius)


def test_the_guarantee_counts_how_far_a_family_reaches():
    near = jc.nearest_cliff(bandit(1.0, 0.0), family=jc.family.component([[0.25], [0.75]], 0, 2))
    assert (near.radius, near.guarantee) == pytest.approx((2.0, 2.0))


def test_two_arms_flip_as_their_difference_does():
    """N(0, 2σ²); and of three arms two can get ahead."""
    chance = float(scipy.stats.norm.sf(np.sqrt(2)))
    found = jc.flip_probability(bandit(1.0, 0.0), sigma=0.5, key=jax.random.key(0), count=20_000)
    assert (found.lower, found.upper) == pytest.approx((chance, chance))
    assert abs(found.estimate - chance) <= 5 * found.standard_error
    three = jc.flip_probability(bandit(1.0, 0.0, 0.0), sigma=0.5)
    assert (three.lower, three.upper) == pytest.approx((chance, 2 * chance))


def test_ties_of_rays_and_maps_are_in_units_of_the_span():
    """A gap of .01 in a reward of a million; a gap of 1e-8 in a reward of 1 where an episode can end, worth 0."""
    large = bandit(1e6, 1e6 - 1e-2, 0.0)
    ending = jc.MDP(
        jc.Successors(np.ones((2, 2, 1), int)),
        jnp.asarray([[1.0, 1 - 1e-8], [0.0, 0.0]], F64),
        0.9,
        terminal=np.array([False, True]),
    )
    for mdp in (large, ending):
        direction = np.zeros(mdp.reward.shape)
        direction[0, 1] = 1.0
        for tolerance, tied in ((1e-6, True), (1e-9, False)):
            assert jc.cliffs_along(mdp, None, direction, stop=1.0, tie_tolerance=tolerance).tied_start is tied

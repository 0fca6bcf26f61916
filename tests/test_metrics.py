"""Distances, entropies, returns: against their definitions, and the inequalities that tie them together."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxcliff as jc
from tests.cases import KINDS, lanes
from tests.conftest import X64
from tests.regularizers import draw_base

F = jnp.dtype(jnp.float64 if X64 else jnp.float32)
EPS = 1e-12 if X64 else 1e-5


def draw(rng, name="masked"):
    mdp = KINDS[name].draw(rng, F).replace(discount=0.9)
    return mdp, draw_base(rng, mdp), draw_base(rng, mdp)


def test_distances_between_policies_are_what_they_say(rng):
    mdp, one, two = draw(rng)
    a, b = np.asarray(one, float), np.asarray(two, float)
    tv, kl = jc.metrics.total_variation(one, two), jc.metrics.kl_divergence(one, two)
    np.testing.assert_allclose(tv, np.abs(a - b).sum(-1) / 2, atol=EPS)
    np.testing.assert_allclose(kl, scipy.stats.entropy(a, b, axis=-1), rtol=1e3 * EPS, atol=EPS)
    np.testing.assert_allclose(jc.metrics.entropy(one), scipy.stats.entropy(a, axis=-1), rtol=1e3 * EPS, atol=EPS)
    assert (np.asarray(kl) >= 2 * np.asarray(tv) ** 2 - EPS).all(), "Pinsker"
    assert float(jc.metrics.largest_total_variation(one, two)) == pytest.approx(float(tv.max()))
    some = np.arange(mdp.num_states) == 3
    assert float(jc.metrics.largest_total_variation(one, two, jnp.asarray(some))) == pytest.approx(float(tv[3]))
    visited = np.asarray(jc.occupancy(mdp, one, normalized=True)).sum(-1)
    assert float(jc.metrics.visited_total_variation(mdp, one, two)) == pytest.approx(
        float(visited @ np.asarray(tv)), rel=1e-5
    )
    assert (np.asarray(jc.metrics.kl_divergence(one, one)) == 0).all()
    assert float(jc.metrics.sensitivity(one, two, 0.5)) == pytest.approx(2 * float(tv.max()))
    assert float(jc.metrics.sensitivity(one, one, 0.0)) == 0


def test_kl_is_infinite_where_the_other_policy_does_not_go():
    one, two = jnp.asarray([[0.5, 0.5], [0.0, 1.0]], F), jnp.asarray([[1.0, 0.0], [0.5, 0.5]], F)
    np.testing.assert_allclose(jc.metrics.kl_divergence(one, two), [np.inf, np.log(2)], rtol=1e-6)
    assert np.isnan(np.asarray(jc.metrics.kl_divergence(one * jnp.nan, two))).all()


def test_returns_and_regrets(rng):
    mdp, policy, _ = draw(rng)
    rewards = jnp.nan_to_num(lanes(rng, mdp))
    taken = np.asarray(jc.occupancy(mdp, policy))
    by_visits = np.sum(taken * np.asarray(rewards), axis=(-2, -1))
    earned = jc.metrics.expected_return(mdp, policy, rewards)
    np.testing.assert_allclose(earned, by_visits, rtol=1e4 * EPS, atol=100 * EPS)
    best = jc.solve(mdp, rewards)
    regret = np.asarray(jc.metrics.regret(mdp, policy, rewards))
    assert (regret > 0).all()
    np.testing.assert_allclose(
        regret, np.asarray(best.values @ mdp.initial) - by_visits, rtol=1e4 * EPS, atol=100 * EPS
    )
    own = jc.policies.uniform(jc.optimal_actions(best))
    assert (np.abs(np.asarray(jc.metrics.regret(mdp, own, rewards))) <= 1e3 * EPS).all()
    entropy = np.asarray(taken.sum(-1) @ np.asarray(jc.metrics.entropy(policy)))
    assert float(jc.metrics.discounted_entropy(mdp, policy)) == pytest.approx(float(entropy), rel=1e-5)


def test_a_tie_costs_nothing_except_under_another_reward():
    """Harm exists only relative to a reward that is missing (the clever slacker)."""
    mdp = jc.problems.bandit(jnp.asarray([1.0, 1.0], F))
    acts = jc.optimal_actions(jc.solve(mdp))
    missing = jnp.asarray([[1.0, 1.5]], F)
    for order, harm in (([0, 1], 0.5), ([1, 0], 0.0)):
        policy = jc.policies.preferred(acts, order)
        assert float(jc.metrics.regret(mdp, policy)) == 0
        assert float(jc.metrics.regret(mdp, policy, missing)) == harm


def sets_of(optimal, undecided=()):
    """Action sets of one state with these actions optimal, and these undecided, of four."""
    flags = [np.isin(np.arange(4), x)[None] for x in (optimal, undecided)]
    zero = jnp.zeros((1, 4), F)
    suboptimal = ~(flags[0] | flags[1])
    return jc.ActionSets(*(jnp.asarray(x) for x in (flags[0], suboptimal, flags[1])), zero, zero, jnp.zeros((), F))


def hausdorff(a, b, metric):
    return max(max(min(metric[i, j] for j in b) for i in a), max(min(metric[i, j] for i in a) for j in b))


def test_hausdorff_distance_brackets_every_way_to_decide(rng):
    place = rng.normal(size=4)
    for metric in (None, np.abs(place[:, None] - place)):
        plain = 1 - np.eye(4) if metric is None else metric
        for _ in range(40):
            draws = []
            for _ in range(2):
                kind = rng.integers(3, size=4)
                kind[rng.integers(4)] = 0
                draws.append((np.flatnonzero(kind == 0), np.flatnonzero(kind == 1)))
            low, high = jc.metrics.hausdorff(*(sets_of(*d) for d in draws), distance=metric)
            truths = []
            for extra in np.ndindex(*[2] * (len(draws[0][1]) + len(draws[1][1]))):
                first, second = extra[: len(draws[0][1])], extra[len(draws[0][1]) :]
                a = [*draws[0][0], *draws[0][1][np.array(first, bool)]] if first else list(draws[0][0])
                b = [*draws[1][0], *draws[1][1][np.array(second, bool)]] if second else list(draws[1][0])
                truths.append(hausdorff(a, b, plain))
            assert float(low[0]) <= min(truths) + 1e-6
            assert max(truths) <= float(high[0]) + 1e-6
            if len(truths) == 1:
                assert float(low[0]) == pytest.approx(truths[0], abs=1e-6)
                assert float(high[0]) == pytest.approx(truths[0], abs=1e-6)


def test_an_action_that_becomes_optimal_is_a_flip_too():
    """And one of which that is undecided is none, but unsure."""
    assert [x.tolist() for x in jc.metrics.flips(sets_of([0]), sets_of([0, 1]))] == [[True], [False]]
    assert [x.tolist() for x in jc.metrics.flips(sets_of([0, 1]), sets_of([1], [0]))] == [[False], [True]]


def test_a_policy_that_moves_though_nothing_changes_is_infinitely_sensitive():
    one, two = jnp.asarray([[1.0, 0.0]], F), jnp.asarray([[0.5, 0.5]], F)
    assert float(jc.metrics.sensitivity(one, two, 0.0)) == np.inf


def test_flips_and_hausdorff_agree_on_certain_changes():
    before, after = sets_of([0, 1]), sets_of([1])
    assert jc.metrics.flips(before, after)[0].all()
    assert [float(x[0]) for x in jc.metrics.hausdorff(before, after)] == [1, 1]
    assert [float(x[0]) for x in jc.metrics.hausdorff(before, before)] == [0, 0]
    with pytest.raises(ValueError, match="between 4 actions"):
        jc.metrics.hausdorff(before, after, np.eye(3))

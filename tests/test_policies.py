"""Selections: optimal, named, and honest about what is undecided."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc

SELECTIONS = {
    "first": jc.policies.first,
    "uniform": jc.policies.uniform,
    "preferred": lambda acts, **o: jc.policies.preferred(acts, jnp.arange(4)[::-1], **o),
    "closest_to": lambda acts, **o: jc.policies.closest_to(acts, jnp.asarray([0.1, 0.2, 0.3, 0.4]), **o),
    "random": lambda acts, **o: jc.policies.random(acts, key=jax.random.key(0), **o),
}


def tied():
    rewards = jnp.asarray([[1, 1, 0, 1], [0, 2, 1, 1], [3, 0, 3, 0]]).astype(float)
    return jc.optimal_actions(jc.solve(jc.problems.contextual_bandit(rewards)))


@pytest.mark.parametrize("name", SELECTIONS)
def test_every_selection_is_a_distribution_over_optimal_actions(name):
    mdp, _ = jc.problems.tie_planted(jax.random.key(2), ties=3)
    acts = jc.optimal_actions(jc.solve(mdp, jnp.stack([mdp.reward, -mdp.reward])))
    policy = SELECTIONS[name](acts)
    assert policy.shape == (2, 16, 4)
    np.testing.assert_allclose(policy.sum(-1), 1, rtol=1e-6)
    assert (policy[acts.suboptimal] == 0).all()


def test_selections_differ_where_actions_tie():
    acts = tied()
    rows = {name: np.asarray(select(acts)) for name, select in SELECTIONS.items()}
    assert rows["first"].argmax(-1).tolist() == [0, 1, 0]
    assert rows["preferred"].argmax(-1).tolist() == [3, 1, 2]
    np.testing.assert_allclose(rows["uniform"][0], [1 / 3, 1 / 3, 0, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(rows["closest_to"][0], [1 / 7, 2 / 7, 0, 4 / 7], rtol=1e-6)
    assert ((rows["random"] == 0) | (rows["random"] == 1)).all()
    uncovered = jc.policies.closest_to(acts, jnp.asarray([0.0, 0.0, 1.0, 0.0]))
    np.testing.assert_allclose(uncovered[0], [1 / 3, 1 / 3, 0, 1 / 3], rtol=1e-6)
    per_state = jc.policies.preferred(acts, jnp.asarray([[1, 0, 2, 3], [0, 1, 2, 3], [3, 2, 1, 0]]))
    assert np.asarray(per_state).argmax(-1).tolist() == [1, 1, 2]


def test_an_order_of_preference_begins_with_the_best():
    acts = jc.optimal_actions(jc.solve(jc.problems.bandit([1.0, 1.0, 1.0])))
    assert jc.policies.preferred(acts, [1, 2, 0]).tolist() == [[0, 1, 0]]


def test_random_selection_is_uniform_over_ties():
    mdp = jc.problems.contextual_bandit(jnp.tile(jnp.asarray([1.0, 0.0, 1.0, 1.0]), (3000, 1)))
    acts = jc.optimal_actions(jc.solve(mdp))
    share = np.asarray(jc.policies.random(acts, key=jax.random.key(1))).mean(0)
    assert share[1] == 0
    # Five standard errors of a share of 1/3 in 3,000 draws: a false alarm in about 2 of a million runs.
    np.testing.assert_allclose(share[[0, 2, 3]], 1 / 3, atol=5 * np.sqrt(2 / 9 / 3000))


def test_undecided_actions_take_part_or_not():
    mdp = jc.problems.garnet(jax.random.key(0), states=6, actions=4, branching=3).astype(jnp.float32)
    sol = jc.solve(mdp)
    gap = float(np.sort(np.asarray(jc.optimal_actions(sol).gaps())[2])[1])
    # A tolerance within the error of one gap leaves exactly that action undecided.
    acts = jc.optimal_actions(sol, gap, absolute=True)
    assert np.asarray(jc.policies.ambiguous(acts)).tolist() == [False, False, True, False, False, False]
    assert acts.undecided[2].sum() == 1
    for select in SELECTIONS.values():
        excluded = select(acts, undecided="exclude")
        assert (excluded[acts.undecided] == 0).all()
    assert (jc.policies.uniform(acts)[2] == 0.5).sum() == 2
    with pytest.raises(ValueError, match="'include' or 'exclude'"):
        jc.policies.uniform(acts, undecided="maybe")
    nothing = jc.optimal_actions(sol, 0.0)
    assert jnp.isfinite(jc.policies.first(nothing, undecided="exclude")).all(), "sole survivors stay optimal"


def test_excluding_every_candidate_gives_nan_and_not_a_guess():
    mdp, _ = jc.problems.tie_planted(jax.random.key(4), ties=2)
    acts = jc.optimal_actions(jc.solve(mdp), tie_tolerance=0)
    unsure = jc.policies.ambiguous(acts)
    assert unsure.any()
    policy = jc.policies.uniform(acts, undecided="exclude")
    np.testing.assert_array_equal(jnp.isnan(policy).all(-1), ~acts.optimal.any(-1))


def test_orders_and_kinds_are_checked():
    acts = tied()
    with pytest.raises(ValueError, match="list all 4 actions"):
        jc.policies.preferred(acts, [0, 1])
    with pytest.raises(ValueError, match="once"):
        jc.policies.preferred(acts, [0, 0, 1, 2])
    for tolerance in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="must not be negative"):
            jc.optimal_actions(jc.solve(jc.problems.chain()), tolerance)
    with pytest.raises(ValueError, match="one per lane"):
        jc.optimal_actions(jc.solve(jc.problems.chain()), jnp.asarray([0.1, 0.2]))
    mdp = jc.problems.chain()
    with pytest.raises(ValueError, match="'evaluation'"):
        jc.optimal_actions(jc.evaluate(mdp, jc.policies.uniform(jc.optimal_actions(jc.solve(mdp)))))


def test_tolerances_are_in_units_of_the_span():
    rewards = jnp.asarray([[1.0, 1.0 - 1e-3, 0.0]])
    for scale in (1e-8, 1.0, 1e8):
        acts = jc.optimal_actions(jc.solve(jc.problems.contextual_bandit(rewards * scale)), 2e-3)
        assert acts.optimal.tolist() == [[True, True, False]]
        acts = jc.optimal_actions(jc.solve(jc.problems.contextual_bandit(rewards * scale)), 5e-4)
        assert acts.optimal.tolist() == [[True, False, False]]
    absolute = jc.optimal_actions(jc.solve(jc.problems.contextual_bandit(rewards * 100)), 0.2, absolute=True)
    assert absolute.optimal.tolist() == [[True, True, False]]


def test_metrics_of_a_flip():
    one, other = jnp.asarray([[1.0, 0.0], [0.5, 0.5]]), jnp.asarray([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(jc.metrics.total_variation(one, other), [1, 0.5])
    base = jc.optimal_actions(jc.solve(jc.problems.contextual_bandit([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])))
    after = jc.optimal_actions(jc.solve(jc.problems.contextual_bandit([[0.0, 1.0], [2.0, 0.0], [2.0, 1.0]])))
    flipped, unsure = jc.metrics.flips(base, after)
    assert flipped.tolist() == [True, False, True]
    assert not unsure.any()


@pytest.mark.parametrize("ties", [2, 3, 4])
def test_the_uniform_policy_jumps_by_m_minus_one_over_m(ties):
    """Proposition 2.10: however small the bump."""
    mdp, q = jc.problems.tie_planted(jax.random.key(9), ties=ties)
    before = jc.optimal_actions(jc.solve(mdp))
    action = int(np.asarray(q)[0].argmax())
    for size in (1e-1, 1e-2):
        bump = jc.perturb.bump(mdp, q, 0, action, size)
        after = jc.optimal_actions(jc.solve(mdp, bump.reward))
        jump = jc.metrics.total_variation(jc.policies.uniform(before), jc.policies.uniform(after))
        np.testing.assert_allclose(jump[0], jc.theory.uniform_jump(ties), rtol=1e-6)
        np.testing.assert_allclose(jump[1:], 0, atol=1e-6)

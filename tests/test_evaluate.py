"""A given policy: values, visits and reach, against exact and independent computations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests.cases import ITERATIVE, KINDS, STRUCTURE_METHODS, STRUCTURES, lanes
from tests.conftest import any_mode
from tests.oracle import Problem


def draw_policy(rng, mdp, count=4):
    weight = rng.exponential(size=(count, *mdp.reward.shape)) * np.asarray(
        jnp.ones(mdp.reward.shape, bool) if mdp.legal is None else mdp.legal
    )
    return jnp.asarray(weight / weight.sum(-1, keepdims=True)).astype(mdp.dtype)


def reference(mdp, policy, reward):
    """V^π in float64 with one refinement, each policy row divided by its sum."""
    problem = Problem(mdp, reward)
    pi = np.asarray(policy, np.float64)
    pi = np.where(problem.counts, pi, 0)
    pi = pi / np.where(problem.terminal, 1, pi.sum(-1))[:, None]
    chain = np.einsum("sa,sat->st", pi, problem.float_rows())
    received = (pi * problem.reward).sum(-1)
    system = np.eye(len(chain)) - problem.discount * chain
    v = np.linalg.solve(system, received)
    return v + np.linalg.solve(system, received - system @ v), pi, chain


@any_mode
@pytest.mark.parametrize(("name", "method"), [pair for pair in STRUCTURE_METHODS if pair[1] != "shared"])
def test_evaluation_stays_within_its_bound(name, method, rng):
    mdp = KINDS[name].draw(rng, jnp.dtype(jnp.float32))
    rewards, policy = lanes(rng, mdp), draw_policy(rng, mdp)
    sol = jc.evaluate(mdp, policy, rewards, method=method)
    assert sol.kind == "evaluation"
    assert sol.ok.all()
    for i in range(len(rewards)):
        v, *_ = reference(mdp, policy[i], rewards[i])
        slack = 1e-12 * np.abs(v).max()
        assert np.abs(np.asarray(sol.values[i]) - v).max() <= float(sol.error_bound[i]) + slack
        problem = Problem(mdp, rewards[i])
        gaps = v[:, None] - (problem.reward + problem.discount * problem.float_rows() @ v)
        error = np.abs(np.asarray(sol.gaps[i], float) - gaps)[problem.counts]
        assert (error <= np.asarray(sol.gap_bound[i])[problem.counts] + slack).all()


@any_mode
def test_one_policy_under_many_rewards_and_many_policies_under_one(rng):
    mdp = KINDS["garnet"].draw(rng, jnp.dtype(jnp.float32))
    rewards, policy = lanes(rng, mdp), draw_policy(rng, mdp)
    both = jc.evaluate(mdp, policy[0], rewards)
    assert both.values.shape == (4, 8)
    many = jc.evaluate(mdp, policy)
    np.testing.assert_allclose(many.values[0], both.values[0], atol=float(both.error_bound[0] + many.error_bound[0]))
    mapped = jax.vmap(lambda p: jc.evaluate(mdp, p).values)(policy)
    np.testing.assert_allclose(mapped, many.values, atol=float(2 * many.error_bound.max()))


def test_evaluation_is_linear_in_the_reward_and_below_the_optimum(rng, dtype):
    mdp = KINDS["masked"].draw(rng, dtype)
    rewards, policy = lanes(rng, mdp), draw_policy(rng, mdp)[0]
    rewards = jnp.nan_to_num(rewards)
    one, two, total = (jc.evaluate(mdp, policy, r) for r in (rewards[0], rewards[1], rewards[0] + rewards[1]))
    slack = float(one.error_bound + two.error_bound + total.error_bound) * 1.01
    np.testing.assert_allclose(one.values + two.values, total.values, atol=slack)
    best = jc.solve(mdp, rewards)
    own = jc.evaluate(mdp, policy, rewards)
    assert (best.values + (best.error_bound + own.error_bound)[:, None] >= own.values).all()


def test_the_optimal_policy_evaluates_to_the_optimum(rng, dtype):
    mdp = KINDS["proper"].draw(rng, dtype)
    best = jc.solve(mdp)
    own = jc.evaluate(mdp, jc.policies.uniform(jc.optimal_actions(best)))
    tie = float(jc.optimal_actions(best).threshold) * float(mdp.horizon)
    np.testing.assert_allclose(own.values, best.values, atol=float(best.error_bound + own.error_bound) + tie)


@any_mode
@pytest.mark.parametrize("name", STRUCTURES)
def test_occupancy_counts_visits(name, rng):
    mdp = KINDS[name].draw(rng, jnp.dtype(jnp.float32))
    policy = draw_policy(rng, mdp)
    d = np.asarray(jc.occupancy(mdp, policy))
    for i in range(len(policy)):
        _, pi, chain = reference(mdp, policy[i], mdp.reward)
        start = np.asarray(mdp.initial, float)
        chain = chain * (~Problem(mdp, mdp.reward).terminal)[:, None]
        visits = np.linalg.solve(np.eye(len(start)) - float(mdp.discount) * chain.T, start)
        visits *= ~Problem(mdp, mdp.reward).terminal
        np.testing.assert_allclose(d[i], visits[:, None] * pi, rtol=2e-3, atol=2e-5)
    rewards = jnp.nan_to_num(lanes(rng, mdp))
    gained = (d * np.asarray(rewards) * np.asarray(mdp.decisions)).sum((-2, -1))
    values = np.asarray(jc.evaluate(mdp, policy, rewards).values) @ np.asarray(mdp.initial)
    np.testing.assert_allclose(gained, values, rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(jc.occupancy(mdp, policy, normalized=True).sum((-2, -1)), 1, rtol=1e-5)


def test_what_follows_an_end_does_not_count():
    """The row of a terminal state may say anything: this one leads back to the start."""
    rows = jnp.asarray([[[0.0, 1.0]], [[1.0, 0.0]]])
    mdp = jc.MDP(jc.Dense(rows), jnp.asarray([[1.0], [0.0]]), 0.5, terminal=[False, True])
    policy = jnp.ones((2, 1))
    assert jc.occupancy(mdp, policy).ravel().tolist() == [1, 0]
    for method in ITERATIVE:
        assert jc.evaluate(mdp, policy, method=method).values.tolist() == [1, 0]


def test_visits_are_the_same_solved_and_followed(rng):
    """Small chains are solved, long ones followed; for starts of any sign."""
    from jaxcliff.solvers.visits import _by_following, _by_solving

    mdp = jc.problems.garnet(jax.random.key(1), states=20, branching=3, discount=0.9)
    policy = draw_policy(rng, mdp)
    start = jnp.asarray(rng.normal(size=(4, 20)), mdp.dtype)
    solved, followed = (jax.jit(visits)(mdp, policy, start) for visits in (_by_solving, _by_following))
    np.testing.assert_allclose(followed, solved, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(jc.occupancy(mdp, policy).sum((-2, -1)), 10, rtol=1e-5)


def test_reachable_follows_every_policy():
    chain = jc.problems.chain(6)
    assert jc.reachable(chain.replace(initial=jnp.eye(6)[2].astype(chain.dtype))).all()
    fork = jc.problems.fork()
    assert jc.reachable(fork.replace(initial=jnp.eye(3)[1].astype(fork.dtype))).tolist() == [
        False,
        True,
        False,
    ]
    gambler = jc.problems.gambler(8)
    start = gambler.replace(initial=jnp.eye(9)[4].astype(gambler.dtype))
    assert jc.reachable(start).all()
    tree = jc.problems.token_tree(jax.random.key(0), vocabulary=2, depth=3)
    root = tree.replace(initial=jnp.eye(7)[2].astype(tree.dtype))
    assert jc.reachable(root).tolist() == [False, False, True, False, False, True, True]
    bandit = jc.problems.contextual_bandit([[1.0], [2.0]], initial=[0.0, 1.0])
    assert jc.reachable(bandit).tolist() == [False, True]
    blocked = chain.replace(
        legal=jnp.asarray([[True, s != 3] for s in range(6)]), initial=jnp.eye(6)[0].astype(chain.dtype)
    )
    assert jc.reachable(blocked).tolist() == [True, True, True, True, False, False]


@any_mode
def test_gaps_of_an_averaged_bandit_stay_within_their_bound():
    for values in ([1e4, 1e4 + 1, 1e4 + 2], [1.1, 2.3, 3.7], [0.1, 0.2, 0.4]):
        rewards = np.asarray(values, np.float32)
        sol = jc.evaluate(jc.problems.bandit(rewards), jnp.full((1, 3), 1 / 3, jnp.float32))
        gaps = rewards.astype(float).mean() - rewards.astype(float)
        assert (np.abs(np.asarray(sol.gaps, float) - gaps) <= np.asarray(sol.gap_bound)).all()


def test_occupancy_refuses_what_evaluate_refuses():
    fork = jc.problems.fork()
    good = jnp.asarray([[0.5, 0.5], [1, 0], [1, 0]]).astype(fork.dtype)
    mass = good.at[1, 1].set(5.0)
    half = good * 0.5
    policies = jnp.stack([good, mass, half])
    assert jc.evaluate(fork, policies).ok.tolist() == [True, False, False]
    assert jnp.isfinite(jc.occupancy(fork, policies)).all((-2, -1)).tolist() == [True, False, False]
    for states in (5, 80):
        mdp = jc.problems.garnet(jax.random.key(0), states=states, actions=2, branching=3, discount=0.9)
        uniform = jnp.full((states, 2), 0.5, mdp.dtype)
        discounts = jnp.asarray([0.5, 1.0, -0.5], mdp.dtype)
        totals = jax.vmap(lambda d, m=mdp, pi=uniform: jc.occupancy(m.replace(discount=d), pi).sum())(discounts)
        np.testing.assert_allclose(totals, [2, np.nan, np.nan], rtol=1e-5)


@any_mode
def test_a_bad_policy_is_a_status_and_a_bad_shape_a_sentence(rng):
    mdp = KINDS["masked"].draw(rng, jnp.dtype(jnp.float32))
    policy = draw_policy(rng, mdp)
    policy = policy.at[1].mul(0.5).at[2, 3].set(jnp.nan)
    sol = jc.evaluate(mdp, policy)
    assert sol.ok.tolist() == [True, False, False, True]
    with pytest.raises(ValueError, match="a policy has shape"):
        jc.evaluate(mdp, policy[..., :2])
    with pytest.raises(ValueError, match="a policy has shape"):
        jc.occupancy(mdp, policy[0, 0])


def test_inverse_bellman_undoes_solve(rng, dtype):
    for name in STRUCTURES:
        mdp = KINDS[name].draw(rng, dtype)
        q = jnp.where(mdp.decisions, jnp.asarray(rng.normal(size=mdp.reward.shape)).astype(dtype), 0)
        sol = jc.solve(mdp, jc.inverse_bellman(mdp, q))
        rounding = (
            8
            * np.finfo(dtype).eps
            * max(float(mdp.horizon) if float(mdp.discount) == 1 else 1 / (1 - float(mdp.discount)), 1)
        )
        found = np.asarray(sol.q_values)[np.asarray(mdp.decisions)]
        expected = np.asarray(q)[np.asarray(mdp.decisions)]
        np.testing.assert_allclose(found, expected, atol=float(sol.error_bound) + rounding * 4)

"""Extremes: discounts 0, .9999 and 1, one state, one action, tiny and huge rewards, unreachable states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxcliff as jc
from tests.cases import GARNET, ITERATIVE, KINDS, STATES, lanes
from tests.conftest import any_mode, needs_x64
from tests.oracle import Problem
from tests.test_bounds import check_lane


def check_exactly(mdp, rewards, methods=ITERATIVE):
    for method in methods:
        sol = jc.solve(mdp, rewards, method=method)
        for i in range(len(rewards)):
            assert np.asarray(sol.ok)[i], jc.Status(int(sol.status[i])).sentence
            check_lane(sol, i, mdp, *Problem(mdp, rewards[i]).solve_exact())


@pytest.mark.parametrize("discount", [0.0, 0.9999])
@pytest.mark.parametrize("name", ["garnet", "masked", "stopping"])
def test_discounts_at_the_ends(name, discount, dtype, rng):
    mdp = KINDS[name].draw(rng, dtype).replace(discount=jnp.asarray(discount).astype(dtype))
    check_exactly(mdp, lanes(rng, mdp))


@pytest.mark.parametrize("name", ["dense", "stopping", "ending_tree", "contexts"])
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_the_size_of_rewards_does_not_matter(name, scale, dtype, rng):
    mdp = KINDS[name].draw(rng, dtype)
    if float(mdp.discount) > 0.99 and name == "dense":
        mdp = mdp.replace(discount=jnp.asarray(0.9).astype(dtype))
    rewards = jnp.nan_to_num(lanes(rng, mdp))
    check_exactly(mdp, rewards * scale, KINDS[name].methods)
    plain = jc.optimal_actions(jc.solve(mdp, rewards))
    scaled = jc.optimal_actions(jc.solve(mdp, rewards * scale))
    assert not (plain.optimal & scaled.suboptimal).any()
    assert not (plain.suboptimal & scaled.optimal).any()


def test_a_large_constant_costs_no_certainty(dtype, rng):
    """Rewards far from 0 are centred: their level enters the offset, not the gaps."""
    mdp = jc.problems.garnet(jax.random.key(0), **GARNET, discount=0.9).astype(dtype)
    level = 1e3 if dtype == jnp.float32 else 1e9
    rewards = jnp.stack([mdp.reward + level] * 4)
    check_exactly(mdp, rewards)
    acts = jc.optimal_actions(jc.solve(mdp, rewards))
    assert not acts.undecided.any()


@pytest.mark.parametrize("method", ITERATIVE)
def test_one_state_and_one_action(method, dtype):
    alone = jc.MDP(jc.Dense(jnp.ones((1, 1, 1), dtype)), jnp.full((1, 1), 3, dtype), 0.5)
    sol = jc.solve(alone, method=method)
    np.testing.assert_allclose(sol.values, [6], atol=float(sol.error_bound))
    acts = jc.optimal_actions(sol)
    assert acts.optimal.all()
    choice = jc.MDP(jc.Dense(jnp.ones((1, 3, 1), dtype)), jnp.asarray([[1, 2, 2]], dtype), 0.9)
    assert jc.optimal_actions(jc.solve(choice, method=method)).optimal.tolist() == [[False, True, True]]
    forced = jc.MDP(jc.Dense(jnp.full((4, 1, 4), 0.25, dtype)), jnp.arange(4).astype(dtype)[:, None], 0.9)
    sol = jc.solve(forced, method=method)
    np.testing.assert_allclose(sol.values, np.arange(4) + 9 * 1.5, atol=float(sol.error_bound) + 1e-4)
    assert jc.optimal_actions(sol).optimal.all()


@pytest.mark.parametrize("method", ITERATIVE)
def test_constant_rewards_tie_everything(method, dtype, rng):
    for name in ("garnet", "masked"):
        mdp = KINDS[name].draw(rng, dtype)
        mdp = mdp.replace(discount=jnp.asarray(0.95).astype(dtype))
        sol = jc.solve(mdp, jnp.full(mdp.reward.shape, 0.1, dtype), method=method)
        acts = jc.optimal_actions(sol)
        np.testing.assert_array_equal(acts.optimal, acts.legal)
        np.testing.assert_allclose(sol.values, 0.1 / (1 - float(mdp.discount)), atol=float(sol.error_bound) * 1.01)


def test_unreachable_states_are_solved_too(dtype, rng):
    mdp = jc.problems.chain(6, discount=0.9).astype(dtype).replace(initial=jnp.eye(6, dtype=dtype)[5])
    lonely = jc.MDP(
        jc.Dense(jnp.asarray([[[1, 0], [1, 0]], [[1, 0], [1, 0]]], dtype)),
        jnp.asarray([[1, 0], [5, 7]], dtype),
        0.5,
        initial=jnp.asarray([1, 0], dtype),
    )
    assert jc.reachable(lonely).tolist() == [True, False]
    assert jc.optimal_actions(jc.solve(lonely)).optimal.tolist() == [[True, False], [False, True]]
    assert jc.optimal_actions(jc.solve(mdp)).optimal[:, 1].all()


@pytest.mark.parametrize("method", ITERATIVE)
def test_slow_and_periodic_chains_end_with_a_bound_that_holds(method, dtype):
    """A cycle never mixes: span bounds do not help, and the loop must still end by itself."""
    n = 6
    nxt = np.stack([(np.arange(n) + 1) % n, np.arange(n)], axis=1)[..., None]
    reward = jnp.asarray(np.eye(n)[:, :2]).astype(dtype)
    for discount in (0.9, 0.999):
        mdp = jc.MDP(jc.Successors(nxt), reward, jnp.asarray(discount).astype(dtype))
        check_exactly(mdp, reward[None], (method,))


@needs_x64
@pytest.mark.parametrize("method", ITERATIVE)
def test_the_gambler_in_rationals(method):
    """γ = 1, H = 442, 101 states, against exact rationals."""
    mdp = jc.problems.gambler()
    sol = jc.solve(mdp, mdp.reward[None], method=method)
    check_lane(sol, 0, mdp, *Problem(mdp, mdp.reward).solve_exact())


@any_mode
@given(
    st.integers(0, 2**31 - 1),
    st.sampled_from(["dense", "masked", "stopping", "tied"]),
    st.sampled_from([1e-20, 1e-3, 1.0, 1e6]),
    st.floats(-1, 1),
)
def test_any_drawn_instance_stays_within_its_bound(seed, name, scale, level):
    rng = np.random.default_rng(seed)
    dtype = jnp.dtype(jnp.float32)
    mdp = KINDS[name].draw(rng, dtype)
    rewards = (lanes(rng, mdp) + jnp.asarray(level, dtype)) * jnp.asarray(scale, dtype)
    sol = jc.solve(mdp, rewards)
    for i in (0, 2):
        check_lane(sol, i, mdp, *Problem(mdp, rewards[i]).solve_exact())


@any_mode
def test_the_horizon_is_certified_for_rows_that_do_not_sum_to_one_exactly():
    """Float32 rows are off by an ulp, which at a horizon of 10⁶ is a percent: the bound must count it."""
    for chance in (1e-3, 1e-5, 1e-6):
        p = np.array([[[1 - chance, chance]], [[0, 1]]], np.float32)
        mdp = jc.MDP(jc.Dense(p), np.array([[1], [0]], np.float32), 1.0, terminal=[False, True])
        for method, limit in (("value_iteration", 100), ("value_iteration", 1), ("policy_iteration", 100)):
            sol = jc.solve(mdp, mdp.reward[None], method=method, max_iterations=limit)
            check_lane(sol, 0, mdp, *Problem(mdp, mdp.reward).solve_exact())


@any_mode
@pytest.mark.parametrize("method", ITERATIVE)
def test_overflow_is_a_status_and_underflow_a_bound(method):
    chain = jc.problems.chain(5, discount=0.99).astype(jnp.float32)
    huge = jc.solve(chain, (chain.reward * 2 - 1) * 1e37, method=method)
    assert huge.status == jc.Status.OUT_OF_RANGE
    assert jnp.isnan(huge.values).all()
    tiny = jc.problems.garnet(jax.random.key(0), **GARNET, discount=0.9).astype(jnp.float32)
    rewards = tiny.reward[None] * jnp.asarray([1e-30, 1e-34, 1e-37], jnp.float32)[:, None, None]
    sol = jc.solve(tiny, rewards, method=method)
    for i in range(len(rewards)):
        check_lane(sol, i, tiny, *Problem(tiny, rewards[i]).solve_exact())


@pytest.mark.parametrize("method", ITERATIVE)
def test_no_start_can_spoil_a_lane(method, dtype):
    mdp = jc.problems.garnet(jax.random.key(0), **GARNET, discount=0.9).astype(dtype)
    ones = jnp.ones(mdp.reward.shape, dtype)
    for start in ([-3.45, 8.5, -4.9, 17.6] * 2, [3e38, -3e38, *[0] * 6], [jnp.nan] * STATES, [1e9] * STATES):
        tied = jc.optimal_actions(jc.solve(mdp, ones, init=jnp.asarray(start, dtype), method=method))
        assert tied.optimal.all()
        sol = jc.solve(mdp, mdp.reward[None], init=jnp.asarray(start, dtype), method=method)
        check_lane(sol, 0, mdp, *Problem(mdp, mdp.reward).solve_exact())


@any_mode
@pytest.mark.parametrize("states", [16, 64])
def test_slow_rings_are_decided_in_float32(states):
    """At γ = .9999 no advantage is certain for long; policy iteration must not stop there."""
    n = np.arange(states)
    nxt = np.stack([(n + 1) % states, (n + 2) % states], axis=1)[..., None]
    reward = np.random.default_rng(0).normal(size=(states, 2)).astype(np.float32)
    mdp = jc.MDP(jc.Successors(nxt), reward, np.float32(0.9999)).astype(jnp.float32)
    sol = jc.solve(mdp, mdp.reward[None], method="policy_iteration")
    assert float(sol.error_bound[0] / sol.span[0]) < 0.02
    assert float(jc.policies.ambiguous(jc.optimal_actions(sol)).mean()) < 0.1
    q, v = Problem(mdp, mdp.reward).solve_exact() if states <= 16 else (None, None)
    if q:
        check_lane(sol, 0, mdp, q, v)

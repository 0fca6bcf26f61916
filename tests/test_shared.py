"""The shared factorisation: exact for every lane, near the base or far from it, and linear in the reward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.operators.selection import Greedy
from jaxcliff.solvers import plans
from jaxcliff.solvers.batch import prepare
from jaxcliff.solvers.methods import policy_iteration as solves
from jaxcliff.solvers.methods.factorize import evaluate_nearby
from tests.cases import KINDS
from tests.conftest import X64
from tests.test_bounds import check_kind

NAMES = ("garnet", "masked", "proper")
FLOAT = jnp.float64 if X64 else jnp.float32
CLOSE = 1e-9 if X64 else 2e-3


def draw(name, rng):
    mdp = KINDS[name].draw(rng, FLOAT)
    return mdp if name == "proper" else mdp.replace(discount=0.9)


def around(rng, mdp, sigma, lanes=6):
    """Rewards near the problem's own; unrelated ones where sigma is None."""
    noise = rng.normal(size=(lanes, *mdp.reward.shape))
    rewards = noise if sigma is None else np.asarray(mdp.reward) + sigma * noise
    return jnp.asarray(np.where(np.asarray(mdp.decisions), rewards, 0)).astype(mdp.dtype)


@pytest.mark.parametrize("name", NAMES)
def test_advantages_are_those_of_the_base_policy(name, rng):
    mdp = draw(name, rng)
    base, rewards = jc.factorize(mdp), around(rng, mdp, None)
    true = jc.evaluate(mdp, base.policy, rewards)
    counts = np.asarray(mdp.decisions)
    advantages = np.asarray(base.advantages(rewards))
    scale = float(np.abs(true.values).max())
    np.testing.assert_allclose(advantages[:, counts], -np.asarray(true.gaps)[:, counts], atol=CLOSE * scale)
    level = np.asarray(base.values(rewards) - true.values)
    np.testing.assert_allclose(level, level[:, -1:] * np.ones_like(level), atol=CLOSE * scale)
    if mdp.pinned:
        np.testing.assert_allclose(level, 0, atol=CLOSE * scale)

    states, actions = np.argwhere(counts).T
    normals = np.asarray(base.normals(states, actions))
    assert (normals[:, ~counts] == 0).all()
    product = np.einsum("nsa,bsa->bn", normals, np.where(counts, rewards, 0))
    np.testing.assert_allclose(product, advantages[:, states, actions], atol=CLOSE * scale)
    gradient = jax.grad(lambda r: base.advantages(r)[states[0], actions[0]])(rewards[0])
    np.testing.assert_allclose(gradient, normals[0], atol=CLOSE * scale)


@pytest.mark.parametrize("name", NAMES)
def test_policies_near_the_base_are_evaluated_through_it(name, rng):
    mdp = draw(name, rng)
    capacity, lanes, states = 3, 6, mdp.num_states
    base, rewards = jc.factorize(mdp, capacity=capacity), around(rng, mdp, None)
    chosen = np.array(np.broadcast_to(np.asarray(base.actions), (lanes, states)))
    legal = np.ones(mdp.reward.shape, bool) if mdp.legal is None else np.asarray(mdp.legal)
    for lane in range(lanes):
        for s in rng.choice(states, size=lane, replace=False):
            others = legal[s] & (np.arange(mdp.num_actions) != chosen[lane, s])
            chosen[lane, s] = rng.choice(np.flatnonzero(others if others.any() else legal[s]))
    differ = (chosen != np.asarray(base.actions)).sum(axis=1)
    h, able = evaluate_nearby(base, prepare(mdp, Greedy(), rewards))(jnp.asarray(chosen.T))
    np.testing.assert_array_equal(able, differ <= capacity)
    assert (differ > capacity).any()
    true = jc.evaluate(mdp, np.eye(mdp.num_actions)[chosen].astype(mdp.dtype), rewards).values
    level = np.asarray(h.T - true)[np.asarray(able)]
    np.testing.assert_allclose(level, level[:, -1:] * np.ones_like(level), atol=CLOSE * float(np.abs(true).max()))


@pytest.mark.parametrize(("name", "capacity"), [("garnet", 32), ("masked", 1), ("proper", 2)])
def test_every_lane_is_solved_near_the_base_and_far_from_it(name, capacity, rng):
    mdp = draw(name, rng)
    base = jc.factorize(mdp, capacity=capacity)
    for sigma in (0.01, 0.5, None):
        rewards = around(rng, mdp, sigma)
        sol, other = jc.solve(mdp, rewards, around=base), jc.solve(mdp, rewards, method="value_iteration")
        assert sol.method == "shared"
        assert sol.ok.all()
        apart = np.abs(np.asarray(sol.values - other.values)).max(axis=-1)
        assert (apart <= np.asarray(sol.error_bound + other.error_bound)).all()
        mine, theirs = jc.optimal_actions(sol), jc.optimal_actions(other)
        assert not (mine.optimal & theirs.suboptimal).any()
        assert not (mine.suboptimal & theirs.optimal).any()


def test_a_slowly_mixing_chain_needs_no_sweeps(rng):
    mdp = jc.problems.river_swim(24, discount=0.999).astype(FLOAT)
    rewards = around(rng, mdp, 1e-3)
    shared, swept = jc.solve(mdp, rewards, around=jc.factorize(mdp)), jc.solve(mdp, rewards, method="value_iteration")
    assert shared.ok.all()
    assert shared.iterations.max() <= 4
    assert swept.iterations.min() > 50
    assert (shared.error_bound <= 2 * swept.error_bound).all()


@pytest.mark.parametrize("name", ["masked", "proper"])
def test_soft_lanes_take_chord_steps(name, rng):
    mdp, entropy = draw(name, rng), jc.Entropy(0.3)
    base = jc.factorize(mdp, regularizer=entropy)
    soft = jc.solve(mdp, regularizer=entropy)
    np.testing.assert_allclose(base.policy, soft.policy, atol=CLOSE)
    for sigma in (0.01, 1.0, None):
        rewards = around(rng, mdp, sigma)
        shared = jc.solve(mdp, rewards, regularizer=entropy, around=base)
        swept = jc.solve(mdp, rewards, regularizer=entropy, method="value_iteration")
        assert shared.ok.all()
        assert not X64 or (shared.status <= swept.status).all()  # those far from the base go on by themselves
        apart = np.abs(np.asarray(shared.values - swept.values)).max(axis=-1)
        assert (apart <= np.asarray(shared.error_bound + swept.error_bound)).all()
        if sigma == 0.01:
            assert 2 * shared.iterations.max() < swept.iterations.min()


def test_a_base_is_made_where_none_is_given(rng):
    mdp = draw("garnet", rng)
    rewards = around(rng, mdp, 0.1)
    sol = jc.solve(mdp, rewards, method="shared")
    np.testing.assert_array_equal(sol.q_values, jc.solve(mdp, rewards, around=jc.factorize(mdp)).q_values)
    soft = jc.solve(mdp, rewards, regularizer=jc.Entropy(0.5), method="shared")
    assert soft.ok.all()
    with pytest.raises(ValueError, match=r"needs around=jc.factorize\(mdp, regularizer=…\) where strengths differ"):
        jc.solve(mdp, regularizer=jc.Entropy(jnp.ones((6, 1), mdp.dtype)), method="shared")


@pytest.mark.parametrize("name", ["tied", "proper"])
def test_linear_solves_alone_are_exact_too(name, dtype, rng, monkeypatch, fresh_programs):
    """Without the sweeps that spare most lanes a solve, and with fewer lanes at a time than there are."""
    monkeypatch.setattr(plans, "sweeps_first", lambda states: 0)
    monkeypatch.setattr(solves, "lanes_at_a_time", lambda states: 3)
    check_kind(name, dtype, rng, problems=1, methods=("policy_iteration",))


def test_sweeps_that_do_not_suffice_are_followed_by_solves(rng, monkeypatch, fresh_programs):
    """Lanes of a slow chain beside one that is done at once."""
    monkeypatch.setattr(plans, "sweeps_first", lambda states: 20)
    mdp = jc.problems.river_swim(12, discount=0.999).astype(FLOAT)
    rewards = around(rng, mdp, 0.3).at[1].set(0)
    sol = jc.solve(mdp, rewards, method="policy_iteration")
    assert sol.ok.all()
    assert sol.iterations[1] == 0
    assert (np.delete(np.asarray(sol.iterations), 1) > 0).all()
    assert (sol.error_bound <= (1e-8 if X64 else 0.1) * sol.span).all()
    swept = jc.solve(mdp, rewards, method="value_iteration")
    apart = np.abs(np.asarray(sol.values - swept.values)).max(axis=-1)
    assert (apart <= np.asarray(sol.error_bound + swept.error_bound)).all()


def test_misuse_is_refused_with_a_sentence(rng):
    mdp = draw("garnet", rng)
    tree = KINDS["tree"].draw(rng, FLOAT)
    with pytest.raises(ValueError, match="a tree is solved by one pass and needs no factorisation"):
        jc.factorize(tree)
    with pytest.raises(ValueError, match="a bandit is solved by one pass"):
        jc.factorize(jc.problems.bandit([0.0, 1.0]))
    with pytest.raises(ValueError, match="'shared' does not fit a problem with Tree"):
        jc.solve(tree, method="shared")
    with pytest.raises(ValueError, match="capacity must be a whole number of at least 1, not 0"):
        jc.factorize(mdp, capacity=0)
    with pytest.raises(TypeError, match=r"around must be jc.factorize\(mdp\), not MDP"):
        jc.solve(mdp, around=mdp)
    base = jc.factorize(mdp)
    with pytest.raises(ValueError, match="around belongs to another problem"):
        jc.solve(draw("river", rng), around=base)
    with pytest.raises(ValueError, match="'bandit' goes around no factorisation"):
        jc.solve(mdp, around=base, method="bandit")
    with pytest.raises(ValueError, match="searches for an optimum"):
        jc.evaluate(mdp, base.policy, method="shared")
    with pytest.raises(ValueError, match="give the regularizer one strength"):
        jc.factorize(mdp, regularizer=jc.Entropy(jnp.ones((2, 1), mdp.dtype)))


@pytest.mark.parametrize("size", [5, 16])
def test_solving_a_few_lanes_at_a_time_keeps_every_bit(size, rng, monkeypatch, fresh_programs):
    """Lanes that sweeps did not finish are gathered: where a lane stands then depends on its neighbours."""
    monkeypatch.setattr(plans, "sweeps_first", lambda states: 5)
    monkeypatch.setattr(solves, "lanes_at_a_time", lambda states: size)
    p = rng.dirichlet(np.full(37, 0.05), size=(37, 3))
    mdp = jc.MDP(jc.Dense(jnp.asarray(p, FLOAT)), jnp.zeros((37, 3), FLOAT), 0.97)
    rewards = around(rng, mdp, None, lanes=43)
    quick = np.sort(rng.choice(43, size=13, replace=False))
    rest = np.setdiff1d(np.arange(43), quick)
    one = jc.solve(mdp, rewards, method="policy_iteration")
    other = jc.solve(mdp, rewards.at[quick].set(0), method="policy_iteration")
    assert one.ok.all()
    assert (one.iterations > 0).all()  # also those that only filled up a last group
    assert (other.iterations[quick] == 0).all()
    for x, y in zip(jax.tree.leaves(one[rest]), jax.tree.leaves(other[rest]), strict=True):
        np.testing.assert_array_equal(x, y)


def test_lanes_that_fill_up_a_group_do_not_count_as_finished(rng, monkeypatch, fresh_programs):
    """One improvement does not suffice; five lanes, four at a time: three are solved beside the fifth once more."""
    monkeypatch.setattr(plans, "sweeps_first", lambda states: 0)
    monkeypatch.setattr(solves, "lanes_at_a_time", lambda states: 4)
    mdp = jc.problems.river_swim(12, discount=0.999).astype(FLOAT)
    sol = jc.solve(mdp, around(rng, mdp, 0.3, lanes=5), method="policy_iteration", max_iterations=1, tolerance=0.0)
    assert (sol.iterations == 1).all()
    assert len(set(np.asarray(sol.status).tolist())) == 1


def test_a_base_that_does_not_fit_costs_time_and_no_accuracy(rng):
    """The policy and inverse of other transitions; an inverse of NaN."""
    mdp, other = draw("garnet", rng), draw("garnet", rng)
    rewards = around(rng, mdp, 0.1)
    true = jc.solve(mdp, rewards, method="value_iteration")
    base = jc.factorize(mdp)
    misfits = (
        jc.factorize(other).replace(mdp=mdp),
        base.replace(inverse=base.inverse * jnp.nan),
        base.replace(coupling=base.coupling * jnp.nan),
    )
    for misfit in misfits:
        sol = jc.solve(mdp, rewards, around=misfit)
        assert sol.ok.all()
        apart = np.abs(np.asarray(sol.values - true.values)).max(axis=-1)
        assert (apart <= np.asarray(sol.error_bound + true.error_bound)).all()


def test_every_system_of_switches_can_be_solved(rng):
    """det(−T_CC) = det(I − γP_π)/det(I − γP_π₀), positive for every set C and every other policy π on it."""
    for name in NAMES:
        mdp = draw(name, rng)
        base = jc.factorize(mdp)
        old, coupling = np.asarray(base.actions), np.asarray(base.coupling)
        states = np.flatnonzero(np.ones(mdp.num_states) if mdp.terminal is None else ~np.asarray(mdp.terminal))
        legal = np.ones(mdp.reward.shape, bool) if mdp.legal is None else np.asarray(mdp.legal)

        def determinant(actions, mdp=mdp, states=states):
            rows = mdp.transitions.under(jax.nn.one_hot(actions, mdp.num_actions, dtype=mdp.dtype))
            system = np.eye(mdp.num_states) - np.asarray(mdp.discount * rows, np.float64)
            return np.linalg.det(system[np.ix_(states, states)])

        for size in range(1, len(states) + 1):
            switched = rng.choice(states, size, replace=False)
            new = old.copy()
            new[switched] = [rng.choice(np.flatnonzero(legal[s])) for s in switched]
            switched = np.flatnonzero(new != old)
            block = -coupling[switched[:, None], new[switched][:, None], switched[None]].astype(np.float64)
            ratio = determinant(new) / determinant(old)
            assert ratio > 0
            np.testing.assert_allclose(np.linalg.det(block), ratio, rtol=100 * CLOSE)

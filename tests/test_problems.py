"""Each named problem against what its docstring says is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.model.transitions import UNROLLED
from tests.cases import ITERATIVE
from tests.conftest import X64, needs_x64

KEY = jax.random.key(5)


def check_values(sol, expected):
    np.testing.assert_array_less(np.abs(np.asarray(sol.values) - expected), np.asarray(sol.error_bound) * 1.001 + 1e-12)


@pytest.mark.parametrize("method", ITERATIVE)
@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9])
def test_chain(method, discount):
    n = 10
    sol = jc.solve(jc.problems.chain(n, discount=discount), method=method)
    discount = float(np.asarray(discount, sol.values.dtype))
    check_values(sol, discount ** np.arange(n - 1, -1, -1) / (1 - discount))


@pytest.mark.parametrize("method", ITERATIVE)
def test_cliff_walking(method):
    mdp = jc.problems.cliff_walking()
    sol = jc.solve(mdp, method=method)
    gamma = float(mdp.discount)
    start = -(1 - gamma**13) / (1 - gamma)
    assert abs(float(sol.values[36]) - start) <= float(sol.error_bound)
    assert sol.values[47] == 0
    path = jc.policies.first(jc.optimal_actions(sol)).argmax(-1)
    assert [int(path[s]) for s in (36, 24, 34, 35)] == [0, 1, 1, 2]


def test_gridworld_tends_to_the_textbook_values():
    sol = jc.solve(jc.problems.gridworld(discount=0.9999))
    book = [0.812, 0.868, 0.918, 0, 0.762, 0.660, 0, 0.705, 0.655, 0.611, 0.388]
    np.testing.assert_allclose(sol.values, book, atol=2e-3 + float(sol.error_bound))


def test_gridworld_maps_are_read_as_drawn():
    mdp = jc.problems.gridworld(("S.G", "#.P"), slip=0.0, step=-1.0, goal=10.0, pit=-10.0)
    assert mdp.num_states == 5
    assert np.asarray(mdp.terminal).tolist() == [False, False, True, False, True]
    assert np.asarray(mdp.initial).tolist() == [1, 0, 0, 0, 0]
    assert np.asarray(mdp.reward[1]).tolist() == [-1, 9, -1, -1]
    assert mdp.reward[3, 1] == -11
    assert mdp.labels.state(3) == "row 1, column 1"


@needs_x64
@pytest.mark.parametrize("method", ITERATIVE)
def test_gambler_plays_boldly(method):
    mdp = jc.problems.gambler()
    sol = jc.solve(mdp, method=method)
    heads = 0.4
    v = {0: 0.0, 100: 1.0, 50: heads}
    v[25], v[75] = heads * v[50], heads + (1 - heads) * v[50]
    for capital in (25, 50, 75):
        assert abs(float(sol.values[capital]) - v[capital]) <= float(sol.error_bound) + 1e-15
    assert mdp.labels.action(4, 0) == "bet 5"


def test_river_swim_is_worth_swimming():
    acts = jc.optimal_actions(jc.solve(jc.problems.river_swim(6, discount=0.99)))
    assert acts.optimal[:, 1].all()
    drift = jc.optimal_actions(jc.solve(jc.problems.river_swim(6, discount=0.1)))
    assert drift.optimal[0, 0]
    assert drift.suboptimal[0, 1]


@pytest.mark.parametrize("end_token", [False, True])
@pytest.mark.parametrize("discount", [0.5, 1.0])
def test_token_tree_is_worth_its_best_outcome(end_token, discount):
    mdp = jc.problems.token_tree(KEY, vocabulary=3, depth=4, discount=discount, end_token=end_token)
    assert mdp.num_states == 40
    sol = jc.solve(mdp)
    level = np.repeat(np.arange(4), mdp.transitions.level_sizes)
    reward = np.asarray(mdp.reward, float)
    ends = np.zeros(reward.shape, bool)
    ends[level == 3] = True
    ends[:, 3:] = True
    best = (float(mdp.discount) ** level[:, None] * np.where(ends, reward, -np.inf)).max()
    assert abs(float(sol.values[0]) - best) <= float(sol.error_bound) + 1e-12


def test_a_tree_of_levels_is_the_tree_of_its_matrix(rng):
    for tree in (jc.Tree(3, 3), jc.Tree(2, 3, end_token=True), jc.Tree(1, 4), jc.Tree(4, 1)):
        matrix = tree.to_scipy().toarray()
        values = jnp.asarray(rng.normal(size=(2, tree.num_states))).astype(jnp.float32)
        dense = (matrix @ np.asarray(values).T).T.reshape(2, tree.num_states, tree.num_actions)
        np.testing.assert_array_equal(tree.expect(values), dense.astype(np.float32))
        policy = jnp.asarray(rng.random((2, tree.num_states, tree.num_actions))).astype(jnp.float32)
        rows = matrix.reshape(tree.num_states, tree.num_actions, tree.num_states)
        np.testing.assert_allclose(tree.under(policy), np.einsum("bsa,sat->bst", policy, rows), rtol=1e-6)


def test_successors_and_dense_are_the_same_model(rng):
    sparse = jc.problems.garnet(KEY, states=9, actions=2, branching=3)
    dense = jc.problems.garnet(KEY, states=9, actions=2, branching=3, dense=True)
    matrix = sparse.transitions.to_scipy().toarray()
    np.testing.assert_allclose(matrix, dense.transitions.to_scipy().toarray(), atol=1e-7)
    values = jnp.asarray(rng.normal(size=(4, 9))).astype(sparse.dtype)
    policy = jc.policies.uniform(jc.optimal_actions(jc.solve(sparse, sparse.reward + 0 * values[:, :1, None])))
    for ours in (sparse.transitions, dense.transitions):
        np.testing.assert_allclose(
            ours.expect(values), np.einsum("bt,sat->bsa", values, matrix.reshape(9, 2, 9)), atol=1e-6
        )
        np.testing.assert_allclose(
            ours.under(policy), np.einsum("bsa,sat->bst", policy, matrix.reshape(9, 2, 9)), atol=1e-6
        )
    twice = jc.Successors(np.array([[[0, 0, 0]]]), np.array([[[0.25, 0.5, 0.25]]]))
    assert twice.to_scipy().toarray() == [[1.0]]
    assert twice.under(jnp.ones((1, 1)))[0, 0] == 1


def test_rows_too_long_to_be_summed_in_one_expression(rng):
    """More successors than are unrolled: the same backup, action by action, as that of the dense model."""
    options = {"states": 24, "actions": 3, "branching": UNROLLED + 3, "discount": 0.95}
    sparse, dense = (jc.problems.garnet(KEY, **options, dense=d) for d in (False, True))
    rewards = sparse.reward + jnp.asarray(rng.normal(size=(5, 24, 3)), sparse.dtype)
    one, other = (jc.solve(m, rewards, method="value_iteration") for m in (sparse, dense))
    assert one.ok.all()
    apart = np.abs(np.asarray(one.values - other.values)).max(axis=-1)
    assert (apart <= np.asarray(one.error_bound + other.error_bound)).all()


@pytest.mark.parametrize("ties", [1, 2, 4])
def test_tie_planted_returns_the_values_it_planted(ties):
    mdp, q = jc.problems.tie_planted(KEY, states=12, actions=4, ties=ties, tied_states=5)
    sol = jc.solve(mdp)
    rounding = 50 * np.finfo(mdp.dtype).eps
    np.testing.assert_allclose(sol.q_values, q, atol=float(sol.error_bound) + rounding)
    acts = jc.optimal_actions(sol)
    assert np.asarray(acts.optimal.sum(-1)).tolist() == [ties] * 5 + [1] * 7


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.99])
def test_the_fork_attains_the_generic_radius(discount):
    gap = 1.0
    mdp = jc.problems.fork(gap, discount=discount)
    radius = jc.theory.safe_radius(gap, 1 / (1 - float(mdp.discount)))
    push = jnp.asarray([[-1, 1], [-1, 0], [1, 0]]).astype(mdp.dtype)
    near, far = jc.solve(mdp, mdp.reward + jnp.asarray([0.999, 1.001])[:, None, None].astype(mdp.dtype) * radius * push)
    before, after = (jc.optimal_actions(s).optimal[0].tolist() for s in (near, far))
    assert (before, after) == ([True, False], [False, True])


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_self_return_is_tied_and_its_bump_is_cheap(probability):
    mdp = jc.problems.self_return(probability, discount=0.9)
    sol = jc.solve(mdp)
    assert jc.optimal_actions(sol).optimal[0].all()
    np.testing.assert_allclose(sol.q_values[0], 1, atol=float(sol.error_bound))
    size = 0.1
    bump = jc.perturb.bump(mdp, [[1.0, 1.0], [0.0, 0.0]], 0, 1, size)
    np.testing.assert_allclose(bump.sharp, size * (1 - 0.9 * probability), rtol=1e-5)
    np.testing.assert_allclose(bump.realised, bump.sharp, atol=2e-6)


def test_no_episode_begins_at_its_end():
    mdp = jc.MDP(jc.Successors(np.ones((2, 1, 1), int)), np.zeros((2, 1)), 0.5, terminal=np.array([False, True]))
    assert mdp.initial.tolist() == [1, 0]


def test_planted_rivals_are_behind_by_the_margin():
    _, q = jc.problems.tie_planted(KEY, states=64, actions=4, ties=2, margin=0.5)
    behind = np.sort(np.asarray(q.max(-1, keepdims=True) - q), axis=-1)
    assert (behind[:, :2] == 0).all()
    assert behind[:, 2:].min() >= 0.499


def test_terminal_states_are_worth_nothing_in_the_inverse_of_bellmans_equation():
    """Whatever they are given for their action values."""
    mdp = jc.MDP(jc.Successors(np.ones((2, 1, 1), int)), np.zeros((2, 1)), 0.5, terminal=np.array([False, True]))
    assert jc.inverse_bellman(mdp, [[1.0], [5.0]]).tolist() == [[1], [0]]


def test_bandits_are_their_rewards():
    mdp = jc.problems.contextual_bandit([[1.0, 3.0], [2.0, 2.0]], initial=[0.25, 0.75])
    sol = jc.solve(mdp)
    np.testing.assert_array_equal(sol.q_values, mdp.reward)
    assert sol.error_bound <= 8 * jnp.finfo(mdp.dtype).tiny  # what a subnormal number could lose
    assert jc.optimal_actions(sol).optimal.tolist() == [[False, True], [True, True]]
    assert repr(mdp) == f"MDP(2 actions, 2 states, no transitions, discount 0, float{64 if X64 else 32})"

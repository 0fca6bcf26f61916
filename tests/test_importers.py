"""Other people's problems: arrays in either order, sparse lists, Gymnasium tables, files; against the real packages."""

import gymnasium
import jax
import jax.numpy as jnp
import mdptoolbox.example
import mdptoolbox.mdp
import numpy as np
import pytest
from scipy.sparse import csr_matrix

import jaxcliff as jc
from tests.cases import KINDS, STRUCTURES
from tests.conftest import X64

F = jnp.dtype(jnp.float64 if X64 else jnp.float32)
CLOSE = 1e-9 if X64 else 1e-4


def model(rng, states=6, actions=3):
    p = rng.dirichlet(np.ones(states), size=(states, actions)) * (rng.random((states, actions, states)) < 0.6)
    p[..., 0] += 1e-3
    return (p / p.sum(-1, keepdims=True)).astype(F), rng.normal(size=(states, actions, states)).astype(F)


def test_every_form_of_the_same_arrays_is_the_same_problem(rng):
    p, r = model(rng)
    plain = jc.problems.from_arrays(p, (p * r).sum(-1), discount=0.9)
    by_action = (p.transpose(1, 0, 2), r.transpose(1, 0, 2))
    others = [
        jc.problems.from_arrays(p, r, discount=0.9),
        jc.problems.from_arrays(by_action[0], (p * r).sum(-1), discount=0.9, axes="ASS"),
        jc.problems.from_arrays(*by_action, discount=0.9, axes="ASS"),
        jc.problems.from_arrays([csr_matrix(x) for x in by_action[0]], (p * r).sum(-1), discount=0.9),
        jc.problems.from_arrays(
            [csr_matrix(x) for x in by_action[0]], [csr_matrix(x) for x in by_action[1]], discount=0.9
        ),
    ]
    values = jc.solve(plain).values
    for mdp in others:
        assert mdp.dtype == F
        np.testing.assert_allclose(mdp.reward, plain.reward, atol=CLOSE)
        np.testing.assert_allclose(jc.solve(mdp).values, values, atol=CLOSE * 10)
    assert isinstance(others[-1].transitions, jc.Successors)
    assert int(others[-1].transitions.support) == (p != 0).sum(-1).max()


def sparse_model(rng, states, most, actions=3):
    """Rows with 1 to `most` successors, some with as many; and a reward per next state."""
    p = np.zeros((states, actions, states))
    for s, a in np.ndindex(states, actions):
        count = most if a == 0 else rng.integers(1, most + 1)
        p[s, a, rng.choice(states, count, replace=False)] = rng.dirichlet(np.ones(count))
    return p.astype(F), rng.normal(size=p.shape).astype(F)


@pytest.mark.parametrize(
    ("states", "most", "kind", "width"),
    [
        (32, 8, jc.Successors, 8),
        (32, 5, jc.Successors, 8),
        (31, 5, jc.Dense, 8),  # K is 8, more than a quarter of 31
        (32, 9, jc.Dense, 16),
        (4, 1, jc.Successors, 1),
        (3, 1, jc.Dense, 1),
        (6, 5, jc.Dense, 6),
    ],
)
def test_an_array_is_stored_as_is_faster(states, most, kind, width, rng):
    p, r = sparse_model(rng, states, most)
    found = {layout: jc.problems.from_arrays(p, r, 0.9, layout=layout) for layout in ("auto", "dense", "successors")}
    assert type(found["auto"].transitions) is kind
    assert type(found["dense"].transitions) is jc.Dense
    assert found["successors"].transitions.states.shape == (states, 3, width)
    for mdp in found.values():
        assert mdp.dtype == F
        assert mdp.transitions.support == most
        np.testing.assert_array_equal(
            mdp.transitions.to_scipy().toarray(), found["dense"].transitions.to_scipy().toarray()
        )
        np.testing.assert_array_equal(mdp.reward, found["dense"].reward)


@pytest.mark.parametrize("most", [3, 20])
def test_both_layouts_agree_within_their_certificates(most, rng):
    p, r = sparse_model(rng, 80, most)
    rewards = (p * r).sum(-1) + rng.normal(size=(5, 80, 3)).astype(F)
    one, other = (
        jc.solve(jc.problems.from_arrays(p, r, 0.95, layout=layout), rewards) for layout in ("successors", "dense")
    )
    assert one.ok.all()
    assert other.ok.all()
    apart = np.abs(np.asarray(one.q_values - other.q_values)).max(axis=(-1, -2))
    assert (apart <= np.asarray(one.error_bound + other.error_bound)).all()
    assert one.error_bound.max() <= 1.5 * other.error_bound.max()
    acts, others = jc.optimal_actions(one), jc.optimal_actions(other)
    assert not (acts.optimal & ~others.optimal & ~others.undecided).any()
    assert not (others.optimal & ~acts.optimal & ~acts.undecided).any()


def test_tables_that_are_sparse_stay_sparse_unless_they_are_to_be_dense(rng):
    p, r = model(rng)
    matrices = [csr_matrix(x) for x in p.transpose(1, 0, 2)]
    table = {0: {0: [(0.5, 0, 1.0, False), (0.5, 1, 0.0, True)]}, 1: {0: []}}
    for read in (
        lambda **options: jc.problems.from_arrays(matrices, (p * r).sum(-1), 0.9, **options),
        lambda **options: jc.problems.from_gymnasium(table, 0.9, **options),
    ):
        sparse, dense = read(), read(layout="dense")
        assert isinstance(sparse.transitions, jc.Successors)
        assert isinstance(dense.transitions, jc.Dense)
        np.testing.assert_array_equal(sparse.transitions.to_scipy().toarray(), dense.transitions.to_scipy().toarray())
        np.testing.assert_allclose(jc.solve(sparse).values, jc.solve(dense).values, atol=CLOSE * 10)
    nothing = jc.problems.from_gymnasium({0: {0: [(1.0, 1, 1.0, True)]}, 1: {0: []}}, 0.9).transitions
    assert nothing.states.shape == (2, 1, 1)


def test_problems_of_one_layout_are_stacked(rng):
    arrays = [sparse_model(rng, 16, most) for most in (3, 4, 9)]
    for layout, some in (("dense", arrays), ("successors", arrays[:2]), ("auto", arrays[:2])):
        problems = [jc.problems.from_arrays(p, r, 0.9, layout=layout) for p, r in some]
        stack = jax.tree.map(lambda *x: jnp.stack(x), *problems)
        many = jax.vmap(lambda mdp: jc.solve(mdp, method="value_iteration"))(stack)
        for lane, mdp in enumerate(problems):
            alone = jc.solve(mdp, method="value_iteration")
            apart = np.abs(np.asarray(many[lane].values - alone.values)).max()
            assert apart <= many[lane].error_bound + alone.error_bound


def test_what_is_traced_stays_one_array(rng):
    p, r = sparse_model(rng, 16, 2)
    kinds = []

    @jax.jit
    def values(p, r):
        mdp = jc.problems.from_arrays(p, r, 0.9)
        kinds.append(type(mdp.transitions))
        return jc.solve(mdp, method="value_iteration").values

    plain = jc.problems.from_arrays(p, r, 0.9)
    np.testing.assert_allclose(values(p, r), jc.solve(plain).values, atol=CLOSE * 10)
    assert [*kinds, type(plain.transitions)] == [jc.Dense, jc.Successors]


def test_a_file_keeps_its_layout_and_one_made_by_hand_is_stored_as_is_faster(rng, tmp_path):
    p, r = sparse_model(rng, 16, 2)
    np.savez(tmp_path / "own.npz", probabilities=p, reward=(p * r).sum(-1), discount=F.type(0.9))
    assert isinstance(jc.problems.load(tmp_path / "own.npz").transitions, jc.Successors)
    for layout, kind in (("dense", jc.Dense), ("successors", jc.Successors)):
        jc.problems.save(jc.problems.from_arrays(p, r, 0.9, layout=layout), tmp_path / "saved.npz")
        assert isinstance(jc.problems.load(tmp_path / "saved.npz").transitions, kind)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_forest_of_mdptoolbox(sparse):
    p, r = mdptoolbox.example.forest(S=6, is_sparse=sparse)
    mdp = jc.problems.from_arrays(p, r, discount=0.9, axes="ASS")
    peer = mdptoolbox.mdp.PolicyIteration(p, r, 0.9)
    peer.run()
    np.testing.assert_allclose(jc.solve(mdp).values, peer.V, atol=1e-4)


def walk(table, policy, discount, terminal):
    """V of a policy by the definition of the table: an ending transition is worth its reward and nothing after it."""
    n = len(table)
    system, received = np.eye(n), np.zeros(n)
    for s in range(n):
        if s < len(terminal) and terminal[s]:
            continue
        for p, t, r, done in table[s][policy[s]]:
            received[s] += p * r
            if not done:
                system[s, t] -= discount * p
    return np.linalg.solve(system, received)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FrozenLake-v1", {}),
        ("FrozenLake-v1", {"map_name": "8x8", "is_slippery": False}),
        ("CliffWalking-v1", {}),
        ("Taxi-v4", {}),
    ],
)
def test_gymnasium_tables_mean_the_same(name, options):
    """The optimum of the import beats or equals its own policy, and the policy earns in the table what it says."""
    env = gymnasium.make(name, **options).unwrapped
    mdp = jc.problems.from_gymnasium(env, discount=0.95)
    mdp = mdp.astype(F)
    sol = jc.solve(mdp)
    n = len(env.P)
    policy = np.asarray(jnp.argmax(jc.policies.first(jc.optimal_actions(sol)), axis=-1))[:n]
    terminal = np.asarray(mdp.terminal)
    np.testing.assert_allclose(
        np.asarray(sol.values)[:n][~terminal[:n]],
        walk(env.P, policy, 0.95, terminal)[~terminal[:n]],
        atol=1e-7 if X64 else 2e-2,
    )
    np.testing.assert_allclose(np.asarray(mdp.initial)[:n], env.initial_state_distrib, atol=1e-6)
    if name == "CliffWalking-v1":
        assert float(mdp.initial @ sol.values) == pytest.approx(-(1 - 0.95**13) / 0.05, rel=1e-4)
        assert mdp.num_states == n
    if name == "Taxi-v4":
        assert mdp.num_states in (n, n + 1)


def test_an_ending_transition_into_a_living_state_ends_elsewhere():
    """State 1 is also passed through: ending there goes to an added terminal state, not to state 1."""
    table = {
        0: {0: [(1.0, 1, 5.0, True)], 1: [(1.0, 1, 0.0, False)]},
        1: {0: [(1.0, 0, 1.0, False)], 1: [(1.0, 0, 1.0, False)]},
    }
    mdp = jc.problems.from_gymnasium(table, discount=0.5)
    assert mdp.num_states == 3
    assert mdp.terminal.tolist() == [False, False, True]
    np.testing.assert_allclose(jc.solve(mdp).values, [5.0, 3.5, 0.0], rtol=1e-5)


@pytest.mark.parametrize("name", [*STRUCTURES, "grid", "bandit"])
def test_a_saved_problem_comes_back_bit_for_bit(name, rng, tmp_path):
    mdp = KINDS[name].draw(rng, F)
    mdp = mdp.replace(labels=jc.Labels([f"s{i}" for i in range(mdp.num_states)], positions=mdp.labels.positions))
    jc.problems.save(mdp, tmp_path / "problem.npz")
    again = jc.problems.load(tmp_path / "problem.npz")
    assert jax.tree.structure(again) == jax.tree.structure(mdp)
    for one, other in zip(jax.tree.leaves(mdp), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert again.labels.states == mdp.labels.states
    assert again.labels.positions == mdp.labels.positions
    assert [p.name for p in tmp_path.iterdir()] == ["problem.npz"]


def test_a_file_keeps_where_episodes_begin(tmp_path):
    mdp = jc.problems.contextual_bandit([[1.0, 0.0], [0.0, 1.0]], initial=[0.25, 0.75])
    jc.problems.save(mdp, tmp_path / "problem.npz")
    assert jc.problems.load(tmp_path / "problem.npz").initial.tolist() == [0.25, 0.75]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda d: jc.problems.from_arrays(np.ones((2, 3, 3)) / 3, np.ones((3, 2)), 0.9), "would fit axes='ASS'"),
        (lambda d: jc.problems.from_arrays(np.ones((2, 3, 4)), np.ones((2, 3)), 0.9), "do not fit axes='SAS'"),
        (lambda d: jc.problems.from_arrays(np.ones((2, 2)), np.ones((2, 2)), 0.9), "or be sparse"),
        (lambda d: jc.problems.from_arrays(np.ones((2, 1, 2)) / 2, np.ones((2, 1)), 0.9, axes="AS"), "axes must be"),
        (lambda d: jc.problems.from_arrays(np.ones((2, 1, 2)) / 2, np.ones((2, 2, 2)), 0.9), "a reward per next state"),
        (
            lambda d: jc.problems.from_arrays([csr_matrix(np.eye(2)), csr_matrix(np.eye(3))], np.ones((2, 2)), 0.9),
            "matrix of action 1",
        ),
        (lambda d: jc.problems.from_gymnasium(gymnasium.make("CartPole-v1"), 0.9), "CartPoleEnv has no table"),
        (lambda d: jc.problems.from_gymnasium({0: {0: [(1.0, 7, 0.0, False)]}}, 0.9), "leads to state 7"),
        (lambda d: jc.problems.from_gymnasium({1: {0: []}}, 0.9), "number its states"),
        (lambda d: jc.problems.from_arrays(np.eye(8)[:, None] * -1, np.ones((8, 1)), 0.9), "probability 0 of state 0"),
        (
            lambda d: jc.problems.from_arrays(np.diag([1, np.nan] * 4)[:, None], np.ones((8, 1)), 0.9),
            "probability 1 of",
        ),
        (
            lambda d: jc.problems.from_arrays([csr_matrix((10**6, 10**6))], np.ones((10**6, 1)), 0.9, layout="dense"),
            "take layout='successors'",
        ),
        (lambda d: jc.problems.save(jc.problems.fork(), d / "fork.txt"), "saved as .npz"),
        (lambda d: jc.problems.load(d / "missing.npz"), "there is no file"),
        (lambda d: jc.problems.load(d / "text.npz"), "not a .npz file"),
        (lambda d: jc.problems.load(d / "pickle.npz"), "not a .npz file of plain arrays"),
        (lambda d: jc.problems.load(d / "other.npz"), "a problem needs 'reward'"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence, tmp_path):
    (tmp_path / "text.npz").write_text("reward,1")
    np.savez(tmp_path / "pickle.npz", reward=np.array([{}], dtype=object))
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        call(tmp_path)

"""What a user types is checked, and every refusal names the place; inside a transformation nothing is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc

P2 = np.array([[[0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [0.25, 0.75]]])
R2 = np.array([[1.0, 2.0], [0.0, -1.0]])


def changed(array, place, value):
    array = array.copy()
    array[place] = value
    return array


def mdp(p=P2, r=R2, discount=0.9, **options):
    return jc.MDP(jc.Dense(p), r, discount, **options)


BAD = {
    "NaN probability": (
        lambda: mdp(changed(P2, (1, 0, 1), np.nan)),
        "probability 1 of state 1, action 0 is nan",
    ),
    "infinite probability": (lambda: mdp(changed(P2, (1, 0, 1), np.inf)), "it must be finite"),
    "negative probability": (
        lambda: mdp(changed(P2, (0, 0, 0), -0.5)),
        "of state 0, action 0 is -0.5; it is negative",
    ),
    "row sum": (lambda: mdp(changed(P2, (1, 1, 0), 0.22)), "row of state 1, action 1 sums to 0.97"),
    "not square": (lambda: jc.Dense(np.ones((2, 2, 3))), r"\[S, A, S\], not \[2, 2, 3\]"),
    "no states": (lambda: jc.Dense(np.ones((0, 2, 0))), "no states"),
    "no actions": (lambda: jc.Dense(np.ones((2, 0, 2))), "no actions"),
    "no rewards": (lambda: jc.MDP(None, np.ones((0, 2))), "0 states"),
    "NaN reward": (lambda: mdp(r=changed(R2, (0, 1), np.nan)), "reward of state 0, action 1 is nan"),
    "reward shape": (
        lambda: mdp(r=np.ones((2, 3))),
        r"have 2 states and 2 actions, but the reward has shape \[2, 3\]",
    ),
    "reward rank": (lambda: mdp(r=np.ones(2)), r"must have shape \[S, A\]"),
    "discount above": (lambda: mdp(discount=1.5), "the discount is 1.5; it must lie between 0 and 1"),
    "discount below": (lambda: mdp(discount=-0.1), "between 0 and 1"),
    "discount NaN": (lambda: mdp(discount=float("nan")), "between 0 and 1"),
    "discount missing": (lambda: jc.MDP(jc.Dense(P2), R2), "needs a discount"),
    "discount array": (lambda: mdp(discount=np.array([0.9, 0.8])), "one number"),
    "never ends": (lambda: mdp(discount=1.0), "stay for ever in 2 of the 2 states, state 0 with action 0"),
    "loops beside an end": (
        lambda: mdp(r=[[1.0, 2.0], [0.0, 0.0]], discount=1.0, terminal=[False, True]),
        "stay for ever in 1 of the 2 states, state 0 with action 1",
    ),
    "terminal reward": (lambda: mdp(terminal=[False, True]), "state 1 is terminal and has reward -1"),
    "terminal actions": (
        lambda: mdp(r=R2 * [[1], [0]], terminal=[False, True], legal=np.ones((2, 2), bool)),
        "terminal and has 2 legal actions",
    ),
    "terminal dtype": (lambda: mdp(terminal=[0, 1]), "terminal must be boolean"),
    "terminal bandit": (lambda: jc.MDP(None, R2, terminal=[True, False]), "a bandit has no terminal"),
    "terminal tree": (
        lambda: jc.MDP(jc.Tree(2, 1), np.ones((1, 2)), 1.0, terminal=[True]),
        "a tree has no terminal",
    ),
    "no legal action": (
        lambda: mdp(legal=[[True, True], [False, False]], labels=jc.Labels(["home", "trap"], ["go", "stay"])),
        r"trap has no legal action",
    ),
    "legal without row": (
        lambda: mdp(changed(P2, (1, 0), 0.0)),
        "state 1, action 0 is legal but has no transitions",
    ),
    "legal shape": (lambda: mdp(legal=[True, True]), r"legal must have shape \[2, 2\]"),
    "initial": (lambda: mdp(initial=[0.5, 0.2]), "initial must be a distribution"),
    "labels": (lambda: mdp(labels=jc.Labels(["only one"])), "labels for 1 and 0"),
    "bandit discount": (lambda: jc.MDP(None, R2, 0.5), "a bandit: its discount is 0"),
    "raw transitions": (lambda: jc.MDP(P2, R2, 0.9), "write MDP\\(transitions=jc.Dense"),
    "successor range": (
        lambda: jc.Successors(np.array([[[2]], [[0]]])),
        "successor 0 of state 0, action 0 is state 2",
    ),
    "successor dtype": (lambda: jc.Successors(np.zeros((2, 1, 1))), "integer states"),
    "successor rank": (lambda: jc.Successors(np.zeros((2, 1), int)), r"\[S, A, K\]"),
    "successor weights": (lambda: jc.Successors(np.zeros((2, 1, 2), int)), "needs probabilities when K = 2"),
    "successor shapes": (lambda: jc.Successors(np.zeros((2, 1, 2), int), np.ones((2, 1, 1))), "of one shape"),
    "tree depth": (lambda: jc.Tree(2, 0), "the depth of a Tree must be a whole number of at least 1"),
    "branching": (lambda: jc.problems.garnet(jax.random.key(0), states=3, branching=4), "branching must lie"),
    "ties": (lambda: jc.problems.tie_planted(jax.random.key(0), ties=9), "ties must lie"),
    "layout": (lambda: jc.problems.gridworld(("..", ".X")), "row 1, column 1 of the layout is 'X'"),
    "ragged layout": (lambda: jc.problems.gridworld(("..", "...")), "all of one length"),
    "walls only": (lambda: jc.problems.gridworld(("##",)), "no free cell"),
    "slip": (lambda: jc.problems.gridworld(slip=2), "slip must lie"),
    "goal": (lambda: jc.problems.gambler(1), "the goal must be a whole number of at least 2"),
    "heads": (lambda: jc.problems.gambler(heads=0), "strictly between"),
    "chain": (lambda: jc.problems.chain(1), "states must be a whole number of at least 2"),
    "river": (lambda: jc.problems.river_swim(2), "states must be a whole number of at least 3"),
    "return": (lambda: jc.problems.self_return(2), "between 0 and 1"),
    "correct": (lambda: jc.problems.token_tree(jax.random.key(0), correct=2), "must be a probability"),
    "one string": (lambda: jc.problems.gridworld("..G"), "split it"),
    "only ends": (lambda: jc.problems.gridworld(("G",)), "every state is terminal"),
    "complex": (lambda: jc.MDP(None, np.ones((1, 2)) * 1j), "must be real"),
    "near ties": (lambda: jc.problems.tie_planted(jax.random.key(0), near_gap=0.5), "near_gap must be"),
    "positions": (lambda: mdp(labels=jc.Labels(positions=[(0, 0)])), "give positions for 1"),
    "rounded discount": (
        lambda: jc.MDP(jc.Dense(jnp.asarray(P2, jnp.float32)), jnp.asarray(R2, jnp.float32), 0.99999999),
        "rounds to 1 in float32",
    ),
    "endless in practice": (
        lambda: jc.MDP(
            jc.Dense(np.array([[[1, 1e-20]], [[0, 1]]], np.float32)),
            np.array([[1], [0]], np.float32),
            1.0,
            terminal=[False, True],
        ),
        "longer than the arithmetic can resolve",
    ),
    "values shape": (lambda: jc.inverse_bellman(mdp(), np.zeros((2, 1))), "q_values must have shape"),
    "bandit rank": (lambda: jc.problems.bandit(R2), r"shape \[A\]"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_sentence_that_names_the_place(case):
    build, sentence = BAD[case]
    with pytest.raises((ValueError, TypeError), match=sentence):
        build()


def test_an_unused_row_may_be_empty_and_an_unused_reward_nan():
    legal = np.array([[True, True], [False, True]])
    problem = mdp(changed(P2, (1, 0), 0.0), changed(R2, (1, 0), np.nan), legal=legal)
    sol = jc.solve(problem, changed(R2, (1, 0), np.inf))
    assert sol.ok
    assert sol.q_values[1, 0] == -jnp.inf


def test_rows_within_tolerance_are_divided_by_their_sums():
    model = jc.Dense(P2 * (1 + 9e-6))
    np.testing.assert_allclose(np.asarray(model.probabilities).sum(-1), 1, atol=3e-7)
    assert model.defect < 1e-6
    assert model.support == 2


def test_a_record_is_cast_once_to_the_promoted_dtype():
    single = jc.Dense(jnp.asarray(P2, jnp.float32))
    assert jc.MDP(single, jnp.asarray(R2, jnp.float32), 0.9).dtype == jnp.float32
    wide = jnp.zeros(()).astype(float).dtype
    assert jc.MDP(single, jnp.asarray(R2, jnp.float32), np.float64(0.9)).dtype == wide
    assert jc.MDP(single, np.asarray(R2, np.float64), 0.9).dtype == wide
    assert jc.MDP(single, [[1, 2], [3, 4]], 0.9).dtype == wide


def test_checks_do_nothing_on_tracers_but_shapes_still_do():
    @jax.jit
    def value(p, r, g):
        return jc.solve(jc.MDP(jc.Dense(p), r, g)).values

    single = [jnp.asarray(x, jnp.float32) for x in (P2, R2, 0.9)]
    expected = jc.solve(mdp()).values
    np.testing.assert_allclose(value(*single), expected, rtol=1e-5)
    assert jnp.isnan(value(single[0] * 1.5, *single[1:])).all(), "nothing is raised, and nothing is guessed"
    with pytest.raises(ValueError, match="but the reward has shape"):
        value(single[0], jnp.ones((3, 2), jnp.float32), single[2])


def test_records_are_pytrees_that_skip_their_checks():
    problem = mdp(labels=jc.Labels(["a", "b"]))
    leaves, structure = jax.tree.flatten(problem)
    rebuilt = jax.tree.unflatten(structure, [object()] * len(leaves))
    assert isinstance(rebuilt, jc.MDP)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(problem)]
    assert paths[:2] == [".transitions.probabilities", ".transitions.defect"]
    with pytest.raises(AttributeError):
        problem.discount = 0.5
    with pytest.raises(ValueError, match="discount is 2"):
        problem.replace(discount=2.0)


def test_the_horizon_is_the_longest_expected_episode():
    assert np.ceil(float(jc.problems.gambler().horizon)) == 442
    tree = jc.problems.token_tree(jax.random.key(0), vocabulary=3, depth=5)
    assert float(tree.horizon) == 5
    for ways in ([[0.5, 0.5], [0.75, 0.25]], [[0.75, 0.25], [0.5, 0.5]]):
        wait = jc.MDP(jc.Dense([ways, [[0, 1], [0, 1]]]), [[1.0, 1.0], [0.0, 0.0]], 1.0, terminal=[False, True])
        np.testing.assert_allclose(wait.horizon, 4, rtol=1e-6)
        assert float(wait.horizon) >= 4
    assert float(wait.replace(discount=0.5).horizon) == np.inf
    sol = jc.solve(wait)
    np.testing.assert_allclose(sol.values, [4, 0], atol=float(sol.error_bound))


@pytest.mark.parametrize("states", [3, 30])
def test_row_defects_are_exact(states):
    from fractions import Fraction

    from jaxcliff.core.numerics import row_defects

    drawn = np.random.default_rng(1).dirichlet(np.ones(states), size=20)
    for rows in (drawn, drawn.astype(np.float32)):
        for row, found in zip(rows, row_defects(rows), strict=True):
            exact = abs(sum(map(Fraction, row.tolist())) - 1)
            assert abs(Fraction(float(found)) - exact) <= Fraction(1, 2**60)

"""Best of N against a count of all N-tuples of answers, its price, and its jump at every tie."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests.conftest import X64, needs_x64

CLOSE = 1e-12 if X64 else 2e-5


def answers(mdp, reward, base, state=0, mass=1.0, worth=0.0, weight=1.0, path=()):
    """Every answer from a state on: (its pairs, its mass, its return)."""
    rows = None if mdp.transitions is None else mdp.transitions.to_scipy().toarray()
    legal = np.asarray(mdp.decisions)
    for a in np.flatnonzero(legal[state]):
        pair = (*path, (state, int(a)))
        p, r = mass * base[state, a], worth + weight * reward[state, a]
        row = [] if rows is None else rows[state * mdp.num_actions + a]
        after = np.flatnonzero(row)
        if len(after) and legal[after[0]].any():
            yield from answers(mdp, reward, base, int(after[0]), p, r, weight * float(mdp.discount), pair)
        else:
            yield pair, p, r


def enumerated(found, count, ties):
    """The law of the answer that is kept, by looking at every N-tuple of answers; returns are rounded to find ties."""
    law = np.zeros(len(found))
    worth = np.round([r for _, _, r in found], 9)
    last = [s * 100 + a for (*_, (s, a)), _, _ in found]
    for drawn in itertools.product(range(len(found)), repeat=count):
        p = np.prod([found[i][1] for i in drawn])
        best = [i for i in drawn if worth[i] == worth[list(drawn)].max()]
        if ties == "first":
            law[best[0]] += p
        elif ties == "lowest":
            law[min(best, key=last.__getitem__)] += p
        else:
            for i in best:
                law[i] += p / len(best)
    return law


def conditional(found, law, shape):
    """Shares of what passes; NaN where nothing does."""
    table = np.zeros(shape)
    for (path, _, _), p in zip(found, law, strict=True):
        for s, a in path:
            table[s, a] += p
    total = table.sum(-1, keepdims=True)
    return np.where(total > 0, table / np.where(total > 0, total, 1), np.nan)


def assert_enumerated(mdp, reward, base, count, ties, starts=(0,)):
    ours = np.asarray(jc.policies.best_of(mdp, reward, base, count, ties="lowest" if ties == "lowest" else "sample"))
    for s in starts:
        found = list(answers(mdp, reward, base, s))
        expected = conditional(found, enumerated(found, count, ties), reward.shape)
        seen = ~np.isnan(expected)
        assert seen.any()
        np.testing.assert_allclose(ours[seen], expected[seen], atol=CLOSE, rtol=0)


def rows(rng, mdp):
    base = np.where(np.asarray(mdp.decisions), rng.dirichlet(np.ones(mdp.num_actions), mdp.num_states) + 0.02, 0)
    return base / np.maximum(base.sum(-1, keepdims=True), 1e-300)


def chain(length, discount=1.0):
    """Go on, or answer: a tree with answers of every length, as a list of successors."""
    end = length + 1
    after = np.stack([np.minimum(np.arange(end + 1) + 1, end), np.full(end + 1, end)], axis=1)
    legal = np.ones((end + 1, 2), bool)
    legal[[length, end], 0] = False
    return jc.MDP(
        jc.Successors(after[..., None]),
        np.zeros((end + 1, 2)),
        discount,
        legal=legal,
        terminal=np.arange(end + 1) == end,
    )


@pytest.mark.parametrize("ties", ["sample", "first", "lowest"])
def test_bandits_are_counted(rng, ties):
    """Two laws are one: a best sample at random, or the first."""
    for count in (1, 2, 3, 4):
        reward = rng.integers(0, 3, size=(3, 4)).astype(float)
        mdp = jc.problems.contextual_bandit(reward)
        base = rows(rng, mdp)
        base[0] = (0.5, 0, 0.25, 0.25)
        assert_enumerated(mdp, reward, base, count, ties, starts=range(3))


@pytest.mark.parametrize("ties", ["sample", "lowest"])
@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_trees_are_counted(rng, ties, discount):
    tree = jc.problems.token_tree(jax.random.key(0), vocabulary=2, depth=3, discount=discount, end_token=True)
    long = chain(5, discount)
    for mdp in (tree, long):
        for count in (1, 2, 3):
            reward = np.where(np.asarray(mdp.decisions), rng.integers(0, 3, size=mdp.reward.shape), 0).astype(float)
            assert_enumerated(mdp, reward, rows(rng, mdp), count, ties)


def test_what_does_not_pass_is_as_the_base(rng):
    mdp = chain(3)
    base = rows(rng, mdp)
    base[1] = (0, 1)  # nobody comes to states 2 and 3
    ours = jc.policies.best_of(mdp, np.zeros(mdp.reward.shape), base, 5)
    np.testing.assert_allclose(ours[2:4], base[2:4], atol=1e-6)
    np.testing.assert_array_equal(ours[4], [0, 1])


def test_batches_jit_and_vmap_are_the_same(rng):
    mdp = jc.problems.token_tree(jax.random.key(1), vocabulary=3, depth=3)
    rewards = jnp.asarray(rng.integers(0, 2, size=(2, 3, *mdp.reward.shape)).astype(mdp.dtype))
    base = jnp.asarray(np.stack([rows(rng, mdp) for _ in range(3)]).astype(mdp.dtype))
    every = jc.policies.best_of(mdp, rewards, base, 4)
    assert every.shape == (2, 3, *mdp.reward.shape)
    np.testing.assert_allclose(every.sum(-1), 1, rtol=1e-6)
    one = jc.policies.best_of(mdp, rewards[1, 2], base[2], 4)
    np.testing.assert_allclose(every[1, 2], one, atol=CLOSE)
    jitted = jax.jit(lambda r, n: jc.policies.best_of(mdp, r, base[2], n))(rewards[1, 2], jnp.asarray(4))
    mapped = jax.vmap(lambda r, b: jc.policies.best_of(mdp, r, b, 4))(rewards[1], base)
    np.testing.assert_allclose(jitted, one, atol=CLOSE)
    np.testing.assert_allclose(mapped, every[1], atol=CLOSE)


@pytest.mark.parametrize("count", [1, 2, 4, 16])
def test_the_jump_at_a_tie(rng, count):
    """As derived, with better answers above it or not; 0 for N = 1, never for more."""
    share, rest, above = rng.dirichlet(np.ones(4))[:3]
    base = [[share, rest, above, 1 - share - rest - above]]
    mdp = jc.problems.bandit([1.0, 1.0, 2.0, 0.0])
    better = jc.policies.best_of(mdp, [[1.001, 1.0, 2.0, 0.0]], base, count)
    tied = jc.policies.best_of(mdp, None, base, count)
    jump = jc.metrics.total_variation(tied, better)[0]
    expected = jc.theory.best_of_jump(count, share, share + rest, above)
    assert jump == pytest.approx(float(expected), abs=CLOSE)
    assert (count == 1) == (expected < 1e-12)
    top = jc.problems.bandit([1.0, 1.0])
    jump = jc.policies.best_of(top, [[1.0, 0.0]], [[0.5, 0.5]], count)[0, 0] - 0.5
    assert jump == pytest.approx(1 - 0.5**count - 0.5, abs=CLOSE)
    assert jc.theory.best_of_jump(2, 0.5, 1.0) == 0.25
    assert jc.theory.best_of_jump(4, 0.5, 1.0) == 0.4375


@needs_x64
def test_the_price_is_below_its_bound(rng):
    """Of bandits and of whole answers; strictly for N ≥ 2, as there are finitely many; near it where they are many."""
    tree = jc.problems.token_tree(jax.random.key(2), vocabulary=2, depth=4)
    tree = tree.replace(initial=np.eye(tree.num_states)[0])
    many = jc.problems.bandit(np.arange(4096.0))
    for mdp in (tree, many):
        base = rows(rng, mdp)
        for count in (1, 2, 8, 32):
            policy = jc.policies.best_of(mdp, None, base, count)
            price, bound = jc.metrics.discounted_kl(mdp, policy, base), jc.theory.best_of_kl(count)
            assert price + 1e-12 >= 0
            assert (price < bound) if count > 1 else (abs(price) < 1e-12 and bound == 0)
            assert mdp is tree or count == 1 or price > 0.97 * bound
    reward, base = np.asarray(tree.reward), rows(rng, tree)
    found = list(answers(tree, reward, base))
    law = enumerated(found, 2, "sample")
    exact = np.sum(law * np.log(law / [p for _, p, _ in found]))
    price = jc.metrics.discounted_kl(tree, jc.policies.best_of(tree, None, base, 2), base)
    assert price == pytest.approx(exact, abs=1e-12)


def test_the_price_of_what_is_never_visited_is_nothing():
    mdp = chain(2).replace(initial=np.eye(4)[0])
    stop, go = np.array([[0.0, 1], [1, 0], [0, 1], [0, 1]]), np.array([[0.5, 0.5], [0, 1], [0, 1], [0, 1]])
    assert jc.metrics.discounted_kl(mdp, stop, go) == pytest.approx(np.log(2), rel=1e-6)
    assert jc.metrics.discounted_kl(mdp, go, stop) == np.inf


def test_many_answers_are_the_optimum_nearest_to_the_base(rng):
    """And what a million answers leave over is still a policy, to its last state."""
    mdp = jc.problems.token_tree(jax.random.key(3), vocabulary=2, depth=5, correct=0.5)
    base = rows(rng, mdp)
    policy = jc.policies.best_of(mdp, None, base, 10**6)
    acts = jc.optimal_actions(jc.solve(mdp))
    limit = jc.policies.kl_limit(acts, mdp, base)
    reached = np.asarray(jc.occupancy(mdp.replace(initial=np.eye(mdp.num_states)[0]), limit).sum(-1) > 0)
    np.testing.assert_allclose(policy[reached], limit[reached], atol=1e-4)
    np.testing.assert_allclose(policy.sum(-1), 1, rtol=1e-5)


def test_ties_are_what_the_tolerance_says():
    mdp = jc.problems.bandit([0.0, 1.0, 1.01])
    base = [[0.5, 0.25, 0.25]]
    apart, tied = (jc.policies.best_of(mdp, None, base, 2, tie_tolerance=t)[0] for t in (0.0, 0.1))
    np.testing.assert_allclose(apart, [0.25, 0.3125, 0.4375], atol=1e-6)
    np.testing.assert_allclose(tied, [0.25, 0.375, 0.375], atol=1e-6)
    equal = jc.policies.best_of(mdp, np.zeros((1, 3)), base, 3)
    np.testing.assert_allclose(equal, base, atol=1e-6)


def test_what_is_no_number_is_nan_and_disturbs_nobody():
    mdp = jc.problems.contextual_bandit([[1.0, 0.0], [0.0, 1.0]], legal=[[True, True], [True, False]])
    good, bad = [[1.0, 0.0], [0.0, np.nan]], [[np.nan, 0.0], [0.0, 0.0]]
    base = [[0.5, 0.5], [1.0, 0.0]]
    found = jc.policies.best_of(mdp, [good, bad], base, 2)
    np.testing.assert_allclose(found[0], [[0.75, 0.25], [1, 0]])
    assert np.isnan(found[1]).all()
    assert np.isnan(jc.policies.best_of(mdp, good, [[0.5, 0.2], [1.0, 0.0]], 2)).all()


def test_what_cannot_be_is_said_in_a_sentence():
    mdp = jc.problems.bandit([1.0, 0.0])
    base = [[0.5, 0.5]]
    for wrong, words in (
        ({"count": 0}, "count must be a whole number of at least 1"),
        ({"count": 2, "ties": "highest"}, "ties must be one of 'sample', 'lowest'"),
        ({"count": 2, "tie_tolerance": -1.0}, "must not be negative"),
    ):
        with pytest.raises(ValueError, match=words):
            jc.policies.best_of(mdp, None, base, **wrong)
    with pytest.raises(ValueError, match=r"the base policy must have shape \[..., 1, 2\]"):
        jc.policies.best_of(mdp, None, [[1.0]], 2)
    uniform = np.full((6, 2), 0.5)
    for other, words in (
        (jc.problems.river_swim(), "an action leads to one of several states"),
        (jc.problems.chain(6), "reached in two ways"),
        (jc.MDP(jc.Successors(np.roll(np.arange(6), -1)[:, None, None]), np.zeros((6, 1)), 0.9), "a path goes round"),
    ):
        with pytest.raises(ValueError, match=f"bandits and where answers form a tree.*{words}"):
            jc.policies.best_of(other, None, uniform[:, : other.num_actions], 2)
    with pytest.raises(TypeError, match="cannot be traced"):
        jax.jit(lambda problem: jc.policies.best_of(problem, None, np.full((5, 2), 0.5), 2))(chain(3))

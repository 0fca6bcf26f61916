"""No wrong certainty: a decision that is called certain agrees with the exact solution of the stored floats."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests.cases import ITERATIVE, put
from tests.conftest import any_mode, needs_x64
from tests.oracle import Problem, rational

GAPS = (0.0, *(10.0**-k for k in range(1, 13)))


def check_decisions(mdp, rewards, tie_tolerance, methods=ITERATIVE):
    """Compares every certain decision with the truth; returns (decisions, undecided)."""
    sets = {m: jc.optimal_actions(jc.solve(mdp, rewards, method=m), tie_tolerance) for m in methods}
    decided = undecided = 0
    for i, reward in enumerate(np.asarray(rewards)):
        q, v = Problem(mdp, reward).solve_exact()
        for method, acts in sets.items():
            limit = rational(np.asarray(acts.threshold)[i])
            optimal, suboptimal = np.asarray(acts.optimal)[i], np.asarray(acts.suboptimal)[i]
            for (s, a), truth in q.items():
                gap = v[s] - truth
                assert not (optimal[s, a] and gap > limit), (method, i, s, a)
                assert not (suboptimal[s, a] and gap <= limit), (method, i, s, a)
            unsure = np.asarray(jc.policies.ambiguous(acts))[i]
            decided += len(unsure)
            undecided += int(unsure.sum())
    return decided, undecided


def planted(rng, dtype, gap, discount, states=16):
    mdp, q = jc.problems.tie_planted(
        jax.random.key(int(rng.integers(2**31))),
        states=states,
        actions=4,
        branching=4,
        ties=int(rng.integers(2, 5)),
        near_gap=gap,
        margin=0.5,
        discount=discount,
    )
    return mdp.astype(dtype), q


def around(rng, mdp, count):
    """The planted reward itself, and rewards a rounding or a little more away from it."""
    size = rng.choice([0.0, 1e-13, 1e-9, 1e-5], size=(count, 1, 1))
    size[0] = 0
    noisy = np.asarray(mdp.reward, np.float64) + size * rng.normal(size=(count, *mdp.reward.shape))
    return put(noisy, mdp.dtype)


@pytest.mark.parametrize("gap", GAPS)
def test_no_certain_decision_is_wrong(gap, dtype, rng):
    for tolerance in (None, 0.0):
        mdp, _ = planted(rng, dtype, gap, float(rng.choice([0.5, 0.95, 0.99])))
        check_decisions(mdp, around(rng, mdp, 2), tolerance)


@pytest.mark.slow
@needs_x64
def test_no_certain_decision_is_wrong_wide(dtype, rng):
    total = unsure = 0
    while total < 52_000:
        for gap in GAPS:
            mdp, _ = planted(rng, dtype, gap, float(rng.choice([0.0, 0.5, 0.9, 0.95, 0.99])))
            tolerance = rng.choice([None, 0.0, 1e-8, 1e-3])
            d, n = check_decisions(mdp, around(rng, mdp, 8), tolerance)
            total, unsure = total + d, unsure + n
    print(f"CERTAINTY {dtype.name}: {total} state decisions, {unsure} undecided, none wrong")


@needs_x64
@pytest.mark.parametrize("method", ITERATIVE)
def test_float64_decides_planted_ties_and_gaps_at_default_settings(method, rng):
    """At γ = .95 every planted tie is a tie, and every gap of at least 1e-9 of the span is a gap."""
    for gap in (0.0, 1e-8, 1e-5, 1e-2):
        for _ in range(5):
            mdp, q = planted(rng, jnp.dtype(jnp.float64), gap, 0.95)
            sol = jc.solve(mdp, method=method)
            gap_of_span = gap / float(sol.span)
            assert gap == 0 or gap_of_span >= 1e-9
            acts = jc.optimal_actions(sol)
            assert not acts.undecided.any()
            np.testing.assert_array_equal(acts.optimal, np.asarray(q) == np.asarray(q).max(-1, keepdims=True))


@any_mode
@pytest.mark.parametrize(("states", "actions", "discount", "share"), [(256, 8, 0.99, 0.05), (64, 4, 0.999, 0.10)])
@pytest.mark.parametrize("method", ITERATIVE)
@pytest.mark.parametrize("dense", [False, True])
def test_float32_leaves_few_states_undecided(states, actions, discount, share, method, dense):
    mdp = jc.problems.garnet(
        jax.random.key(3), states=states, actions=actions, branching=8, discount=discount, dense=dense
    ).astype(jnp.float32)
    noise = 0.1 * jax.random.normal(jax.random.key(1), (8, states, actions), jnp.float32)
    acts = jc.optimal_actions(jc.solve(mdp, mdp.reward + noise, method=method))
    undecided = float(jnp.mean(jc.policies.ambiguous(acts)))
    print(f"UNDECIDED float32 S={states} γ={discount} {method} dense={dense}: {undecided:.4f}")
    assert undecided <= share


def mixed_precision_near_tie(discount):
    """QuantEcon.jl issue 403: float32 rewards whose two actions differ by 1e-11 at γ = .900000000001."""
    p = np.zeros((2, 2, 2), np.float32)
    p[0, 0, 0] = p[0, 1, 1] = p[1, 0, 1] = p[1, 1, 1] = 1
    return jc.MDP(jc.Dense(p), np.array([[1, -8], [2, 2]], np.float32), discount)


@any_mode
@pytest.mark.parametrize("method", ITERATIVE)
def test_near_tie_in_float32_is_tied_or_undecided(method):
    mdp = mixed_precision_near_tie(0.900000000001)
    assert mdp.dtype == jnp.float32
    acts = jc.optimal_actions(jc.solve(mdp, method=method))
    assert ((acts.optimal | acts.undecided)[0]).all()
    exact = jc.optimal_actions(jc.solve(mdp, method=method), tie_tolerance=0)
    assert exact.undecided[0].all()


@needs_x64
@pytest.mark.parametrize("method", ITERATIVE)
def test_near_tie_with_a_float64_discount_is_decided(method):
    mdp = mixed_precision_near_tie(np.float64(0.900000000001))
    assert mdp.dtype == jnp.float64
    sol = jc.solve(mdp, method=method)
    assert jc.optimal_actions(sol).optimal[0].all()
    exact = jc.optimal_actions(jc.solve(mdp, method=method, tolerance=0), tie_tolerance=0)
    assert exact.optimal[0].tolist() == [False, True]
    assert not exact.undecided[0].any()


@needs_x64
@pytest.mark.parametrize("method", ITERATIVE)
def test_the_gamblers_ties(method):
    acts = jc.optimal_actions(jc.solve(jc.problems.gambler(), method=method))
    assert not acts.undecided.any()
    assert [int(acts.optimal[s].sum()) for s in (50, 51, 64)] == [1, 2, 3]


def test_three_values_partition_the_legal_actions(dtype, rng):
    mdp, _ = planted(rng, dtype, 1e-5, 0.99)
    acts = jc.optimal_actions(jc.solve(mdp))
    together = acts.optimal.astype(int) + acts.suboptimal.astype(int) + acts.undecided.astype(int)
    np.testing.assert_array_equal(together, 1)
    assert acts.optimal.any(-1).all()

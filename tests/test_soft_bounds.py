"""The bound of a soft optimum holds: no error of a value or a gap exceeds what the solution says, at 60 digits."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests import soft_oracle
from tests.cases import KINDS, LANES, STRUCTURES, lanes
from tests.conftest import X64, needs_x64
from tests.oracle import Problem
from tests.regularizers import REGULARIZERS, draw_base, draw_strength

WIDE = 7  # problems of every structure and regulariser in the wide version, LANES rewards each


def assert_lane_within_bounds(sol, i, reference):
    """One lane against (Q, V, π) at 60 digits; returns error/bound of values and gaps, and the error of the policy."""
    arb = soft_oracle.arb
    q_true, v_true, pi_true = reference
    q, v, gaps, policy = (np.asarray(x[i]) for x in (sol.q_values, sol.values, sol.gaps, sol.policy))
    bound, gap_bound = float(sol.error_bound[i]), np.asarray(sol.gap_bound[i])
    worst = max(
        max(float(abs(arb(q[k]) - x)) for k, x in q_true.items()),
        max(float(abs(arb(v[s]) - x)) for s, x in v_true.items()),
    )
    assert worst <= bound, f"lane {i}: error {worst:.3e} exceeds bound {bound:.3e}"
    worst_gap = 0.0
    for (s, a), x in q_true.items():
        error = float(abs(arb(gaps[s, a]) - (v_true[s] - x)))
        assert error <= gap_bound[s, a], f"gap of lane {i}, state {s}, action {a}: {error:.3e} > {gap_bound[s, a]:.3e}"
        worst_gap = max(worst_gap, error / gap_bound[s, a])
    out = np.ones(q.shape, bool)
    out[tuple(np.array(list(q_true)).T)] = False
    terminal = ~np.isin(np.arange(len(v)), list(v_true))
    assert (v[terminal] == 0).all()
    assert np.isneginf(q[out & ~terminal[:, None]]).all()
    errors = np.zeros(q.shape)
    for k, p in pi_true.items():
        errors[k] = float(abs(arb(policy[k]) - p))
    moved = 0.5 * errors.sum(-1)
    slack = 1e3 * np.finfo(q.dtype).eps
    assert (moved <= policy_bound(sol.regularizer, i, gap_bound) + slack)[~terminal].all(), f"policy of lane {i}"
    return worst / bound if bound else 0.0, worst_gap, moved.max()


def policy_bound(regularizer, i, gap_bound):
    """How far, in TV, a policy can be off whose action values are off by `gap_bound` up to a constant, [S].

    Where a theorem holds for moves of any size; elsewhere, and for a hard maximum, nothing is claimed.
    """
    strength, error = (
        np.asarray(regularizer.strength[i], float),
        gap_bound.max(-1, where=np.isfinite(gap_bound), initial=0),
    )
    soft = np.where(strength > 0, strength, 1)
    if isinstance(regularizer, jc.Entropy | jc.KL):
        bound = np.asarray(jc.theory.soft_jump(error, soft, 1))
    elif isinstance(regularizer, jc.Sparsemax):
        bound = jc.theory.sparsemax_jump(error, soft, gap_bound.shape[-1])
    elif regularizer.divergence == "chi_square":
        bound = jc.theory.soft_jump_linear(error, soft, 1)
    else:
        bound = np.ones_like(soft)
    return np.where(strength > 0, bound, 1)


def measure_and_assert(name, regularizer, dtype, rng, problems, methods=None):
    """Every method of one kind of problem under one regulariser; returns the ratios."""
    ratios = []
    for _ in range(problems):
        mdp = KINDS[name].draw(rng, dtype)
        rewards, strength = lanes(rng, mdp), draw_strength(rng, mdp, LANES)
        base = draw_base(rng, mdp, LANES, sparse=True)
        reg = REGULARIZERS[regularizer](strength, base)
        based = np.asarray(base if hasattr(reg, "base") else np.ones(rewards.shape))
        references = [
            soft_oracle.solve(Problem(mdp, rewards[i]), reg, np.asarray(strength[i]), based[i]) for i in range(LANES)
        ]
        for method in methods or [
            m for m in KINDS[name].methods if m != "shared"
        ]:  # it needs one strength for all lanes
            sol = jc.solve(mdp, rewards, regularizer=reg, method=method)
            assert sol.ok.all(), sol.summary()
            ratios += [assert_lane_within_bounds(sol, i, references[i]) for i in range(LANES)]
    return np.array(ratios).T


QUICK = [(name, regularizer) for i, regularizer in enumerate(REGULARIZERS) for name in STRUCTURES[i % 5 : i % 5 + 1]]


@pytest.mark.parametrize(("name", "regularizer"), QUICK)
def test_errors_stay_within_their_bounds(name, regularizer, rng):
    values, gaps, _ = measure_and_assert(name, regularizer, jnp.dtype(jnp.float64 if X64 else jnp.float32), rng, 1)
    assert 0 < values.max() <= 1
    assert gaps.max() <= 1


@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_the_operator_counts_its_own_rounding(regularizer, rng):
    """In a bandit of 40 actions nothing else rounds: the whole bound is the operator's, and it is not 0."""
    mdp = jc.problems.bandit(jnp.asarray(rng.normal(size=40), jnp.float32))
    rewards = lanes(rng, mdp)
    strength, base = jnp.asarray([[0.05], [0.3], [3.0], [1e3]], jnp.float32), draw_base(rng, mdp, LANES)
    reg = REGULARIZERS[regularizer](strength, base)
    based = np.asarray(base if hasattr(reg, "base") else np.ones(rewards.shape))
    sol = jc.solve(mdp, rewards, regularizer=reg)
    values = []
    for i in range(LANES):
        reference = soft_oracle.solve(Problem(mdp, rewards[i]), reg, np.full(1, float(strength[i, 0])), based[i])
        values.append(assert_lane_within_bounds(sol, i, reference)[0])
    assert 0 < max(values) <= 1


@pytest.mark.parametrize("order", [0.5, 0, -1.5, -2])
def test_the_best_action_may_be_as_good_as_unknown_to_the_base(order):
    """Its ratio to the base, to the power 1 − order, is beyond float32."""
    mdp = jc.problems.bandit(jnp.asarray([0.15, 0.88, 0.04], jnp.float32))
    base = jnp.asarray([[0.1, 3e-16, 0.9]], jnp.float32)
    for strength in (1e-5, 1e-2, 1.0):
        regularizer = jc.FDivergence(jnp.full((1, 1), strength, jnp.float32), base[None], order)
        sol = jc.solve(mdp, mdp.reward[None], regularizer=regularizer)
        assert sol.ok.all(), sol.summary()
        based = np.asarray(base)
        reference = soft_oracle.solve(
            Problem(mdp, mdp.reward), regularizer, np.full(1, float(np.float32(strength))), based
        )
        assert_lane_within_bounds(sol, 0, reference)


def test_a_sweep_counts_the_rounding_of_its_operator(rng):
    """At discount 0 a sweep is one log-sum-exp, here in float32 against float64."""
    rewards = (rng.normal(size=(4096, 1, 3)) * rng.choice([1e-3, 0.1, 1], size=(4096, 1, 1))).astype(np.float32)
    mdp = jc.MDP(jc.Dense(np.ones((1, 3, 1), np.float32)), rewards[0], np.float32(0))
    sol = jc.solve(mdp, rewards, regularizer=jc.Entropy(1.0), method="value_iteration")
    error = np.abs(np.asarray(sol.values, float) - np.log(np.exp(rewards.astype(float)).sum(-1)))
    assert (error[:, 0] <= np.asarray(sol.error_bound)).all()


@needs_x64
@pytest.mark.slow
@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("name", STRUCTURES)
def test_errors_stay_within_their_bounds_widely(name, regularizer, rng, dtype):
    values, gaps, policies = measure_and_assert(name, regularizer, dtype, rng, WIDE)
    assert 0 < values.max() <= 1
    assert gaps.max() <= 1
    print(
        f"{name} {regularizer} {dtype.name}: {len(values)} certificates; error/bound of values at most "
        f"{values.max():.3f} (median {np.median(values):.1e}), of gaps {gaps.max():.3f}; "
        f"policies within {policies.max():.0e}"
    )

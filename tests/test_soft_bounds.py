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


def check_lane(sol, i, reference):
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
    return worst / bound if bound else 0.0, worst_gap, max(float(abs(arb(policy[k]) - p)) for k, p in pi_true.items())


def check(name, regularizer, dtype, rng, problems, methods=None):
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
        for method in methods or KINDS[name].methods:
            sol = jc.solve(mdp, rewards, regularizer=reg, method=method)
            assert sol.ok.all(), sol.summary()
            ratios += [check_lane(sol, i, references[i]) for i in range(LANES)]
    return ratios


QUICK = [(name, regularizer) for i, regularizer in enumerate(REGULARIZERS) for name in STRUCTURES[i % 5 : i % 5 + 1]]


@pytest.mark.parametrize(("name", "regularizer"), QUICK)
def test_errors_stay_within_their_bounds(name, regularizer, rng):
    check(name, regularizer, jnp.dtype(jnp.float64 if X64 else jnp.float32), rng, problems=1)


@needs_x64
@pytest.mark.slow
@pytest.mark.parametrize("regularizer", REGULARIZERS)
@pytest.mark.parametrize("name", STRUCTURES)
def test_errors_stay_within_their_bounds_widely(name, regularizer, rng, dtype):
    values, gaps, policies = np.array(check(name, regularizer, dtype, rng, problems=WIDE)).T
    print(
        f"{name} {regularizer} {dtype.name}: {len(values)} certificates; error/bound of values at most "
        f"{values.max():.3f} (median {np.median(values):.1e}), of gaps {gaps.max():.3f}; "
        f"policies within {policies.max():.0e}"
    )

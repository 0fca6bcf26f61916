"""The bound holds: no error of a value or a gap exceeds what the solution says, against exact rationals."""

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.operators.selection import Greedy
from jaxcliff.solvers.batch import prepare
from jaxcliff.solvers.bounds import certify
from tests.cases import KINDS, LANES, lanes
from tests.conftest import any_mode, needs_x64
from tests.oracle import Problem, rational

WIDE = 20  # problems of every kind in the wide version, LANES rewards each


def check_lane(sol, i, mdp, q_true, v_true):
    """Exact comparison of one lane; returns error / bound for values and for gaps."""
    q, v, gaps, gap_bound, error_bound = (
        np.asarray(x)[i] for x in (sol.q_values, sol.values, sol.gaps, sol.gap_bound, sol.error_bound)
    )
    bound = rational(error_bound)
    worst, worst_gap = flint.fmpq(0), 0.0
    for (s, a), truth in q_true.items():
        worst = max(worst, abs(rational(q[s, a]) - truth))
        gap_error = abs(rational(gaps[s, a]) - (v_true[s] - truth))
        assert gap_error <= rational(gap_bound[s, a]), f"gap of lane {i}, state {s}, action {a}"
        if gap_bound[s, a] > 0:
            worst_gap = max(worst_gap, ratio(gap_error, gap_bound[s, a]))
    for s, truth in v_true.items():
        worst = max(worst, abs(rational(v[s]) - truth))
    assert worst <= bound, f"lane {i}: error {ratio(worst, 1):.3e} exceeds bound {error_bound:.3e}"
    illegal = ~np.asarray(mdp.decisions)
    if mdp.terminal is not None:
        assert (v[np.asarray(mdp.terminal)] == 0).all()
        illegal &= ~np.asarray(mdp.terminal)[:, None]
    assert np.isneginf(q[illegal]).all()
    assert np.isposinf(gaps[illegal]).all()
    return ratio(worst, error_bound) if error_bound > 0 else 0.0, worst_gap


def ratio(exact, bound):
    x = exact / rational(bound)
    return int(x.p * 10**6 // x.q) / 1e6


def check_kind(name, dtype, rng, problems, methods=None):
    """Every method of one kind (or some) on the same instances; returns the ratios by method."""
    kind = KINDS[name]
    ratios = {method: [] for method in methods or kind.methods}
    for _ in range(problems):
        mdp = kind.draw(rng, dtype)
        assert mdp.dtype == dtype
        rewards = lanes(rng, mdp)
        solutions = {m: jc.solve(mdp, rewards, method=m) for m in ratios}
        for i, reward in enumerate(np.asarray(rewards)):
            q_true, v_true = Problem(mdp, reward).solve_exact()
            for method, sol in solutions.items():
                assert np.asarray(sol.ok)[i], jc.Status(int(sol.status[i])).sentence
                ratios[method].append(check_lane(sol, i, mdp, q_true, v_true))
    return ratios


# Kinds that no other shares a shape with, and that differ from others in numbers only: met in the wide version.
ALONE = ("river", "grid", "fork", "self_return")


@pytest.mark.parametrize("name", [pytest.param(k, marks=pytest.mark.slow) if k in ALONE else k for k in KINDS])
def test_error_never_exceeds_its_bound(name, dtype, rng):
    check_kind(name, dtype, rng, problems=2)


@pytest.mark.slow
@needs_x64
@pytest.mark.parametrize("name", KINDS)
def test_error_never_exceeds_its_bound_wide(name, dtype, rng):
    ratios = check_kind(name, dtype, rng, problems=WIDE)
    for method, pairs in ratios.items():
        values, gaps = np.array(pairs).T
        assert len(values) >= 50
        print(
            f"BOUND {name:12s} {dtype.name} {method:16s} {len(values)} instances; error/bound of values: "
            f"median {np.median(values):.1e}, max {values.max():.2f}; of gaps: max {gaps.max():.2f}"
        )


@pytest.mark.parametrize("name", ["garnet", "dense", "masked", "stopping", "proper", "tree"])
def test_values_agree_with_a_linear_programme(name, dtype, rng):
    mdp = KINDS[name].draw(rng, dtype)
    if float(mdp.discount) > 0.99 and name != "proper" and name != "tree":
        mdp = mdp.replace(discount=jnp.asarray(0.99).astype(dtype))
    sol = jc.solve(mdp)
    reference = Problem(mdp, mdp.reward).solve_linear_programme()
    allowed = float(sol.error_bound) + 1e-7 * (1 + np.abs(reference).max())
    assert np.abs(np.asarray(sol.values) - reference).max() <= allowed


@any_mode
@pytest.mark.parametrize("name", ["dense", "stopping", "proper", "ending_tree"])
def test_the_certificate_asks_nothing_of_the_values_it_is_given(name, rng):
    """For arbitrary h, near and far, with and without the 0 of an episode's end in the measured range."""
    dtype = jnp.dtype(jnp.float32)
    mdp = KINDS[name].draw(rng, dtype)
    rewards = lanes(rng, mdp)
    batch = prepare(mdp, Greedy(), rewards)
    h = rng.choice([0.1, 1, 10], size=(LANES, 1)) * (rng.normal(size=(LANES, mdp.num_states)) - 2)
    h = batch.centred(jnp.asarray(h).astype(dtype))
    q = batch.backup(h)
    bound = certify(batch, h, *batch.value(q))
    q = np.asarray(q + bound.offset[:, None, None])
    for i in range(LANES):
        truth, _ = Problem(mdp, rewards[i]).solve_exact()
        for (s, a), exact in truth.items():
            assert abs(rational(q[i, s, a]) - exact) <= rational(bound.error_bound[i]), (i, s, a)


def slow_ending(row, states):
    """Reward 1 per step, γ = .999, every state with the same kind of row; state 0 is terminal: V is large and flat."""
    terminal = np.arange(states) == 0
    rows = np.stack([row(s) for s in range(states)])[:, None].astype(np.float32)
    return rows, np.where(terminal, 0, 1).astype(np.float32)[:, None], terminal


@any_mode
def test_the_defect_of_traced_rows_is_counted():
    """Inside a transformation rows are not divided by their sums; truth is what division would give."""
    rows, reward, terminal = slow_ending(lambda s: np.array([1e-4, 0.5, 0.4999]) * (1 - 8e-6), 3)

    def solve(p):
        return jc.solve(jc.MDP(jc.Dense(p), reward, np.float32(0.999), terminal=terminal), method="value_iteration")

    with jax.enable_x64(False):
        sol = jax.jit(solve)(jnp.asarray(rows))
    mdp = jc.MDP(jc.Dense(rows), reward, np.float32(0.999), terminal=terminal)
    q, _ = Problem(mdp, mdp.reward).solve_float()
    assert np.abs(np.asarray(sol.q_values, float) - q)[1:].max() <= float(sol.error_bound)


def test_the_defect_of_a_row_is_counted():
    """A row of one number that is an ulp below 1, for ever: V is off in the same direction at every step.

    Swept from below by numpy, which rounds every product and sum: a program that fuses them has an error less to show.
    """
    rows, discount = np.array([[[1 - 2.0**-24, 0]], [[0, 1]]], np.float32), np.float32(0.99)
    mdp = jc.MDP(jc.Dense(rows), np.zeros((2, 1), np.float32), discount, terminal=[False, True])
    rewards = np.zeros((4096, 2, 1), np.float32)
    reward = rewards[:, 0, 0] = np.random.default_rng(0).uniform(1, 2, size=4096).astype(np.float32)
    before, found = np.zeros_like(reward), reward
    while (found != before).any():
        before, found = found, reward + discount * (rows[0, 0, 0] * found)
    assert found.dtype == np.float32
    h = jnp.asarray(np.stack([found, 0 * found], axis=-1))
    bound = certify(prepare(mdp, Greedy(), jnp.asarray(rewards)), h, h, None)
    truth = reward.astype(float) / (1 - float(discount))
    error = np.abs(found.astype(float) + np.asarray(bound.offset) - truth)
    assert (error <= np.asarray(bound.error_bound)).all()


@any_mode
def test_the_non_zeros_of_a_row_are_counted():
    """A thousand small terms vanish beside a large one in a float32 sum, and 1/(1 − γ) such sums add up."""
    states = 1024
    small = 2.0**-26
    rows, reward, terminal = slow_ending(
        lambda s: np.where(np.arange(states) == s, 1 - small * (states - 1), small), states
    )
    mdp = jc.MDP(jc.Dense(rows), reward, np.float32(0.999), terminal=terminal)
    sol = jc.solve(mdp, method="value_iteration")
    q, _ = Problem(mdp, mdp.reward).solve_float()
    assert np.abs(np.asarray(sol.q_values, float) - q)[1:].max() <= float(sol.error_bound)


@any_mode
def test_leaving_out_the_rounding_terms_breaks_the_bound(rng):
    """The certificate's rounding terms are needed: without them float32 errors do exceed the bound."""
    exceeded = 0
    for _ in range(20):
        mdp = KINDS["dense"].draw(rng, jnp.dtype(jnp.float32)).replace(discount=0.9)
        sol = jc.solve(mdp, method="policy_iteration")
        q, _ = Problem(mdp, mdp.reward).solve_float()
        v = np.asarray(sol.values)
        change = np.asarray(jnp.max(sol.q_values, -1)) - v
        exact_part = 0.5 * 0.9 / 0.1 * (change.max() - change.min())
        exceeded += np.abs(np.asarray(sol.q_values) - q).max() > exact_part
    assert exceeded > 10


def test_gaps_pay_for_the_sweeps_that_were_left_out(dtype, rng):
    mdp = KINDS["garnet"].draw(rng, dtype).replace(discount=jnp.asarray(0.9).astype(dtype))
    rewards = lanes(rng, mdp)
    sol = jc.solve(mdp, rewards, method="value_iteration", max_iterations=2)
    for i in range(LANES):
        check_lane(sol, i, mdp, *Problem(mdp, rewards[i]).solve_exact())


def test_rounding_adds_up_along_a_tree(dtype):
    """Eighty tenths, one after the other, are off by more than the last sum."""
    mdp = jc.MDP(jc.Tree(1, 80), jnp.full((80, 1), 0.1, dtype), 1.0)
    check_lane(jc.solve(mdp, mdp.reward[None]), 0, mdp, *Problem(mdp, mdp.reward).solve_exact())

"""Learned weights: against closed forms of two arms, finite differences, and each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import jaxcliff as jc
from jaxcliff.studies import fixed_points, gates
from tests.conftest import needs_x64

pytestmark = needs_x64
KEY = jax.random.key(0)
study = functools.partial(jc.studies.learned_weights, key=KEY)


def two_arms(size=1.0):
    return jc.problems.bandit(jnp.zeros(2)).astype(jnp.float64), size * np.eye(2)[:, None]


def garnet(seed=0, number=2, **options):
    several = {"states": 5, "actions": 2, "branching": 2, "discount": 0.7} | options
    mdp = jc.problems.garnet(jax.random.key(seed), **several).astype(jnp.float64)
    rewards = np.random.default_rng(seed).normal(size=(number, *mdp.reward.shape))
    return mdp, rewards


def contexts(seed=0, number=2, actions=2):
    rng = np.random.default_rng(seed)
    return jc.problems.contextual_bandit(np.zeros((3, actions))), rng.normal(size=(number, 3, actions))


SOME = [contexts, pytest.param(garnet, marks=pytest.mark.slow)]


def off(d, feedback, strength):
    return answer(d, feedback, strength) - d


def answer(d, feedback, strength):
    """What two arms that pay 1 answer a difference of probabilities."""
    return np.tanh(np.tanh(feedback * d / 2) / (2 * strength))


@pytest.mark.parametrize("size", [1.0, pytest.param(3.0, marks=pytest.mark.slow)])
def test_the_transition_is_at_the_pitchfork_over_two_decades(size):
    """By the slope at equal weights: where the multiplier passes 1, within 2 % of 4α/c² (and far closer)."""
    strength = np.geomspace(0.02, 2, 5)
    feedback = np.geomspace(0.003, 30, 24)
    found = np.full(len(strength), np.nan)
    ds = study(*two_arms(size), feedback=feedback, strength=strength, positions=[-0.1, 0.1])
    middle = np.abs(ds.weight.isel(component=0) - 0.5).fillna(9).argmin("root")
    slope = ds.multiplier.isel(root=middle).values
    for i, own in enumerate(slope.T):
        found[i] = np.exp(np.interp(0, np.log(own), np.log(feedback)))
    np.testing.assert_allclose(found, 4 * strength / size**2, rtol=0.02)
    np.testing.assert_allclose(ds.critical, 4 * strength / size**2, rtol=1e-9)
    above = feedback[:, None] > 4 * strength / size**2
    np.testing.assert_array_equal(ds.fixed_points, np.where(above, 3, 1))
    np.testing.assert_array_equal(ds.stable, np.where(above, 2, 1))
    np.testing.assert_allclose(ds.contraction, feedback[:, None] * size**2 / (4 * strength), rtol=1e-9)
    np.testing.assert_allclose(ds.contraction_bound, ds.contraction, rtol=1e-9)


def test_rewards_of_both_signs_fork_at_the_strength_itself():
    mdp, _ = two_arms()
    ds = study(mdp, [[[1.0, -1.0]], [[-1.0, 1.0]]], feedback=[0.49, 0.51], strength=[0.5], positions=[-0.1, 0.1])
    np.testing.assert_allclose(ds.critical, [0.5], rtol=1e-9)
    assert ds.stable.values.ravel().tolist() == [1, 2]


def test_fixed_points_are_those_of_the_closed_form():
    feedback, strength = [-3.0, 0.5, 1.5, 2.5, 9.0], [0.2, 0.5, 1.1]
    ds = study(feedback=feedback, strength=strength, positions=[-0.1, 0.1])
    for i, zeta in enumerate(feedback):
        for k, alpha in enumerate(strength):
            d = 2 * ds.policy[i, k, :, 0, 0].dropna("root").values - 1
            np.testing.assert_allclose(answer(d, zeta, alpha), d, atol=1e-12)
            grid = np.linspace(-1, 1, 100_000)
            changes = np.flatnonzero(np.diff(np.sign(answer(grid, zeta, alpha) - grid)))
            exact = [scipy.optimize.brentq(off, *grid[j : j + 2], (zeta, alpha)) for j in changes]
            np.testing.assert_allclose(np.sort(d), exact, atol=1e-10)
    share = ds.policy.sel(strength=0.5)[..., 0, 0]
    assert share.sel(feedback=1.5).dropna("root").values.tolist() == pytest.approx([0.5], abs=1e-12)
    low, high = np.nanmin(share.sel(feedback=2.5)), np.nanmax(share.sel(feedback=2.5))
    assert (low, high) == pytest.approx((0.245, 0.755), abs=1e-3)
    assert float(ds.jump.sel(feedback=2.5, strength=0.5)) == pytest.approx(high - low, abs=1e-9)


def test_a_sweep_has_no_loop_below_and_an_open_one_above():
    alpha = np.array([0.05, 0.5])
    for strength in alpha:
        ds = study(feedback=[-3.2 * strength, 3.2 * strength, 4.8 * strength], strength=[strength])
        area = ds.loop_area.values.ravel()
        assert (area[:2] < 1e-6).all()
        assert area[2] > 1e-3
        assert float(ds.unsettled.max()) < 1e-9
        apart = np.abs(ds.share_up - ds.share_down).max("position").values.ravel()
        assert (apart[:2] < 1e-6).all()
        assert apart[2] > 0.3


def test_a_hasty_gate_swings_where_its_feedback_is_adverse_enough():
    ds = study(feedback=[-3.0, -2.1, -1.9, -1.0, 3.0], strength=[0.5], positions=[-0.1, 0.1])
    assert ds.period.values.ravel().tolist() == [2, 2, 1, 1, 1]
    assert ds.fixed_points.values.ravel().tolist() == [1, 1, 1, 1, 3]
    assert (ds.swing.values.ravel()[:2] > 0.1).all()
    multiplier = ds.multiplier[:4, 0, 0].values
    np.testing.assert_allclose(multiplier, [-1.5, -1.05, -0.95, -0.5], rtol=1e-9)


def test_hard_gates_jump_at_every_strength():
    strength = np.geomspace(0.01, 10, 7)
    ds = study(kind="hard", strength=strength)
    assert "feedback" not in ds.dims
    np.testing.assert_allclose(ds.jump, np.tanh(1 / (2 * strength)), rtol=1e-9)
    assert (ds.stable == 2).all()
    assert (ds.loop_area > 0.01).all()
    frozen = study(kind="frozen", strength=strength)
    assert (frozen.loop_area == 0).all()
    np.testing.assert_allclose(frozen.joint, 1 / (2 * strength), rtol=1e-9)


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 3, 4, 5, 6, 7))])
@pytest.mark.parametrize("problem", SOME)
def test_a_contraction_has_one_fixed_point(problem, seed):
    """Random problems, weak and strong feedback: two fixed points only where the product is above 1."""
    mdp, rewards = problem(seed)
    ds = study(mdp, rewards, feedback=np.geomspace(1e-3, 30, 12), strength=[0.05, 0.3, 2.0], positions=[-0.1, 0.1])
    several = ds.fixed_points > 1
    assert several.any() or seed in (0, 4, 5, 7)
    assert (ds.contraction_bound >= ds.contraction * (1 - 1e-9)).all()
    for product in (ds.contraction, ds.contraction_bound):
        assert not (several & (product < 1)).any()
    assert (ds.contraction_bound < 1).any()
    assert np.nanmax(np.abs(ds.multiplier.where(ds.contraction < 1))) < 1


@pytest.mark.parametrize("problem", SOME)
def test_the_joint_constant_is_the_derivative(problem):
    """Two arms below the pitchfork, max(2, cζ)/(4α(1 − ζc²/4α)); and differences of fixed points elsewhere."""
    ds = study(feedback=[0.5, 1.5], strength=[0.5], positions=[-0.1, 0.1])
    zeta = ds.feedback.values
    np.testing.assert_allclose(ds.joint_policy[:, 0], np.maximum(2, zeta) / (2 * (1 - zeta / 2)), rtol=1e-9)
    mdp, rewards = problem(1)
    strength, feedback = 0.8, 0.2
    solve = functools.partial(study, mdp, feedback=[feedback], strength=[strength], positions=[-0.1, 0.1])
    ds, size, rng = solve(rewards), 1e-5, np.random.default_rng(0)
    assert ds.fixed_points.item() == 1
    for _ in range(4):
        change = rng.choice([-1.0, 1.0], size=rewards.shape)
        there = solve(rewards + size * change)
        tv = np.abs(there.policy - ds.policy).sum("action").max() / 2 / size
        moved = np.abs(there.weight - ds.weight).sum("component").max() / 2 / size
        assert float(tv) <= float(ds.joint_policy.max()) * (1 + 1e-3)
        assert float(moved) <= float(ds.joint_weights.max()) * (1 + 1e-3)


def hyper(mdp, rewards, true, strength, weights):
    system = gates.System(mdp, jnp.asarray(rewards), jnp.asarray(true))
    return np.asarray(gates.answered(system, np.full(len(weights), strength), weights).scores)


@pytest.mark.parametrize("problem", SOME)
def test_the_hypergradient_is_that_of_finite_differences_and_of_autodiff(problem):
    mdp, rewards = problem(2, actions=3)
    true, strength = np.random.default_rng(9).normal(size=mdp.reward.shape), 0.4

    def earned(w, regularizer=None):
        mixed = jnp.einsum("n,nsa->sa", w, jnp.asarray(rewards))
        found = jc.solve(mdp, mixed, regularizer=regularizer)
        policy = jc.policies.first(jc.optimal_actions(found)) if regularizer is None else found.policy
        return jc.metrics.expected_return(mdp, policy, true)

    w = jnp.asarray([0.3, 0.7])
    closed = hyper(mdp, rewards, true, strength, np.asarray(w)[None])[0]
    soft = jax.jit(functools.partial(earned, regularizer=jc.Entropy(strength)))
    np.testing.assert_allclose(closed, jax.grad(soft)(w), rtol=1e-7)
    steps = 1e-5 * np.eye(2)
    numeric = [(soft(w + step) - soft(w - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(closed, numeric, rtol=1e-5)
    assert [float(earned(w + s) - earned(w - s)) for s in steps] == [0, 0]  # hard: 0 almost everywhere


@pytest.mark.parametrize("problem", SOME)
def test_slopes_in_closed_form_are_those_of_autodiff(problem):
    mdp, rewards = problem(3)
    system = gates.System(mdp, jnp.asarray(rewards))
    w, strength = np.array([[0.2, 0.8], [0.9, 0.1]]), np.array([0.3, 0.7])

    def told(x):
        return gates.answered(system, jnp.asarray(strength), x).scores

    columns = [jax.jvp(told, (jnp.asarray(w),), (jnp.zeros_like(w).at[:, j].set(1),))[1] for j in range(2)]
    np.testing.assert_allclose(gates.slopes(system, strength, w), np.stack(columns, axis=-1), rtol=1e-7)
    assert (fixed_points.widest(np.asarray(gates.slopes(system, strength, w))) > 0).all()


def test_fitted_gates_end_at_fixed_points():
    for kind, given in (("values", {"feedback": [-3.0, 1.5, 2.5]}), ("maximin", {})):
        ds = study(kind=kind, strength=[0.5], steps=300, positions=[-0.1, 0.1], **given)
        assert float(ds.trained_apart.max()) < 0.02
    true = np.array([[1.0, 0.2]])
    ds = study(*two_arms(), kind="bilevel", true_reward=true, feedback=[2.5], strength=[0.5], steps=300)
    assert float(ds.trained_apart.max()) < 0.02
    assert float(ds.unsettled.max()) < 1e-9
    w = float(ds.weight[0, 0, 0, 0])
    share = 1 / (1 + np.exp(-(2 * w - 1) / 0.5))
    slope = 0.8 * share * (1 - share) / 0.5  # of the true return, along the first weight; its mirror along the other
    assert np.log(w / (1 - w)) == pytest.approx(2.5 * 2 * slope, abs=1e-9)


def test_maximin_is_continuous_and_stands_at_a_tie():
    """p₁ = Δ₂/(Δ₁ + Δ₂) as α → 0, at most 1/(Δ₁ + Δ₂) per unit of a gap; its weights make the inner answer a tie."""
    mdp, _ = two_arms()
    for first, second in ((1.0, 1.0), (0.5, 1.0), (2.0, 0.3)):
        rewards = np.array([[[first, 0.0]], [[0.0, second]]])
        ds = study(mdp, rewards, kind="maximin", strength=[0.003], positions=np.linspace(-0.1, 0.1, 5))
        share = float(jc.theory.maximin_share(first, second))
        assert float(ds.policy[0, 0, 0, 0]) == pytest.approx(share, abs=0.01)
        w = ds.weight[0, 0].values
        assert w @ rewards[:, 0, 0] == pytest.approx(w @ rewards[:, 0, 1], abs=0.02)
        steep = np.abs(np.diff(ds.share_up[0])) / np.diff(ds.position)
        assert steep.max() <= 1.1 / (first + second - 0.1)
        assert (ds.loop_area < 1e-9).all()


@pytest.mark.parametrize("problem", SOME)
def test_three_components_and_gates_that_see_no_policy(problem):
    mdp, rewards = problem(4, number=3)
    ds = study(mdp, rewards, feedback=[-1.0, 0.05, 20.0], strength=[0.3], positions=[-0.1, 0.1], count=6)
    assert ds.sizes["component"] == 3
    assert ds.stable.values.ravel()[0] == 1
    assert ds.stable.values.ravel()[1] == 1
    assert ds.stable.values.ravel()[2] >= 1
    np.testing.assert_allclose(ds.weight.sum("component").where(ds.weight[..., 0].notnull()), 1, rtol=1e-9)
    seen = study(mdp, rewards, kind="rewards", feedback=[0.5, 2.0], strength=[0.3], positions=[-0.1, 0.1])
    assert (seen.fixed_points == 1).all()
    span = np.ptp(rewards, axis=0).max()
    bound = jc.theory.gate_constant(seen.feedback.values, 1.0, span) * float(mdp.steps) / (2 * 0.3)
    assert (seen.joint_policy[:, 0] <= bound * (1 + 1e-9)).all()
    assert (seen.joint_weights[:, 0] <= 0.75 * seen.feedback).all()  # half the sum of three, each at most ζ/2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "soft"}, "kind must be one of 'frozen'"),
        ({"kind": "hard", "feedback": [1.0]}, "has no feedback"),
        ({"kind": "bilevel"}, "needs true_reward="),
        ({"true_reward": np.zeros((1, 2))}, "is of kind='bilevel'"),
        ({"kind": "bilevel", "true_reward": np.zeros((1, 2)), "feedback": [-1.0]}, "is positive"),
        ({"feedback": [1.0, 1.0]}, "that increase"),
        ({"strength": [0.0]}, "strength must be positive"),
        ({"component": 2}, "there is no component 2"),
        ({"rewards": np.zeros((1, 1, 2))}, "N of at least 2"),
        ({"rewards": np.zeros((3, 1, 2)), "kind": "maximin"}, "of two components, not 3"),
        ({"kind": "frozen", "weights": [0.5, 0.6]}, "must be a distribution"),
        ({"direction": np.zeros(2)}, "direction has shape"),
    ],
)
def test_mistakes_get_a_sentence(given, words):
    with pytest.raises((ValueError, IndexError), match=words):
        study(*two_arms()[:1], **{"rewards": two_arms()[1]} | given)


def test_the_figure_shows_phases_fixed_points_and_a_loop():
    ds = study(feedback=[-3.0, 1.0, 2.5], strength=[0.2, 0.5])
    titles = [axes.get_title() for axes in jc.figures.learned_weights(ds).axes]
    assert titles[0] == "phases"
    assert titles[1].startswith("fixed points at")
    hard = jc.figures.learned_weights(study(kind="hard", strength=[0.2, 0.5]))
    assert [axes.get_title() for axes in hard.axes][:2] == ["hard", "fixed points"]

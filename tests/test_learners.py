"""Learners against exact gradients, closed paths and stationary points."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

import jaxcliff as jc
from jaxcliff import learners
from jaxcliff.learners import advantages, leashes, rollouts
from tests.conftest import needs_x64

pytestmark = needs_x64


def bandit(*means):
    return jc.problems.bandit(jnp.asarray(means)).astype(jnp.float64)


def logit(p):
    return np.log(p / (1 - p))


def moved(learner, mdp, rewards, key=0):
    """Logits (relative to the base) after all steps, from policies: log π − log b, centred."""
    policy = np.asarray(learner(mdp, rewards, jax.random.key(key)))
    base = np.asarray(learner.course(mdp, rewards, jax.random.key(key), points=1))[..., 0, :, :]
    z = np.log(policy) - np.log(base)
    return z - z.mean(axis=-1, keepdims=True)


def test_natural_gradients_follow_their_closed_path():
    path = learners.npg(rate=0.05, steps=300).course(
        bandit(1.0, 0.7), np.array([[1.0, 0.7]]), jax.random.key(0), points=6
    )
    np.testing.assert_allclose(path[:, 0, 0], scipy.special.expit(0.05 * 0.3 * np.arange(7) * 50), atol=1e-10)


@pytest.mark.parametrize("kind", ["garnet", "tree", "bandit"])
def test_exact_gradients_are_those_of_autodiff(kind, rng):
    mdp = {
        "garnet": lambda: jc.problems.garnet(jax.random.key(0), states=7, actions=3, branching=2, discount=0.9),
        "tree": lambda: jc.problems.token_tree(jax.random.key(0), vocabulary=3, depth=3),
        "bandit": lambda: jc.problems.contextual_bandit(np.zeros((4, 3))),
    }[kind]().astype(jnp.float64)
    reward = jnp.asarray(rng.normal(size=mdp.reward.shape))
    base = rng.dirichlet(np.ones(mdp.num_actions), size=mdp.num_states)

    def gained(z):
        policy = jax.nn.softmax(jnp.log(base) + z, axis=-1)
        return jc.evaluate(mdp, policy, reward).values @ mdp.initial

    slope = jax.grad(gained)(jnp.zeros(mdp.reward.shape))
    one = learners.Learner(rate=1e-3, gradient="exact", steps=1, base=base)
    step = moved(one, mdp, reward)
    np.testing.assert_allclose(step, 1e-3 * (slope - slope.mean(-1, keepdims=True)), atol=1e-9)


@pytest.mark.parametrize("kind", ["bandit", "tree", "tree with an end"])
def test_sampled_gradients_are_unbiased_where_they_should_be(kind, rng):
    """A million samples: leave-one-out is the exact gradient, the group's mean (G − 1)/G of it."""
    lanes, group = 125_000 if kind == "bandit" else 40_000, 8
    tree = {"vocabulary": 2, "depth": 3, "end_token": kind.endswith("end")}
    mdp = bandit(1.0, 0.4, 0.2) if kind == "bandit" else jc.problems.token_tree(jax.random.key(1), **tree)
    mdp = mdp.astype(jnp.float64)
    reward = np.asarray(mdp.reward)
    exact = moved(learners.Learner(rate=1e-4, gradient="exact", steps=1), mdp, reward)
    for advantage, share in (("others", 1.0), ("mean", (group - 1) / group)):
        one = learners.Learner(rate=1e-4, advantage=advantage, group=group, steps=1)
        steps = moved(one, mdp, np.broadcast_to(reward, (lanes, *reward.shape)))
        error = steps.std(axis=0) / math.sqrt(lanes)
        assert (np.abs(steps.mean(axis=0) - share * exact) <= 5.5 * error + 1e-12).all(), advantage


def test_trajectories_of_a_chain_follow_its_transitions(rng):
    mdp = jc.problems.garnet(jax.random.key(0), states=5, actions=2, branching=3, discount=0.6).astype(jnp.float64)
    policy = rng.dirichlet(np.ones(2), size=5)
    length = rollouts.length_of(mdp)
    starts, counts = rollouts.starts(mdp, 64, jax.random.key(1))
    rolled = rollouts.sample(mdp, starts, jnp.asarray(policy), jax.random.key(2), 2000, length)
    table = np.asarray(
        rollouts.table(
            mdp, rolled, jnp.broadcast_to(jnp.asarray(0.6 ** np.arange(length)), rolled.states.shape), counts
        )
    )
    drawn = np.bincount(np.asarray(starts), minlength=5) / 64
    true = np.asarray(jc.occupancy(mdp.replace(initial=drawn), policy))
    np.testing.assert_allclose(table, true, atol=0.02)
    paid = rollouts.returns(mdp, mdp.reward[None], rolled)
    assert float((paid.mean(axis=(0, 2)) if paid.ndim == 3 else paid.mean()).mean()) == pytest.approx(
        float((true * np.asarray(mdp.reward)).sum()), abs=0.03
    )


@pytest.mark.parametrize("depth", [1, 4])
def test_dead_groups_are_as_frequent_as_they_should_be(depth):
    p, group = 0.9, 8
    policy = jnp.asarray([[p, 1 - p]])
    mdp = bandit(1.0, 0.0)
    rolled = rollouts.sample(mdp, jnp.zeros(20_000, int), policy, jax.random.key(depth), group, 1)
    right = np.asarray(rollouts.returns(mdp, mdp.reward[None], rolled))[0]
    dead = (right == right[:, :1]).all(axis=1).mean()
    expected = p**group + (1 - p) ** group
    assert dead == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / 20_000))


def test_leashes_have_the_gradients_of_what_they_are_called(rng):
    """On samples of π: k1 nobody's, k2 that of KL(π‖b), k3 that of KL(b‖π)."""
    b, z = rng.dirichlet(np.ones(5)), jnp.asarray(rng.normal(size=5))
    pi = jax.nn.softmax(z)
    ratio = jnp.log(pi) - np.log(b)

    def expected(form):
        pull = pi * leashes.coefficient(form, ratio)
        return pull - pi * pull.sum()

    reverse = jax.grad(lambda z: (jax.nn.softmax(z) * (jax.nn.log_softmax(z) - np.log(b))).sum())(z)
    forward = jax.grad(lambda z: (b * (np.log(b) - jax.nn.log_softmax(z))).sum())(z)
    np.testing.assert_allclose(expected("k1"), 0, atol=1e-15)
    np.testing.assert_allclose(expected("k2"), reverse, atol=1e-14)
    np.testing.assert_allclose(expected("k3"), forward, atol=1e-14)


@pytest.mark.parametrize(("form", "gap"), [("k3", 0.004), ("k2", 0.004), ("reward", 0.004)])
def test_leashed_learners_stop_where_their_law_says(form, gap):
    """Two arms a gap g apart from a base b: k3 as a loss at g = β(p − b)/(p(1 − p)), KL at logit p = logit b + g/β."""
    beta, b = 0.001, 0.1
    learner = learners.Learner(
        rate=100.0,
        gradient="exact",
        steps=60_000,
        leash=(leashes.in_reward(beta) if form == "reward" else leashes.Loss(beta, form)),
        base=np.array([[b, 1 - b]]),
    )
    p = float(learner(bandit(gap, 0.0), np.array([[gap, 0.0]]), jax.random.key(0))[0, 0])
    if form == "k3":
        assert beta * (p - b) / (p * (1 - p)) == pytest.approx(gap, rel=1e-6)
    else:
        assert logit(p) - logit(b) == pytest.approx(gap / beta, rel=1e-6)


def test_division_by_the_standard_deviation_forgets_the_gap():
    """The mean step of group_norm is η·E√(k/G(1 − k/G)) (biased std), whatever the gap: it stops where a leash says."""
    group, p, beta, b, lanes = 8, 0.9, 0.3, 0.5, 60_000
    k = np.arange(group + 1)
    expected = (scipy.stats.binom.pmf(k, group, p) * np.sqrt(k / group * (1 - k / group))).sum()
    for gap in (1.0, 1e-3):
        biased = functools.partial(advantages.normalised, floor=1e-12, biased=True)
        base = np.array([[p, 1 - p]])
        one = learners.Learner(rate=1e-3, advantage=biased, group=group, steps=1, base=base)
        steps = moved(one, bandit(gap, 0.0), np.broadcast_to([[gap, 0.0]], (lanes, 1, 2)))[:, 0]
        drift = (steps[:, 0] - steps[:, 1]) / 2e-3
        assert drift.mean() == pytest.approx(expected, abs=5 * drift.std() / math.sqrt(lanes))
    assert expected != pytest.approx(beta * (p - b))
    # the stationary point of the paper's setting: 1 − p = 3.74e-4 at G = 8, β = .001, b = .01
    root = scipy.optimize.brentq(
        lambda q: (scipy.stats.binom.pmf(k, 8, 1 - q) * np.sqrt(k / 8 * (1 - k / 8))).sum() - 0.001 * (1 - q - 0.01),
        1e-6,
        0.1,
    )
    assert root == pytest.approx(3.74e-4, rel=2e-3)


@pytest.mark.parametrize(("epsilon", "raw", "steps"), [(1e-1, False, 112), (1e-5, False, 141), (0.3, True, 946)])
def test_flip_times_are_those_of_the_training_configuration(epsilon, raw, steps):
    """G = 8, η = .05, two logits from p = ½ to .95, standard deviation biased, floor 1e-6."""
    advantage = "mean" if raw else functools.partial(advantages.normalised, floor=1e-6, biased=True)
    learner = learners.Learner(rate=0.05, advantage=advantage, steps=2 * steps)
    rewards = np.broadcast_to([[epsilon, 0.0]], (256, 1, 2))
    course = np.asarray(learner.course(bandit(epsilon, 0.0), rewards, jax.random.key(1), points=2 * steps))
    reached = course[:, :, 0, 0] >= 0.95
    assert reached[:, -1].all()
    assert reached.argmax(axis=1).mean() == pytest.approx(steps, rel=0.1)


def test_entropy_changes_with_the_covariance(rng):
    """ΔH = −η·Cov(log π, A) for mirror descent, −η·Cov(log π, πA) for the plain gradient; R² > .999 at η = .01."""
    reward = rng.normal(size=(200, 1, 5))
    base = rng.dirichlet(np.ones(5))[None]
    mdp = bandit(*np.zeros(5))
    for gradient in ("natural", "exact"):
        learner = learners.Learner(rate=0.01, gradient=gradient, steps=1, base=base)
        policy = np.asarray(learner(mdp, reward, jax.random.key(0)))[:, 0]
        change = scipy.special.entr(policy).sum(-1) - scipy.special.entr(base).sum()
        gain = reward[:, 0] - (reward[:, 0] @ base[0])[:, None]
        x, y = np.log(base), gain if gradient == "natural" else base * gain
        covariance = (base * x * y).sum(-1) - (base * x).sum(-1) * (base * y).sum(-1)
        assert np.corrcoef(change, -0.01 * covariance)[0, 1] ** 2 > 0.999
        np.testing.assert_allclose(change, -0.01 * covariance, atol=2e-4)


def test_features_are_shared_between_states(rng):
    """State aggregation: one logit for both contexts, which goes where their mean gain is."""
    mdp = jc.problems.contextual_bandit(np.zeros((2, 2))).astype(jnp.float64)
    reward = np.array([[1.0, 0.0], [0.0, 0.6]])
    shared = np.zeros((2, 2, 1))
    shared[:, 0, 0] = 1.0
    policy = learners.Learner(rate=1.0, gradient="exact", steps=400, parameters=learners.parameters.LogLinear(shared))(
        mdp, reward, jax.random.key(0)
    )
    np.testing.assert_allclose(policy[0], policy[1])
    assert policy[0, 0] > 0.95
    apart = learners.Learner(rate=1.0, gradient="exact", steps=400)(mdp, reward, jax.random.key(0))
    assert apart[1, 1] > 0.95


def test_clipping_holds_what_epochs_would_overdo():
    mdp, rewards = bandit(1.0, 0.0), np.broadcast_to([[1.0, 0.0]], (64, 1, 2))
    free = learners.ppo(rate=1.0, clip=(1e9, 1e9), steps=1)(mdp, rewards, jax.random.key(0))
    held = learners.ppo(rate=1.0, steps=1)(mdp, rewards, jax.random.key(0))
    assert float(np.abs(np.asarray(held)[:, 0, 0] - 0.5).mean()) < float(np.abs(np.asarray(free)[:, 0, 0] - 0.5).mean())


def test_an_entropy_target_is_reached():
    leash = leashes.target(0.4, strength=0.05)
    learner = learners.Learner(rate=0.2, gradient="exact", steps=20_000, leash=leash)
    p = np.asarray(learner(bandit(0.3, 0.0), np.array([[0.3, 0.0]]), jax.random.key(0)))[0]
    assert scipy.special.entr(p).sum() == pytest.approx(0.4, abs=1e-3)


def test_a_learner_is_called_like_any_other(rng):
    mdp = jc.problems.token_tree(jax.random.key(0), vocabulary=2, depth=2).astype(jnp.float64)
    rewards = np.asarray(mdp.reward) + 0.1 * rng.normal(size=(5, *mdp.reward.shape))
    learner = learners.openrlhf_v_2507_20150(rate=0.05, steps=50)
    policies = learner(mdp, rewards, jax.random.key(0))
    assert policies.shape == rewards.shape
    np.testing.assert_allclose(policies.sum(axis=-1), 1)
    ds = jc.studies.flip_frequency(mdp, sizes=[0.1], key=jax.random.key(1), count=8, learner=learner)
    assert "learned_tv" in ds
    again = learner(mdp, rewards, jax.random.key(0))
    assert (policies == again).all()
    several = learners.gdpo(steps=20, weights=np.array([1.0, 0.5]))(
        mdp, np.stack([rewards, rewards], axis=1), jax.random.key(0)
    )
    assert several.shape == rewards.shape


def test_mistakes_get_a_sentence():
    mdp = bandit(1.0, 0.0)
    for make, says in (
        (lambda: learners.Learner(rate=1, gradient="best"), "gradient must be one of"),
        (lambda: learners.Learner(rate=1, advantage="best"), "there is no advantage 'best'"),
        (lambda: learners.Learner(rate=1, group=0), "group"),
        (lambda: learners.Learner(rate=1, leash=3), "a leash is one of"),
        (lambda: leashes.Loss(1.0, "k4"), "a loss is one of k1"),
        (lambda: learners.gdpo(), "need weights="),
        (lambda: learners.npg(parameters=learners.parameters.LogLinear(np.ones((1, 2, 1)))), "tabular"),
        (lambda: learners.grpo()(mdp, np.ones((3, 2, 2)), jax.random.key(0)), "expected \\[..., 1, 2\\]"),
    ):
        with pytest.raises((ValueError, TypeError), match=says):
            make()

"""Learned rewards: planted preferences are recovered, and a reward designed through the soft map reaches its policy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jaxcliff as jc
from jaxcliff.rewards import models
from tests.conftest import X64

F = jnp.dtype(jnp.float64 if X64 else jnp.float32)


def wander(rng, mdp, count, length):
    """Trajectories of the uniform policy through the problem, weighted by the discount."""
    p = np.asarray(mdp.transitions.to_scipy().toarray()).reshape(*mdp.reward.shape, -1)
    states, actions = np.zeros((2, count, length), int)
    for i in range(count):
        s = rng.integers(mdp.num_states)
        for t in range(length):
            a = rng.integers(mdp.num_actions)
            states[i, t], actions[i, t] = s, a
            s = rng.choice(mdp.num_states, p=p[s, a] / p[s, a].sum())
    return models.Trajectories(states, actions, np.broadcast_to(float(mdp.discount) ** np.arange(length), states.shape))


@pytest.fixture
def planted(rng):
    """A problem whose reward is linear in five features, and trajectories through it."""
    mdp = jc.problems.garnet(jax.random.key(3), states=10, actions=3, branching=3, discount=0.9).astype(F)
    features = jnp.asarray(rng.normal(size=(10, 3, 5)), F)
    reward = features @ jnp.asarray(rng.normal(size=5), F)
    return mdp.replace(reward=reward), features, reward, wander(rng, mdp, 600, 12)


def correlation(one, other):
    return np.corrcoef(np.asarray(one).ravel(), np.asarray(other).ravel())[0, 1]


@pytest.mark.parametrize("hidden", [(), (16,)])
def test_planted_preferences_are_recovered(hidden, planted, rng):
    """Bradley-Terry labels drawn from the planted reward: returns correlate, held-out pairs are ordered as planted."""
    mdp, features, reward, walks = planted
    halves = [jax.tree.map(lambda x, i=i: x[i::2], walks) for i in range(2)]
    margin = np.asarray(halves[0].returns(reward) - halves[1].returns(reward), float)
    wins = rng.random(len(margin)) < 1 / (1 + np.exp(-margin))
    better, worse = (jax.tree.map(lambda a, b, w=w: np.where(w[:, None], a, b), *halves) for w in (wins, ~wins))
    train, test = (lambda x: jax.tree.map(lambda y: y[:250], x)), slice(250, None)
    model = models.RewardModel(5, hidden, rngs=nnx.Rngs(0))
    losses = models.fit(model, lambda m: models.preference_loss(m(features), train(better), train(worse)), steps=400)
    assert losses.shape == (400,)
    assert losses[-1] < 0.6 * losses[0]
    learned = model(features)
    assert learned.shape == mdp.reward.shape
    held_out = np.asarray(halves[0].returns(learned) - halves[1].returns(learned))[test]
    clear = np.abs(margin[test]) > 1
    assert (np.sign(held_out) == np.sign(margin[test]))[clear].mean() > 0.85
    if not hidden:
        assert correlation(learned, reward) > 0.95
        agree = jc.optimal_actions(jc.solve(mdp, learned)).optimal == jc.optimal_actions(jc.solve(mdp)).optimal
        assert float(jnp.mean(agree.all(-1))) >= 0.8


def test_losses_are_those_of_their_definitions():
    reward = jnp.asarray([[1.0, 2.0]], F)
    two, less = (models.Trajectories(np.zeros((1, 2), int), np.array([[0, a]]), np.array([[1.0, 0.5]])) for a in (1, 0))
    assert float(models.preference_loss(reward, two, less)) == pytest.approx(np.log1p(np.exp(-0.5)))
    assert float(models.return_loss(reward, two, np.array([3.0]))) == pytest.approx(1.0)


def test_planted_returns_are_recovered(planted):
    _, features, reward, walks = planted
    model = models.RewardModel(5, (), rngs=nnx.Rngs(1))
    target = walks.returns(reward)
    models.fit(model, lambda m: models.return_loss(m(features), walks, target), steps=800, optimizer=optax.adam(3e-2))
    assert correlation(model(features), reward) > 0.999


def test_a_gate_learns_which_reward_applies_where(rng):
    """Two rewards, and a state feature that says which one holds: the gate recovers it from the mixture."""
    features = jnp.asarray(rng.normal(size=(40, 2)), F)
    truth = (np.asarray(features[:, 0]) > 0).astype(float)
    rewards = jnp.asarray(rng.normal(size=(2, 40, 3)), F)
    target = jc.aggregate.linear(rewards, jc.aggregate.per_state(jnp.asarray(np.stack([truth, 1 - truth]), F)))
    gate = models.Gate(2, 2, (8,), rngs=nnx.Rngs(0))
    weights = gate(features)
    assert weights.shape == (2, 40)
    np.testing.assert_allclose(weights.sum(0), 1, rtol=1e-5)
    models.fit(gate, lambda g: jnp.mean((jc.aggregate.linear(rewards, g(features)) - target) ** 2), steps=600)
    assert (np.asarray(gate(features)[0] > 0.5) == truth.astype(bool)).mean() >= 0.95


def test_a_reward_designed_through_the_soft_map_reaches_its_target_policy(rng):
    """Minimise the cross-entropy of a target policy under the policy that the reward produces."""
    mdp = jc.problems.garnet(jax.random.key(5), states=12, actions=3, branching=3, discount=0.9).astype(F)
    target = np.eye(3)[rng.integers(3, size=12)]
    features = jnp.eye(36, dtype=F).reshape(12, 3, 36)
    model = models.RewardModel(36, (), rngs=nnx.Rngs(0))

    def distance(model):
        soft = jc.solve(mdp, model(features), regularizer=jc.Entropy(0.1))
        return -jnp.mean(jnp.sum(jnp.asarray(target, F) * jnp.log(soft.policy), axis=-1))

    before = jc.optimal_actions(jc.solve(mdp, model(features))).optimal
    losses = models.fit(model, distance, steps=150, optimizer=optax.adam(3e-2))
    acts = jc.optimal_actions(jc.solve(mdp, model(features)))
    assert not (np.asarray(before) == target).all()
    assert losses[-1] < 0.05
    np.testing.assert_array_equal(acts.optimal, target.astype(bool))


def test_a_fit_that_breaks_keeps_the_last_good_parameters():
    features = jnp.ones((2, 2, 1), F)
    model = models.RewardModel(1, (), rngs=nnx.Rngs(0))
    limit = float(jnp.sum(model(features))) + 2

    def loss(m):
        return -jnp.sum(m(features)) + jnp.where(jnp.sum(m(features)) > limit, jnp.nan, 0.0)

    with pytest.raises(FloatingPointError, match="not finite after"):
        models.fit(model, loss, steps=500)
    assert np.isfinite(float(loss(model)))
    with pytest.raises(FloatingPointError, match="not finite after 1 steps"):  # where the very last step leads
        models.fit(model, loss, steps=1, optimizer=optax.sgd(100.0))
    assert np.isfinite(float(loss(model)))


def test_bad_input_gets_a_sentence():
    walk = models.Trajectories(np.array([[0, 5]]), np.array([[0, 0]]), np.ones((1, 2)))
    with pytest.raises(ValueError, match="leaves the 2 states"):
        walk.returns(jnp.zeros((2, 2), F))
    with pytest.raises(ValueError, match="there are 1 trajectories, but returns of shape"):
        models.return_loss(jnp.zeros((9, 2), F), walk, np.ones((1, 1)))
    with pytest.raises(ValueError, match="1 preferred, 2 rejected"):
        models.preference_loss(jnp.zeros((9, 2), F), walk, jax.tree.map(lambda x: np.repeat(x, 2, 0), walk))
    with pytest.raises(ValueError, match="are integers"):
        models.Trajectories(np.zeros((2, 3)), np.zeros((2, 3), int), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="reads 3 features, not 4"):
        models.RewardModel(3, (), rngs=nnx.Rngs(0))(jnp.ones((2, 2, 4), F))
    with pytest.raises(ValueError, match="steps must be"):
        models.fit(models.RewardModel(3, (), rngs=nnx.Rngs(0)), jnp.sum, steps=0)
    with pytest.raises(ValueError, match="must share one shape"):
        models.Trajectories(np.zeros((2, 3), int), np.zeros((2, 2), int), np.zeros((2, 3)))

"""Several rewards into one: exactness of the effective reward, and the constants of every aggregator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests.cases import ACTIONS, STATES
from tests.conftest import X64, needs_x64

F = jnp.dtype(jnp.float64 if X64 else jnp.float32)
N = 3


def components(rng, shape=(STATES, ACTIONS), count=()):
    return jnp.asarray(rng.normal(size=(*count, N, *shape)), F)


def objective(mdp, policy, rewards, prior, starts):
    """J = Σ_k p_k E_{D_k, π} Σ γᵗ R_k: every class starts in its own way and is paid by its own reward."""
    return sum(
        p * jc.metrics.expected_return(mdp.replace(initial=d), policy, r)
        for p, d, r in zip(prior, starts, rewards, strict=True)
    )


@needs_x64
def test_on_a_tree_the_posterior_mixture_is_the_objective_itself(rng):
    """J(π) = E V^π under R_eff with w_k(s) = P(k | prompt), to 1e-12, for any policy; prior weights are not enough."""
    mdp = jc.problems.token_tree(jax.random.key(1), vocabulary=3, depth=4).astype(F)
    rewards = jnp.asarray(rng.normal(size=(N, *mdp.reward.shape)))
    prior = rng.dirichlet(np.ones(N))
    starts = np.zeros((N, mdp.num_states))
    starts[:, 1:4] = rng.dirichlet(np.ones(3), size=N)
    mixture = jnp.asarray(prior @ starts)
    exact = jc.aggregate.linear(rewards, jc.aggregate.prompts(mdp, prior, starts))
    plain = jc.aggregate.linear(rewards, jc.aggregate.constant(prior))
    shared = mdp.replace(initial=mixture)
    for _ in range(5):
        policy = jnp.asarray(rng.dirichlet(np.ones(3), size=mdp.num_states))
        truth = float(objective(mdp, policy, rewards, prior, jnp.asarray(starts)))
        assert float(jc.metrics.expected_return(shared, policy, exact)) == pytest.approx(truth, abs=1e-12)
        assert abs(float(jc.metrics.expected_return(shared, policy, plain)) - truth) > 1e-4


@needs_x64
def test_elsewhere_the_exact_weights_depend_on_the_policy(rng):
    """The same start for all: prior weights are exact. Different starts: only the weights of that very policy."""
    mdp = jc.problems.garnet(jax.random.key(0), states=8, actions=3, branching=3, discount=0.9).astype(F)
    rewards = jnp.asarray(rng.normal(size=(N, *mdp.reward.shape)))
    prior = rng.dirichlet(np.ones(N))
    same = jnp.broadcast_to(mdp.initial, (N, 8))
    other = jnp.asarray(rng.dirichlet(np.full(8, 0.3), size=N))
    mixed = jc.aggregate.linear(rewards, jc.aggregate.constant(prior))
    weights = []
    for _ in range(2):
        policy = jnp.asarray(rng.dirichlet(np.ones(3), size=8))
        truth = float(objective(mdp, policy, rewards, prior, same))
        assert float(jc.metrics.expected_return(mdp, policy, mixed)) == pytest.approx(truth, abs=1e-11)
        truth = float(objective(mdp, policy, rewards, prior, other))
        shared = mdp.replace(initial=jnp.asarray(prior) @ other)
        visits = jnp.stack([jc.occupancy(mdp.replace(initial=d), policy).sum(-1) for d in other])
        weights.append(jc.aggregate.posterior(prior, visits))
        own = jc.aggregate.linear(rewards, weights[-1])
        assert float(jc.metrics.expected_return(shared, policy, own)) == pytest.approx(truth, abs=1e-11)
        assert abs(float(jc.metrics.expected_return(shared, policy, mixed)) - truth) > 1e-4
    assert float(jnp.abs(weights[0] - weights[1]).max()) > 1e-3


ETA, LIP = 2.0, 3.0


def gated(rewards):
    """A gate that looks at the rewards: scores are LIP·tanh of the mean reward of a state, sharpness ETA."""
    return jc.aggregate.linear(rewards, jc.aggregate.softmax_gate(LIP * jnp.tanh(jnp.mean(rewards, axis=-1)), ETA))


WEIGHTS = np.random.default_rng(0).dirichlet(np.ones(N), size=STATES).T
AGGREGATORS = {
    "constant": (lambda r: jc.aggregate.linear(r, jc.aggregate.constant([0.5, 0.3, 0.2])), lambda r: 1.0),
    "per state": (lambda r: jc.aggregate.linear(r, jc.aggregate.per_state(jnp.asarray(WEIGHTS, F))), lambda r: 1.0),
    "worst case": (jc.aggregate.worst_case, lambda r: 1.0),
    "soft minimum": (lambda r: jc.aggregate.soft_min(r, 0.3), lambda r: 1.0),
    "lexicographic": (lambda r: jc.aggregate.lexicographic(r, 0.1), lambda r: 1.11),
    "variance": (
        lambda r: jc.aggregate.mean_minus_variance(r, 0.7),
        lambda r: np.abs(1 / N - 2 * 0.7 / N * (r - r.mean(0))).sum(0).max(),
    ),
    "softmax gate": (gated, lambda r: 1 + ETA / 2 * LIP * (r.max(0) - r.min(0)).max()),
}


@pytest.mark.parametrize("name", AGGREGATORS)
def test_lipschitz_constants_hold_and_are_attained(name, rng):
    """max ‖ΔR_eff‖/max_k ‖ΔR_k‖ on 2,000 random pairs; and a pair that attains the constant (a gate's: comes near)."""
    aggregate, constant = AGGREGATORS[name]
    rewards = components(rng, count=(2000,))
    size = 10 ** rng.uniform(-3, 1, size=(2000, 1, 1, 1))
    step = jnp.asarray(size * np.where(rng.random(rewards.shape) < 0.3, -1, 1) * rng.random(rewards.shape), F)
    batched = jax.jit(jax.vmap(aggregate))
    before, after = np.asarray(batched(rewards), float), np.asarray(batched(rewards + step), float)
    moved = np.abs(after - before).max((-2, -1))
    norm = np.abs(np.asarray((rewards + step) - rewards, float)).max((-3, -2, -1))
    # The constants of the last two are convex along a segment: its ends are the worst.
    ends = [np.asarray(x, float) for x in (rewards, rewards + step)]
    bound = [max(map(constant, pair)) for pair in zip(*ends, strict=True)]
    noise = 1e-5 if jnp.float32 == F else 1e-12
    assert (moved <= np.asarray(bound) * norm + noise * (1 + np.abs(before).max() + np.abs(after).max())).all()

    here = rewards[0]
    local = np.asarray(jc.aggregate.lipschitz(aggregate, here))
    if name == "softmax gate":
        full = np.abs(np.asarray(jax.jacrev(aggregate)(here))).sum((2, 3, 4))
        np.testing.assert_allclose(local, full, rtol=1e-4)
        assert (local <= constant(np.asarray(here, float)) + 1e-6).all()
        return
    np.testing.assert_allclose(local.max(), constant(np.asarray(here, float)), rtol=1e-5)
    slope = jax.vjp(aggregate, here)[1](jnp.ones(here.shape[1:], F))[0]
    small = 1e-3 if jnp.float32 == F else 1e-6
    attained = np.abs(np.asarray(aggregate(here + small * jnp.sign(slope)) - aggregate(here), float)).max() / small
    assert attained == pytest.approx(local.max(), rel=2e-3 if jnp.float32 == F else 1e-5)


def test_the_gate_attains_its_constant_for_two_rewards():
    """w = softmax(η g), g moving at its Lipschitz rate with the difference of rewards: 1 + ½·η·Lip·span at w = ½."""
    span = 4.0

    def aggregate(rewards):
        scores = LIP * jnp.stack([rewards[0, :, 0] - span / 2, -(rewards[0, :, 0] - span / 2)])
        return jc.aggregate.linear(rewards, jc.aggregate.softmax_gate(scores, ETA))

    rewards = jnp.asarray([[[span / 2]], [[-span / 2]]], F)
    slope = jax.vjp(aggregate, rewards)[1](jnp.ones((1, 1), F))[0]
    assert float(jnp.abs(slope).sum()) == pytest.approx(1 + ETA / 2 * LIP * span, rel=1e-5)
    assert float(jc.theory.gate_constant(ETA, LIP, span)) == pytest.approx(1 + ETA / 2 * LIP * span)


def test_a_hard_gate_has_no_constant():
    """Any change of scores can move R_eff by the whole difference of the rewards, and soft policies with it."""
    rewards = jnp.asarray([[[1.0, 0.0]], [[0.0, 1.0]]], F)
    for tilt in (1e-3, 1e-6):
        weights = [jc.aggregate.hard_gate(jnp.asarray([[s], [0.0]], F)) for s in (tilt, -tilt)]
        one, two = (jc.aggregate.linear(rewards, w) for w in weights)
        assert float(jnp.abs(one - two).max()) == 1
        policies = [
            jc.solve(jc.problems.bandit(jnp.zeros(2, F)), r, regularizer=jc.Entropy(0.1)).policy for r in (one, two)
        ]
        assert float(jc.metrics.largest_total_variation(*policies)) > 0.99


def test_a_gate_with_a_score_that_is_no_number_chooses_nothing():
    weights = jc.aggregate.hard_gate(jnp.asarray([[jnp.nan, 1.0], [0.0, 0.0]], F))
    np.testing.assert_array_equal(weights, [[np.nan, 1], [np.nan, 0]])


def test_mixtures_move_by_half_the_change_of_weights_times_the_span(rng):
    rewards = np.asarray(components(rng), float)
    span = (rewards.max(0) - rewards.min(0)).max()
    for _ in range(200):
        w, v = rng.dirichlet(np.ones(N), size=2)
        moved = np.abs(np.tensordot(w - v, rewards, 1)).max()
        assert moved <= float(jc.theory.mixture_bound(w, v, span)) + 1e-6
        columns = [jc.aggregate.constant(x) for x in (w, v)]
        assert float(jc.theory.mixture_bound(*columns, span)[0]) == pytest.approx(
            np.abs(w - v).sum() * span / 2, rel=1e-5
        )
    two = np.array([[[1.0]], [[-1.0]]])
    assert np.abs(np.tensordot([0.2, -0.2], two, 1)).max() == pytest.approx(
        float(jc.theory.mixture_bound(np.array([0.6, 0.4]), np.array([0.4, 0.6]), 2.0))
    )


def test_the_soft_minimum_of_two_numbers():
    """−τ log((1 + e^{−1/τ})/2) of 0 and 1, where the temperature is above their distance and below it."""
    for temperature in (0.1, 0.9, 1.1, 10.0):
        found = jc.aggregate.soft_min(jnp.asarray([[[0.0]], [[1.0]]], F), temperature)
        assert float(found[0, 0]) == pytest.approx(-temperature * np.log((1 + np.exp(-1 / temperature)) / 2), rel=1e-5)


def test_soft_minimum_and_lexicographic_order(rng):
    rewards = components(rng)
    worst, mean = jc.aggregate.worst_case(rewards), jnp.mean(rewards, 0)
    np.testing.assert_allclose(jc.aggregate.soft_min(rewards, 1e-3), worst + 1e-3 * np.log(N), atol=1e-3)
    np.testing.assert_allclose(jc.aggregate.soft_min(rewards, 1e4), mean, atol=1e-2 if jnp.float32 == F else 1e-3)
    between = jc.aggregate.soft_min(rewards, 0.5)
    assert (between >= worst - 1e-6).all()
    assert (between <= mean + 1e-6).all()
    first, second = jnp.asarray([[1.0, 1.0, 0.0]], F), jnp.asarray([[0.0, 1.0, 5.0]], F)
    both = jc.aggregate.lexicographic(jnp.stack([first, second]), 0.1)
    acts = jc.optimal_actions(jc.solve(jc.problems.bandit(both[0])))
    assert acts.optimal.tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda r: jc.aggregate.linear(r[0], jc.aggregate.constant([1.0])), "several rewards have shape"),
        (
            lambda r: jc.aggregate.linear(r, jnp.ones((2, 1))),
            r"weights of 3 rewards must have shape \[3\], \[3, 1\] or \[3, 8\]",
        ),
        (lambda r: jc.aggregate.constant([0.5, 0.6]), "sum to between 1.1 and 1.1"),
        (lambda r: jc.aggregate.constant([1.5, -0.5]), "the smallest is -0.5"),
        (lambda r: jc.aggregate.per_state(0.5), r"must have shape \[..., N, S\]"),
        (lambda r: jc.aggregate.softmax_gate([1.0, 2.0]), r"scores of components have shape \[..., N, S\]"),
        (lambda r: jc.aggregate.posterior([0.5, 0.5], np.ones((3, 5))), "visits of 2 classes"),
        (lambda r: jc.aggregate.posterior([0.5, 0.5], -np.ones((2, 5))), "must not be negative"),
        (lambda r: jc.aggregate.soft_min(r, 0.0), "strength must be one positive number"),
        (lambda r: jc.aggregate.lexicographic(r, -1.0), "epsilon must be one positive number"),
        (lambda r: jc.aggregate.prompts(jc.problems.fork(), [1.0], jnp.ones((1, 3))), "only on a Tree"),
        (
            lambda r: jc.aggregate.prompts(
                jc.problems.token_tree(jax.random.key(0), vocabulary=2, depth=2), [1.0], jnp.asarray([[0.5, 0.5, 0.0]])
            ),
            "prefix 0 is a prompt and continues another",
        ),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence, rng):
    with pytest.raises(ValueError, match=sentence):
        call(components(rng))

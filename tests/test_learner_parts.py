"""Parts of learners against formulas written by hand, published numbers, autodiff, and what they are meant to hold."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import jaxcliff as jc
from jaxcliff import learners
from jaxcliff.learners import advantages, leashes, parameters, tokens, training
from tests.conftest import needs_x64

pytestmark = needs_x64
FOUR = np.array([1.0, 0.6, 0.2, 0.0])


def bandit(*means):
    return jc.problems.bandit(jnp.asarray(means)).astype(jnp.float64)


# Published numbers


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([1.0, 2.0, 3.0], [-1.5 / (math.sqrt(0.5) + 1e-6), 0.0, 1.5 / (math.sqrt(0.5) + 1e-6)]),
        ([1.0, 2.0], [-1.0, 1.0]),  # one other has no deviation: not divided
        ([1.0, np.nan, 3.0], [-2.0, 0.0, 2.0]),
        ([1.0, 0.0, 0.0, 0.0], [1.0, *[-1 / 3 / (math.sqrt(1 / 3) + 1e-6)] * 3]),  # not a million
    ],
)
def test_others_are_counted_as_in_the_tests_of_nemo_rl(rewards, expected):
    np.testing.assert_allclose(advantages.others_normalised(jnp.asarray([rewards]))[0], expected, rtol=1e-6)


def test_deviations_are_those_of_the_tests_of_trl_and_verl():
    found = advantages.normalised(jnp.asarray([[1.0, 2.0, 3.0, np.nan]]), floor=0.0)  # nanstd is 1
    np.testing.assert_allclose(found, [[-1.0, 0.0, 1.0, 0.0]], rtol=1e-12)
    pair = jnp.asarray([[3.0, 5.0]])
    np.testing.assert_allclose(advantages.normalised(pair, floor=0.0), [[-1 / math.sqrt(2), 1 / math.sqrt(2)]])
    np.testing.assert_allclose(advantages.normalised(pair - 2, floor=1e-8, biased=True), [[-1.0, 1.0]], rtol=1e-7)


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([0, 0, 0, 0, 1], [-0.32, -0.32, -0.32, -0.32, 1.28]),
        ([0.1, 0.1, 0.1, 0.2, 1], [-0.6, -0.6, -0.6, 0.52, 1.28]),
        ([0, 0, 1, 1, 1], [-0.9, -0.9, 0.6, 0.6, 0.6]),
        ([0.81, 0.81, 0.82, 0.82, 0.83], [-0.9, -0.9, 0.26, 0.26, 1.28]),
    ],
)
def test_quantiles_of_tied_ranks_are_those_of_the_figure_of_their_paper(rewards, expected):
    found = advantages.ranked(jnp.asarray([rewards], float), ties="quantile")[0]
    np.testing.assert_allclose(found, expected, atol=0.006)
    assert float(found.sum()) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="ties must be 'rank' or 'quantile'"):
        advantages.ranked(jnp.ones((1, 3)), ties="best")


# Groups of several prompts


def test_groups_that_agree_learn_from_other_prompts():
    """COPO: where all answers are the same, local advantages are 0 and the mean of the group decides."""
    rewards = jnp.asarray([[1.0, 1, 1, 1], [1, 0, 0, 1], [0, 0, 0, 0]])
    which = jnp.asarray([[3, 3, 3, 3], [0, 1, 2, 3], [5, 5, 5, 5]])
    answers = advantages.Answers(jnp.zeros((3, 4)), jnp.ones((3, 4)), which)
    found = np.asarray(advantages.Consistent()(rewards, answers))
    means = np.array([1.0, 0.5, 0.0])
    between = (means - 0.5) / (means.std(ddof=1) + 1e-6)
    weight = scipy.special.expit(5.0 * (np.array([0.0, 2.0, 0.0]) - 1.0))  # bits: agreeing 0, four answers 2
    local = np.array([0.5, -0.5, -0.5, 0.5]) / (np.std([1, 0, 0, 1], ddof=1) + 1e-6)
    np.testing.assert_allclose(found[0], (1 - weight[0]) * between[0], rtol=1e-12)
    np.testing.assert_allclose(found[2], between[2], rtol=1e-12)  # rewards of 0 take the global term alone
    right = weight[1] * local + (1 - weight[1]) * between[1]
    np.testing.assert_allclose(found[1], [right[0], between[1], between[1], right[3]], rtol=1e-12, atol=1e-12)
    assert found[0].min() > 0.5  # dead groups still move
    assert found[2].max() < -0.5


def test_halves_are_the_lower_and_the_rest_equal_ones_in_their_order():
    metric = jnp.asarray([[2.0, 1.0, 1.0, 1.0, 3.0]])
    rewards = jnp.asarray([[1.0, 2.0, 4.0, 8.0, 16.0]])
    low, high = np.mean([2, 4]), np.mean([1, 8, 16])
    found = advantages.conditional(rewards, metric, 1.0)
    np.testing.assert_allclose(found, [[1 - low, 2 - high, 4 - high, 8 - low, 16 - low]])


# Tokens


def sampled(rng, shape=(2, 5, 6)):
    """Random tokens, some answers shorter."""
    length = rng.integers(1, shape[-1] + 1, size=shape[:-1])
    old = np.log(rng.uniform(0.05, 0.95, size=shape))
    now = np.log(np.clip(np.exp(old) * rng.uniform(0.8, 1.25, size=shape), 0.01, 0.99))
    gains = rng.normal(size=(*shape[:-1], 1)) * 2
    live = np.arange(shape[-1]) < length[..., None]
    entropy = rng.uniform(0, 1.5, size=shape)
    ratio = np.exp(now - old)
    clipped = np.where(gains > 0, ratio > 1.2, ratio < 0.8)

    def tempered(temperature):
        return jnp.asarray(old) / temperature - 0.1

    rewards = rng.integers(0, 2, size=gains.shape).astype(float)
    arrays = map(jnp.asarray, (rewards, gains, now, old, ratio, entropy, clipped, live))
    return tokens.Sampled(*arrays, tempered)


def whole(sampled):
    return np.broadcast_to(np.asarray(sampled.advantage), sampled.logs.shape)


def covariances(s):
    """(A − mean)(log π − mean) over live tokens, and elsewhere NaN."""
    live, gains, logs = np.asarray(s.live), whole(s), np.asarray(s.logs)
    return np.where(live, (gains - gains[live].mean()) * (logs - logs[live].mean()), np.nan)


def test_clip_cov_leaves_out_some_tokens_between_two_bounds(rng):
    s, key = sampled(rng), jax.random.key(0)
    cov, gains = covariances(s), jnp.asarray(whole(s))
    inside = (cov > 0.2) & (cov < 1.5) & ~np.asarray(s.clipped)
    assert inside.sum() > 3
    out = np.asarray(tokens.ClipCov(1.0, 0.2, 1.5)(gains, s, key)) == 0
    np.testing.assert_array_equal(out, inside)
    few = np.asarray(tokens.ClipCov(1e-9, 0.2, 1.5)(gains, s, key)) == 0
    assert few.sum() == 1
    assert (few & inside).sum() == 1
    others = [np.asarray(tokens.ClipCov(1e-9, 0.2, 1.5)(gains, s, jax.random.key(i))) == 0 for i in range(20)]
    assert len({tuple(x.ravel()) for x in others}) > 1  # chosen at random
    none = tokens.ClipCov(1.0, 50.0, 60.0)(gains, s, key)
    np.testing.assert_array_equal(none, gains)


def test_kl_cov_makes_the_largest_covariances_pay(rng):
    s = sampled(rng)
    cov, live = covariances(s), np.asarray(s.live)
    count = max(int(0.2 * live.sum()), 1)
    edge = np.sort(cov[live])[-count]
    cost = 0.7 * np.sign(np.asarray(s.logs - s.old)) / np.asarray(s.ratio)
    expected = whole(s) - np.where(live & (cov >= edge), cost, 0)
    np.testing.assert_allclose(tokens.KLCov(0.2, 0.7)(jnp.asarray(whole(s)), s, jax.random.key(0)), expected)


def test_steer_weighs_by_the_change_of_entropy(rng):
    s = sampled(rng)
    p, before = np.exp(np.asarray(s.logs)), np.exp(np.asarray(s.old))
    change = np.abs(whole(s) / before * p * (1 - p) * (np.asarray(s.logs) + np.asarray(s.entropy)))
    most = max(change[np.asarray(s.live)].max(), 0.02)
    weight = np.clip(np.exp(np.log(0.8) * change / most), 0.8, 1)
    found = np.asarray(tokens.Steer(0.8)(jnp.asarray(whole(s)), s, jax.random.key(0)))
    live = np.asarray(s.live)
    np.testing.assert_allclose(found[live], (whole(s) * weight)[live])
    assert (found / whole(s))[live].min() == pytest.approx(0.8)


def test_modulated_gains_are_clear_centred_and_look_one_step_ahead(rng):
    s = sampled(rng)
    live, entropy = np.asarray(s.live), np.asarray(s.entropy)
    scaled = (entropy - entropy[live].min()) / (np.ptp(entropy[live]) + 1e-8)
    clear = np.exp(-2.0 * scaled)
    gains = whole(s) * clear / (clear[live].mean() + 1e-8)
    for c, g, t in np.argwhere(live[..., :-1] & live[..., 1:]):
        gains[c, g, t] += 0.3 * clear[c, g, t + 1]
    expected = gains - gains[live].mean()
    found = np.asarray(tokens.Modulated(2.0, 0.3)(jnp.asarray(whole(s)), s, jax.random.key(0)))
    np.testing.assert_allclose(found[live], expected[live], atol=1e-12)


@pytest.mark.parametrize(("target", "temperature"), [(5.0, 1.2), (0.0, 0.8)])
def test_virtual_targets_warm_or_cool_good_answers(target, temperature, rng):
    s = sampled(rng)
    live, good = np.asarray(s.live), np.asarray(s.reward) > 0.05
    seen = -np.asarray(s.old)[live].mean()
    share = min(abs(target - seen), 0.1) / good.mean()
    share /= 1 + share
    moved = np.exp(np.asarray(s.tempered(temperature)) - np.asarray(s.old))
    expected = (1 - share) * whole(s) + share * good * moved
    found = tokens.Virtual(target)(jnp.asarray(whole(s)), s, jax.random.key(0))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    dead = s._replace(reward=jnp.zeros_like(s.reward))
    np.testing.assert_array_equal(tokens.Virtual(target)(jnp.zeros(live.shape), dead, jax.random.key(0)), 0)


def test_tempered_tokens_are_those_of_the_policy_at_a_temperature():
    mdp = bandit(*FOUR)
    base = np.array([[0.4, 0.3, 0.2, 0.1]])
    taken = jnp.zeros((1, 3), int), jnp.asarray([[0, 2, 3]])
    found = training._tempered(jnp.log(base), jnp.log(base), taken, jnp.asarray(2.0))
    expected = np.sqrt(base[0]) / np.sqrt(base[0]).sum()
    np.testing.assert_allclose(np.exp(found), expected[[0, 2, 3]][None])
    assert mdp.num_actions == 4


# Leashes of entropy


@pytest.mark.parametrize(
    ("name", "learner"),
    [
        ("linear", learners.grpo(rate=0.1, leash=leashes.target(0.5, strength=0.05))),
        ("log", learners.grpo(rate=0.1, leash=leashes.target(0.5, strength=0.05, form="log"))),
        ("steps", learners.grpo(rate=0.1, leash=leashes.target(0.5, strength=0.05, form="steps"))),
        ("anchored", learners.grpo(rate=0.1, leash=leashes.anchored(20.0, nucleus=1.1, quantile=0.0))),
    ],
)
def test_entropies_are_held_where_a_plain_learner_loses_all(name, learner):
    mdp, rewards = bandit(*FOUR), np.broadcast_to(FOUR[None], (64, 1, 4))
    plain = learners.grpo(rate=0.1, steps=1500)
    entropy = {
        kind: scipy.special.entr(np.asarray(one(mdp, rewards, jax.random.key(0)))).sum(-1).mean()
        for kind, one in (("plain", plain), ("held", dataclasses.replace(learner, steps=1500)))
    }
    assert entropy["plain"] < 0.05
    held = math.log(4) if name == "anchored" else 0.5
    assert entropy["held"] == pytest.approx(held, abs=0.15)


@pytest.mark.parametrize("preset", [learners.aepo, learners.dcpo])
def test_good_answers_of_a_warmer_policy_spread_it_and_of_a_cooler_one_narrow_it(preset):
    """Three answers are correct: which of them are given is free, and the target decides."""
    mdp, rewards = bandit(1.0, 1.0, 1.0, 0.0), np.broadcast_to([[1.0, 1.0, 1.0, 0.0]], (128, 1, 4))
    base = np.array([[0.5, 0.1, 0.05, 0.35]])
    cool, warm = (
        scipy.special.entr(np.asarray(preset(h, rate=0.05, steps=1000, base=base)(mdp, rewards, jax.random.key(0))))
        for h in (0.0, 10.0)
    )
    apart = (warm - cool).sum(-1)[:, 0]
    assert apart.mean() > 5 * apart.std() / math.sqrt(len(apart))


def test_an_anchored_entropy_is_that_of_the_nucleus_of_peaks():
    """Of two states the more uncertain counts, without the action that crosses a share of .8."""
    policy = jnp.asarray([[0.5, 0.25, 0.15, 0.1], [0.97, 0.01, 0.01, 0.01]])
    seen = leashes.Seen(policy, jnp.log(policy), jnp.asarray([1.0, 3.0]))
    kept = np.array([0.5, 0.25]) / 0.75  # with .15 the share is .9
    expected = scipy.special.entr(kept).sum()
    leash = leashes.anchored(1.0)
    gain, anchor = leash.gain(seen, leash.start(jnp.float64))
    assert float(anchor) == pytest.approx(expected, rel=1e-12)
    assert float(gain) == 0
    gain, _ = leash.gain(seen, jnp.asarray(expected + 0.3))
    assert float(gain) == pytest.approx(-0.09, rel=1e-9)


def test_entropy_targets_bring_the_cliff_back():
    """However small the change through a tie, the policy moves by 2p − 1 with h(p) = .25: .863 (one context)."""
    moved = {}
    for size in (1e-1, 1e-3):
        for name, leash in (("target", leashes.target(0.25, strength=0.02)), ("bonus", leashes.entropy(0.1))):
            pair = np.array([[[size / 2, -size / 2]], [[-size / 2, size / 2]]])
            learner = learners.Learner(rate=1.0, gradient="exact", steps=20_000, leash=leash)
            if name == "target":  # its α has the size of the gap
                slow = leashes.target(0.25, strength=0.02 * size)
                learner = dataclasses.replace(learner, rate=1.0 / size, leash=slow)
            p = np.asarray(learner(bandit(0.0, 0.0), pair, jax.random.key(0)))[:, 0, 0]
            moved[name, size] = abs(p[0] - p[1])
    for size in (1e-1, 1e-3):
        assert moved["target", size] == pytest.approx(0.863, abs=0.002)
    assert moved["bonus", 1e-3] == pytest.approx(np.tanh(1e-3 / 0.2), rel=1e-3)


# Parameters


@pytest.mark.parametrize("kind", ["network", "low rank", "aggregated"])
def test_steps_of_parameters_are_those_of_autodiff(kind, rng):
    mdp = jc.problems.garnet(jax.random.key(0), states=5, actions=3, branching=2, discount=0.8).astype(jnp.float64)
    features = rng.normal(size=(5, 3, 4))
    made = {
        "network": lambda: parameters.network(jax.random.key(1), features, hidden=(8,)),
        "low rank": lambda: parameters.low_rank(jax.random.key(1), 5, 3, 2),
        "aggregated": lambda: parameters.aggregated([0, 1, 0, 1, 1], 3),
    }[kind]()
    theta = made.start(jnp.float64)
    assert np.abs(np.asarray(made.logits(theta))).max() == 0  # learning begins at the base

    def gained(theta):
        return jc.evaluate(mdp, jax.nn.softmax(made.logits(theta), axis=-1)).values @ mdp.initial

    slope = jax.grad(gained)(theta)
    after = jax.tree.map(lambda x, g: x + 1e-2 * g, theta, slope)
    learner = learners.Learner(rate=1e-2, gradient="exact", steps=1, parameters=made)
    found = learner(mdp, mdp.reward, jax.random.key(0))
    np.testing.assert_allclose(found, jax.nn.softmax(made.logits(after), axis=-1), atol=1e-12)


def test_a_network_learns_what_is_best(rng):
    mdp = jc.problems.contextual_bandit(rng.normal(size=(6, 3))).astype(jnp.float64)
    features = np.concatenate([np.eye(18).reshape(6, 3, 18), rng.normal(size=(6, 3, 2))], axis=-1)
    network = parameters.network(jax.random.key(0), features)
    policy = learners.rloo(rate=0.5, steps=800, parameters=network)(mdp, mdp.reward, jax.random.key(1))
    assert (np.asarray(policy).argmax(-1) == np.asarray(mdp.reward).argmax(-1)).all()


# The course of a training


def test_a_course_is_measured_as_its_policies_are():
    mdp = jc.problems.token_tree(jax.random.key(0), vocabulary=2, depth=3).astype(jnp.float64)
    rewards = np.broadcast_to(mdp.reward, (3, *mdp.reward.shape))
    true = np.asarray(mdp.reward) ** 2
    learner = learners.dr_grpo(rate=0.5, steps=40)
    ds = learner.run(mdp, rewards, jax.random.key(0), points=[0, 10, 40], true_reward=true)
    assert ds.policy.shape == (3, 3, *mdp.reward.shape)
    assert ds.step.values.tolist() == [0, 10, 40]
    np.testing.assert_array_equal(ds.policy, learner.course(mdp, rewards, jax.random.key(0), points=[0, 10, 40]))
    np.testing.assert_array_equal(ds.policy[:, -1], learner(mdp, rewards, jax.random.key(0)))
    one = np.asarray(ds.policy[1, 2])
    taken = np.asarray(jc.occupancy(mdp, one))
    assert float(ds["return"][1, 2]) == pytest.approx((taken * np.asarray(mdp.reward)).sum(), rel=1e-9)
    assert float(ds.true_return[1, 2]) == pytest.approx((taken * true).sum(), rel=1e-9)
    often = taken.sum(-1)
    assert float(ds.entropy[1, 2]) == pytest.approx((often * scipy.special.entr(one).sum(-1)).sum(), rel=1e-9)
    assert float(ds.kl[1, 2]) == pytest.approx(
        (often * (math.log(2) - scipy.special.entr(one).sum(-1))).sum(), rel=1e-9
    )
    assert np.isnan(ds.dead[:, 0]).all()  # before the first step there was no group


def test_dead_and_nearly_dead_groups_are_counted():
    """At rate 0 the policy stays: p^G + (1 − p)^G are dead; of arms .0004 apart, the rest nearly so."""
    p, group = 0.9, 4
    base = np.array([[p, 1 - p]])
    rewards = np.broadcast_to([[1.0, 0.9996]], (200, 1, 2))
    learner = learners.dr_grpo(rate=0.0, base=base, group=group, steps=100)
    ds = learner.run(bandit(1.0, 0.9996), rewards, jax.random.key(0), points=1, near=2.0)
    expected = p**group + (1 - p) ** group
    dead = ds.dead[:, -1].values
    assert dead.mean() == pytest.approx(expected, abs=5 * math.sqrt(expected * (1 - expected) / 20_000))
    np.testing.assert_allclose(ds.dead[:, -1] + ds.near[:, -1], 1)
    far = learner.run(bandit(1.0, 0.9996), rewards, jax.random.key(0), points=1, near=0.5)
    assert float(far.near[:, -1].max()) == 0


def test_rounding_of_advantages_is_part_of_the_course():
    """In float32 seven equal rewards and another make advantages of thousands (NeMo-RL); in float64 none."""
    mdp = jc.problems.bandit(jnp.asarray([0.35, 0.0], jnp.float32))
    rewards = np.broadcast_to(np.float32([[0.35, 0.0]]), (400, 1, 2))
    base = np.array([[7 / 8, 1 / 8]])
    learner = learners.Learner(rate=0.0, advantage="others std", base=base, group=8, steps=1)
    ds = learner.run(mdp, rewards, jax.random.key(0), points=1)
    assert float(ds.advantage_noise.max()) > 500
    plain = dataclasses.replace(learner, advantage="std").run(mdp, rewards, jax.random.key(0), points=1)
    assert float(plain.advantage_noise.max()) < 1e-3


def test_numbers_are_no_reason_to_compile_again(rng):
    mdp, rewards = bandit(*FOUR), np.broadcast_to(FOUR[None], (4, 1, 4))
    learner = learners.grpo(leash=leashes.k3(0.1), noise=0.1, steps=10)
    learner(mdp, rewards, jax.random.key(0))
    before = training.trained._cache_size()
    for other in (
        dataclasses.replace(learner, rate=0.2, steps=20, noise=0.3, clip=(0.1, 0.4)),
        dataclasses.replace(learner, leash=leashes.k3(0.7)),
    ):
        other(mdp, 2 * rewards, jax.random.key(1))
    assert training.trained._cache_size() == before


def test_more_mistakes_get_a_sentence():
    mdp = bandit(1.0, 0.0)
    for make, says in (
        (lambda: learners.npg(tokens=tokens.Steer()), "samples nothing"),
        (lambda: learners.Learner(rate=1.0, gradient="exact", leash=leashes.resampled(0.5)), "samples nothing"),
        (lambda: learners.grpo(tokens=3), "jc.learners.tokens"),
        (lambda: leashes.target(0.5, form="best"), "linear, log, steps"),
        (lambda: parameters.aggregated([[0, 1]], 2), "whole number for each state"),
        (lambda: parameters.log_linear(np.ones(3)), r"\[S, A, D\]"),
        (lambda: learners.grpo().course(mdp, np.zeros((1, 2)), jax.random.key(0), points=[3, 1]), "do not go down"),
        (lambda: learners.grpo().run(mdp, np.zeros((1, 2)), jax.random.key(0), true_reward=np.ones(3)), "true_reward"),
    ):
        with pytest.raises((ValueError, TypeError), match=says):
            make()

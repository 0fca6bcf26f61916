"""Learners against exact gradients, closed paths, stationary points and hand-written estimators."""

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
from jaxcliff.auditing import advantages as audited
from jaxcliff.learners import advantages, leashes, rollouts
from tests.conftest import needs_x64

pytestmark = needs_x64
TWO = np.array([[1.0, 0.9]])


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


def groups(rng, count, size=6):
    """Groups with ties and missing rewards."""
    x = rng.integers(0, 4, size=(count // 100, 100, size)) / 4 + rng.choice(
        [0, 1.0], size=(count // 100, 100, 1)
    ) * rng.normal(size=(count // 100, 100, size))
    return np.where(rng.random(x.shape) < 0.05, np.nan, x)


def others_by_hand(r):
    """As NeMo-RL writes it: the others' mean and unbiased deviation; not divided where that is 0."""
    found = np.zeros(len(r))
    for i in range(len(r)):
        rest = np.delete(r, i)
        if len(rest):
            spread = rest.std(ddof=1) if len(rest) > 1 and np.ptp(rest) > 0 else 0.0
            found[i] = (r[i] - rest.mean()) / (spread + 1e-6 if spread > 0 else 1)
    return found


def risk_by_hand(r, low=0.2, high=0.8, weight=1.5):
    bottom, top = np.quantile(r, [low, high])
    inside = [(max(x - bottom, 0) - max(x - top, 0) + bottom - top) / (high - low) for x in r]
    return np.array([(y - weight * max(bottom - x, 0) / low) / (1 + weight) for x, y in zip(r, inside, strict=True)])


def by_hand(name, x):
    """One group, in numpy."""
    there = ~np.isnan(x)
    r = x[there]
    found = np.zeros_like(x)
    if len(r):
        centre = r - r.mean()
        spread = r.std(ddof=1) if len(r) > 1 else 0.0
        found[there] = {
            "raw": r,
            "mean": centre,
            "others": centre * len(r) / max(len(r) - 1, 1),
            "std": centre / (spread + 1e-4),
            "others std": others_by_hand(r),
            "rank": scipy.stats.norm.ppf((scipy.stats.rankdata(r) - 0.5) / len(r)),
            "risk": risk_by_hand(r),
        }[name]
    return found


@pytest.mark.parametrize("count", [4_000, pytest.param(100_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["raw", "mean", "others", "std", "others std", "rank", "risk"])
def test_advantages_are_those_written_by_hand(name, count, rng):
    x = groups(rng, count)
    found = np.asarray(advantages.truthful(name)(jnp.asarray(x)))
    flat, own = x.reshape(-1, 6), found.reshape(-1, 6)
    expected = np.array([by_hand(name, row) for row in flat])
    np.testing.assert_allclose(own, expected, atol=1e-9)
    whole = ~np.isnan(flat).any(axis=1)
    run = audited.Rollouts(flat[whole].reshape(-1, 1), np.ones(1), np.arange(0, 6 * whole.sum(), 6), np.zeros(1, int))
    other = {"mean": audited.centred, "others": audited.leave_one_out, "std": audited.by_group, "rank": audited.by_rank}
    if name in other:
        np.testing.assert_allclose(own[whole].ravel(), other[name](run), atol=1e-9)


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_groups_of_one_step_are_taken_together_as_written_by_hand(count, rng):
    """The spread of all rewards of a step; halves by a metric; and a group's answers against those of other prompts."""
    x = groups(rng, count)
    metric, which = rng.normal(size=x.shape), rng.integers(0, 3, size=x.shape)
    answers = advantages.Answers(jnp.asarray(metric), jnp.asarray(metric), jnp.asarray(which))
    batch = np.asarray(advantages.by_batch(jnp.asarray(x)))
    halves = np.asarray(advantages.Conditional("length", 0.7)(jnp.asarray(x), answers))
    global_ = np.asarray(advantages.Consistent()(jnp.asarray(x), answers))
    quantiles = np.asarray(advantages.ranked(jnp.asarray(x), ties="quantile"))
    with np.errstate(invalid="ignore"):
        for step in range(len(x)):
            there = x[step][~np.isnan(x[step])]
            means = np.array([np.nanmean(r) if (~np.isnan(r)).any() else 0 for r in x[step]])
            centre = x[step] - means[:, None]
            np.testing.assert_allclose(batch[step], np.nan_to_num(centre / (there.std(ddof=1) + 1e-4)), atol=1e-9)
            between = (means - means.mean()) / (means.std(ddof=1) + 1e-6)
            for g, r in enumerate(x[step]):
                order = np.argsort(metric[step, g], kind="stable")
                low, high = order[:3], order[3:]
                own = np.zeros(6)
                for half, rest in ((low, high), (high, low)):
                    a, b = (np.nanmean(r[k]) if (~np.isnan(r[k])).any() else 0 for k in (rest, half))
                    own[half] = 0.7 * (r[half] - a) + 0.3 * (r[half] - b)
                np.testing.assert_allclose(halves[step, g], np.nan_to_num(own), atol=1e-9)
                count_of = np.bincount(which[step, g], minlength=3)[which[step, g]]
                bits = -np.log2(count_of / 6).mean()
                weight = scipy.special.expit(5 * (bits - 1)) * (r != 0)
                local = by_hand("std", r) * (np.nanstd(r, ddof=1) + 1e-4) / (np.nanstd(r, ddof=1) + 1e-6)
                expected = np.where(np.isnan(r), 0, weight * np.nan_to_num(local) + (1 - weight) * between[g])
                np.testing.assert_allclose(global_[step, g], expected, atol=1e-9)
                there = ~np.isnan(r)
                z = scipy.stats.norm.ppf((np.arange(there.sum()) + 0.5) / max(there.sum(), 1))
                by_value = np.array([z[np.sort(r[there]) == value].mean() for value in r[there]])
                np.testing.assert_allclose(quantiles[step, g][there], by_value, atol=1e-9)


def test_steps_and_several_rewards_are_normalised_as_written_by_hand(rng):
    several, weights = rng.normal(size=(2, 5, 4)), np.array([0.7, 0.3])
    total = np.einsum("n,ncg->cg", weights, several)
    centre = total - total.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(advantages.by_batch(jnp.asarray(total)), centre / (total.std(ddof=1) + 1e-4))
    each = (several - several.mean(2, keepdims=True)) / (several.std(2, ddof=1, keepdims=True) + 1e-4)
    mixed = np.einsum("n,ncg->cg", weights, each)
    found = advantages.mixed_last(jnp.asarray(several), jnp.asarray(weights), advantages.normalised)
    np.testing.assert_allclose(found, (mixed - mixed.mean()) / (mixed.std(ddof=1) + 1e-4))
    first = advantages.mixed_first(jnp.asarray(several), jnp.asarray(weights), advantages.centred)
    np.testing.assert_allclose(first, centre)
    # GDPO tells apart what mixing first cannot: (1, 0) and (0, 1) have the same sum
    clash = jnp.asarray([[[1.0, 0.0, 0.0, 0.0]], [[0.0, 1.0, 1.0, 1.0]]])
    assert len(np.unique(np.asarray(advantages.mixed_first(clash, jnp.ones(2), advantages.normalised)).round(9))) == 1
    assert (
        len(
            np.unique(np.asarray(advantages.mixed_last(clash, jnp.asarray([1.0, 0.5]), advantages.normalised)).round(9))
        )
        == 2
    )


def test_canon_at_one_half_is_dr_grpo(rng):
    r, metric = rng.normal(size=(50, 8)), rng.permuted(np.tile(np.arange(8.0), (50, 1)), axis=1)
    np.testing.assert_allclose(
        advantages.conditional(jnp.asarray(r), jnp.asarray(metric), 0.5), advantages.centred(jnp.asarray(r)), atol=1e-12
    )
    one_sided = advantages.conditional(jnp.asarray(r), jnp.asarray(metric), 1.0)
    assert np.abs(np.asarray(one_sided) - np.asarray(advantages.centred(jnp.asarray(r)))).max() > 0.1


def test_risk_ranks_equal_means_by_their_tails(rng):
    safe, wild = np.full(8, 0.5), np.array([0.0, 1.0] * 4)
    found = np.asarray(advantages.risk(jnp.asarray(np.stack([safe, wild]))))
    assert np.abs(found[0]).max() == 0
    assert found[1][wild == 0].max() < 0 <= found[1][wild == 1].min()


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


def test_rounding_makes_advantages_of_its_own():
    """Seven answers at .35 and one at 0: the others of the one are all the same, and float32 does not see it."""
    r = np.array([0.35] * 7 + [0.0], np.float32)
    others = r[:7]
    residue = np.sqrt(
        np.maximum((others @ others) / np.float32(7) - (others.sum() / np.float32(7)) ** 2, np.float32(0))
    )
    assert 0 < residue < 1e-3  # 0 in exact arithmetic
    assert -0.35 / (residue * math.sqrt(7 / 6) + 1e-6) < -2000
    one_by_one = advantages.others_normalised(jnp.asarray(r[None]))
    own, noise = learners.advantage_noise(r[None], "others std")
    for found in (float(one_by_one[0, 7]), float(own[0, 7])):  # rounded another way by each
        assert found < -1000
    assert noise[0, 7] == pytest.approx(-0.35 - own[0, 7], rel=1e-6)
    assert noise[0, :7].max() < 1e-6
    truth = advantages.truthful("others std")(jnp.asarray(r[None], jnp.float64))
    assert float(truth[0, 7]) == pytest.approx(-0.35, rel=1e-6)
    near = np.full((1, 8), 0.35, np.float32)
    near[0, 0] = np.nextafter(near[0, 0], np.float32(1))
    own, noise = learners.advantage_noise(near, functools.partial(advantages.normalised, floor=1e-9))
    assert (noise > 0.05 * np.abs(own)).any()  # the mean of near-equal numbers rounds by as much as they differ
    clear, small = learners.advantage_noise(np.array([[0.0, 1.0, 0.5, 0.25]], np.float32), "std")
    assert (small < 1e-5 * np.abs(clear).max()).all()


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

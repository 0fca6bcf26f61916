"""What optimisation noise makes of a tie, and whether learners obey the constants: laws, closed forms, exact radii."""

import functools
import math
import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special

import jaxcliff as jc
from jaxcliff import learners, theory
from jaxcliff.learners import leashes
from jaxcliff.studies.constants import LEARNERS
from tests.conftest import needs_x64

pytestmark = needs_x64
LIMIT = math.log(0.95 / 0.05)


def bandit(*means):
    return jc.problems.bandit(jnp.asarray(means)).astype(jnp.float64)


@functools.cache
def measured():
    """The functions of docs/learners.py."""
    return runpy.run_path(str(pathlib.Path(__file__).parents[1] / "docs/learners.py"))


# Where learners land


def test_first_passages_are_those_of_a_walk_with_drift():
    """Against the solution of the difference equation of a simple walk, whose ratio of drift to diffusion is known."""
    up, limit = 0.55, 10
    theta = math.log(up / (1 - up))  # per step of 1: e^{−θz} is a martingale
    for start in (-3, 0, 4):
        exact = -np.expm1(-theta * (start + limit)) / -np.expm1(-2 * theta * limit)
        assert float(theory.landing(limit, theta / 2, 1.0, start)) == pytest.approx(exact, rel=1e-6)
        assert float(theory.landing(limit, 0.0, 1.0, start)) == pytest.approx((limit + start) / (2 * limit))
    assert float(theory.landing(3.0, 0.4, 1.0)) == pytest.approx(scipy.special.expit(0.8 * 3), rel=1e-6)
    assert float(theory.landing(3.0, -0.4, 1.0)) == pytest.approx(scipy.special.expit(-0.8 * 3), rel=1e-6)


@pytest.mark.parametrize(
    "learner",
    [
        learners.dr_grpo(),
        pytest.param(learners.rloo(), marks=pytest.mark.slow),
        learners.Learner(rate=1.0, advantage="std"),
    ],
)
def test_where_a_noisy_learner_lands_is_a_logistic_law(learner):
    group, sigma, count = 8, 2.0, 512
    scale = {"mean": 1.0, "others": 7 / 8}.get(learner.advantage, 0.965 * sigma)
    rate = 0.2 * group * scale / (sigma * math.sqrt(group - 1))
    gaps = np.array([0.0, 0.5, 1.5]) * rate * sigma**2 / (LIMIT * group * scale)
    settings = {"gaps": gaps, "noise": [sigma], "groups": [group], "rates": [rate], "count": count}
    ds = jc.studies.learner_noise(key=jax.random.key(3), learner=learner, **settings).squeeze()
    assert float(ds.step_mean[0]) == pytest.approx(0.2, rel=1e-3)
    np.testing.assert_allclose(ds.law_mean, scipy.special.expit([0.0, 0.5, 1.5]), atol=1e-3)
    assert float(ds.unsettled_mean.max()) == 0
    share = ds.landed_mean.isel(action=0)
    error = np.sqrt(ds.law_mean * (1 - ds.law_mean) / count)
    assert (np.abs(share - ds.law_mean) <= 4 * error + 0.01).all()
    assert float(ds.time_mean[0]) == pytest.approx(float(ds.time_law_mean[0]), rel=0.15)
    assert float(ds.seed_floor_mean[0]) == pytest.approx(0.5 * 0.91, abs=0.08)  # half of all pairs end apart
    drift, diffusion = float(ds.drift_mean[2]), float(ds.drift_m2[2] / (ds.drift_count[2] - 1))
    assert diffusion == pytest.approx(0.2**2, rel=0.5)
    assert abs(drift) < 1
    jc.figures.learner_noise(
        jc.studies.learner_noise(key=jax.random.key(3), learner=learner, **settings | {"count": 16})
    )


def test_at_an_exact_tie_the_logit_decides_not_the_probability():
    """From p = .7: +L before −L with probability (L + l₀)/(2L) = .644."""
    base = np.array([[0.7, 0.3]])
    learner = learners.dr_grpo(base=base)
    ds = jc.studies.learner_noise(
        key=jax.random.key(1), learner=learner, gaps=[0.0], noise=[1.0], groups=[4], rates=[0.4], count=1024
    ).squeeze()
    expected = (LIMIT + math.log(7 / 3)) / (2 * LIMIT)
    assert "law_mean" not in ds
    assert float(ds.landed_mean[0]) == pytest.approx(expected, abs=4 * math.sqrt(0.25 / 1024) + 0.01)
    assert expected == pytest.approx(0.644, abs=1e-3)


def test_a_tie_in_a_tree_is_followed_at_its_state():
    mdp = jc.problems.token_tree(jax.random.key(0), vocabulary=2, depth=2).astype(jnp.float64)
    flat = np.zeros(mdp.reward.shape)
    ds = jc.studies.learner_noise(
        mdp,
        flat,
        key=jax.random.key(0),
        gaps=[0.0, 2.0],
        noise=[0.5],
        groups=[8],
        rates=[0.5],
        count=32,
        steps=400,
        state=1,
    ).squeeze()
    np.testing.assert_allclose(ds.landed_mean.sum("action") + ds.unsettled_mean, 1)
    assert float(ds.landed_mean.isel(action=0, gap=1)) > 0.9
    assert float(ds.seed_floor_mean[0]) > 0.1
    jc.figures.learner_noise(
        jc.studies.learner_noise(mdp, flat, key=jax.random.key(0), count=2, steps=5, rates=[0.1], groups=[2])
    )


def test_mistakes_get_a_sentence():
    key = jax.random.key(0)
    one = jc.problems.bandit(jnp.ones(1))
    for make, says in (
        (lambda: jc.studies.learner_noise(key=key, learner=learners.npg()), "samples groups"),
        (lambda: jc.studies.learner_noise(key=key, confidence=0.4), "between .5 and 1"),
        (lambda: jc.studies.learner_noise(key=key, rates=[0.0]), "rates must be a list of positive numbers"),
        (lambda: jc.studies.learner_noise(key=key, groups=[1]), "groups"),
        (lambda: jc.studies.learner_noise(key=key, noise=[-1.0]), "noise must be a list of numbers of at least 0"),
        (lambda: jc.studies.learner_noise(key=key, state=3), "state 3"),
        (lambda: jc.studies.learner_noise(one, key=key), "nothing to land on"),
        (lambda: jc.studies.learner_noise(key=key, direction=np.ones(3)), "direction has shape"),
        (lambda: jc.studies.constants(one, key=key, learners={"mine": lambda s: s}), "must give one of jc.learners"),
        (lambda: jc.studies.constants(one, key=key, strength=[0.0]), "strength must be a list of positive"),
    ):
        with pytest.raises((ValueError, TypeError), match=says):
            make()


# Whether they obey the constants


@pytest.mark.parametrize("trainer", ["exact", pytest.param("groups", marks=pytest.mark.slow)])
def test_the_fork_attains_the_bound(trainer):
    """Exact values, and groups with leave-one-out: measured over bound is .99 and more."""
    mdp = jc.problems.fork(0.0, discount=0.5).astype(jnp.float64)
    mdp = mdp.replace(initial=np.array([1.0, 0.0, 0.0]))
    along = np.array([[1.0, -1.0], [1.0, 0.0], [-1.0, 0.0]])

    def groups(strength):
        return learners.rloo(rate=0.2, group=64, steps=400, leash=leashes.in_reward(strength), length=12)

    chosen = {trainer: LEARNERS.get(trainer, groups)}
    ds = jc.studies.constants(
        mdp, key=jax.random.key(0), learners=chosen, strength=[0.5], sizes=[0.2], direction=along, count=2
    ).squeeze()
    ratio = (ds.tv / ds.tanh).mean("draw")
    assert float(ratio) > (0.9999 if trainer == "exact" else 0.99)
    assert bool(ds.explained.all())


def families(count):
    """Problems of four kinds, as many of each."""
    keys = [jax.random.key(i) for i in range(count)]
    return {
        "bandit": [jc.problems.bandit(jax.random.uniform(k, (3,))).astype(jnp.float64) for k in keys],
        "tree": [jc.problems.token_tree(k, vocabulary=2, depth=2).astype(jnp.float64) for k in keys],
    }


def test_learners_that_are_held_obey_and_those_without_a_scale_do_not():
    chosen = {name: LEARNERS[name] for name in ("exact", "kl in reward", "standard deviation")}
    # divided by its standard deviation with KL in the reward, what is held equals 0 where it did before
    chosen["inside"] = lambda strength: chosen["kl in reward"](strength).replace(advantage="std", rate=0.005)
    tie = [bandit(0.0, 0.0)]
    along = np.array([[1.0, -1.0]])
    ds = jc.studies.constants(
        tie, key=jax.random.key(0), learners=chosen, strength=[0.1], sizes=[1e-3, 1e-1], direction=along, count=8
    ).squeeze()
    assert bool(ds.explained.sel(learner=["exact", "kl in reward", "inside"]).all())
    np.testing.assert_allclose(ds.optimum, ds.tanh, rtol=1e-6)  # a tie attains the bound
    np.testing.assert_allclose(ds.local, ds.linear, rtol=1e-6)
    freed = ds.sel(learner="standard deviation")
    assert float((freed.tv / freed.tanh).isel(size=0).mean()) > 20
    assert not bool(freed.inside.isel(size=0).any())
    few = {"exact": LEARNERS["exact"]}
    ds = jc.studies.constants(families(1), key=jax.random.key(0), learners=few, sizes=[0.1], count=2)
    assert set(ds.dims) == {"family", "learner", "problem", "strength", "size", "draw"}
    jc.figures.constants(ds)


def test_k1_as_a_loss_leashes_nothing():
    mdp, reward = bandit(1.0, 0.7, 0.1), np.array([[1.0, 0.7, 0.1]])
    free = learners.Learner(rate=0.5, gradient="exact", steps=50)(mdp, reward, jax.random.key(0))
    held = learners.Learner(rate=0.5, gradient="exact", steps=50, leash=leashes.k1(5.0))(mdp, reward, jax.random.key(0))
    np.testing.assert_allclose(held, free, atol=1e-12)


@pytest.mark.parametrize(("base", "factor"), [(0.01, 2.2), (1e-4, 3.4)])
def test_k3_as_a_loss_breaks_the_bound_and_keeps_the_law_of_the_forward_divergence(base, factor):
    """g = β(p − b)/(p(1 − p)): the worst pair of gaps, and a learner that is trained on both."""
    p = base + (1 - base) * np.linspace(1e-4, 0.999, 4000)
    gap = (p - base) / (p * (1 - p))  # over β
    low, high = np.triu_indices(len(p), 1)
    pick = slice(None, None, 7)
    low, high = low[pick], high[pick]
    ratio = (p[high] - p[low]) / np.tanh((gap[high] - gap[low]) / 4)
    worst = ratio.argmax()
    assert ratio[worst] == pytest.approx(factor, rel=0.05)
    if base == 0.01:
        strength = 0.1
        pair = strength * gap[[low[worst], high[worst]]]
        rewards = np.stack([[[g, 0.0]] for g in pair])
        learner = learners.Learner(
            rate=20.0, gradient="exact", steps=20_000, base=np.array([[base, 1 - base]]), leash=leashes.k3(strength)
        )
        trained = np.asarray(learner(bandit(0.0, 0.0), rewards, jax.random.key(0)))[:, 0, 0]
        np.testing.assert_allclose(trained, p[[low[worst], high[worst]]], rtol=1e-5)
        bound = float(theory.soft_jump((pair[1] - pair[0]) / 2, strength, 1.0))
        assert (trained[1] - trained[0]) / bound == pytest.approx(ratio[worst], rel=1e-4)


@pytest.mark.parametrize("kind", ["bandit", "tree", "garnet"])
def test_the_jump_is_where_the_exact_radius_says(kind):
    """As the strength goes to 0: the half-way point towards the nearest cliff is within 5 % of its distance."""
    mdp = {
        "bandit": lambda: bandit(1.0, 0.7, 0.2),
        "tree": lambda: jc.problems.token_tree(jax.random.key(3), vocabulary=3, depth=2),
        "garnet": lambda: jc.problems.garnet(jax.random.key(1), states=6, actions=3, branching=2, discount=0.7),
    }[kind]().astype(jnp.float64)
    near = jc.nearest_cliff(mdp, mdp.reward, norm="inf")
    t = np.linspace(0.9, 1.1, 41)
    rewards = np.asarray(mdp.reward) + t[:, None, None] * float(near.radius) * np.asarray(near.direction)
    learner = LEARNERS["exact"](float(near.radius) / 200)
    policies = np.asarray(learner(mdp, rewards, jax.random.key(0)))[:, int(near.state)]
    leads = policies[:, int(near.enters)] > policies[:, int(near.leaves)]
    assert not leads[0]
    assert leads[-1]
    assert t[leads.argmax()] == pytest.approx(1, abs=0.05)


# Spurious rewards


def test_rewards_of_a_coin_flatten_peaked_policies_and_sharpen_flat_ones():
    rows = [row for row in measured()["spurious"](512) if row["epochs"] == 4 and row["rate"] == 0.3]
    flat = [row for row in rows if row["base"] == "0.25, 0.25, 0.25, 0.25"]
    peaked = [row for row in rows if row["base"].startswith("0.97")]
    assert all(row["change"] < -5 * row["error"] for row in flat)
    assert all(row["change"] > 2 * row["error"] for row in peaked)
    assert all(row["moved"] < 0 for row in rows if row["base"].startswith("0.7,"))  # away from the base's mode


@pytest.mark.parametrize(("actions", "fit"), [(4, 0.98), (100, 0.89), (10_000, 0.60)])
def test_reward_is_a_falling_exponential_of_entropy_for_few_actions_only(actions, fit):
    """R = −a·e^H + b, one good arm of probability p uniform on [1/K, .999], the others equal."""
    p = np.linspace(1 / actions, 0.999, 200_000)
    entropy = scipy.special.entr(p) + scipy.special.entr((1 - p) / (actions - 1)) * (actions - 1)
    assert np.corrcoef(np.exp(entropy), p)[0, 1] ** 2 == pytest.approx(fit, abs=0.01)


# At their sizes


@pytest.mark.slow
@pytest.mark.parametrize("advantage", ["mean", "std"])
def test_one_law_collapses_two_hundred_settings(advantage):
    found = measured()["collapse"](4096, learners.Learner(rate=1.0, advantage=advantage))
    assert found["settings"] >= 200
    assert found["R²"] > 0.99


@pytest.mark.slow
def test_flip_times_are_those_of_the_training_configuration():
    expected = {
        ("standard deviation", 1e-1): 112,
        ("standard deviation", 1e-3): 112,
        ("standard deviation", 1e-5): 141,
        ("standard deviation", 1e-6): 397,
        ("standard deviation", 1e-7): 2954,
        ("none", 1.0): 284,
        ("none", 0.3): 946,
        ("none", 0.1): 2839,
    }
    for row in measured()["flip_times"](512):
        assert row["steps"] == pytest.approx(expected[row["normalised by"], row["gap"]], rel=0.1)


@pytest.mark.slow
def test_ten_thousand_trained_pairs_keep_within_the_bound():
    """Of Garnets, trees, bandits and the fork: those that are held, in 99 of a hundred and more."""
    keys = [jax.random.key(i) for i in range(12)]
    several = {
        "bandit": [jc.problems.bandit(jax.random.uniform(k, (4,))) for k in keys],
        "tree": [jc.problems.token_tree(k, vocabulary=3, depth=2) for k in keys],
        "garnet": [jc.problems.garnet(k, states=5, actions=3, branching=2, discount=0.5) for k in keys],
        "fork": [jc.problems.fork(0.05 * i, discount=0.5) for i in range(12)],
    }
    held = ("exact", "kl in reward", "kl as loss", "entropy bonus")
    chosen = {name: LEARNERS[name] for name in held}
    ds = jc.studies.constants(
        several, key=jax.random.key(0), learners=chosen, strength=[0.2, 0.5], sizes=[0.01, 0.1, 1.0], count=10
    )
    assert ds.tv.size >= 10_000
    for name in held:
        one = ds.sel(learner=name)
        assert float(one.explained.mean()) >= 0.99, name


def test_learners_of_chains_are_studied_too():
    """No program can read the length of trajectories off a discount that it is given."""
    several = [jc.problems.garnet(jax.random.key(i), states=4, actions=2, branching=2, discount=0.5) for i in range(2)]
    chosen = {"groups": lambda strength: learners.rloo(rate=0.5, steps=50, leash=leashes.in_reward(strength))}
    ds = jc.studies.constants(several, key=jax.random.key(0), learners=chosen, strength=[0.5], sizes=[0.1], count=2)
    assert float(ds.tv.max()) > 0
    learner = learners.rloo(rate=0.5, steps=20)
    ds = jc.studies.response(
        several, key=jax.random.key(0), kind="learner", learner=learner, sizes=[0.1], count=2, perturbation="sphere"
    )
    assert float(ds.tv_mean.max()) > 0
    ds = jc.studies.learner_noise(several[0], key=jax.random.key(0), gaps=[1.0], groups=[4], rates=[1.0], count=16)
    assert float(ds.landed_mean.sum()) > 0.5
    with pytest.raises(ValueError, match="give the learner length="):
        jax.jit(lambda mdp: learner(mdp, several[0].reward, jax.random.key(0)))(several[0])

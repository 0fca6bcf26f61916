"""How much regularisation a noise needs, and what continuity costs: against closed forms, draws and solved policies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.cliffs.calibrate import _quantile, _upper
from tests.conftest import needs_x64

pytestmark = needs_x64
KEY = jax.random.key(0)


def problem(name, seed):
    key = jax.random.key(seed)
    if name == "garnet":
        return jc.problems.garnet(key, states=8, actions=3, branching=3, discount=0.9)
    if name == "tree":
        return jc.problems.token_tree(key, vocabulary=2, depth=3).astype(jnp.float64)
    if name == "arms":
        return jc.problems.contextual_bandit(jax.random.normal(key, (4, 3), jnp.float64))
    return jc.problems.fork(0.2 + 0.1 * seed).astype(jnp.float64)


def regularizer(kind, strength, mdp):
    if kind == "kl":
        legal = np.ones(mdp.reward.shape) if mdp.legal is None else np.asarray(mdp.legal, float)
        return jc.KL(strength, legal / legal.sum(-1, keepdims=True))
    return (jc.Entropy if kind == "entropy" else jc.Sparsemax)(strength)


def moved(mdp, kind, strength, rewards):
    """The largest total variation, of every reward."""
    one, two = (jc.solve(mdp, r, regularizer=regularizer(kind, strength, mdp)).policy for r in (mdp.reward, rewards))
    return np.asarray(jc.metrics.largest_total_variation(two, one))


def hardest(mdp, size):
    """Corners of the ball: random ones, and towards every wall."""
    corners = jc.perturb.signs(jax.random.key(9), mdp, size=size, count=32).rewards
    near = jc.nearest_cliff(mdp)
    towards = [mdp.reward + sign * size * near.direction for sign in (1, -1)]
    return jnp.concatenate([corners, jnp.stack([jnp.asarray(x) for x in towards])])


def used(name, kind, seed, noise=0.1, budget=0.2):
    """(the share of the budget that the hardest changes use at the guaranteed strength, the calibration)."""
    mdp = problem(name, seed)
    found = jc.calibrate(mdp, noise=noise, budget=budget, kind=kind)
    tv = moved(mdp, kind, float(found.strength[0]), hardest(mdp, noise))
    return tv.max() / budget, found


@pytest.mark.parametrize("kind", ["entropy", "kl", "sparsemax"])
@pytest.mark.parametrize("name", ["garnet", "tree", "arms", "fork"])
def test_the_guarantee_holds(name, kind):
    for seed in range(2):
        assert used(name, kind, seed)[0] <= 1 + 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["entropy", "kl", "sparsemax"])
@pytest.mark.parametrize("name", ["garnet", "tree", "arms", "fork"])
def test_the_guarantee_holds_on_many_problems(name, kind):
    found = [used(name, kind, seed) for seed in range(100)]
    shares = np.array([share for share, _ in found])
    assert shares.max() <= 1 + 1e-9
    slopes = np.array([each.strength[1] / each.strength[0] for _, each in found])
    print(
        f"{name}, {kind}: uses {np.median(shares):.2f} of the budget; to first order {np.median(slopes):.2f} suffices"
    )


def test_the_fork_needs_all_of_it():
    """From one side of its tie to the other the fork moves by the budget, exactly."""
    mdp = jc.problems.fork(1.0).astype(jnp.float64)
    towards = np.array([[1.0, -1.0], [1.0, 0.0], [-1.0, 0.0]])
    reward = jnp.asarray(-0.05 * towards)
    found = jc.calibrate(mdp, reward, noise=0.1, budget=0.3)
    entropy = jc.Entropy(float(found.strength[0]))
    one, two = (jc.solve(mdp, r, regularizer=entropy).policy for r in (reward, reward + 0.1 * towards))
    assert float(jc.metrics.largest_total_variation(two, one)) == pytest.approx(0.3, rel=1e-9)


@pytest.mark.parametrize("kind", ["entropy", "sparsemax"])
def test_to_first_order_the_slope_is_the_budget(kind):
    mdp = problem("garnet", 3)
    strength = float(jc.calibrate(mdp, noise=0.05, budget=0.1, kind=kind).strength[1])
    soft = jc.solve(mdp, regularizer=regularizer(kind, strength, mdp))
    slope = float(jc.soft_jacobian(mdp, soft).lipschitz().upper.max())
    assert slope * 0.05 <= 0.1
    if kind == "entropy":  # the slope of sparsemax has steps
        assert slope * 0.05 == pytest.approx(0.1, rel=1e-2)


@pytest.mark.parametrize("distribution", ["ball", "gaussian"])
def test_what_is_measured_holds_for_other_draws(distribution):
    mdp = problem("garnet", 4)
    found = jc.calibrate(mdp, noise=0.05, budget=0.1, distribution=distribution, key=KEY, count=512)
    fresh = jax.random.key(77)
    if distribution == "ball":
        rewards = jc.perturb.ball(fresh, mdp, size=0.05, count=4096).rewards
    else:
        rewards = jc.perturb.gaussian(fresh, mdp, sigma=0.05, count=4096).rewards
    share = [np.mean(moved(mdp, "entropy", s * float(found.strength[2]), rewards) > 0.1) for s in (1, 0.7)]
    assert share[0] <= 0.05
    assert share[1] > 0.05, "far weaker would not do"
    assert found.probability <= 0.05
    assert float(found.strength[2]) < float(found.strength[0])
    assert 0 <= found.exceeded < found.count == 512


def test_the_price_is_certified():
    mdp = problem("garnet", 5)
    found = jc.calibrate(mdp, noise=0.05, budget=0.1, key=KEY, count=128)
    for strength, lost, bound in zip(found.strength, found.lost, found.lost_bound, strict=True):
        policy = jc.solve(mdp, regularizer=jc.Entropy(float(strength))).policy
        assert abs(lost - float(jc.metrics.regret(mdp, policy))) <= bound + 1e-12
        assert bound < 1e-9
    assert found.lost[0] > found.lost[2] > 0
    assert found.best_return == pytest.approx(float(mdp.initial @ jc.solve(mdp).values))


def test_the_radius_of_gaussian_noise():
    """The largest of all entries exceeds it with probability δ."""
    mdp = problem("garnet", 0)
    noise = np.abs(np.random.default_rng(0).normal(size=(200_000, mdp.reward.size))).max(axis=1)
    share = np.mean(noise > _quantile(mdp, 1.0, 0.05))
    assert share == pytest.approx(0.05, abs=0.003)
    assert _upper(0, 100, 0.99) == pytest.approx(1 - 0.01 ** (1 / 100))
    assert _upper(100, 100, 0.99) == 1


def test_it_speaks():
    mdp = problem("arms", 0)
    silent = jc.calibrate(mdp, noise=0.1, budget=0.1)
    assert "measured: not asked for (key=)" in silent.summary()
    assert np.isnan(silent.strength[2])
    found = jc.calibrate(mdp, noise=0.01, budget=0.2, distribution="gaussian", key=KEY, count=200)
    text = found.summary()
    assert "which the noise exceeds with probability 0.05" in text
    assert "the weakest that was tried" in jc.calibrate(problem("arms", 1), noise=1e-3, budget=0.9).summary()
    ds = found.to_dataset()
    assert ds.way.values.tolist() == ["guaranteed", "first order", "measured"]
    assert ds.attrs["budget"] == 0.2
    assert ds.attrs["problem"].startswith("MDP(")


BAD = {
    "no noise": ({"noise": 0.0}, "noise must be positive"),
    "a budget of 1": ({"budget": 1.0}, "budget must be between 0 and 1"),
    "another kind": ({"kind": "hard"}, "kind must be one of 'entropy'"),
    "another distribution": ({"distribution": "uniform"}, "distribution must be one of 'ball'"),
    "a base of entropy": ({"base": [[0.5, 0.5]]}, "base= is the base policy of kind='kl'"),
    "too few draws": ({"key": KEY, "count": 10}, "count must be at least 90"),
    "another shape": ({"reward": [[1.0]]}, r"the reward has shape \[1, 1\]"),
    "a confidence of 1": ({"confidence": 1}, "confidence must be between 0 and 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_sentence(name):
    given, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        jc.calibrate(jc.problems.bandit([1.0, 0.0]), **{"noise": 0.1, "budget": 0.1, **given})


# ---- what continuity costs


def arms(gaps, actions=2):
    """The best arm, and rivals that are as much behind, of several bandits [B, 1, K]."""
    rewards = np.zeros((len(gaps), 1, actions))
    rewards[:, 0, 1:] = -np.asarray(gaps)[:, None]
    return jnp.asarray(rewards)


def lost(kind, rewards, strength=1.0):
    base = np.full(rewards.shape[1:], 1 / rewards.shape[-1])
    own = {"entropy": jc.Entropy(strength), "sparsemax": jc.Sparsemax(strength)}
    regular = own.get(kind) or jc.FDivergence(strength, base, kind)
    mdp = jc.problems.contextual_bandit(np.zeros(rewards.shape[1:]))
    policy = jc.solve(mdp, rewards, regularizer=regular).policy
    return np.asarray(jnp.max(rewards, -1) - jnp.sum(policy * rewards, -1))[:, 0], policy


@pytest.mark.parametrize("kind", ["entropy", "sparsemax", "chi_square", "jensen_shannon"])
def test_two_arms_lose_as_much_as_it_says_and_no_more(kind):
    ds = jc.studies.frontier([kind], actions=[2], strength=[1.0])
    gaps = np.linspace(0, 12, 4001)
    found, policy = lost(kind, arms(gaps))
    worst = ds.regret.item()
    assert found.max() <= worst
    assert found.max() >= ds.regret_lower.item() - 1e-5
    assert worst - ds.regret_lower.item() <= 2e-4 * worst
    slope = np.abs(np.diff(np.asarray(policy)[:, 0, 1])) / np.diff(gaps) * 2
    assert slope.max() == pytest.approx(ds.sensitivity.item(), rel=2e-3)
    assert slope.max() <= ds.sensitivity.item() * (1 + 1e-6)


@pytest.mark.parametrize("kind", ["entropy", "sparsemax"])
@pytest.mark.parametrize("actions", [3, 10])
def test_many_arms(kind, actions, rng):
    ds = jc.studies.frontier([kind], actions=[actions], strength=[1.0])
    rewards = rng.normal(size=(4000, 1, actions)) * rng.exponential(1, size=(4000, 1, 1))
    found, _ = lost(kind, jnp.concatenate([arms(np.linspace(0, 8, 4001), actions), jnp.asarray(rewards)]))
    assert found.max() <= ds.regret.item() * (1 + 1e-9)
    assert found.max() >= ds.regret.item() * (1 - 1e-4)


def test_no_map_of_two_arms_is_below_the_frontier():
    ds = jc.studies.frontier(actions=2)
    above = (8 * ds["product"]).sel(actions=2)
    assert (above >= 1 - 1e-12).all()
    assert abs(float(above.sel(kind="sparsemax")) - 1) <= 1e-9
    assert float(above.sel(kind="entropy")) == pytest.approx(1.1139, abs=1e-4)
    assert float(above.sel(kind="jensen_shannon")) == pytest.approx(1.23, abs=1e-3)
    assert float(above.sel(kind="chi_square")) == pytest.approx(1, abs=2e-4)
    assert (ds.regret >= ds.bound * (1 - 1e-12)).all()


def test_with_a_horizon_they_are_bounds():
    """Sampled problems lose less, and move less, than the frontier of their horizon says."""
    mdp = jc.problems.garnet(jax.random.key(1), states=8, actions=3, branching=3, discount=0.9)
    rewards = 2 * jax.random.normal(KEY, (64, 8, 3), jnp.float64)
    for kind in ("entropy", "sparsemax"):
        ds = jc.studies.frontier([kind], actions=[3], steps=10, strength=[0.5])
        soft = jc.solve(mdp, rewards, regularizer=regularizer(kind, 0.5, mdp))
        assert float(jc.metrics.regret(mdp, soft.policy, rewards).max()) <= ds.regret.item()
        one = jc.solve(mdp, rewards[0], regularizer=regularizer(kind, 0.5, mdp))
        assert float(jc.soft_jacobian(mdp, one).lipschitz().upper.max()) <= ds.sensitivity.item()
        assert np.isnan(ds.bound.item())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kinds": ["hard"]}, "kinds must be among entropy"),
        ({"actions": [1]}, "actions must be whole numbers from 2 on"),
        ({"actions": [2.5]}, "actions must be whole numbers"),
        ({"steps": 0.5}, "steps must be at least 1"),
        ({"strength": [0.0]}, "strength must be a list of positive numbers"),
    ],
)
def test_a_bad_frontier_gets_a_sentence(given, words):
    with pytest.raises(ValueError, match=words):
        jc.studies.frontier(**given)

"""The response study: against closed forms, its own bounds, and one solve at a time."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests.conftest import needs_x64

KEY = jax.random.key(0)
pytestmark = needs_x64


def garnets(count, **options):
    several = {"states": 6, "actions": 3, "branching": 3, "discount": 0.8} | options
    return [jc.problems.garnet(jax.random.key(i), **several).astype(jnp.float64) for i in range(count)]


def trees(count):
    several = [jc.problems.token_tree(jax.random.key(i), vocabulary=2, depth=2) for i in range(count)]
    return [each.astype(jnp.float64) for each in several]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_two_arms_have_a_closed_form():
    """±s on either arm: the difference of the rewards moves by 2s, 0 or −2s, and the policy is a logistic function."""
    mdp = jc.problems.bandit(jnp.asarray([0.3, 0.0], jnp.float64))
    strength, sizes = np.array([0.1, 0.5]), np.array([0.05, 0.2, 0.4])
    ds = jc.studies.response(mdp, key=KEY, strength=strength, sizes=sizes, perturbation="signs", count=64)
    gap = 0.3 + np.array([-2, 0, 2])[:, None, None] * sizes
    moved = np.abs(sigmoid(gap / strength[:, None]) - sigmoid(0.3 / strength)[:, None])
    np.testing.assert_allclose(ds.tv_max[0], moved.max(0), rtol=1e-9)
    shares = np.array([0.25, 0.5, 0.25])
    exact, spread = np.einsum("k,ksz->sz", shares, moved), np.sqrt(np.einsum("k,ksz->sz", shares, moved**2) / 64)
    assert (np.abs(ds.tv_mean[0] - exact) <= 5 * spread).all()
    np.testing.assert_allclose(ds.norm_mean[0], np.broadcast_to(sizes, (2, 3)), rtol=1e-12)
    np.testing.assert_allclose(ds.tanh_max[0], moved.max(0) / np.tanh(sizes / (2 * strength[:, None])), rtol=1e-9)
    lost = 0.3 * (1 - sigmoid(gap / strength[:, None]))
    np.testing.assert_allclose(ds.lost_max[0], lost.max(0), rtol=1e-9)
    for q in range(ds.sizes["tv_quantile"]):
        assert (ds.tv_quantile_low[..., q] < ds.tv_quantile_high[..., q]).all()
    assert (ds.tv_histogram.sum("tv_bin") == 64).all()


def test_no_policy_moves_farther_than_theory_allows():
    families = {"Garnet": garnets(2), "tree": trees(2)}
    ds = jc.studies.response(families, key=KEY, strength=[0.05, 1.0], sizes=[0.01, 0.5], count=16)
    assert ds.tv_max.dims == ("family", "problem", "strength", "size")
    assert ds.family.values.tolist() == ["Garnet", "tree"]
    assert 0 < float(ds.tanh_max.max()) <= 1 + 1e-9
    assert (ds.tanh_max >= ds.linear_max * (1 - 1e-9)).all()
    assert (ds.status_max == 0).all()
    assert (ds.lost_mean >= -1e-9).all()
    laws = jc.studies.response(contexts(1), key=KEY, kind="sparsemax", strength=[0.3], sizes=[0.5], count=64)
    assert 0 < float(laws.linear_max.max()) <= 1 + 1e-9


def test_the_hard_map_flips_from_the_safe_radius_on():
    ds = jc.studies.response(garnets(3), key=KEY, kind="hard", sizes=np.geomspace(1e-4, 1, 9), count=32)
    assert "strength" not in ds.dims
    safe = ds.reach_max < 1
    assert safe.any()
    assert (ds.flips_max.where(safe, 0) == 0).all()
    assert (ds.tv_max.where(safe, 0) == 0).all()
    assert (ds.flips_max.isel(size=-1) > 0).all()
    assert (ds.undecided_max == 0).all()
    assert (ds.lost_max.where(ds.flips_max == 0, 0) < 1e-9).all()


def test_what_should_change_no_policy_changes_none():
    for perturbation in ("constant", "shaping"):
        given = {"key": KEY, "perturbation": perturbation, "sizes": [0.1, 3.0], "count": 8}
        ds = jc.studies.response(contexts(2) if perturbation == "constant" else garnets(1), kind="hard", **given)
        assert (ds.flips_max == 0).all()
        assert (ds.tv_max == 0).all()
        assert float(ds.norm_mean.min()) > 0.01


def contexts(count):
    rewards = np.random.default_rng(0).normal(size=(count, 5, 3))
    return [jc.problems.contextual_bandit(jnp.asarray(each)) for each in rewards]


def test_a_learner_is_measured_as_the_maps_are():
    """One that solves with entropy is the entropy map; its return under a true reward too."""
    mdps = contexts(2)
    true = np.asarray(mdps[0].reward) ** 2
    given = {"key": KEY, "sizes": [0.1, 0.5], "count": 8, "true_reward": true}
    ours = jc.studies.response(mdps, kind="entropy", strength=[0.3], **given).isel(strength=0)
    learner = lambda mdp, rewards, key: jc.solve(mdp, rewards, regularizer=jc.Entropy(0.3)).policy  # noqa: E731
    theirs = jc.studies.response(mdps, kind="learner", learner=learner, **given)
    for name in ("tv_mean", "visited_max", "lost_mean", "true_lost_mean", "entropy_max", "norm_mean"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-7, atol=1e-10)
    assert (ours.true_lost_mean >= 0).all()


def test_one_reward_for_all_and_kl_to_a_base():
    mdp, other = contexts(2)
    base = np.random.default_rng(0).dirichlet(np.ones(3), size=5)
    given = {"kind": "kl", "base": base, "strength": [1e4], "sizes": [0.1], "count": 4}
    ds = jc.studies.response(mdp, other.reward, key=KEY, **given)
    taken, best = jc.occupancy(mdp, base), mdp.initial @ jc.solve(mdp, other.reward).values
    np.testing.assert_allclose(ds.entropy_mean.item(), float(jc.metrics.discounted_entropy(mdp, base)), rtol=1e-3)
    np.testing.assert_allclose(ds.lost_mean.item(), best - (taken * other.reward).sum(), rtol=1e-3)


def test_it_is_a_sweep(tmp_path):
    """In a store, in parts; an unfinished one is drawn as such."""
    given = {"key": KEY, "strength": [0.1, 1.0], "sizes": [0.1, 0.3], "count": 8, "chunk": {"strength": 1}}
    part = jc.studies.response(contexts(2), **given, store=tmp_path / "store", shard=(0, 2))
    assert float(part.done.mean()) == 0.5
    figure = jc.figures.response(part.load())
    assert figure.get_suptitle() == "unfinished: 50.0% of the points"
    done = jc.studies.response(contexts(2), **given, store=tmp_path / "store")
    whole = jc.studies.response(contexts(2), **given)
    np.testing.assert_array_equal(done.tv_mean, whole.tv_mean)
    assert done.attrs["problem_hash"] == whole.attrs["problem_hash"]
    with pytest.raises(ValueError, match="the point computes something else"):
        jc.studies.response(contexts(4)[2:], **given, store=tmp_path / "store")
    with pytest.raises(ValueError, match=r"settings\.perturbation is"):
        jc.studies.response(contexts(2), **given, perturbation="signs", store=tmp_path / "store")


def wrong(words, problems=None, **given):
    """A study of a Garnet with wrong arguments."""
    return lambda: jc.studies.response(garnets(1) if problems is None else problems, **({"key": KEY} | given)), words


BAD = {
    "no problem": wrong("a list of them", []),
    "a number": wrong("mdp must be a list", 3),
    "families of two sizes": wrong("as many problems", {"a": garnets(1), "b": garnets(2)}),
    "shapes": wrong("different shapes", [*garnets(1), *garnets(1, states=7)]),
    "kind": wrong("kind must be one of", kind="soft"),
    "perturbation": wrong("perturbation must be one of", perturbation="noise"),
    "no learner": wrong("go together", kind="learner"),
    "a strength": wrong("has no strength", kind="hard", strength=[1.0]),
    "a base": wrong("base policy of kind='kl'", base=np.ones((6, 3)) / 3),
    "sizes": wrong("sizes must be a list of positive", sizes=[0.0]),
    "a reward": wrong("reward has shape [3]", reward=np.ones(3)),
    "a key": wrong("key must be a JAX random key", key=3),
    "a norm": wrong("norm must be one of", norm="3"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_sentence(name):
    call, words = BAD[name]
    with pytest.raises(ValueError, match=re.escape(words)):
        call()

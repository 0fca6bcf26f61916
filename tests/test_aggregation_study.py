"""Aggregation stability: thresholds of case studies, breakpoints of the weight map, regret before the kink."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests.conftest import needs_x64
from tests.geometry import F64, decide, draw

pytestmark = needs_x64


def test_the_study_agrees_with_the_weight_map_and_with_regret(rng, tmp_path):
    mdp = draw("garnet", rng, 0.9)
    rewards = rng.normal(size=(2, *mdp.reward.shape))
    breaks = jc.weight_map(mdp, rewards).map.breakpoints
    own = float(breaks[len(breaks) // 2 - 1 : len(breaks) // 2 + 1].mean())
    weights = np.array([1 - own, own])
    ds = jc.studies.aggregation_stability(mdp, rewards, weights, key=jax.random.key(0), count=64)
    # Towards the second reward alone: the first breakpoint of the weight map beyond its own weight.
    ahead, behind = breaks[breaks > own], breaks[breaks < own][::-1]
    assert ds.breakpoint.values[1] == pytest.approx((ahead[0] - own) / (1 - own))
    assert ds.breakpoint.values[0] == pytest.approx((own - behind[0]) / own)
    assert ds.breakpoints.values.tolist() == [len(behind), len(ahead)]
    assert ds.attrs["weight_radius"] == pytest.approx(min(ahead[0] - own, own - behind[0]))
    for k in range(2):
        share, regret = ds.share.values, ds.regret.values[k]
        assert np.abs(regret[share < ds.breakpoint.values[k]]).max() <= 1e-9
        assert (np.diff(regret, 2) >= -1e-9).all()  # convex: linear between kinks
        assert (regret >= -1e-9).all()
    np.testing.assert_allclose(ds.radius, ds.attrs["joint_radius"] / weights, rtol=1e-9)
    inside = ds["size"].values[:, None] < np.append(ds.radius.values, ds.attrs["joint_radius"])
    assert (ds.flips.values[inside] == 0).all()
    assert ds.flips.values[-1].min() > 0.3
    assert (ds.tv.values[inside] <= 1e-12).all()
    jc.figures.aggregation_stability(ds).savefig(tmp_path / "figure.pdf")
    ds.to_zarr(tmp_path / "data.zarr", mode="w", consolidated=False)


CUES = ("clear-unsafe", "boundary", "benign")


def guarded(n_safety, n_general, gain_safety=1.0, gain_general=1.0):
    """Cues × (refuse, comply): safety gains by refusing at the boundary, general usefulness by complying."""
    safety = np.array([[1.0, -1.0], [gain_safety, 0.0], [0.0, 0.0]])
    general = np.array([[0.0, 0.0], [0.0, gain_general], [-1.0, 1.0]])
    counts = np.array([n_safety, n_general], float)
    return np.stack([safety, general]), counts / counts.sum()


@pytest.mark.parametrize(("n_safety", "n_general"), [(2100, 2000), (2300, 2000), (1500, 900)])
def test_one_reward_model_flips_the_boundary_at_margin_over_weight(n_safety, n_general):
    """One entry moved: |M|/w; both entries: |M|/(2w); and not before."""
    rewards, weights = guarded(n_safety, n_general)
    mdp = jc.problems.contextual_bandit(jnp.asarray(np.tensordot(weights, rewards, axes=1), F64))
    margin = weights[0] - weights[1]
    per_state = np.repeat(weights[:, None], 3, axis=1)
    both = jc.nearest_cliff(mdp, family=jc.family.component(per_state, 0, 2))
    assert both.radius == pytest.approx(margin / (2 * weights[0]), rel=1e-9)
    assert CUES[int(both.state)] == "boundary"
    only = np.zeros((1, 3, 2))
    only[0, 1, 1] = weights[0]
    one = jc.nearest_cliff(mdp, family=jc.family.Entries(only))
    assert one.radius == pytest.approx(margin / weights[0], rel=1e-9)
    for factor, flips in ((0.999, False), (1.001, True)):
        moved = np.array(mdp.reward)
        moved[1, 1] += factor * margin / weights[0] * weights[0]
        optimal, _ = decide(mdp, moved)
        assert optimal[1].tolist() == [not flips, flips]
        assert (optimal[[0, 2]] == decide(mdp, mdp.reward)[0][[0, 2]]).all()


@pytest.mark.parametrize(("n_safety", "removed", "flips"), [(2100, 200, True), (2300, 200, False), (2100, 99, False)])
def test_removing_prompts_of_one_class_flips_at_the_surplus(n_safety, removed, flips):
    """r* = n_S − n_G Δ_G/Δ_S: along the ray on which the prompts of a class go away."""
    rewards, _ = guarded(n_safety, 2000)
    mixed = n_safety * rewards[0] + 2000 * rewards[1]
    mdp = jc.problems.contextual_bandit(jnp.asarray(mixed, F64))
    path = jc.cliffs_along(mdp, None, -rewards[0], stop=float(n_safety - 1))
    assert path.first == pytest.approx(n_safety - 2000)
    assert (path.first < removed) == flips


def test_a_hard_gate_jumps_even_under_entropy():
    """Where the scores of two rewards tie, the mixture itself jumps, and so does every policy that follows it."""
    rewards = jnp.asarray([[[1.0, 0.0]], [[0.0, 1.0]]], F64)
    mdp = jc.problems.bandit(jnp.zeros(2, F64))
    policies = []
    for tip in (-1e-9, 1e-9):
        scores = jnp.asarray([[0.0], [tip]], F64)
        for gate in (jc.aggregate.hard_gate(scores), jc.aggregate.softmax_gate(scores, 10.0)):
            reward = jc.aggregate.linear(rewards, gate)
            policies.append(jc.solve(mdp, reward, regularizer=jc.Entropy(0.5)).policy)
    hard, soft = (float(jc.metrics.largest_total_variation(policies[i], policies[i + 2])) for i in (0, 1))
    assert hard > 0.7
    assert soft < 1e-6


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rewards": np.zeros((1, 8, 3))}, "with N at least 2"),
        ({"weights": [0.5, 0.6]}, "must be a distribution"),
        ({"weights": [1.0]}, r"weights of 2 rewards must have shape \[2\], \[2, 1\]"),
        ({"names": ["only one"]}, "2 rewards and 1 names"),
        ({"sizes": [-1.0]}, "sizes must be a list of positive numbers"),
        ({"count": 0}, "count must be a whole number of at least 1"),
    ],
)
def test_bad_calls_get_a_sentence(options, sentence, rng):
    mdp = draw("garnet", rng, 0.9)
    call = {"rewards": np.ones((2, *mdp.reward.shape))} | options
    with pytest.raises(ValueError, match=sentence):
        jc.studies.aggregation_stability(mdp, **call, key=jax.random.key(0))


def test_on_a_cliff_the_first_jump_is_at_once():
    rewards = np.array([[[1.0, 0.0, 0.1]], [[0.0, 1.0, 0.1]]])
    mdp = jc.problems.contextual_bandit(jnp.asarray(rewards.mean(0)))
    ds = jc.studies.aggregation_stability(mdp, rewards, key=jax.random.key(0), count=4, sizes=[0.1])
    assert ds.radius.values.tolist() == [0, 0]
    assert ds.breakpoint.values.tolist() == [0, 0]

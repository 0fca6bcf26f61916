"""Estimators of advantages against numpy, and what rounding makes of them."""

import functools
import math

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

from jaxcliff import learners
from jaxcliff.auditing import advantages as audited
from jaxcliff.learners import advantages
from tests.conftest import needs_x64

pytestmark = needs_x64


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

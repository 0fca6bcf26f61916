"""The arithmetic of single prompts: probabilities, temperatures, best-of-N, against closed forms and enumeration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxcliff.auditing import tilting, winners
from tests.conftest import needs_x64

pytestmark = needs_x64


def flips(gaps, noise=1.0, tie=0.0):
    u = -np.atleast_2d(gaps).astype(float)
    return np.asarray(winners.flip_probability(jnp.asarray(u), jnp.isfinite(u), jnp.asarray(noise), jnp.asarray(tie)))


def test_flip_probabilities_of_two_answers_are_closed_forms():
    gaps = np.concatenate([np.geomspace(1e-9, 50, 400), [0.5, 1.0, 2.0]])
    noise = np.array([0.01, 1.0, 7.0])
    for sigma in noise:
        found = flips(np.stack([0 * gaps, gaps * sigma], axis=1), sigma)
        true = scipy.stats.norm.sf(gaps / np.sqrt(2))
        assert np.abs(found - true).max() < 1e-12
        assert np.abs(found / true - 1).max() < 1e-9


@pytest.mark.parametrize("width", [2, 3, 16, 1024, 16_384])
def test_flip_probabilities_of_equal_answers_are_closed_forms(width):
    """m tied among n that are far behind: 0; one of n − m that is exactly d behind all m: known for m = n − 1 = 1."""
    assert flips(np.zeros((1, width)))[0] == 0
    # the winner by a hair: each of the others wins with 1/n
    assert flips(np.concatenate([[0.0], np.full(width - 1, 1e-13)])[None])[0] == pytest.approx(1 - 1 / width, rel=1e-10)
    # with so tolerant a tie, half of them win
    half = np.where(np.arange(width) < width // 2, 0.0, 1e-12)
    assert flips(half[None], tie=1e-13)[0] == pytest.approx(1 - (width // 2) / width, rel=1e-9)


@pytest.mark.parametrize("count", [40_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_flip_probabilities_are_those_of_simulation(rng, count):
    """On 200 prompts, each with so many draws: a two-sided exact binomial test of each."""
    wide = rng.normal(size=(200, 8)) * rng.choice([0.1, 1.0, 3.0], size=(200, 1))
    wide[::5, 1] = wide[::5, 0]  # some ties, also at the top
    tie = 1e-9
    found = np.asarray(
        winners.flip_probability(jnp.asarray(wide), jnp.ones(wide.shape, bool), *map(jnp.asarray, (0.7, tie)))
    )
    best = wide.max(axis=1, keepdims=True) - wide <= tie
    left = np.zeros(200, int)
    for _ in range(count // 20_000):
        noisy = wide + 0.7 * rng.standard_normal((20_000, *wide.shape), dtype=np.float32)
        left += (~np.take_along_axis(best[None], noisy.argmax(axis=2)[..., None], axis=2))[..., 0].sum(axis=0)
    p = [scipy.stats.binomtest(int(k), count, float(q)).pvalue for k, q in zip(left, found, strict=True)]
    assert min(p) > 1e-6


def leashed(alpha, scores, base_log, error):
    """The worst movement over all sets of answers, in numpy: log-odds of a set move by 2ε/α."""
    logs = base_log + scores / alpha
    count, worst = len(scores), 0.0
    for code in range(1, 2**count - 1):
        inside = (code >> np.arange(count)) & 1 == 1
        z = scipy.special.logsumexp(logs[inside]) - scipy.special.logsumexp(logs[~inside])
        worst = max(worst, scipy.special.expit(z + 2 * error / alpha) - scipy.special.expit(z))
    return worst


def test_no_error_within_the_size_moves_answers_more_than_is_said(rng):
    """All 2^n sets, of policies peaked and flat, of bases hundreds of nats apart: the bound holds, and is near."""
    ratios = []
    for _ in range(150):
        scores = rng.normal(size=5) * rng.choice([0.1, 1.0, 5.0])
        base = rng.normal(size=5) * rng.choice([0.0, 1.0, 30.0, 300.0])
        base -= scipy.special.logsumexp(base)
        alpha, error = 10 ** rng.uniform(-2, 1), 0.2
        given = [jnp.asarray(x)[None] for x in (scores, base)]
        bound = float(tilting.worst_movement(*given, jnp.asarray(error), jnp.asarray([1 / alpha]))[0])
        true = leashed(alpha, scores, base, error)
        assert true <= bound * (1 + 1e-9) + 1e-300
        ratios.append(true / bound if bound > 1e-12 else 1.0)
    assert np.median(ratios) > 0.95
    assert (np.array(ratios) > 1 - 1e-9).mean() > 0.3  # attained where the likeliest answer stands out


@pytest.mark.parametrize("spread", [0.0, 3.0, 30.0, 300.0])
def test_the_temperature_keeps_the_budget_and_no_smaller_one_does(spread, rng):
    """Above it no temperature on a fine grid breaks the budget; just below it the bound does, unless none is needed."""
    scores = jnp.asarray(rng.normal(size=(150, 4)) * rng.choice([0.3, 3.0], size=(150, 1)))
    base = jnp.asarray(spread * rng.normal(size=(150, 4)))
    base -= jax.nn.logsumexp(base, axis=-1, keepdims=True)
    error, budget = jnp.asarray(0.1), 0.1
    strength = tilting.safe_strength(scores, base, error, budget)
    most = float(error) / (2 * np.arctanh(budget))
    assert (np.asarray(strength) <= most * (1 + 1e-9)).all()
    low = jnp.maximum(strength, 1e-5)
    grid = jnp.geomspace(1.0, most / low, 2000)  # from each up to the one that is enough for all

    def worst(alpha):
        return np.asarray(tilting.worst_movement(scores, base, error, 1 / alpha))

    for factor in grid:
        assert (worst(low * factor) <= budget * (1 + 1e-6)).all()
    some = np.asarray(strength) > 0
    assert some.sum() > 10
    below = worst(jnp.where(strength > 0, strength, 1.0) * (1 - 1e-6))[some]
    assert (below > budget * (1 - 1e-3)).mean() > 0.9  # a march that creeps along the budget may end before it


def test_narrow_windows_between_temperatures_are_found():
    """Two answers, the worse one favoured by so many nats: for a moment, on the way down, both are as likely."""
    for nats, gap in (
        (10, 49.1729),
        (20, 94.72676891732252),
        (30, 117.3108),
        (60, 109.07),
        (120, 100.69),
        (600, 67.0005),
    ):
        scores, base = jnp.asarray([[gap, 0.0]]), jnp.asarray([[-float(nats), 0.0]])
        strength = float(tilting.safe_strength(scores, base, jnp.asarray(1.0), 0.1)[0])
        alphas = np.geomspace(max(strength, 1e-3), 10, 20_000)
        z = -nats + gap / alphas
        moved = (
            scipy.special.expit(z + 2 / alphas) - scipy.special.expit(z),
            scipy.special.expit(-z + 2 / alphas) - scipy.special.expit(-z),
        )
        assert np.max(moved) <= 0.1 * (1 + 1e-6), nats
        assert strength > 0.1


def test_best_of_n_and_its_divergence_are_those_of_enumeration(rng):
    scores = np.array([0.5, 0.1, 0.5, -1.0])  # a tie at the top
    base = np.array([0.1, 0.4, 0.3, 0.2])
    given = jnp.asarray(scores[None]), jnp.asarray(np.log(base)[None])
    policy, kl = tilting.best_of(*given, 3)
    expected = np.zeros(4)
    for draws in np.ndindex(4, 4, 4):
        p = base[list(draws)].prod()
        best = [d for d in draws if scores[d] == scores[list(draws)].max()]
        for d in best:
            expected[d] += p / len(best)
    np.testing.assert_allclose(policy[0], expected, atol=1e-12)
    assert kl[0] == pytest.approx((expected * np.log(expected / base)).sum())
    strength = tilting.same_kl(*given, kl)
    tilted = np.asarray(tilting.tilted(*given, 1 / strength))[0]
    assert (tilted * np.log(tilted / base)).sum() == pytest.approx(float(kl[0]), rel=1e-9)
    assert tilting.same_kl(*given, 0 * kl)[0] == np.inf


def test_errors_along_a_column_are_drawn_with_their_covariance(rng):
    """Against a Cholesky factor of the covariance, and with no correlation against the exact probability."""
    u, x = np.array([1.0, 0.8, 0.5, 0.2]), np.array([10.0, 12.0, 90.0, 11.0])
    given = [jnp.asarray(v)[None] for v in (u, np.ones(4, bool))]
    keys = jax.random.split(jax.random.key(0), 40)

    def drawn(rho):
        several = [jnp.repeat(v, 40, axis=0) for v in (*given, jnp.asarray(x)[None])]
        found = winners.sampled_flips(
            keys, *several[:2], *map(jnp.asarray, (0.5, 0.0)), several[2], *map(jnp.asarray, (rho, 5.0))
        )
        return float(np.mean(found)), float(np.std(found) / np.sqrt(40))

    exact = float(winners.flip_probability(*given, *map(jnp.asarray, (0.5, 0.0)))[0])
    mean, error = drawn(0.0)
    assert mean == pytest.approx(exact, abs=5 * error)
    rho = 0.9
    covariance = 0.25 * ((1 - rho) * np.eye(4) + rho * np.exp(-np.abs(x[:, None] - x) / 5.0))
    noisy = u + rng.normal(size=(400_000, 4)) @ np.linalg.cholesky(covariance).T
    mean, error = drawn(rho)
    other = np.mean(noisy.argmax(axis=1) != 0)
    assert mean == pytest.approx(other, abs=5 * np.hypot(error, np.sqrt(0.25 / 400_000)))
    assert abs(mean - exact) > 20 * error

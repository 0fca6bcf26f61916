"""What docs/theory.md says and no other file shows: smooth values, missing rewards, prices and horizons."""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import jaxcliff as jc
from tests.conftest import needs_x64
from tests.geometry import F64, draw

ROOT = pathlib.Path(__file__).parents[1]


@needs_x64
@pytest.mark.parametrize("name", ["garnet", "proper", "ending_tree"])
def test_values_are_lipschitz_and_constants_attain_it(name, rng):
    """‖ΔQ‖ ≤ L‖ΔR‖; a constant attains it where no episode ends early."""
    mdp = draw(name, rng)
    changes = np.where(mdp.decisions, rng.normal(size=(64, *mdp.reward.shape)), 0)
    changes[:32] = np.sign(changes[:32])
    moved = jc.solve(mdp, jnp.asarray(np.asarray(mdp.reward) + changes)).values - jc.solve(mdp).values
    ratio = np.abs(moved).max(axis=-1) / np.abs(changes).max(axis=(1, 2))
    assert ratio.max() <= float(mdp.steps) * (1 + 1e-9)
    if name == "garnet":
        shifted = jc.solve(mdp, mdp.reward + 1).values - jc.solve(mdp).values
        np.testing.assert_allclose(shifted, float(mdp.steps), rtol=1e-9)


@needs_x64
def test_a_policy_that_ignores_a_tie_loses_what_is_missing(rng):
    """Regret under R + R_missing is at least the visits of the tied state times the advantage that was ignored."""
    seen = 0
    for seed in range(20):
        mdp, _ = jc.problems.tie_planted(jax.random.key(seed), states=12, actions=4, ties=2, tied_states=1)
        missing = jnp.asarray(rng.normal(size=mdp.reward.shape))
        acts = jc.optimal_actions(jc.solve(mdp), 1e-9)
        policy = jc.policies.first(acts)
        value = jc.evaluate(mdp, policy, missing)
        advantage = np.asarray(-value.gaps)[0][np.asarray(acts.optimal)[0]].max()  # at the tied state, over its own
        if advantage <= 0:
            continue
        seen += 1
        visits = float(jc.occupancy(mdp, policy)[0].sum())
        first_visit = visits / float(jc.occupancy(mdp.replace(initial=jnp.eye(12)[0].astype(F64)), policy)[0].sum())
        loss = float(jc.metrics.regret(mdp, policy, mdp.reward + missing))
        assert loss >= first_visit * advantage * (1 - 1e-6)
    assert seen >= 5


@needs_x64
@pytest.mark.parametrize("actions", [2, 10, 100])
def test_the_price_of_entropy_in_a_bandit_is_lamberts(actions, rng):
    """V* − V^π ≤ α·W((A − 1)/e), attained where all rivals are behind by the same."""
    alpha = 0.7
    price = alpha * scipy.special.lambertw((actions - 1) / np.e).real
    behind = alpha * np.linspace(0.1, 12, 2000)
    alike = -np.repeat(behind[:, None], actions, axis=1)
    alike[:, 0] = 0
    rewards = np.concatenate([alike, rng.normal(size=(500, actions)) * rng.exponential(3, size=(500, 1))])
    mdp = jc.problems.bandit(jnp.zeros(actions, F64))
    soft = jc.solve(mdp, jnp.asarray(rewards)[:, None], regularizer=jc.Entropy(alpha)).policy
    lost = np.asarray(jc.metrics.regret(mdp, soft, jnp.asarray(rewards)[:, None]))
    assert lost.max() <= price * (1 + 1e-9)
    assert lost.max() >= price * (1 - 1e-4)


@needs_x64
@pytest.mark.parametrize("depth", [2, 5])
def test_outcome_rewards_have_no_horizon_factor(depth, rng):
    """On a tree at γ = 1 with outcomes off by δ, the distribution of sequences moves by at most tanh(δ/2α)."""
    alpha, delta = 0.4, 0.5
    mdp = jc.problems.token_tree(jax.random.key(depth), vocabulary=2, depth=depth).astype(F64)
    last = np.arange(mdp.num_states) >= mdp.transitions.level_starts[-2]
    outcomes = np.where(last[:, None], delta * rng.choice([-1.0, 1.0], size=(64, *mdp.reward.shape)), 0)

    def sequences(policy):
        """The probability of every complete sequence: what it does at its last state times how often it is there."""
        return np.asarray(jc.occupancy(mdp, policy))[..., last, :].reshape(*policy.shape[:-2], -1)

    regularizer = jc.Entropy(alpha)
    base = sequences(jc.solve(mdp, regularizer=regularizer).policy)
    moved = sequences(jc.solve(mdp, mdp.reward + jnp.asarray(outcomes), regularizer=regularizer).policy)
    np.testing.assert_allclose(base.sum(), 1)
    assert (np.abs(moved - base).sum(axis=-1) / 2).max() <= np.tanh(delta / (2 * alpha))
    # Attained where the better half of the outcomes holds half of the mass: all equal, half of them raised.
    half = np.where(last[:, None], np.array([1.0, -1.0]), 0)
    ends = [
        sequences(jc.solve(mdp, jnp.asarray(s * delta / 2 * half), regularizer=regularizer).policy) for s in (-1, 1)
    ]
    assert np.abs(ends[1] - ends[0]).sum() / 2 == pytest.approx(np.tanh(delta / (2 * alpha)), rel=1e-9)


def test_only_without_a_discount_are_short_and_long_answers_equal():
    """Every outcome pays 1: at γ = 1 all actions tie, below it the episode ends at once."""
    for discount, tied in ((1.0, True), (0.999, False)):
        mdp = jc.problems.token_tree(jax.random.key(0), vocabulary=2, depth=4, correct=1.0, end_token=True)
        acts = jc.optimal_actions(jc.solve(mdp.replace(discount=discount)))
        assert bool(acts.optimal[0].all()) == tied
        assert bool(acts.optimal[0, -1])


def test_the_pages_name_files_that_exist():
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text()
        for path in re.findall(r"`((?:tests|benchmarks|notebooks)/[\w./]+)`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
        for path in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (page.parent / path).exists(), f"{page.name}: {path}"

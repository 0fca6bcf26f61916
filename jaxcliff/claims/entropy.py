"""Entropy and KL (Sections 3.4 and 4.4): slopes, prices and limits."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.special

from jaxcliff import metrics, problems, theory
from jaxcliff.claims import instances as draw
from jaxcliff.claims.framework import U, rounding, size_of
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.model.mdp import MDP
from jaxcliff.operators.regularizers import KL, Entropy
from jaxcliff.solvers.evaluate import occupancy
from jaxcliff.solvers.solve import solve

SECTION = "Entropy and KL"


def soft(mdp: MDP, rewards: Any, strength: Any, base: Any = None) -> tuple[np.ndarray, np.ndarray, Any]:
    """(policy, by how much a TV of it may be wrong, the solution) with entropy, or KL to a base."""
    own = strength[:, None]  # one per lane
    regularizer = Entropy(own) if base is None else KL(own, base)
    sol = solve(mdp, rewards, regularizer=regularizer)
    wrong = np.asarray(sol.gap_error).reshape(len(rewards), -1).max(axis=-1)
    return np.asarray(sol.policy), 2 * wrong / strength + 16 * U, sol


def _strengths(rng: Any, count: int, source: Any = draw.pairs) -> Batch:
    mdp, arrays = source(rng, count)
    return Batch(mdp, arrays | {"strength": 10 ** rng.uniform(-1, 1, size=count)})


def _with_base(rng: Any, count: int) -> Batch:
    mdp, arrays = _strengths(rng, count, draw.chain_pairs)
    base = rng.dirichlet(np.ones(mdp.num_actions), size=(count, mdp.num_states))
    return Batch(mdp, arrays | {"base": base})


def _moved(mdp: MDP, rewards: Any, changes: Any, strength: Any, base: Any = None) -> tuple[Any, Any]:
    """(the largest TV over states, its error)."""
    one, wrong, _ = soft(mdp, rewards, strength, base)
    two, more, _ = soft(mdp, rewards + changes, strength, base)
    tv = np.where(np.asarray(mdp.decisions).any(-1), np.abs(two - one).sum(axis=-1) / 2, 0)
    extra = rounding(mdp, rewards, changes) * float(mdp.steps) / strength
    return tv.max(axis=-1), wrong + more + extra


def _forks_symmetric(rng: Any, count: int) -> Batch:
    """The fork, from one side of its tie to the other: where the bound of entropy is attained."""
    mdp, arrays = draw.forks(rng, count)
    sizes = 10 ** rng.uniform(-2, 0, size=(count, 1, 1)) * arrays["strength"][:, None, None] / float(mdp.steps)
    towards = np.array([[1.0, -1.0], [1.0, 0.0], [-1.0, 0.0]])
    return Batch(mdp, {"rewards": -sizes / 2 * towards, "changes": sizes * towards, "strength": arrays["strength"]})


def _small_forks(rng: Any, count: int) -> Batch:
    mdp, arrays = _forks_symmetric(rng, count)
    return Batch(mdp, arrays | {"rewards": 1e-3 * arrays["rewards"], "changes": 1e-3 * arrays["changes"]})


@claim(
    "4.7",
    "The policy of entropy moves by at most ‖ΔR‖/(2α(1 − γ)) in total variation, at every state.",
    formula="TV ≤ ‖ΔR‖/(2α(1 − γ))",
    kind="tight",
    instances=_strengths,
    equality=_small_forks,
    attained=1e-5,
    told="attained only in the limit of small changes",
)
def soft_policies_are_lipschitz(mdp: MDP, rewards: Any, changes: Any, strength: Any) -> Found:
    moved, error = _moved(mdp, rewards, changes, strength)
    bound = theory.soft_jump_linear(size_of(mdp, changes), strength, float(mdp.steps))
    return Found(moved, bound, error)


@claim(
    "4.7 sharp",
    "The policy of entropy moves by at most tanh(‖ΔR‖/(2α(1 − γ))), a bound that is never empty.",
    formula="TV ≤ tanh(‖ΔR‖/(2α(1 − γ)))",
    kind="tight",
    source="new",
    instances=_strengths,
    equality=_forks_symmetric,
    attained=1e-10,
)
def soft_policies_obey_tanh(mdp: MDP, rewards: Any, changes: Any, strength: Any) -> Found:
    moved, error = _moved(mdp, rewards, changes, strength)
    return Found(moved, theory.soft_jump(size_of(mdp, changes), strength, float(mdp.steps)), error)


@claim(
    "3.4 KL",
    "The same bound holds for the policy of KL to any base policy, with its coefficient β.",
    formula="TV ≤ tanh(‖ΔR‖/(2β(1 − γ)))",
    kind="tight",
    source="new",
    instances=_with_base,
    equality=lambda rng, count: _flat_base(rng, count),
    attained=1e-10,
    told="the paper proves it for entropy only",
)
def kl_policies_obey_tanh(mdp: MDP, rewards: Any, changes: Any, strength: Any, base: Any) -> Found:
    moved, error = _moved(mdp, rewards, changes, strength, base)
    return Found(moved, theory.soft_jump(size_of(mdp, changes), strength, float(mdp.steps)), error)


def _flat_base(rng: Any, count: int) -> Batch:
    mdp, arrays = _forks_symmetric(rng, count)
    base = np.array([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0]])
    return Batch(mdp, arrays | {"base": np.broadcast_to(base, (count, 3, 2))})


def _soft_outcomes(rng: Any, count: int) -> Batch:
    mdp, arrays = draw.outcomes(rng, count)
    return Batch(mdp, arrays | {"strength": 10 ** rng.uniform(-0.5, 1, size=count)})


def _balanced_outcomes(rng: Any, count: int) -> Batch:
    """A tree of two tokens, all outcomes alike: half of them rise, half of them fall."""
    mdp = draw.tree(rng, vocabulary=2)
    half = draw.leaves(mdp) * np.array([1.0, -1.0])
    sizes, strength = 10 ** rng.uniform(-2, 0, size=(count, 1, 1)), rng.uniform(0.2, 2, size=count)
    return Batch(mdp, {"rewards": -sizes / 2 * half, "changes": sizes * half, "strength": strength})


@claim(
    "4.7 outcomes",
    "On a tree whose outcomes alone change, the distribution of whole sequences moves by at most tanh(δ/2α).",
    formula="TV of sequences ≤ tanh(‖ΔR‖/(2α))",
    kind="tight",
    source="new",
    instances=_soft_outcomes,
    equality=_balanced_outcomes,
    attained=1e-9,
    told="without a horizon: 1/(1 − γ) would make the bound empty for language models",
)
def sequences_obey_tanh(mdp: MDP, rewards: Any, changes: Any, strength: Any) -> Found:
    last = draw.leaves(mdp)[:, 0] > 0
    one, wrong, _ = soft(mdp, rewards, strength)
    two, more, _ = soft(mdp, rewards + changes, strength)
    ends = [np.asarray(occupancy(mdp, p))[:, last].reshape(len(rewards), -1) for p in (one, two)]
    tv = np.abs(ends[1] - ends[0]).sum(axis=-1) / 2
    steps = float(mdp.steps)
    return Found(tv, np.tanh(size_of(mdp, changes) / (2 * strength)), steps * (wrong + more + 16 * U * one[0].size))


@claim(
    "(10) modulus",
    "The soft Bellman operator is a contraction by γ as well, attained where action values differ by a constant.",
    formula="‖T_αQ − T_αQ'‖ ≤ γ‖Q − Q'‖",
    kind="tight",
    instances=lambda rng, count: _two_soft_q(rng, count, False),
    equality=lambda rng, count: _two_soft_q(rng, count, True),
    attained=1e-12,
)
def soft_bellman_contracts(mdp: MDP, q: Any, other: Any, strength: Any) -> Found:
    alpha = strength[:, None]

    def backup(x: Any) -> Any:
        best = alpha * scipy.special.logsumexp(np.asarray(x) / alpha[..., None], axis=-1)
        return float(mdp.discount) * np.asarray(mdp.expect(jnp.asarray(best)))

    error = 64 * U * (np.abs(q).max() + np.abs(other).max() + strength * 2)
    return Found(size_of(mdp, backup(q) - backup(other)), float(mdp.discount) * size_of(mdp, q - other), error)


def _two_soft_q(rng: Any, count: int, shifted: bool) -> Batch:
    mdp = draw.chain(rng, (0.5, 0.9, 0.99))
    q = draw.rewards_of(rng, mdp, count)
    other = q + (rng.uniform(0.1, 1, size=(count, 1, 1)) if shifted else draw.changes_of(rng, mdp, count))
    return Batch(mdp, {"q": q, "other": other, "strength": 10 ** rng.uniform(-1, 1, size=count)})


@claim(
    "(11) Boltzmann",
    "The regularised optimum is Boltzmann's distribution over its own action values, and there is no other.",
    formula="‖π − softmax(Q_α/α)‖ = 0",
    kind="exact",
    instances=lambda rng, count: _strengths(rng, count, draw.chain_pairs),
)
def soft_policies_are_boltzmanns(mdp: MDP, rewards: Any, changes: Any, strength: Any) -> Found:
    policy, wrong, sol = soft(mdp, rewards, strength)
    expected = scipy.special.softmax(np.asarray(sol.q_values) / strength[:, None, None], axis=-1)
    size = np.abs(np.asarray(sol.q_values)).max(axis=(1, 2)) / strength
    return Found(np.abs(policy - expected).sum(axis=-1).max(axis=-1), 0.0, wrong + 32 * U * (1 + size))


@claim(
    "(9) objective",
    "The soft value is the return of the soft policy and α times its entropy on the way, discounted.",
    formula="E V_α = J(π_α) + α·Σ_s d(s)H(π_α(s))",
    kind="exact",
    instances=lambda rng, count: _strengths(rng, count, draw.chain_pairs),
)
def soft_values_are_returns_and_entropies(mdp: MDP, rewards: Any, changes: Any, strength: Any) -> Found:
    policy, wrong, sol = soft(mdp, rewards, strength)
    visits = np.asarray(occupancy(mdp, policy))
    entropies = scipy.special.entr(policy).sum(-1)
    whole = (visits * rewards).sum((1, 2)) + strength * (visits.sum(-1) * entropies).sum(-1)
    steps, largest = float(mdp.steps), size_of(mdp, rewards) + strength * 8
    # the policy is off by `wrong`, and the objective by its slope: no more than L²·(‖R‖ + α log 1/π) times that
    error = np.asarray(sol.error_bound) + 2 * steps**2 * wrong * largest + rounding(mdp, rewards) * 8
    return Found(whole, np.asarray(sol.values) @ np.asarray(mdp.initial), error)


def _modes(rng: Any, count: int) -> Batch:
    """Three equal modes on a line, at −5, 0 and 5."""
    line = np.linspace(-10, 10, 2001)
    q = 2.55 * np.exp(-((line - np.array([[-5.0], [0.0], [5.0]])) ** 2) / (2 * 0.82**2)).sum(0)
    mdp = problems.contextual_bandit(np.zeros((1, len(line)))).astype(np.float64)
    return Batch(mdp, {"rewards": q[None, None], "strength": np.array([0.5])})


@claim(
    "Figure, soft policy",
    "Of three equal modes a soft policy with α = .5 keeps all: a density of .325 at each, and .002 between them.",
    formula="highest density = .325",
    kind="exact",
    instances=_modes,
    told="read from the paper's figure (.327, to ± .003), which a fit of its modes reproduces; between them .0020",
    costly=100,
)
def modes_keep_their_density(mdp: MDP, rewards: Any, strength: Any) -> Found:
    policy, _, _ = soft(mdp, rewards, strength)
    density = policy[:, 0] / 0.01
    between = np.abs(density.min(-1) - 0.002) > 1e-4
    return Found(np.where(between, np.inf, density.max(-1)), 0.325, 5e-4)


@claim(
    "4.7 price",
    "Entropy costs at most α·log K/(1 − γ) of return.",
    formula="V* − V^{π_α} ≤ α log K/(1 − γ)",
    kind="loose",
    instances=lambda rng, count: _strengths(rng, count, draw.chain_pairs),
)
def entropy_has_a_price(mdp: MDP, rewards: Any, changes: Any, strength: Any) -> Found:
    policy, wrong, sol = soft(mdp, rewards, strength)
    lost = np.asarray(metrics.regret(mdp, policy, rewards))
    bound = theory.entropy_cost(strength, mdp.num_actions, float(mdp.steps))
    error = np.asarray(sol.error_bound) + float(mdp.steps) ** 2 * wrong * size_of(mdp, rewards) + rounding(mdp, rewards)
    return Found(lost, bound, error)


def arms(rng: Any, count: int) -> Batch:
    mdp = problems.contextual_bandit(np.zeros((1, draw.ACTIONS))).astype(np.float64)
    rewards = rng.normal(size=(count, 1, draw.ACTIONS)) * rng.exponential(2, size=(count, 1, 1))
    return Batch(mdp, {"rewards": rewards, "strength": rng.uniform(0.1, 2, size=count)})


def _worst_arms(rng: Any, count: int) -> Batch:
    """All rivals are behind by the same, which loses most: α(1 + W((K − 1)/e))."""
    mdp, arrays = arms(rng, count)
    w = float(scipy.special.lambertw((draw.ACTIONS - 1) / math.e).real)
    rewards = np.zeros((count, 1, draw.ACTIONS))
    rewards[:, 0, 0] = arrays["strength"] * (1 + w)
    return Batch(mdp, arrays | {"rewards": rewards})


@claim(
    "4.7 price of arms",
    "In a bandit the price of entropy is at most α·W((K − 1)/e), W being Lambert's function.",
    formula="V* − V^{π_α} ≤ α·W((K − 1)/e)",
    kind="tight",
    source="new",
    instances=arms,
    equality=_worst_arms,
    attained=1e-12,
)
def arms_cost_lamberts_function(mdp: MDP, rewards: Any, strength: Any) -> Found:
    policy, wrong, _ = soft(mdp, rewards, strength)
    lost = rewards[:, 0].max(-1) - (policy[:, 0] * rewards[:, 0]).sum(-1)
    bound = strength * float(scipy.special.lambertw((draw.ACTIONS - 1) / math.e).real)
    return Found(lost, bound, (2 * wrong + 8 * U) * np.ptp(rewards, axis=(1, 2)))


@claim(
    "4.7 hallucination",
    "The mass on wrong actions is what their gaps say: Σe^{−gap/α}, of those that are wrong over all.",
    formula="Σ_{a wrong} π(a) = Σ_{a wrong} e^{−gap/α}/Σ_a e^{−gap/α}",
    kind="exact",
    instances=arms,
)
def wrong_actions_keep_their_mass(mdp: MDP, rewards: Any, strength: Any) -> Found:
    policy, wrong, _ = soft(mdp, rewards, strength)
    gaps = rewards[:, 0].max(-1, keepdims=True) - rewards[:, 0]
    weights = np.exp(-gaps / strength[:, None])
    mass = np.where(gaps > 0, weights, 0).sum(-1) / weights.sum(-1)
    return Found(np.where(gaps > 0, policy[:, 0], 0).sum(-1), mass, wrong + 32 * U * (1 + gaps.max(-1) / strength))

"""Where policies are continuous, and how far that reaches (Section 2.3: Theorem 2.7 and Remark 2.11)."""

from typing import Any

import jax
import numpy as np

from jaxcliff import metrics, policies, problems, theory
from jaxcliff.claims import instances as draw
from jaxcliff.claims.framework import U, rounding, size_of
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.cliffs.noise import flip_probability
from jaxcliff.cliffs.radius import nearest_cliff
from jaxcliff.model.mdp import MDP
from jaxcliff.policies import optimal_actions
from jaxcliff.solvers.solve import solve

SECTION = "Continuity"


def acts_of(mdp: MDP, rewards: Any) -> Any:
    """Sets of optimal actions."""
    return optimal_actions(solve(mdp, rewards))


def flipped(mdp: MDP, rewards: Any, others: Any) -> Any:
    """(in how many states the set certainly changes, in how many it may)."""
    certain, unsure = metrics.flips(acts_of(mdp, rewards), acts_of(mdp, others))
    return np.asarray(certain.sum(axis=-1), float), np.asarray(unsure.sum(axis=-1), float)


def _near(shares: Any, adversarial: bool) -> Any:
    """Changes of so many radii: random corners, or the direction of the nearest wall."""

    def drawn(rng: Any, count: int) -> Batch:
        mdp = draw.chain(rng)
        rewards = draw.rewards_of(rng, mdp, count)
        near = nearest_cliff(mdp, rewards)
        signs = near.direction if adversarial else rng.choice([-1.0, 1.0], size=rewards.shape)
        size = np.where(np.isfinite(near.lower), near.lower, 1) * rng.uniform(*shares, size=count)
        return Batch(mdp, {"rewards": rewards, "changes": signs * size[:, None, None]})

    return drawn


@claim(
    "2.7",
    "Where every state has one optimal action the policy is continuous: nothing within the exact radius changes it.",
    formula="states that flip at .5 to .999 of ρ = 0",
    kind="exact",
    instances=_near((0.5, 0.999), False),
)
def nothing_flips_within_the_radius(mdp: MDP, rewards: Any, changes: Any) -> Found:
    certain, unsure = flipped(mdp, rewards, rewards + changes)
    return Found(certain, 0.0, unsure)


@claim(
    "2.7 exact",
    "The radius is exact: a hair beyond ρ = min gap/‖n‖₁, towards the nearest wall, the policy is another one.",
    formula="some state flips at 1.001 ρ",
    kind="exact",
    source="new",
    instances=_near((1.001, 1.001001), True),
    told="so continuity at R asks for one optimal action at R alone, not in a neighbourhood",
)
def beyond_the_radius_it_flips(mdp: MDP, rewards: Any, changes: Any) -> Found:
    certain, unsure = flipped(mdp, rewards, rewards + changes)
    return Found(np.minimum(certain, 1), 1.0, np.minimum(unsure, 1 - np.minimum(certain, 1)))


@claim(
    "2.7 generic",
    "What the smallest gap promises without any normal is never more than the radius; on the fork it is the radius.",
    formula="g(1 − γ)/2 ≤ ρ",
    kind="tight",
    source="new",
    instances=draw.chain_pairs,
    equality=draw.forks,
    attained=1e-10,
)
def the_gap_promises_less(mdp: MDP, rewards: Any, **_: Any) -> Found:
    near = nearest_cliff(mdp, rewards)
    promised = theory.safe_radius(near.walls.gap.min(axis=(-2, -1)), float(mdp.steps))
    return Found(promised, near.radius, near.upper - near.lower + near.walls.gap_bound.max(axis=(-2, -1)))


@claim(
    "2.7 half",
    "The radius is at most half of the smallest gap where no episode ends: raise one action, lower the other.",
    formula="ρ ≤ g/2",
    kind="tight",
    source="new",
    instances=draw.chain_pairs,
    equality=lambda rng, count: _bandits(rng, count),
    attained=1e-12,
)
def the_radius_is_half_a_gap(mdp: MDP, rewards: Any, **_: Any) -> Found:
    near = nearest_cliff(mdp, rewards)
    gaps, wrong = near.walls.gap, near.walls.gap_bound
    return Found(near.radius, gaps.min(axis=(-2, -1)) / 2, near.upper - near.lower + wrong.max(axis=(-2, -1)))


def _bandits(rng: Any, count: int) -> Batch:
    mdp = draw.chain(rng, (0.0,))
    return Batch(mdp, {"rewards": draw.rewards_of(rng, mdp, count)})


def _odds(rng: Any, count: int) -> Batch:
    """Rewards, and an ε that is small beside most radii."""
    mdp = draw.chain(rng, (0.5, 0.9))
    return Batch(mdp, {"rewards": draw.rewards_of(rng, mdp, count)})


@claim(
    "2.11",
    "Policies are stable only where the optimum is unique, which almost every reward has: cliffs have measure zero.",
    formula="rewards on a cliff = 0",
    kind="exact",
    instances=_odds,
    told="the share of rewards within ε of a cliff falls in proportion to ε: `jc.census`",
)
def cliffs_are_thin(mdp: MDP, rewards: Any) -> Found:
    near = nearest_cliff(mdp, rewards)
    return Found((near.radius <= 0).astype(float), 0.0, near.undecided.astype(float))


def _segments(rng: Any, count: int) -> Batch:
    mdp, arrays = draw.chain_pairs(rng, count)
    return Batch(mdp, arrays | {"share": rng.uniform(0, 1, size=count)})


@claim(
    "2 convex",
    "The optimal value is convex in the reward, and so in constant weights; its kinks are the cliffs that are visited.",
    formula="V*_{tR + (1−t)R'} ≤ tV*_R + (1 − t)V*_R'",
    kind="tight",
    source="new",
    instances=_segments,
    equality=lambda rng, count: _same_policy(rng, count),
    attained=1e-10,
)
def optimal_values_are_convex(mdp: MDP, rewards: Any, changes: Any, share: Any) -> Found:
    t = share[:, None, None]
    several = [solve(mdp, r) for r in (rewards, rewards + changes, rewards + (1 - t) * changes)]
    one, two, between = (np.asarray(sol.values) @ np.asarray(mdp.initial) for sol in several)
    error = sum(np.asarray(sol.error_bound) for sol in several) + rounding(mdp, rewards, changes)
    lift = float(mdp.steps) * (size_of(mdp, rewards) + size_of(mdp, changes))  # so that both sides are positive
    return Found(between + lift, share * one + (1 - share) * two + lift, error)


def _same_policy(rng: Any, count: int) -> Batch:
    """Segments within one cone: a reward and its multiples."""
    mdp = draw.chain(rng)
    rewards = draw.rewards_of(rng, mdp, count)
    return Batch(mdp, {"rewards": rewards, "changes": rewards, "share": rng.uniform(0, 1, size=count)})


def _survivors(rng: Any, count: int) -> Batch:
    """A choice between one optimal leaf and three, all others far behind: noise, several thousand times."""
    mdp = draw.tree(rng, depth=2)
    reward = np.full(mdp.reward.shape, -1.0) * draw.leaves(mdp)
    reward[1, 0] = reward[2, :] = 1.0
    few = min(count, 4)
    return Batch(mdp, {"reward": np.broadcast_to(reward, (few, *reward.shape)), "seed": rng.integers(2**31, size=few)})


@claim(
    "2.5 survivors",
    "Which of two tied actions noise on the outcomes leaves depends on how many optimal leaves are below them.",
    formula="share of the action with one of four optimal leaves = ¼",
    kind="exact",
    source="new",
    instances=_survivors,
    mutant=lambda found: found._replace(bound=0 * found.bound + 0.5),  # as if actions counted, and not leaves
    told="within six standard errors of 4,096 draws; not ½",
    costly=10,
)
def noise_counts_leaves(mdp: MDP, reward: Any, seed: Any) -> Found:
    shares = []
    for one, own in zip(reward, seed, strict=True):
        noise = np.random.default_rng(int(own)).normal(size=(4096, *one.shape)) * 1e-3 * draw.leaves(mdp)
        shares.append(float(np.mean(np.asarray(acts_of(mdp, one + noise).optimal)[:, 0, 0])))
    return Found(np.array(shares), 0.25, 6 * np.sqrt(0.25 * 0.75 / 4096))


def _noisy(rng: Any, count: int) -> Batch:
    mdp = draw.chain(rng)
    few = min(count, 4)
    names = {"rewards": draw.rewards_of(rng, mdp, few), "sigma": 10 ** rng.uniform(-2, 0, size=few)}
    return Batch(mdp, names | {"seed": rng.integers(2**31, size=few)})


def _two_noisy_arms(rng: Any, count: int) -> Batch:
    mdp = problems.contextual_bandit(np.zeros((1, 2))).astype(np.float64)
    few = min(count, 4)
    rewards = np.stack([rng.uniform(0, 0.5, size=few), np.zeros(few)], axis=-1)[:, None]
    return Batch(
        mdp, {"rewards": rewards, "sigma": rng.uniform(0.2, 1, size=few), "seed": rng.integers(2**31, size=few)}
    )


@claim(
    "2.7 noise",
    "Gaussian noise leaves the cone of a policy with at most the sum of the probabilities of crossing each wall.",
    formula="P(another policy) ≤ Σ Φ(−gap/(σ‖n‖₂))",
    kind="tight",
    source="new",
    instances=_noisy,
    equality=_two_noisy_arms,
    attained=0.2,
    mutant=lambda found: found._replace(bound=found.bound / 2),
    told="and with at least the largest of them; equal where there is one wall; measured in 5,000 draws",
    costly=10,
)
def walls_bound_the_probability_of_a_flip(mdp: MDP, rewards: Any, sigma: Any, seed: Any) -> Found:
    several = [
        flip_probability(mdp, r, sigma=float(s), key=jax.random.key(int(k)), count=5_000)
        for r, s, k in zip(rewards, sigma, seed, strict=True)
    ]
    estimate, upper, lower = (np.array([getattr(x, n) for x in several]) for n in ("estimate", "upper", "lower"))
    error = 6 * np.array([x.standard_error for x in several])
    return Found(np.where(lower > estimate + error, np.inf, estimate), upper, error)


def _concave(rng: Any, count: int) -> Batch:
    """Actions on a line, 201 of them; a strongly concave value, and an error of it."""
    mdp = problems.contextual_bandit(np.zeros((1, 201))).astype(np.float64)
    a, few = np.linspace(0, 1, 201), min(count, 64)
    kappa, centre = rng.uniform(1, 50, size=(few, 1)), rng.uniform(0.2, 0.8, size=(few, 1))
    size = 10 ** rng.uniform(-5, -1, size=(few, 1))
    errors = size * rng.uniform(-1, 1, size=(few, 201))
    best = -kappa / 2 * (a - centre) ** 2
    return Batch(mdp, {"rewards": best[:, None], "changes": errors[:, None], "kappa": kappa[:, 0]})


@claim(
    "2.7 lines",
    "Where actions lie on a line and values are κ-strongly concave, the best one moves with the root of the error.",
    formula="|a*_R − a*_R'| ≤ h + 2√(‖ΔQ‖/κ), h the spacing",
    kind="loose",
    source="new",
    instances=_concave,
)
def concave_values_move_continuously(mdp: MDP, rewards: Any, changes: Any, kappa: Any) -> Found:
    one, two = (
        np.asarray(policies.first(acts_of(mdp, r)))[:, 0].argmax(-1) / 200 for r in (rewards, rewards + changes)
    )
    return Found(np.abs(one - two), 1 / 200 + 2 * np.sqrt(size_of(mdp, changes) / kappa), 1e3 * U)


@claim(
    "2 scales",
    "A map that does not look at the scale of a reward, as the optimum, jumps where the reward is the same everywhere.",
    formula="TV between the uniform policies of c·X and of 0 = 1 − 1/K, for every c > 0",
    kind="exact",
    source="new",
    instances=lambda rng, count: _scaled(rng, count),
    told="scale-free and continuous there would be constant",
)
def scale_free_maps_jump(mdp: MDP, rewards: Any, scale: Any) -> Found:
    one, two = (policies.uniform(acts_of(mdp, r)) for r in (0 * rewards, scale[:, None, None] * rewards))
    return Found(np.asarray(metrics.total_variation(one, two))[:, 0], 1 - 1 / mdp.num_actions, 4 * U)


def _scaled(rng: Any, count: int) -> Batch:
    mdp = draw.chain(rng)
    return Batch(mdp, {"rewards": draw.rewards_of(rng, mdp, count), "scale": 10 ** rng.uniform(-12, 3, size=count)})


def _graded(rng: Any, count: int) -> Batch:
    """A tree whose outcomes are right with probability q."""
    mdp, q = draw.tree(rng, depth=5), rng.uniform(0.1, 0.9)
    right = draw.leaves(mdp) * (rng.random((count, *mdp.reward.shape)) < q)
    return Batch(mdp, {"rewards": right, "q": np.full(count, q)})


@claim(
    "2.11 outcomes",
    "With right and wrong outcomes ties are the rule: before the last token all K actions tie with q^K + (1 − q)^K.",
    formula="share of such nodes = q^K + (1 − q)^K",
    kind="exact",
    source="new",
    instances=_graded,
    mutant=lambda found: found._replace(bound=found.bound / 2),
    told="within six standard errors, over all trees of a batch",
)
def right_and_wrong_tie(mdp: MDP, rewards: Any, q: Any) -> Found:
    last = draw.leaves(mdp)[:, 0] > 0
    all_tie = np.asarray(acts_of(mdp, rewards).optimal)[:, last].all(axis=-1)
    expected = q**3 + (1 - q) ** 3
    return Found(np.full(len(q), all_tie.mean()), expected, 6 * np.sqrt(expected * (1 - expected) / all_tie.size))

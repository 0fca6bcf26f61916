"""Where policies are continuous, and how far that reaches (Section 2.3: Theorem 2.7 and Remark 2.11)."""

from typing import Any

import numpy as np

from jaxcliff import metrics, theory
from jaxcliff.claims import instances as draw
from jaxcliff.claims.registry import Batch, Found, claim
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

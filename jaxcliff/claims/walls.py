"""Which walls a promise must count (after Theorem 2.7, Remark 2.11 and Proposition 3.2), and how thick they are."""

from typing import Any

import numpy as np
import scipy.special

from jaxcliff import metrics, problems
from jaxcliff.claims import instances as draw
from jaxcliff.claims.continuity import acts_of
from jaxcliff.claims.framework import U, rounding
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.cliffs.radius import nearest_cliff
from jaxcliff.cliffs.repair import best_tiebreaker
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense
from jaxcliff.rewards.inverse import inverse_bellman
from jaxcliff.solvers.evaluate import reachable

SECTION = "Walls"


def _another_first(rng: Any, count: int) -> Batch:
    """An end at once against a state where ending is just better than staying; and a change that stays worthwhile."""
    discount = float(rng.choice([0.5, 0.9, 0.99]))
    to = np.zeros((3, 2, 3))
    to[0, 0, 2] = to[0, 1, 1] = to[1, 0, 2] = to[1, 1, 1] = to[2, :, 2] = 1
    mdp = MDP(Dense(to), np.zeros((3, 2)), discount, initial=np.eye(3)[0], terminal=np.arange(3) == 2)
    gap, value = rng.uniform(0.1, 2, size=count), rng.uniform(-1, 1, size=count)
    behind = gap * rng.uniform(0.001, 0.01, size=count)
    rewards = np.zeros((count, 3, 2))
    rewards[:, 0, 0] = discount * value + gap
    rewards[:, 1, 0], rewards[:, 1, 1] = value, (1 - discount) * (value - behind)
    size = 1.001 * (gap + discount * behind) / (2 + discount / (1 - discount))
    towards = np.array([[-1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    return Batch(mdp, {"rewards": rewards, "changes": size[:, None, None] * towards, "size": size})


@claim(
    "2.7 visited",
    "Where a policy goes it stays as it is up to the nearest wall of the states that it visits.",
    formula="distance of that wall ≤ the size of a change that moves the policy there",
    kind="refuted",
    instances=_another_first,
    told="another state may switch first and carry this one with it: a state's own wall, too, bounds from above only",
)
def visited_walls_do_not_bound(mdp: MDP, rewards: Any, changes: Any, size: Any) -> Found:
    own = nearest_cliff(mdp, rewards, where="visited")
    certain, _ = metrics.flips(acts_of(mdp, rewards), acts_of(mdp, rewards + changes))
    return Found(own.radius, np.where(np.asarray(certain)[:, 0], size, np.inf), 64 * U * (size + own.radius))


def _in_a_subtree(rng: Any, count: int) -> Batch:
    """A tree from its second node on, changes within the radius of what can be reached; elsewhere all is tied."""
    mdp = draw.tree(rng)
    mdp = mdp.replace(initial=np.eye(mdp.num_states)[1])
    reached = np.asarray(reachable(mdp))[:, None]
    rewards = np.where(reached, draw.rewards_of(rng, mdp, count), 0)
    size = nearest_cliff(mdp, rewards, where="reachable").lower * rng.uniform(0.5, 0.999, size=count)
    signs = rng.choice([-1.0, 1.0], size=rewards.shape)
    return Batch(mdp, {"rewards": rewards, "changes": np.where(mdp.decisions, signs, 0) * size[:, None, None]})


@claim(
    "2.7 reachable",
    "The walls of all states that some policy reaches are enough: ties elsewhere are no cliff.",
    formula="reachable states that flip at .5 to .999 of their ρ = 0",
    kind="exact",
    source="new",
    instances=_in_a_subtree,
)
def reachable_walls_bound(mdp: MDP, rewards: Any, changes: Any) -> Found:
    flips = metrics.flips(acts_of(mdp, rewards), acts_of(mdp, rewards + changes))
    certain, unsure = (np.asarray(x)[:, np.asarray(reachable(mdp))].sum(-1).astype(float) for x in flips)
    return Found(certain, 0.0, unsure)


def _normal_arms(rng: Any, count: int) -> Batch:
    """Sixteen contexts of four arms, N(0, 1): many of them, and a distance."""
    mdp = problems.contextual_bandit(np.zeros((16, draw.ACTIONS))).astype(np.float64)
    few = min(count, 4)
    return Batch(mdp, {"size": 10 ** rng.uniform(-2.5, -1.5, size=few), "seed": rng.integers(2**31, size=few)})


@claim(
    "2.11 linear",
    "The share of random rewards within ε of a cliff falls in proportion to ε: for arms it is known in closed form.",
    formula="P(ρ < ε) = 1 − (K∫φ(t)Φ(t − 2ε)^{K−1} dt)^S, which is C·ε for small ε",
    kind="exact",
    source="new",
    instances=_normal_arms,
    mutant=lambda found: found._replace(bound=found.bound / 2),
    told="within six standard errors of 4,096 rewards",
    costly=20,
)
def cliffs_are_as_thick_as_their_distance(mdp: MDP, size: Any, seed: Any) -> Found:
    several = [np.random.default_rng(int(s)).normal(size=(4096, *mdp.reward.shape)) for s in seed]
    share = np.array([np.mean(nearest_cliff(mdp, r).radius < d) for r, d in zip(several, size, strict=True)])
    t, weight = np.polynomial.hermite_e.hermegauss(100)
    clear = mdp.num_actions * scipy.special.ndtr(t - 2 * size[:, None]) ** (mdp.num_actions - 1) @ weight
    expected = 1 - (clear / np.sqrt(2 * np.pi)) ** mdp.num_states
    return Found(share, expected, 6 * np.sqrt(expected * (1 - expected) / 4096))


def _tied_forks(rng: Any, count: int) -> Batch:
    mdp, _ = draw.forks(rng, 1)
    few = min(count, 4)
    names = {"rewards": np.zeros((few, 3, 2)), "raised": np.ones(few, int), "size": 10 ** rng.uniform(-3, 0, size=few)}
    return Batch(mdp, names)


def _ties_to_break(rng: Any, count: int) -> Batch:
    mdp, arrays = draw.ties(rng, min(count, 4))
    names = {name: arrays[name] for name in ("raised", "size")}
    return Batch(mdp, names | {"rewards": np.asarray(inverse_bellman(mdp, arrays["q"]))})


@claim(
    "3.2 limit",
    "No change within a budget ε puts a tied action ahead by more than 2ε/(1 − γ); on the fork one does.",
    formula="largest gap ≤ 2ε/(1 − γ)",
    kind="tight",
    source="new",
    instances=_ties_to_break,
    equality=_tied_forks,
    attained=1e-9,
    costly=10,
)
def a_budget_buys_no_more(mdp: MDP, rewards: Any, raised: Any, size: Any) -> Found:
    each = [
        best_tiebreaker(mdp, r, state=0, action=int(a), budget=float(b))
        for r, a, b in zip(rewards, raised, size, strict=True)
    ]
    error = 8 * rounding(mdp, rewards) + 8 * rounding(mdp, size[:, None, None])
    return Found(np.array([x.gap for x in each]), 2 * size * float(mdp.steps), error)

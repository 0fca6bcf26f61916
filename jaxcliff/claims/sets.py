"""Sets of optimal actions (Lemma 2.5 and Remarks 2.6 and 2.8): they may shrink at once, and cannot grow."""

from typing import Any

import numpy as np

from jaxcliff import metrics
from jaxcliff.claims import instances as draw
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.model.mdp import MDP
from jaxcliff.policies import optimal_actions, selections
from jaxcliff.rewards.inverse import inverse_bellman
from jaxcliff.solvers.solve import solve

SECTION = "Sets of optimal actions"


def _grown(mdp: MDP, before: Any, after: Any) -> Any:
    """In how many states an action is certainly optimal that certainly was not."""
    return np.asarray((before.suboptimal & after.optimal).any(axis=-1).sum(axis=-1), float)


def _within(rng: Any, count: int, shares: Any = (0.5, 0.999)) -> Batch:
    """Planted ties, and changes of any direction within the safe radius of the best action that is not optimal."""
    mdp, arrays = draw.ties(rng, count)
    q = arrays["q"]
    gaps = q.max(axis=-1, keepdims=True) - q
    behind = np.where(gaps > 0, gaps, np.inf).min(axis=(1, 2))
    size = behind / (2 * float(mdp.steps)) * rng.uniform(*shares, size=count)
    signs = rng.choice([-1.0, 1.0], size=q.shape)
    return Batch(mdp, {"q": q, "changes": signs * size[:, None, None]})


@claim(
    "2.5",
    "Sets of optimal actions cannot grow at once: within (1 − γ)/2 of the smallest positive gap nothing joins them.",
    formula="states where an action joins = 0",
    kind="exact",
    instances=_within,
)
def sets_do_not_grow(mdp: MDP, q: Any, changes: Any) -> Found:
    rewards = inverse_bellman(mdp, q)
    before, after = (optimal_actions(solve(mdp, r)) for r in (rewards, rewards + changes))
    return Found(_grown(mdp, before, after), 0.0)


@claim(
    "2.6",
    "The graph is closed: what is optimal along rewards that converge is optimal at their limit.",
    formula="states where a limit of optimal actions is not optimal = 0",
    kind="exact",
    instances=draw.ties,
)
def limits_of_optimal_actions_are_optimal(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    rewards = np.asarray(inverse_bellman(mdp, q))
    there = optimal_actions(solve(mdp, rewards))
    along = np.zeros_like(rewards)
    along[np.arange(len(along)), 0, raised] = 1
    always = np.ones(rewards.shape, bool)
    for n in (4, 8, 12, 16):
        acts = optimal_actions(solve(mdp, rewards + along * size[:, None, None] * 2.0**-n))
        always &= np.asarray(~acts.suboptimal)
    return Found((always & np.asarray(there.suboptimal)).any(axis=-1).sum(axis=-1), 0.0)


@claim(
    "2.5 shrinks",
    "Sets of optimal actions shrink at once: at a tie noise of any size leaves one action, a Hausdorff distance of 1.",
    formula="Hausdorff distance at the tied state = 1",
    kind="exact",
    source="new",
    instances=draw.ties,
)
def noise_leaves_one_action(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any) -> Found:
    rewards = np.asarray(inverse_bellman(mdp, q))
    noise = np.random.default_rng(0).normal(size=rewards.shape) * size[:, None, None]
    before, after = optimal_actions(solve(mdp, rewards)), optimal_actions(solve(mdp, rewards + noise), 1e-13)
    low, high = metrics.hausdorff(before, after)
    return Found(np.asarray(low + high)[:, 0] / 2, 1.0, np.asarray(high - low)[:, 0] / 2)


@claim(
    "2.8",
    "A selection is a function: the order of a batch, and what else is in it, change no bit of it.",
    formula="policies that differ = 0",
    kind="exact",
    instances=draw.pairs,
)
def selections_are_functions(mdp: MDP, rewards: Any, changes: Any) -> Found:
    turned = rewards[::-1]
    one = selections.first(optimal_actions(solve(mdp, rewards)))
    two = selections.first(optimal_actions(solve(mdp, turned)))
    return Found(np.asarray((one != two[::-1]).any(axis=(-2, -1)), float), 0.0)

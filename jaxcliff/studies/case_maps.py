"""What policy maps make of the rewards of a scenario: one batch for each, and what they cost."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxcliff import learners, metrics, policies
from jaxcliff.model.mdp import MDP
from jaxcliff.operators.regularizers import KL, Entropy
from jaxcliff.policies.sets import ActionSets
from jaxcliff.scenarios import Scenario
from jaxcliff.solvers.solve import solve

MAPS = ("uniform", "kl", "entropy", "best of N", "matched best of N")
LANES, FILLED = 64, (5, 6)  # rewards are filled up to multiples of it, bandits to this size: they share programs
STEPS, RATE, LEASH = 600, 0.3, 0.001  # of the learner
MOST = 2**20  # answers


class Problem(NamedTuple):
    """A problem, rewards [B, S, A], and the base."""

    mdp: MDP
    rewards: np.ndarray
    base: np.ndarray


def problem_of(mdp: MDP, rewards: np.ndarray, base: np.ndarray) -> Problem:
    """A problem as it is solved: a small bandit with contexts and actions that do not count."""
    spare = np.subtract(FILLED, base.shape)
    if mdp.transitions is not None or (spare < 0).any():
        return Problem(mdp, rewards, base)
    around = [(0, int(n)) for n in spare]
    legal = np.ones(base.shape, bool) if mdp.legal is None else np.asarray(mdp.legal)
    wide, legal = (np.pad(x, around) for x in (base, legal))
    wide[len(base) :, 0] = legal[len(base) :, 0] = 1
    rewards = np.pad(rewards, [(0, 0), *around])
    initial = np.pad(np.asarray(mdp.initial), around[:1])
    return Problem(MDP(None, rewards[0].astype(mdp.dtype), initial=initial, legal=legal), rewards, wide)


def filled(values: np.ndarray) -> np.ndarray:
    """The values, the last of them as often as it takes."""
    return np.concatenate([values, np.repeat(values[-1:], -len(values) % LANES, axis=0)])


def learner_of(case: Scenario, knobs: Mapping[str, Any], problem: Problem) -> learners.Learner:
    """GRPO from the base of a scenario; groups, rate and noise are the scenario's where it has them."""
    setting = case.setting(**knobs)
    own = {name: getattr(setting, name) for name in ("group", "rate", "noise") if hasattr(setting, name)}
    if problem.mdp.transitions is not None:  # answers of these scenarios pass every state at most once
        own["length"] = problem.mdp.num_states
    options = {"rate": RATE, "steps": STEPS, "leash": learners.leashes.k3(LEASH), "base": problem.base}
    return learners.grpo(**(options | own))


def maps_of(
    problem: Problem, acts: ActionSets, strength: float, best_of: int, size: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Policies of `MAPS`, [M, B, S, A], of which `size` rewards count; no best of N where answers are no tree."""
    mdp, rewards, base = problem
    soft = [
        np.asarray(solve(mdp, rewards, regularizer=regularizer).policy)
        for regularizer in (KL(strength, base), Entropy(strength))
    ]
    several = [np.asarray(policies.uniform(acts)), *soft]
    try:
        best = np.asarray(policies.best_of(mdp, rewards, base, best_of))
    except ValueError as error:
        if "best_of is exact for" not in str(error):
            raise
        return np.stack(several), {}
    price = prices_of(problem, soft[0][None])[1][0, :size].mean()
    matched, policy = _matched(problem, float(price), size)
    return np.stack([*several, best, policy]), {"best_of": best_of, "matched": matched}


def _matched(problem: Problem, price: float, size: int) -> tuple[int, np.ndarray]:
    """The N whose best of N has, on average over the positions, the KL that is nearest to a price, by bisection."""

    def at(number: int) -> tuple[float, np.ndarray]:
        policy = np.asarray(policies.best_of(*problem, number))
        return float(prices_of(problem, policy[None])[1][0, :size].mean()), policy

    few, many = 1, 2
    lower, upper = at(1), at(2)
    while upper[0] < price and many < MOST:
        few, many, lower = many, 2 * many, upper
        upper = at(many)
    while many - few > 1:
        middle = (few + many) // 2
        there = at(middle)
        if there[0] < price:
            few, lower = middle, there
        else:
            many, upper = middle, there
    return (many, upper[1]) if abs(upper[0] - price) < abs(lower[0] - price) else (few, lower[1])


def prices_of(problem: Problem, several: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of policies [M, B, S, A]: what they give away of the best of them all, the first, and their KL to the base."""
    mdp, rewards, base = problem
    taken = np.stack([np.asarray(metrics.occupancy(mdp, jnp.asarray(each, mdp.dtype))) for each in several])
    earned = np.sum(np.where(np.asarray(mdp.decisions), taken * rewards, 0), axis=(-2, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(several > 0, several * (np.log(several) - np.log(base)), 0).sum(axis=-1)
    visits = taken.sum(axis=-1)
    kl = np.where(visits > 0, visits * each, 0).sum(axis=-1)
    return np.maximum(earned[:1] - earned, 0), kl

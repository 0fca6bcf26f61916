"""Noise in a reward: how probable it is that the optimal policy changes at all."""

from typing import Any

import jax
import numpy as np

from jaxcliff.cliffs.walls import walls
from jaxcliff.core import checks
from jaxcliff.core.records import record
from jaxcliff.geometry.cones import Array
from jaxcliff.model.mdp import MDP

MOST_DRAWS = 10**9
DRAWS_AT_A_TIME = 2**21  # entries of the rewards that are drawn at a time


@record
class FlipProbability:
    """The probability that noise N(0, σ²) makes another policy optimal.

    Attributes:
        per_wall: P(this wall is crossed) = Φ(−gap/(σ‖Fᵀn‖₂)), exact, [S, A]; 0 where there is no wall.
        lower, upper: the largest of these, and their sum (at most 1): the probability lies between.
        estimate, standard_error: by drawing noise and looking at all walls at once.
        draws: how many.
        undecided: in how many states the arithmetic cannot tell whether actions tie: which of them is taken for the
            policy that may flip is then a guess.
    """

    per_wall: Array
    lower: float
    upper: float
    estimate: float
    standard_error: float
    draws: int
    undecided: int

    def summary(self) -> str:
        """One sentence."""
        unsure = f"; undecided whether actions tie in {self.undecided} states" if self.undecided else ""
        return (
            f"the optimal policy changes with probability {self.estimate:.4g} ± {self.standard_error:.1g} "
            f"({self.draws} draws), certainly between {self.lower:.4g} and {self.upper:.4g}{unsure}"
        )


@checks.host_geometry
def flip_probability(
    mdp: MDP,
    reward: Any = None,
    sigma: Any = 0.1,
    *,
    family: Any = None,
    states: Any = "all",
    tie_tolerance: Any = None,
    key: Any = None,
    draws: Any = 100_000,
) -> FlipProbability:
    """How probable it is that R + Fθ, θ ~ N(0, σ²), has another optimal policy than R.

    Args:
        mdp: the problem.
        reward: R, [S, A]; the problem's own if None.
        sigma: the standard deviation of every number of θ (of every entry that counts, without a family).
        family: which changes there are (`jc.family`); for weights whose sum does not change, the mean is taken off.
        states: whose walls count; "visited" is refused, because its walls do not bound the probability.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        key: a JAX random key for the draws.
        draws: how many; 0 for none.

    >>> import jaxcliff as jc
    >>> found = jc.flip_probability(jc.problems.bandit([1.0, 0.0]), sigma=0.5, draws=0)
    >>> round(found.lower, 4), found.lower == found.upper
    (0.0786, True)
    """
    from scipy.special import ndtr

    sigma, draws = checks.number(sigma, "sigma"), checks.whole(draws, "draws", 0, MOST_DRAWS)
    key = jax.random.key(0) if key is None else checks.random_key(key)
    if not 0 < sigma < np.inf:
        raise ValueError(f"sigma must be one positive number, not {sigma}")
    reward = reward if reward is None else checks.real(reward, "the reward")
    if np.ndim(reward) > 2:
        raise ValueError("flip_probability takes one reward; for many, walls(mdp, rewards, norm='2') has their norms")
    if isinstance(states, str) and states == "visited":
        raise ValueError(
            "the walls of visited states do not bound the probability of a flip: take 'all' or 'reachable'"
        )
    found = walls(mdp, reward, norm="2", family=family, states=states, tie_tolerance=tie_tolerance)
    margin = found.margin
    per_wall = np.where(np.isfinite(margin), ndtr(-np.where(np.isfinite(margin), margin, 0) / sigma), 0.0)
    estimate = error = np.nan
    if draws:
        flips = _flips(found, sigma, key, draws)
        estimate = flips / draws
        error = float(np.sqrt(max(estimate * (1 - estimate), 1 / draws) / draws))
    return FlipProbability(
        per_wall=per_wall,
        lower=float(per_wall.max()),
        upper=float(min(1.0, per_wall.sum())),
        estimate=float(estimate),
        standard_error=float(error),
        draws=draws,
        undecided=int((found.undecided.any(axis=-1) & found.looked_at).sum()),
    )


def _flips(found: Any, sigma: float, key: Any, draws: int) -> int:
    """How many of so many draws leave the cone."""
    cones, family = found.cones, found.family
    size = max(1, DRAWS_AT_A_TIME // cones.counts.size)
    met = np.isfinite(found.margin)
    total = 0
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    for start in range(0, draws, size):
        theta = sigma * family.draw(rng, min(size, draws - start))
        change, _ = cones.gaps(found.actions[None], family.apply(theta)[None])
        crossed = met & (np.where(met, found.gap, 0) + change[0] < 0)
        total += int(crossed.any(axis=(-2, -1)).sum())
    return total

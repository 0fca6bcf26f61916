"""Noise in a reward: how probable it is that the optimal policy changes at all."""

from typing import Any

import jax
import numpy as np

from jaxcliff.cliffs.walls import walls
from jaxcliff.core import checks, datasets
from jaxcliff.core.labels import Labels, labelled
from jaxcliff.core.records import by_hand, record
from jaxcliff.core.types import DataFrame, Dataset, FamilyLike, Key, Number, RewardLike, Where, Whole
from jaxcliff.geometry.cones import Array
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import recorded

MOST_DRAWS = 10**9
DRAWS_AT_A_TIME = 2**21  # entries of the rewards that are drawn at a time


@record
class FlipProbability:
    """The probability that noise N(0, σ²) makes another policy optimal.

    Attributes:
        per_wall: P(this wall is crossed) = Φ(−gap/(σ‖Fᵀn‖₂)), exact, [S, A]; 0 where there is no wall.
        lower, upper: the largest of these, and their sum (at most 1): the probability lies between.
        estimate, standard_error: by drawing noise and looking at all walls at once; NaN if none was drawn.
        count: how many draws.
        undecided: in how many states the arithmetic cannot tell whether actions tie: which of them is taken for the
            policy that may flip is then a guess.
    """

    per_wall: Array
    lower: float
    upper: float
    estimate: float
    standard_error: float
    count: int
    undecided: int
    labels: Labels = labelled()
    made: Any = by_hand(default=None)

    def summary(self) -> str:
        """One sentence."""
        unsure = f"; undecided whether actions tie in {self.undecided} states" if self.undecided else ""
        between = f"between {self.lower:.4g} and {self.upper:.4g}{unsure}"
        if not self.count:
            return f"the optimal policy changes with a probability {between} (for an estimate, give a key)"
        if self.upper - self.lower <= self.standard_error:
            drawn = f"{self.estimate:.4g} in {self.count} draws"
            return f"the optimal policy changes with a probability {between} ({drawn})"
        return (
            f"the optimal policy changes with probability {self.estimate:.4g} ± {self.standard_error:.1g} "
            f"({self.count} draws), certainly {between}"
        )

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset."""
        return datasets.to_dataset(self, {"per_wall": ("state", "action")}, size=self.per_wall.shape)

    def to_dataframe(self) -> DataFrame:
        """The walls by how probably each is crossed, as a pandas table."""
        table = self.to_dataset().per_wall.to_dataframe().reset_index()
        return table[table["per_wall"] > 0].sort_values("per_wall", ascending=False, ignore_index=True)


@checks.host_geometry
@recorded
def flip_probability(
    mdp: MDP,
    reward: RewardLike | None = None,
    sigma: Number = 0.1,
    *,
    family: FamilyLike | None = None,
    where: Where = "all",
    tie_tolerance: Number | None = None,
    key: Key | None = None,
    count: Whole = 100_000,
) -> FlipProbability:
    """How probable it is that R + Fθ, θ ~ N(0, σ²), has another optimal policy than R.

    Args:
        mdp: the problem.
        reward: R, [S, A]; the problem's own if None.
        sigma: the standard deviation of every number of θ (of every entry that counts, without a family).
        family: which changes there are (`jc.family`); for weights whose sum does not change, the mean is taken off.
        where: whose walls count, "all" or "reachable"; "visited" is refused: its walls bound nothing.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        key: a JAX random key for the estimate; without one nothing is drawn.
        count: how many draws.

    >>> import jaxcliff as jc
    >>> found = jc.flip_probability(jc.problems.bandit([1.0, 0.0]), sigma=0.5)
    >>> round(found.lower, 4), found.lower == found.upper
    (0.0786, True)
    """
    from scipy.special import ndtr

    sigma, count = checks.number(sigma, "sigma"), checks.whole(count, "count", 1, MOST_DRAWS)
    if not 0 < sigma < np.inf:
        raise ValueError(f"sigma must be one positive number, not {sigma}")
    reward = reward if reward is None else checks.real(reward, "the reward")
    if reward is not None and reward.ndim > 2:
        raise ValueError("flip_probability takes one reward; for many, walls(mdp, rewards, norm='2') has their norms")
    if isinstance(where, str) and where == "visited":
        raise ValueError(
            "the walls of visited states do not bound the probability of a flip: take where='all' or 'reachable'"
        )
    found = walls(mdp, reward, norm="2", family=family, where=where, tie_tolerance=tie_tolerance)
    margin = found.margin
    per_wall = np.where(np.isfinite(margin), ndtr(-np.where(np.isfinite(margin), margin, 0) / sigma), 0.0)
    estimate = error = np.nan
    if key is None:
        count = 0
    else:
        flips = _flips(found, sigma, checks.random_key(key), count)
        estimate = flips / count
        error = float(np.sqrt(max(estimate * (1 - estimate), 1 / count) / count))
    return FlipProbability(
        per_wall=per_wall,
        lower=float(per_wall.max()),
        upper=float(min(1.0, per_wall.sum())),
        estimate=float(estimate),
        standard_error=float(error),
        count=count,
        undecided=int((found.undecided.any(axis=-1) & found.looked_at).sum()),
        labels=mdp.labels,
    )


def _flips(found: Any, sigma: float, key: Any, count: int) -> int:
    """How many of so many draws leave the cone."""
    cones, family = found.cones, found.family
    size = max(1, DRAWS_AT_A_TIME // cones.counts.size)
    met = np.isfinite(found.margin)
    total = 0
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    for start in range(0, count, size):
        theta = sigma * family.draw(rng, min(size, count - start))
        change, _ = cones.gaps(found.actions[None], family.apply(theta)[None])
        crossed = met & (np.where(met, found.gap, 0) + change[0] < 0)
        total += int(crossed.any(axis=(-2, -1)).sum())
    return total

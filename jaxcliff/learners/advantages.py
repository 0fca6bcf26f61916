"""Advantages of a group of answers to one prompt: what a trainer makes of their rewards before it takes a step.

Every estimator takes rewards [..., C, G]: G answers to each of C prompts of one step. A reward that is NaN is left out
of its group and gets the advantage 0. Standard deviations divide by G − 1, as trainers have them, or by G (`biased`).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxcliff.core import checks
from jaxcliff.core.devices import float64
from jaxcliff.core.types import NumbersLike

FLOORS = {"TRL": 1e-4, "verl": 1e-6, "OpenRLHF": 1e-9}  # what each adds to a standard deviation


def _mean(x: Array, axis: Any = -1) -> Array:
    there = ~jnp.isnan(x)
    count = jnp.maximum(there.sum(axis=axis, keepdims=True), 1).astype(x.dtype)
    return jnp.where(there, x, 0).sum(axis=axis, keepdims=True) / count


def _spread(x: Array, mean: Array, biased: bool, axis: Any = -1) -> Array:
    there = ~jnp.isnan(x)
    count = there.sum(axis=axis, keepdims=True).astype(x.dtype)
    squares = jnp.where(there, (x - mean) ** 2, 0).sum(axis=axis, keepdims=True)
    return jnp.sqrt(squares / jnp.maximum(count - (0 if biased else 1), 1))


def _told(x: Array) -> Array:
    return jnp.where(jnp.isnan(x), 0, x)


def _quantile(share: Array) -> Array:
    return jax.scipy.special.ndtri(share)


def raw(rewards: Array) -> Array:
    """A = r: plain REINFORCE, without a baseline."""
    return _told(rewards)


def centred(rewards: Array) -> Array:
    """A = r − mean of the group (Dr. GRPO)."""
    return _told(rewards - _mean(rewards))


def leave_one_out(rewards: Array) -> Array:
    """A = r − mean of the others (RLOO): the group's mean is no part of its own baseline, and the gradient unbiased."""
    count = (~jnp.isnan(rewards)).sum(axis=-1, keepdims=True).astype(rewards.dtype)
    return centred(rewards) * count / jnp.maximum(count - 1, 1)


def normalised(rewards: Array, floor: float = FLOORS["TRL"], biased: bool = False) -> Array:
    """A = (r − mean)/(std + floor), of the group (GRPO)."""
    mean = _mean(rewards)
    return _told((rewards - mean) / (_spread(rewards, mean, biased) + floor))


def by_batch(rewards: Array, floor: float = FLOORS["TRL"], biased: bool = False) -> Array:
    """A = (r − mean of the group)/(std of all rewards of the step + floor)."""
    both = (-2, -1)
    spread = _spread(rewards, _mean(rewards, both), biased, both)
    return _told((rewards - _mean(rewards)) / (spread + floor))


def ranked(rewards: Array, ties: str = "rank") -> Array:
    """A = Φ⁻¹((rank − ½)/G), ranks from 1 (G²RPO).

    Tied rewards get their mean rank; with `ties="quantile"` the mean of the quantiles of their ranks, as in the
    figure of its paper, so that a group's advantages always sum to 0.
    """
    if ties not in ("rank", "quantile"):
        raise ValueError(f"ties must be 'rank' or 'quantile', not {checks.shown(ties)}")
    there = ~jnp.isnan(rewards)
    others = there[..., None, :]
    below = (others & (rewards[..., None, :] < rewards[..., :, None])).sum(axis=-1).astype(rewards.dtype)
    same = others & (rewards[..., None, :] == rewards[..., :, None])
    tied = same.sum(axis=-1).astype(rewards.dtype)
    count = jnp.maximum(there.sum(axis=-1, keepdims=True), 1).astype(rewards.dtype)
    if ties == "rank":
        return jnp.where(there, _quantile(jnp.where(there, (below + tied / 2) / count, 0.5)), 0)
    place = jnp.arange(rewards.shape[-1], dtype=rewards.dtype)  # whose quantiles tied rewards have the mean of
    held = (place >= below[..., None]) & (place < (below + tied)[..., None])
    each = _quantile(jnp.where(held, (place + 0.5) / count[..., None], 0.5))
    return jnp.where(there, jnp.where(held, each, 0).sum(axis=-1) / jnp.maximum(tied, 1), 0)


def others_normalised(rewards: Array, floor: float = 1e-6, by_pairs: bool = False) -> Array:
    """A = (r − mean of the others)/(std of the others + floor), where that is not 0, as NeMo-RL has it.

    The variance is E[x²] − E[x]², times m/(m − 1) for m others: where they are all the same it is pure rounding, and
    so is the advantage (`advantage_noise` says how much). `by_pairs` sums squared differences, which are 0 exactly.
    """
    there = ~jnp.isnan(rewards)
    x = jnp.where(there, rewards, 0)
    others = (there[..., None, :] & ~jnp.eye(rewards.shape[-1], dtype=bool)).astype(rewards.dtype)
    m = jnp.maximum(others.sum(axis=-1), 1)

    def over(y: Array) -> Array:
        return jnp.einsum("...ij,...j->...i", others, y, precision="highest") / m

    if by_pairs:
        apart = (x[..., :, None] - x[..., None, :]) ** 2
        variance = jnp.einsum("...ij,...ik,...jk->...i", others, others, apart, precision="highest") / (2 * m * m)
    else:
        variance = jnp.maximum(over(x * x) - over(x) ** 2, 0)
    spread = jnp.where(m > 1, jnp.sqrt(variance * m / jnp.maximum(m - 1, 1)), 0)
    alone = others.sum(axis=-1) == 0
    return jnp.where(there & ~alone, (x - over(x)) / jnp.where(spread > 0, spread + floor, 1), 0)


class Answers(NamedTuple):
    """What estimators may know of a group's answers besides their rewards, [C, G] each.

    The mean entropy of the policy at their tokens, how many tokens they have, and which answers are the same (a number
    for each).
    """

    entropy: Array
    length: Array
    which: Array


@dataclasses.dataclass(frozen=True)
class Conditional:
    """CANON: A = μ·(r − mean of the other half) + (1 − μ)·(r − mean of the own half).

    Halves are the lower ⌊G/2⌋ by a metric, "entropy" or "length", and the rest; equal ones in their order. With halves
    of equal size μ = ½ is Dr. GRPO: the direction of the metric plays no part.
    """

    metric: str = "entropy"
    share: float = 1.0
    reads_answers = True

    def __call__(self, rewards: Array, answers: Answers) -> Array:
        return conditional(rewards, getattr(answers, self.metric), self.share)


def conditional(rewards: Array, metric: Array, share: float = 1.0) -> Array:
    """What `Conditional` gives for a metric [..., G]."""
    place = jnp.argsort(jnp.argsort(metric, axis=-1, stable=True), axis=-1)
    upper = place >= rewards.shape[-1] // 2

    def mean_of(half: Array) -> Array:
        return _mean(jnp.where(half, rewards, jnp.nan))

    high, low = mean_of(upper), mean_of(~upper)
    other, own = jnp.where(upper, low, high), jnp.where(upper, high, low)
    return _told(share * (rewards - other) + (1 - share) * (rewards - own))


@dataclasses.dataclass(frozen=True)
class Consistent:
    """COPO: groups that agree learn from other prompts: A = w·A_local + (1 − w)·A_global, w = σ(k(H − h)).

    H is the entropy of a group's answers in bits; A_local that of GRPO, and taken for rewards that are not 0 only;
    A_global = (mean of the group − mean over prompts)/(their std + floor), the same for all of its answers. Its authors
    clip both terms by themselves; here their sum is clipped.
    """

    slope: float = 5.0
    level: float = 1.0
    floor: float = 1e-6
    reads_answers = True

    def __call__(self, rewards: Array, answers: Answers) -> Array:
        count = rewards.shape[-1]
        same = (answers.which[..., :, None] == answers.which[..., None, :]).sum(axis=-1).astype(rewards.dtype)
        bits = -jnp.log2(same / count).mean(axis=-1, keepdims=True)
        weight = jnp.where(rewards != 0, jax.nn.sigmoid(self.slope * (bits - self.level)), 0)
        of_group = _mean(rewards)
        over = _mean(of_group, -2)
        between = (of_group - over) / (_spread(of_group, over, False, -2) + self.floor)
        both = weight * normalised(rewards, self.floor) + (1 - weight) * between
        return jnp.where(jnp.isnan(rewards), 0, both)


def risk(rewards: Array, low: float = 0.2, high: float = 0.8, weight: float = 1.5) -> Array:
    """RiskPO's mixture of range-values-at-risk, with the quantiles q of the group itself:

    A = [(r − q_low)₊ − (r − q_high)₊ + q_low − q_high]/(high − low) − w·(q_low − r)₊/low, over 1 + w.

    Its authors bundle five questions and track quantiles from step to step.
    """
    bottom, top = (jnp.nanquantile(rewards, q, axis=-1, keepdims=True) for q in (low, high))
    inside = jnp.maximum(rewards - bottom, 0) - jnp.maximum(rewards - top, 0) + bottom - top
    return _told((inside / (high - low) - weight * jnp.maximum(bottom - rewards, 0) / low) / (1 + weight))


Estimator = Callable[..., Array]  # of rewards, and of `Answers` if its `reads_answers` says so
NAMED: dict[str, Estimator] = {
    "raw": raw,
    "mean": centred,
    "others": leave_one_out,
    "std": normalised,
    "others std": others_normalised,
    "batch": by_batch,
    "rank": ranked,
    "risk": risk,
}


def mixed_first(several: Array, weights: Array, estimator: Estimator) -> Array:
    """The advantage of the weighted sum of several rewards, [N, C, G] and [N]; one that is missing counts nothing."""
    total = jnp.einsum("n,ncg->cg", weights, _told(several), precision="highest")
    return estimator(jnp.where(jnp.isnan(several).all(axis=0), jnp.nan, total))


def mixed_last(several: Array, weights: Array, estimator: Estimator, floor: float = FLOORS["TRL"]) -> Array:
    """GDPO: every reward gets its own advantage in its group; their weighted sum is normalised over the step."""
    total = jnp.einsum("n,ncg->cg", weights, estimator(several), precision="highest")
    mean = total.mean()
    return (total - mean) / (_spread(total, mean, False, (-2, -1)) + floor)


def advantage_noise(rewards: NumbersLike, estimator: str | Estimator = "std") -> tuple[Any, Any]:
    """(advantages as the rewards' own dtype computes them, how far rounding put each off): against float64.

    Rewards that differ by less than their dtype can tell make advantages of pure rounding: their noise is as large.

    >>> import numpy as np
    >>> near = np.full((1, 8), 0.35, np.float32)
    >>> near[0, 3] += np.float32(3e-8)
    >>> advantages, noise = advantage_noise(near, "mean")
    >>> bool((noise >= abs(advantages) / 2).any())
    True
    """
    import numpy as np

    found = estimator_of(estimator)
    rewards = np.asarray(rewards)
    own = np.asarray(jax.jit(found)(jnp.asarray(rewards)))
    with float64():
        true = np.asarray(truthful(found)(jnp.asarray(rewards.astype(np.float64))))
    return own, np.abs(own.astype(np.float64) - true)


def estimator_of(estimator: str | Estimator) -> Estimator:
    """By its name, or itself."""
    if not isinstance(estimator, str):
        if not callable(estimator):
            raise ValueError(f"an advantage is one of {', '.join(NAMED)}, or a function of rewards [..., C, G]")
        return estimator
    if estimator not in NAMED:
        raise ValueError(f"there is no advantage {estimator!r}; there are {', '.join(NAMED)}")
    return NAMED[estimator]


def truthful(estimator: str | Estimator) -> Estimator:
    """The same estimator by a formula that rounds less, where its own is the trouble."""
    found = estimator_of(estimator)
    return functools.partial(others_normalised, by_pairs=True) if found is others_normalised else found

"""Advantages of a group of answers to one prompt: what a trainer makes of their rewards before it takes a step.

Every estimator takes rewards [..., C, G]: G answers to each of C prompts of one step. A reward that is NaN is left out
of its group and gets the advantage 0. Standard deviations divide by G − 1, as trainers have them, or by G (`biased`).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

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


def ranked(rewards: Array) -> Array:
    """A = Φ⁻¹((rank − ½)/G), ranks from 1, tied rewards with their mean rank (G²RPO)."""
    there = ~jnp.isnan(rewards)
    below = there[..., None, :] & (rewards[..., None, :] < rewards[..., :, None])
    equal = there[..., None, :] & (rewards[..., None, :] == rewards[..., :, None])
    count = jnp.maximum(there.sum(axis=-1, keepdims=True), 1).astype(rewards.dtype)
    rank = (
        below.sum(axis=-1).astype(rewards.dtype) + equal.sum(axis=-1).astype(rewards.dtype) / 2
    )  # from 0, in the middle
    return jnp.where(there, jax.scipy.special.ndtri(jnp.where(there, rank / count, 0.5)), 0)


def conditional(rewards: Array, metric: Array, share: float = 0.5) -> Array:
    """CANON: A = μ·(r − mean of the other half) + (1 − μ)·(r − mean of the own half), halves by the median of a metric.

    With halves of equal size μ = ½ is Dr. GRPO: the direction of the metric plays no part.
    """
    upper = metric > jnp.median(metric, axis=-1, keepdims=True)

    def mean_of(half: Array) -> Array:
        return _mean(jnp.where(half, rewards, jnp.nan))

    high, low = mean_of(upper), mean_of(~upper)
    other, own = jnp.where(upper, low, high), jnp.where(upper, high, low)
    return _told(share * (rewards - other) + (1 - share) * (rewards - own))


def risk(rewards: Array, low: float = 0.2, high: float = 0.8, weight: float = 1.0) -> Array:
    """RiskPO's range-value-at-risk, with the quantiles q of the group itself:

    A = [(r − q_low)₊ − (r − q_high)₊ + q_low − q_high]/(high − low) − w·(q_low − r)₊/low, over 1 + w.
    """
    bottom, top = (jnp.nanquantile(rewards, q, axis=-1, keepdims=True) for q in (low, high))
    inside = jnp.maximum(rewards - bottom, 0) - jnp.maximum(rewards - top, 0) + bottom - top
    return _told((inside / (high - low) - weight * jnp.maximum(bottom - rewards, 0) / low) / (1 + weight))


Estimator = Callable[[Array], Array]
NAMED: dict[str, Estimator] = {
    "raw": raw,
    "mean": centred,
    "others": leave_one_out,
    "std": normalised,
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

    found = _estimator(estimator)
    rewards = np.asarray(rewards)
    own = np.asarray(jax.jit(found)(jnp.asarray(rewards)))
    with float64():
        true = np.asarray(found(jnp.asarray(rewards.astype(np.float64))))
    return own, np.abs(own.astype(np.float64) - true)


def _estimator(estimator: str | Estimator) -> Estimator:
    if not isinstance(estimator, str):
        if not callable(estimator):
            raise ValueError(f"an advantage is one of {', '.join(NAMED)}, or a function of rewards [..., C, G]")
        return estimator
    if estimator not in NAMED:
        raise ValueError(f"there is no advantage {estimator!r}; there are {', '.join(NAMED)}")
    return NAMED[estimator]

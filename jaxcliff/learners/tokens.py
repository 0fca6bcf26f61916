"""What trainers do to single tokens once advantages are known.

Each is a record that is called with the gains of every sampled token, [C, G, T] (its answer's advantage, to begin
with), with what was sampled, and a key, and returns gains: what multiplies ratio·∇log π. Means and extremes are over
the tokens of a step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxcliff.core.records import record


class Sampled(NamedTuple):
    """The tokens of one step, [C, G, T] each (rewards and advantages of their answers [C, G, 1]).

    Log π now and when they were sampled, the ratio of the two, H(π) of their states, whether they are clipped, whether
    the answer had not ended before; and a function from a temperature T to log π^T of the policy that was sampled.
    """

    reward: Array
    advantage: Array
    logs: Array
    old: Array
    ratio: Array
    entropy: Array
    clipped: Array
    live: Array
    tempered: Callable[[Array], Array]

    def mean(self, x: Array) -> Array:
        """Over live tokens."""
        return jnp.where(self.live, x, 0).sum() / jnp.maximum(self.live.sum(), 1).astype(x.dtype)

    def ends(self, x: Array) -> tuple[Array, Array]:
        """The least and the largest of live tokens."""
        return jnp.where(self.live, x, jnp.inf).min(), jnp.where(self.live, x, -jnp.inf).max()

    def covariance(self) -> Array:
        """(A − mean)·(log π − mean), of every token."""
        gains = jnp.broadcast_to(self.advantage, self.logs.shape)
        return (gains - self.mean(gains)) * (self.logs - self.mean(self.logs))


Token = Callable[[Array, Sampled, Array], Array]


@record
class ClipCov:
    """Clip-Cov: a random share of the tokens with a covariance between two bounds, and at least one, is left out."""

    share: Any = 2e-4
    low: Any = 1.0
    high: Any = 5.0

    def __call__(self, gains: Array, sampled: Sampled, key: Array) -> Array:
        cov = sampled.covariance()
        open_ = sampled.live & ~sampled.clipped & (cov > self.low) & (cov < self.high)
        return jnp.where(_most(jax.random.uniform(key, cov.shape), open_, _count(self.share, sampled)), 0, gains)


@record
class KLCov:
    """KL-Cov: the share of tokens with the largest covariance, at least one, pays β·|log π − log π_old|.

    It does without a clip, and moves nothing before the second of the epochs on the same samples.
    """

    share: Any = 2e-3
    strength: Any = 1.0

    def __call__(self, gains: Array, sampled: Sampled, key: Array) -> Array:
        held = _most(sampled.covariance(), sampled.live, _count(self.share, sampled))
        cost = jnp.asarray(self.strength, gains.dtype) * jnp.sign(sampled.logs - sampled.old) / sampled.ratio
        return gains - jnp.where(held, cost, 0)


@record
class Steer:
    """STEER: tokens that would change the entropy much, m = |A/p_old·p(1 − p)(log p + H)|, count less.

    Their weight is w^{m/max(m)}, from 1 down to w (`least`).
    """

    least: Any = 0.8

    def __call__(self, gains: Array, sampled: Sampled, key: Array) -> Array:
        p, before = (jnp.clip(jnp.exp(x), 1e-8, 1 - 1e-8) for x in (sampled.logs, sampled.old))
        change = jnp.abs(sampled.advantage / before * p * (1 - p) * (jnp.log(p) + sampled.entropy))
        _, most = sampled.ends(change)
        least = jnp.asarray(self.least, gains.dtype)
        return gains * jnp.clip(jnp.exp(jnp.log(least) * change / jnp.maximum(most, 0.02)), least, 1)


@record
class Modulated:
    """EMPG: A·g(H) + ζ·f(H of the next token), less its mean; H from 0 to 1 over the tokens of the step.

    g = e^{−kH} over its mean, so that confident tokens count more; f = e^{−kH} rewards what leads to clear ones.
    """

    slope: Any = 1.0
    clarity: Any = 0.1

    def __call__(self, gains: Array, sampled: Sampled, key: Array) -> Array:
        low, high = sampled.ends(sampled.entropy)
        scaled = (sampled.entropy - low) / (high - low + 1e-8)
        clear = jnp.exp(-jnp.asarray(self.slope, gains.dtype) * scaled)
        next_one = jnp.concatenate([sampled.live[..., 1:], jnp.zeros_like(sampled.live[..., :1])], axis=-1)
        after = jnp.where(next_one, jnp.roll(clear, -1, axis=-1), 0)
        clarity = jnp.asarray(self.clarity, gains.dtype)
        modulated = gains * clear / (sampled.mean(clear) + 1e-8) + clarity * after
        return modulated - sampled.mean(modulated)


@record
class Virtual:
    """DCPO (distribution-centric): (1 − α)·A + α·[r > .05]·π_old^T/π_old, T > 1 below the target entropy, else < 1.

    α = a/(1 + a), a = min(|H₀ − H|, .1)/q, for a share q of good answers; H is the mean of −log π over the tokens.
    """

    entropy: Any
    warm: Any = 1.2
    cool: Any = 0.8
    most: Any = 0.1
    score: Any = 0.05

    def __call__(self, gains: Array, sampled: Sampled, key: Array) -> Array:
        target, warm, cool, most = (
            jnp.asarray(x, gains.dtype) for x in (self.entropy, self.warm, self.cool, self.most)
        )
        seen = -sampled.mean(sampled.old)
        good = (sampled.reward > jnp.asarray(self.score, gains.dtype)).astype(gains.dtype)
        share = jnp.minimum(jnp.abs(target - seen), most) / jnp.maximum(good.mean(), 1e-6)
        share = jnp.where(good.sum() > 0, share / (1 + share), 0)
        moved = jnp.exp(sampled.tempered(jnp.where(seen <= target, warm, cool)) - sampled.old)
        return (1 - share) * gains + share * good * moved


def _count(share: Any, sampled: Sampled) -> Array:
    """How many tokens are a share of the live ones, at least one."""
    tokens = sampled.live.sum().astype(sampled.logs.dtype)
    return jnp.maximum((share * tokens).astype(jnp.int32), 1)


def _most(x: Array, open_: Array, count: Array) -> Array:
    """Where the largest so many are, among those that are open."""
    order = jnp.argsort(jnp.argsort(jnp.where(open_, -x, jnp.inf).reshape(-1), stable=True)).reshape(x.shape)
    return open_ & (order.astype(jnp.int32) < count)

"""What keeps a policy π near its base b, or its entropy up. There are four kinds, by where they enter a step.

*In the reward*, β·ℓ is taken off before advantages are made of it, ℓ = log π(a)/b(a).

*As a loss on samples*, β·c(ℓ)·∇log π(a) is added for every sampled action: that is what differentiating an estimator of
a divergence gives on samples of π itself, whatever the estimator estimates.

| leash | estimator | coefficient c | whose gradient that is, on average |
|---|---|---|---|
| k1 | ℓ | 1 | nobody's: E∇log π = 0 |
| k2 | ½ℓ² | ℓ | of KL(π‖b) |
| k3 | e^{−ℓ} − 1 + ℓ | 1 − e^{−ℓ} | of KL(b‖π) |

*Of the policy itself*, a bonus of its entropy in visited states is differentiated exactly.

*By sampling anew*, at another temperature (AEPO).

Not here: the band of EPO, which is a constant in its authors' code, without a gradient: what moves is its bonus.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxcliff.core import checks
from jaxcliff.core.records import record, static
from jaxcliff.core.types import Number, Word

LOSSES = ("k1", "k2", "k3")
TARGETS = ("linear", "log", "steps")
FARTHEST = 30.0  # |ℓ| at which e^{−ℓ} is cut off
GOOD = 0.05  # advantages above are those of good answers


@record
class InReward:
    """β·ℓ taken off every reward: the objective of KL-regularised reinforcement learning."""

    strength: Any


@record
class Loss:
    """One of the estimators k1, k2, k3 as a loss."""

    strength: Any
    form: str = static(default="k2")

    def __post_init__(self) -> None:
        if self.form not in LOSSES:
            raise ValueError(f"a loss is one of {', '.join(LOSSES)}, not {checks.shown(self.form)}")

    def pulled(self, pull: Array, ratio: Array) -> Array:
        """The pull on sampled actions, with what this loss adds where log π/b is `ratio`."""
        return pull - jnp.asarray(self.strength, pull.dtype) * coefficient(self.form, ratio)


class Seen(NamedTuple):
    """A policy as a bonus sees it: π and log π (0 where π is), [S, A], and how often states were visited, [S]."""

    policy: Array
    logs: Array
    visits: Array

    def mean(self, of: Array) -> Array:
        """The mean over visits of a number for each state."""
        return (self.visits * of).sum() / jnp.maximum(self.visits.sum(), jnp.finfo(of.dtype).tiny)


@record
class Bonus:
    """α·H(π) of every visited state."""

    strength: Any

    def start(self, dtype: Any) -> Any:
        """What it keeps from step to step."""
        return ()

    def gain(self, seen: Seen, memory: Any) -> tuple[Array, Any]:
        """What is added to the objective, and what is kept."""
        return jnp.asarray(self.strength, seen.logs.dtype) * (seen.visits * entropies(seen)).sum(), memory


@record
class Target(Bonus):
    """A bonus whose α goes up while the entropy is below its target and down while it is above.

    `form` is how: "linear", α += η(H₀ − H); "log", the same of log α, from α = 1 (soft actor-critic: the descent on
    J(α) = α(H − H₀)); "steps", α ± η within [0, most], and only below the target (Skywork-OR1, TRL).
    """

    entropy: Any = 0.0
    most: Any = 1.0
    form: str = static(default="linear")

    def __post_init__(self) -> None:
        if self.form not in TARGETS:
            raise ValueError(f"a target is held by one of {', '.join(TARGETS)}, not {checks.shown(self.form)}")

    def start(self, dtype: Any) -> Any:
        return jnp.zeros((), dtype)

    def gain(self, seen: Seen, memory: Any) -> tuple[Array, Any]:
        each = entropies(seen)
        short = jnp.asarray(self.entropy, each.dtype) - jax.lax.stop_gradient(seen.mean(each))
        rate = jnp.asarray(self.strength, each.dtype)
        if self.form == "steps":
            now = jnp.clip(memory + rate * jnp.where(short > 0, 1, -1), 0, jnp.asarray(self.most, each.dtype))
            return jnp.where(short > 0, now, 0) * (seen.visits * each).sum(), now
        now = memory + rate * short
        return (jnp.exp(now) if self.form == "log" else now) * (seen.visits * each).sum(), now


@record
class Anchored(Bonus):
    """SIREN: −β·(H − H₀)², H₀ being H at the first step.

    H is the mean entropy of the states that are visited, of which only those at or above a quantile of entropies count,
    and of the actions whose better ones have less than a share `nucleus` together. Its authors take the quantile over
    each answer; here it is over visited states. (Both edges are discontinuities of their own.)
    """

    nucleus: Any = 0.8
    quantile: Any = 0.8

    def start(self, dtype: Any) -> Any:
        return jnp.full((), jnp.nan, dtype)

    def gain(self, seen: Seen, memory: Any) -> tuple[Array, Any]:
        order = jnp.argsort(-seen.policy, axis=-1)
        upto = jnp.cumsum(jnp.take_along_axis(seen.policy, order, axis=-1), axis=-1)
        inside = jnp.take_along_axis(upto < jnp.asarray(self.nucleus, upto.dtype), jnp.argsort(order, axis=-1), axis=-1)
        held = jnp.where(inside, seen.policy, 0)
        whole = held.sum(axis=-1, keepdims=True)
        share = jnp.where(inside & (whole > 0), held / jnp.where(whole > 0, whole, 1), 0)
        each = -(share * jnp.log(jnp.where(share > 0, share, 1))).sum(axis=-1)
        visited = jnp.sort(jnp.where(seen.visits > 0, each, jnp.inf))
        at = jnp.floor(jnp.asarray(self.quantile, each.dtype) * (seen.visits > 0).sum().astype(each.dtype))
        edge = visited[jnp.clip(at.astype(jnp.int32), 0, len(visited) - 1)]
        peaks = jax.lax.stop_gradient(jnp.where(each >= edge, seen.visits, 0))
        mean = (peaks * each).sum() / jnp.maximum(peaks.sum(), jnp.finfo(each.dtype).tiny)
        anchor = jnp.where(jnp.isnan(memory), jax.lax.stop_gradient(mean), memory)
        return -jnp.asarray(self.strength, each.dtype) * (mean - anchor) ** 2, anchor


@record
class Resampled:
    """AEPO: answers sampled anew at another temperature, of which the good ones are reinforced.

    The policy is warmer while its entropy is below the target, else cooler; an answer is good if its advantage is above
    .05, and counts `strength`. (Its authors let such answers take the place of some of the others.)
    """

    strength: Any
    entropy: Any
    warm: Any = 1.2
    cool: Any = 0.8

    def temperature(self, seen: Seen) -> Array:
        now = seen.mean(entropies(seen))
        target, warm, cool = (jnp.asarray(x, now.dtype) for x in (self.entropy, self.warm, self.cool))
        return jnp.where(now <= target, warm, cool)

    def kept(self, advantage: Array) -> Array:
        return jnp.where(advantage > GOOD, jnp.asarray(self.strength, advantage.dtype), 0)


def k1(strength: Number) -> Loss:
    """The estimator ℓ as a loss, which leashes nothing."""
    return Loss(strength, "k1")


def k2(strength: Number) -> Loss:
    """½ℓ² as a loss: the gradient of KL(π‖b)."""
    return Loss(strength, "k2")


def k3(strength: Number) -> Loss:
    """e^{−ℓ} − 1 + ℓ as a loss: the gradient of the *forward* divergence KL(b‖π)."""
    return Loss(strength, "k3")


def in_reward(strength: Number) -> InReward:
    """β·ℓ taken off the reward: the objective of KL-regularised reinforcement learning."""
    return InReward(strength)


def entropy(strength: Number) -> Bonus:
    """α·H(π) of every visited state as a bonus, differentiated exactly."""
    return Bonus(strength)


def target(entropy: Number, *, strength: Number = 0.05, form: Word = "linear") -> Target:
    """An entropy that is held at a target, in nats a visited state; see `Target` for the forms."""
    return Target(strength, entropy, form=form)


def anchored(strength: Number = 0.005, *, nucleus: Number = 0.8, quantile: Number = 0.8) -> Anchored:
    """The entropy of the most uncertain states is held where it was at the start (SIREN)."""
    return Anchored(strength, nucleus, quantile)


def resampled(entropy: Number, *, strength: Number = 1.0) -> Resampled:
    """The entropy is held at a target by answers sampled at other temperatures (AEPO)."""
    return Resampled(strength, entropy)


def coefficient(form: str, ratio: Array) -> Array:
    """c(ℓ): what the loss of this form adds for a sampled action, per unit of strength."""
    if form == "k1":
        return jnp.ones_like(ratio)
    if form == "k2":
        return ratio
    return -jnp.expm1(-jnp.clip(ratio, -FARTHEST, FARTHEST))


def entropies(seen: Seen) -> Array:
    """H(π) of every state, [S]."""
    return -(seen.policy * seen.logs).sum(axis=-1)

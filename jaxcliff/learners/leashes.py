"""What keeps a policy π near its base b, or its entropy up: each as it enters a sampled policy gradient.

A leash as a *loss* adds c(ℓ)·∇log π(a) for every sampled action, ℓ = log π(a)/b(a) and c its coefficient: that is what
differentiating an estimator of a divergence gives on samples of π itself, whatever the estimator estimates.

| leash | estimator | coefficient c | whose gradient that is, on average |
|---|---|---|---|
| k1 | ℓ | 1 | nobody's: E∇log π = 0 |
| k2 | ½ℓ² | ℓ | of KL(π‖b) |
| k3 | e^{−ℓ} − 1 + ℓ | 1 − e^{−ℓ} | of KL(b‖π) |

In the *reward*, a leash takes β·ℓ off every reward before advantages are made of them.
"""

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxcliff.core import checks
from jaxcliff.core.records import record, static

FORMS = ("k1", "k2", "k3", "reward", "entropy", "target")
FARTHEST = 30.0  # |ℓ| at which e^{−ℓ} is cut off


@record
class Leash:
    """One leash: its form and its strength.

    Attributes:
        form: "k1", "k2" or "k3" as a loss; KL in the "reward"; an "entropy" bonus; an entropy "target".
        strength: β, or α of the bonus; of a target, how fast its α moves.
        entropy: of a target, the entropy per state that is aimed at, in nats.
    """

    strength: Any
    form: str = static(default="k2")
    entropy: Any = 0.0

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"a leash is one of {', '.join(FORMS)}, not {checks.shown(self.form)}")


def k1(strength: Any) -> Leash:
    """The estimator ℓ as a loss, which leashes nothing."""
    return Leash(strength, "k1")


def k2(strength: Any) -> Leash:
    """½ℓ² as a loss: the gradient of KL(π‖b)."""
    return Leash(strength, "k2")


def k3(strength: Any) -> Leash:
    """e^{−ℓ} − 1 + ℓ as a loss: the gradient of the *forward* divergence KL(b‖π)."""
    return Leash(strength, "k3")


def in_reward(strength: Any) -> Leash:
    """β·ℓ taken off the reward: the objective of KL-regularised reinforcement learning."""
    return Leash(strength, "reward")


def entropy(strength: Any) -> Leash:
    """α·H(π) of every visited state as a bonus, differentiated exactly."""
    return Leash(strength, "entropy")


def coefficient(form: str, ratio: Array) -> Array:
    """c(ℓ): what the loss of this form adds for a sampled action, per unit of strength."""
    if form == "k1":
        return jnp.ones_like(ratio)
    if form == "k2":
        return ratio
    if form == "k3":
        return -jnp.expm1(-jnp.clip(ratio, -FARTHEST, FARTHEST))
    return jnp.zeros_like(ratio)

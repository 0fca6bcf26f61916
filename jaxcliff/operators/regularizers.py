"""Regularised maxima: a cliff turned into a slope. Each is an operator, and a policy that follows Q smoothly.

| record        | V(s) = max over π of   | policy                                             |
|---------------|------------------------|----------------------------------------------------|
| `Entropy`     | Σπq + α·H(π)           | softmax(q/α)                                       |
| `KL`          | Σπq − β·KL(π‖b)        | ∝ b·exp(q/β)                                       |
| `Sparsemax`   | Σπq + (α/2)(1 − Σπ²)   | max(q/α − τ, 0)                                    |
| `FDivergence` | Σπq − β·Σ b f(π/b)     | b·(f')⁻¹((q − λ)/β); the choices of f: `divergences` |

The strength is a number, [S] (per state) or [B, 1] (per lane): it broadcasts against [..., S]. Strength 0 is the hard
maximum, another operator, selected without a division by zero. A base policy is [..., S, A]; an action of base mass 0
is illegal, and truth divides each row of a base by its exact sum.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.numerics import unit_roundoff
from jaxcliff.core.records import assign, is_concrete, record, static
from jaxcliff.core.types import LaneFlags, LaneScalars, Policies, Rewards, Values
from jaxcliff.model.mdp import MDP
from jaxcliff.operators.divergences import CHI_SQUARE, Exponential, divergence, scaled, soft_maximum, tilted
from jaxcliff.operators.selection import Operator, Rounding, distributions, first_best, mask_illegal


class Regularizer(Operator):
    """What the four share: a strength, the first field, which may be 0; and the mass of each action beforehand."""

    kind: ClassVar[str] = "regularized"

    strength: Any  # α or β, [..., S]

    def mass(self, q: Rewards, legal: Any) -> Policies:
        """The mass of every action before rewards speak: 1 for each legal one, or the base policy."""
        return jnp.ones_like(q) if legal is None else jnp.broadcast_to(legal, q.shape).astype(q.dtype)

    def soft_value(self, gap: Rewards, mass: Policies, strength: Values) -> tuple[Values, Any]:
        """V − max q for a positive strength, given gap = q − max q, [B, S], and the error measured on the way."""
        raise TypeError(f"{type(self).__name__} has no value")

    def soft_policy(self, gap: Rewards, mass: Policies, strength: Values) -> Policies:
        """The policy for a positive strength."""
        raise TypeError(f"{type(self).__name__} has no policy")

    def slopes(self, policy: Policies) -> Policies:
        """b/f''(π/b), the weight of each action in the slope of the policy, before the strength."""
        return policy

    def softness(self, policy: Policies) -> Policies:
        """W in dπ = W·(dq − ⟨dq⟩), ⟨·⟩ the mean with weights W: b/(β f''(π/b)), which is π/α for entropy.

        0 where the strength is 0: a hard policy has no slope.
        """
        strength = self.strength[..., None]
        return jnp.where(strength > 0, self.slopes(policy) / jnp.where(strength > 0, strength, 1), 0)

    def value(self, q: Rewards, legal: Any) -> tuple[Values, Any]:
        mass = self.mass(q, legal)
        best = jnp.max(mask_illegal(q, mass > 0), axis=-1)
        # V = m + V(q − m) for any m: to the derivative, m is a constant.
        top = jax.lax.stop_gradient(best)
        more, error = self.soft_value(_below(q, top, mass), mass, self._positive)
        soft = self.strength > 0
        return jnp.where(soft, top + more, best), None if error is None else jnp.where(soft, error, 0)

    def policy(self, q: Rewards, legal: Any) -> Policies:
        """The regularised policy; where the strength is 0, the first best action."""
        mass = self.mass(q, legal)
        top = jax.lax.stop_gradient(jnp.max(mask_illegal(q, mass > 0), axis=-1))
        soft = self.soft_policy(_below(q, top, mass), mass, self._positive)
        return jnp.where(self.strength[..., None] > 0, soft, first_best(q, mass > 0))

    def checked(self, mdp: MDP, lanes: LaneFlags) -> tuple[Any, LaneFlags]:
        """Lanes whose strength is finite and not negative; the others get 1."""
        sound = jnp.all(jnp.isfinite(self.strength) & (self.strength >= 0), axis=-1)
        safe = jnp.where(sound[:, None], self.strength, 1)
        return self.replace(strength=safe), lanes & sound  # type: ignore[attr-defined]

    def scaled(self, factor: LaneScalars) -> Any:
        """op_α(cq) = c·op_{α/c}(q)."""
        return self.replace(strength=self.strength * factor[:, None])  # type: ignore[attr-defined]

    @property
    def _positive(self) -> Values:
        return jnp.where(self.strength > 0, self.strength, 1)


class _WithBase(Regularizer):
    """A regulariser that measures distance from a base policy."""

    base: Any

    def mass(self, q: Rewards, legal: Any) -> Policies:
        base = jnp.broadcast_to(self.base if legal is None else jnp.where(legal, self.base, 0), q.shape)
        # Terminal states, whatever the base holds there: their one legal action.
        return jnp.where(jnp.any(base > 0, axis=-1, keepdims=True), base, super().mass(q, legal))

    def support(self, mdp: MDP) -> Any:
        return self.mass(self.base, mdp.legal) > 0

    def checked(self, mdp: MDP, lanes: LaneFlags) -> tuple[Any, LaneFlags]:
        """Lanes whose strength and base are sound."""
        safe, lanes = super().checked(mdp, lanes)
        base, sound = distributions(mdp, self.base)
        return safe.replace(base=base), lanes & sound


@record
class Entropy(Regularizer):
    """Entropy regularisation of strength α: V = α log Σ exp(q/α), π = softmax(q/α).

    >>> import jaxcliff as jc
    >>> soft = jc.solve(jc.problems.bandit([1.0, 0.0]), regularizer=jc.Entropy(1.0))
    >>> [f"{p:.3f}" for p in soft.policy[0]], f"{soft.values[0]:.3f}"
    (['0.731', '0.269'], '1.313')
    """

    strength: Any

    trailing: ClassVar[dict[str, int]] = {"strength": 1}

    def __post_init__(self) -> None:
        _check_strength(self)

    def soft_value(self, gap: Rewards, mass: Policies, strength: Values) -> tuple[Values, Any]:
        value = strength * jnp.log(jnp.sum(mass * jnp.exp(_exponent(gap, strength)), axis=-1))
        return value, None

    def soft_policy(self, gap: Rewards, mass: Policies, strength: Values) -> Policies:
        return tilted(Exponential(), _exponent(gap, strength), mass)

    def rounding(self, q: Rewards, legal: Any) -> Rounding:
        """−Σπ·gap/α ≤ log A for π ∝ exp(gap/α), which is what rounding the argument of exp can cost."""
        log_a = float(np.log(q.shape[-1]))
        return _rounding_of_exponentials(q, self.strength, log_a, bonus=log_a)


@record
class KL(_WithBase):
    """KL regularisation of strength β towards a base policy b: V = β log Σ b·exp(q/β), π ∝ b·exp(q/β).

    An action to which the base gives no mass is illegal; β = 0 is the hard maximum over the others.
    """

    strength: Any
    base: Any

    trailing: ClassVar[dict[str, int]] = {"strength": 1, "base": 2}

    def __post_init__(self) -> None:
        _check_strength(self)
        _check_base(self)

    def soft_value(self, gap: Rewards, mass: Policies, strength: Values) -> tuple[Values, Any]:
        total = jnp.sum(mass * jnp.exp(_exponent(gap, strength)), axis=-1)
        value = strength * jnp.log(total / jnp.sum(mass, axis=-1))
        return value, None

    def soft_policy(self, gap: Rewards, mass: Policies, strength: Values) -> Policies:
        return tilted(Exponential(), _exponent(gap, strength), mass)

    def rounding(self, q: Rewards, legal: Any) -> Rounding:
        """−Σπ·gap/β ≤ log(1/b_min) for π ∝ b·exp(gap/β)."""
        least = _least_mass(self.mass(q, legal))
        known = _rounding_of_exponentials(q, self.strength, jnp.log(1 / least), bonus=0.0)
        lost = jnp.max(self.strength, axis=-1) * q.shape[-1] * float(jnp.finfo(q.dtype).tiny) / least
        return known._replace(absolute=known.absolute + lost)


@record
class FDivergence(_WithBase):
    """Regularisation of strength β by an f-divergence from a base policy b: V = max Σπq − β Σ b f(π/b).

    `divergence` is "jensen_shannon", "forward_kl", "chi_square", "hellinger", or the order of an α-divergence, a
    number from −2 to 2 (2 is χ², 0 forward KL). KL(π‖b), order 1, is `jc.KL`.
    """

    strength: Any
    base: Any
    divergence: Any = static(default="jensen_shannon")

    trailing: ClassVar[dict[str, int]] = {"strength": 1, "base": 2}

    def __post_init__(self) -> None:
        _check_strength(self)
        _check_base(self)
        divergence(self.divergence)

    def soft_value(self, gap: Rewards, mass: Policies, strength: Values) -> tuple[Values, Any]:
        mean, error = soft_maximum(divergence(self.divergence), _power(gap, strength), _normalized(mass))
        return strength * mean, strength * error

    def soft_policy(self, gap: Rewards, mass: Policies, strength: Values) -> Policies:
        return tilted(divergence(self.divergence), _power(gap, strength), _normalized(mass))

    def slopes(self, policy: Policies) -> Policies:
        base = _normalized(self.base)
        inside = base > 0
        ratio = policy / jnp.where(inside, base, 1)
        return divergence(self.divergence).slope(jnp.where(inside, policy, 0), ratio)

    def rounding(self, q: Rewards, legal: Any) -> Rounding:
        """The value lies between the mean and the maximum of q; the rest of its error is measured."""
        return _rounding_of_sum(q, 0 * self.strength)


@record
class Sparsemax(Regularizer):
    """Sparsemax of strength α: V = max Σπq + (α/2)(1 − Σπ²), π = max(q/α − τ, 0).

    The cheapest slope; bad actions are left out. With n legal actions it is χ² of strength α/n from the uniform
    policy, up to the constant (α/2)(1 − 1/n).
    """

    strength: Any

    trailing: ClassVar[dict[str, int]] = {"strength": 1}

    def __post_init__(self) -> None:
        _check_strength(self)

    def soft_value(self, gap: Rewards, mass: Policies, strength: Values) -> tuple[Values, Any]:
        n = jnp.sum(mass, axis=-1)
        mean, error = soft_maximum(CHI_SQUARE, _power(gap, strength / n), _normalized(mass))
        return strength * (mean / n + (1 - 1 / n) / 2), strength / n * error

    def soft_policy(self, gap: Rewards, mass: Policies, strength: Values) -> Policies:
        n = jnp.sum(mass, axis=-1)
        return tilted(CHI_SQUARE, _power(gap, strength / n), _normalized(mass))

    def slopes(self, policy: Policies) -> Policies:
        """1 for every action that takes part."""
        return (policy > 0).astype(policy.dtype)

    def rounding(self, q: Rewards, legal: Any) -> Rounding:
        """At most α/2 above the maximum of q; the rest of its error is measured."""
        return _rounding_of_sum(q, self.strength / 2)


def _below(q: Rewards, top: Values, mass: Policies) -> Rewards:
    """Q − max q, at most 0; 0 where an action takes no part."""
    return jnp.where(mass > 0, q - top[..., None], 0)


def _exponent(gap: Rewards, strength: Values) -> Rewards:
    """gap/strength as an argument of exp, which is 0 below the clip."""
    return scaled(gap, strength, jnp.asarray(2 * np.log(jnp.finfo(gap.dtype).tiny), gap.dtype))


def _power(gap: Rewards, strength: Values) -> Rewards:
    """gap/strength for a policy whose tails are powers: a clipped action weighs less than the rounding of Q."""
    return scaled(gap, strength, jnp.asarray(-(float(jnp.finfo(gap.dtype).max) ** 0.5) / 16, gap.dtype))


def _normalized(mass: Policies) -> Policies:
    return mass / jnp.sum(mass, axis=-1, keepdims=True)


def _least_mass(mass: Policies) -> LaneScalars:
    return jnp.min(jnp.where(mass > 0, mass, 1), axis=(-2, -1))


def _rounding_of_exponentials(q: Rewards, strength: Values, reach: Any, bonus: float) -> Rounding:
    """strength·log Σ b·exp(gap/strength) with Σ over A terms, where −Σπ·gap/strength ≤ reach."""
    u = unit_roundoff(q.dtype)
    strength = jnp.max(strength, axis=-1)
    relative = jnp.full_like(strength, 2 * u)
    return Rounding(relative, u * strength * (2 * q.shape[-1] + 16 + 12 * reach), strength * bonus)


def _rounding_of_sum(q: Rewards, bonus: Values) -> Rounding:
    """Max q + a term of size at most 2‖q‖ + bonus, whose own error is measured."""
    u = unit_roundoff(q.dtype)
    bonus = jnp.max(bonus, axis=-1)
    return Rounding(jnp.full_like(bonus, 8 * u), 8 * u * bonus, bonus)


def _check_strength(self: Any) -> None:
    if is_concrete(self.strength):
        numbers = checks.real(self.strength, "strength")
        if not (np.isfinite(numbers).all() and (numbers >= 0).all()):
            raise ValueError(
                f"strength must be finite and not negative (0 is the hard optimum), but it is {self.strength}"
            )
        if isinstance(self.strength, list | tuple):
            assign(self, strength=numbers)


def _check_base(self: Any) -> None:
    if is_concrete(self.base):
        numbers = checks.real(self.base, "a base policy")
        if numbers.ndim < 2:
            raise ValueError(f"a base policy has shape [..., S, A], not {list(numbers.shape)}")
        bad = np.argwhere(~(numbers >= 0) | ~np.isfinite(numbers))
        if len(bad):
            place = bad[0]
            raise ValueError(
                f"the base policy gives state {place[-2]}, action {place[-1]} the mass {numbers[tuple(place)]}; "
                "it must be finite and not negative"
            )
        if isinstance(self.base, list | tuple):
            assign(self, base=numbers)

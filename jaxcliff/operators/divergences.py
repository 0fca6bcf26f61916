"""f-divergences Σ b f(π/b), and the one-dimensional multiplier that normalises a policy regularised by one.

With x = (q − max q)/β, the best policy is π = b·g(x − λ), g = (f')⁻¹ (0 where f' cannot go), and λ solves

    N(λ) = Σ b g(x − λ) = 1,      V = max q + β·D(λ),      D(λ) = λ + Σ b f*(x − λ),      D' = 1 − N

λ itself would lose every digit where a rare action takes all (g has a pole). Each divergence therefore has its own
*level* w, a function of λ from which g is computed without cancellation. N is convex in w, so that Newton's method
from a w with N ≥ 1 climbs to the root without passing it; it starts where the first action alone would have mass 1. D
is flat at its minimum: an error r in N costs at most |r|·|λ₀| in D, because the root lies between the start λ₀ and 0.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core.loop import iterate
from jaxcliff.core.numerics import unit_roundoff
from jaxcliff.core.types import Policies, Values

NEWTON_STEPS = 100


@dataclasses.dataclass(frozen=True)
class CressieRead:
    """The α-divergence of an order from −2 to 2: f'(u) = (uᵖ − 1)/p with p = order − 1; f''(1) = 1.

    Order 2 is χ² with f = (u − 1)²/2, order 0 forward KL (b‖π), order ½ four times the squared Hellinger distance;
    order 1 is the KL of `jc.KL`.
    """

    order: float

    @property
    def power(self) -> float:
        return self.order - 1

    def conjugate(self, u: Policies) -> Policies:
        """f*(f'(u))."""
        return jnp.log(u) if self.order == 0 else (u**self.order - 1) / self.order

    def slope(self, mass: Policies, u: Policies) -> Policies:
        """b/f''(u) = b·g', given mass = b·u; an action left out does not move: 0."""
        return jnp.where(u > 0, mass * jnp.where(u > 0, u, 1) ** (1 - self.order), 0)


@dataclasses.dataclass(frozen=True)
class AboveOne(CressieRead):
    """Orders above 1, which leave actions out. The level is w = 1 − pλ, and g(x − λ) = (w + px)^{1/p}."""

    @property
    def blur(self) -> float:
        """The relative rounding of g, in units of the roundoff."""
        return 8 + 8 / self.power

    def start(self, x: Policies, base: Policies, inside: Any) -> Values:
        """The level at which some action alone has mass 1."""
        alone = jnp.where(inside, base, 1) ** -self.power - self.power * x
        return jnp.min(jnp.where(inside, alone, jnp.inf), axis=-1)

    def multiplier(self, w: Values) -> Values:
        """λ."""
        return (1 - w) / self.power

    def ratio(self, x: Policies, w: Values) -> Policies:
        """g(x − λ) = π/b."""
        reach = w[..., None] + self.power * x
        return jnp.where(reach > 0, jnp.where(reach > 0, reach, 1) ** (1 / self.power), 0)

    def further(self, w: Values, mass: Policies, u: Policies, excess: Values) -> Values:
        """A step of Newton's."""
        return w - self.power * excess / jnp.sum(self.slope(mass, u), axis=-1)


@dataclasses.dataclass(frozen=True)
class BelowOne(CressieRead):
    """Orders below 1, which keep every action: g(x − λ) = (w + m|x|)^{−1/m} with m = −p and w = 1 + mλ.

    w may be far below the smallest number: the level is its m-th root t, and 1/g the m-norm of t and (m|x|)^{1/m}.
    """

    @property
    def blur(self) -> float:
        """The relative rounding of g, in units of the roundoff."""
        return 12 - 12 / self.power

    def _far(self, x: Policies) -> Policies:
        """(m|x|)^{1/m}."""
        return jnp.abs(self.power * x) ** (-1 / self.power)

    def start(self, x: Policies, base: Policies, inside: Any) -> Values:
        """The level at which some action alone has mass 1."""
        far = self._far(x)
        alone = inside & (far < base)
        share = jnp.where(alone, far, 0) / jnp.where(alone, base, 1)
        return jnp.max(jnp.where(alone, base * (1 - share**-self.power) ** (-1 / self.power), 0), axis=-1)

    def multiplier(self, t: Values) -> Values:
        """λ."""
        return (1 - t**-self.power) / self.power

    def ratio(self, x: Policies, t: Values) -> Policies:
        """g(x − λ) = π/b."""
        level, far = t[..., None], self._far(x)
        larger, smaller = jnp.maximum(level, far), jnp.minimum(level, far)
        return (1 + (smaller / larger) ** -self.power) ** (1 / self.power) / larger

    def further(self, t: Values, mass: Policies, u: Policies, excess: Values) -> Values:
        """A step of Newton's in tᵐ."""
        slope = jnp.sum(mass * (t[..., None] * u) ** -self.power, axis=-1)
        return t * (1 - self.power * excess / slope) ** (-1 / self.power)


@dataclasses.dataclass(frozen=True)
class JensenShannon:
    """f(u) = u log u − (u + 1) log((u + 1)/2), f''(1) = ½.

    g(y) = eʸ/(2 − eʸ). The level is w = 2 − e^{−λ}, and 2 − e^{x−λ} = w eˣ + 2(1 − eˣ), a sum of positive numbers.
    """

    @property
    def blur(self) -> float:
        """The relative rounding of g, in units of the roundoff."""
        return 24.0

    def start(self, x: Policies, base: Policies, inside: Any) -> Values:
        """The level at which some action alone has mass 1."""
        alone = 2 * (base - jnp.expm1(-x)) / (1 + base)
        return jnp.max(jnp.where(inside, alone, -jnp.inf), axis=-1)

    def multiplier(self, w: Values) -> Values:
        """λ."""
        return -jnp.log(2 - w)

    def ratio(self, x: Policies, w: Values) -> Policies:
        """g(x − λ) = π/b."""
        level = w[..., None]
        return jnp.exp(x) * (2 - level) / (level * jnp.exp(x) - 2 * jnp.expm1(x))

    def conjugate(self, u: Policies) -> Policies:
        """f*(f'(u))."""
        return jnp.log((u + 1) / 2)

    def slope(self, mass: Policies, u: Policies) -> Policies:
        """b/f''(u) = b·g', given mass = b·u."""
        return mass * (u + 1)

    def further(self, w: Values, mass: Policies, u: Policies, excess: Values) -> Values:
        """A step of Newton's."""
        return w + (2 - w) * excess / jnp.sum(self.slope(mass, u), axis=-1)


@dataclasses.dataclass(frozen=True)
class Exponential:
    """KL, and entropy, where the multiplier has a closed form: g = exp(x)/w with w = Σ b exp(x)."""

    def ratio(self, x: Policies, w: Values) -> Policies:
        """g(x − λ) = π/b."""
        return jnp.exp(x) / w[..., None]

    def slope(self, mass: Policies, u: Policies) -> Policies:
        """b/f''(u) = b·g'."""
        return mass


Divergence = AboveOne | BelowOne | JensenShannon
CHI_SQUARE = AboveOne(2.0)
NAMED: dict[str, Divergence] = {
    "chi_square": CHI_SQUARE,
    "forward_kl": BelowOne(0.0),
    "hellinger": BelowOne(0.5),
    "jensen_shannon": JensenShannon(),
}


def divergence(choice: Any) -> Divergence:
    """A divergence by its name, or the α-divergence of an order."""
    if isinstance(choice, str) and choice in NAMED:
        return NAMED[choice]
    number = isinstance(choice, int | float) and not isinstance(choice, bool)
    if number and choice == 1:
        raise ValueError("the α-divergence of order 1 is KL(π‖b): use jc.KL(strength, base)")
    if not number or not -2 <= choice <= 2:
        raise ValueError(f"a divergence is one of {', '.join(NAMED)} or an order from -2 to 2, not {choice!r}")
    return AboveOne(float(choice)) if choice > 1 else BelowOne(float(choice))


def level(divergence: Divergence, x: Policies, base: Policies) -> Values:
    """The level w at which Σ b g(x − λ) = 1, [*B, S]; actions without base mass take no part."""
    start = divergence.start(x, base, base > 0)
    u = unit_roundoff(x.dtype)

    def newton(w: Values) -> tuple[Values, jax.Array]:
        ratio = divergence.ratio(x, w)
        mass = base * ratio
        excess = jnp.sum(mass, axis=-1) - 1
        further = divergence.further(w, mass, ratio, excess)
        climbs = (excess > u) & (further != w) & jnp.isfinite(further)
        return jnp.where(climbs, further, w), ~climbs

    return iterate(newton, start, jnp.zeros_like(start, bool), NEWTON_STEPS)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def ratios(divergence: Divergence, x: Policies, base: Policies) -> Policies:
    """π/b for x ≤ 0 and a base of mass 1; also of actions without base mass, which take no part."""
    return divergence.ratio(x, level(divergence, x, base))


@ratios.defjvp
def _ratios_tangent(divergence: Divergence, primals: Any, tangents: Any) -> tuple[Policies, Policies]:
    x, base = primals
    dx, dbase = tangents
    u = ratios(divergence, x, base)
    weight = divergence.slope(base * u, u)
    root = jnp.sum(weight * dx + u * dbase, axis=-1, keepdims=True) / jnp.sum(weight, axis=-1, keepdims=True)
    return u, divergence.slope(u, u) * (dx - root)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def tilted(divergence: Divergence | Exponential, x: Policies, base: Policies) -> Policies:
    """The policy b·g(x − λ), for x ≤ 0 and a base of mass 1."""
    mass = base * (jnp.exp(x) if isinstance(divergence, Exponential) else ratios(divergence, x, base))
    return mass / jnp.sum(mass, axis=-1, keepdims=True)


@tilted.defjvp
def _tilted_tangent(divergence: Any, primals: Any, tangents: Any) -> tuple[Policies, Policies]:
    x, base = primals
    dx, dbase = tangents
    policy = tilted(divergence, x, base)
    ratio = jnp.where(base > 0, policy / jnp.where(base > 0, base, 1), 0)
    weight = divergence.slope(policy, ratio)
    push = weight * dx + ratio * dbase
    change = push - weight * (jnp.sum(push, axis=-1, keepdims=True) / jnp.sum(weight, axis=-1, keepdims=True))
    # The heaviest action moves by what the others leave: its own difference is all rounding where it is nearly alone.
    heaviest = jax.nn.one_hot(jnp.argmax(weight, axis=-1), x.shape[-1], dtype=bool)
    rest = jnp.where(heaviest, 0, change)
    return policy, jnp.where(heaviest, -jnp.sum(rest, axis=-1, keepdims=True), rest)


@jax.custom_jvp
def scaled(gap: Policies, strength: Values, lowest: jax.Array) -> Policies:
    """gap/strength, [*B, S, A], but no lower than a number that is as good as −∞ to what follows."""
    strength = strength[..., None]
    far = gap < lowest * strength
    return jnp.where(far, lowest, jnp.where(far, 0, gap) / strength)


@scaled.defjvp
def _scaled_tangent(primals: Any, tangents: Any) -> tuple[Policies, Policies]:
    """Without the square of a strength that may be tiny."""
    gap, strength, lowest = primals
    dgap, dstrength, _ = tangents
    x = scaled(gap, strength, lowest)
    moves = x > lowest
    change = (dgap - jnp.where(moves, x, 0) * dstrength[..., None]) / strength[..., None]
    return x, jnp.where(moves, change, 0)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def soft_maximum(divergence: Divergence, x: Policies, base: Policies) -> tuple[Values, Values]:
    """D and a bound on its error, [*B, S], for x ≤ 0 and a base of mass 1, both as computed."""
    w = level(divergence, x, base)
    ratio = divergence.ratio(x, w)
    inside = base > 0
    conjugate = jnp.where(inside, divergence.conjugate(jnp.where(inside, ratio, 1)), 0)
    mass = base * ratio
    multiplier = divergence.multiplier(w)
    value = multiplier + jnp.sum(base * conjugate, axis=-1)

    # The rounding of x changes N by b/f'' and D by π times itself; that of g, f*, the base and the sums by their
    # weight.
    u = unit_roundoff(x.dtype)
    sums = u * (2 * x.shape[-1] + 48 + divergence.blur)
    shift = 3 * u * jnp.abs(x)
    blur = divergence.blur * u * (1 + jnp.abs(multiplier))
    rounding = blur + jnp.sum(mass * shift + sums * (base * jnp.abs(conjugate) + base + mass), axis=-1)
    drift = jnp.sum(jnp.where(x < 0, divergence.slope(mass, ratio) * shift, 0) + sums * mass, axis=-1)
    residual = jnp.abs(jnp.sum(mass, axis=-1) - 1) + drift
    width = jnp.abs(divergence.multiplier(divergence.start(x, base, inside)))
    return value, rounding + residual * width


@soft_maximum.defjvp
def _soft_maximum_tangent(divergence: Any, primals: Any, tangents: Any) -> Any:
    """D is least at the root λ, which therefore stands still; the error has no slope."""
    x, base = primals
    dx, dbase = tangents
    value, error = soft_maximum(divergence, x, base)
    u = ratios(divergence, x, base)
    conjugate = jnp.where(base > 0, divergence.conjugate(jnp.where(base > 0, u, 1)), 0)
    change = jnp.sum(base * u * dx + conjugate * dbase, axis=-1)
    return (value, error), (change, jnp.zeros_like(error))

"""What a temperature, a KL coefficient or best-of-N makes of a prompt: how far answers move, and what they give up.

The answers of a prompt are what its base policy offers: π ∝ b·e^{u/α}, b the base's probabilities (how often an answer
was sampled, if the table has none).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

STEPS = 60  # halvings of a bisection, which reach the last bit
LEVELS = 96  # temperatures that are looked at before, downwards from the one that is safe for every prompt
LOWEST = 1e-4  # of that one


def tilted(scores: Array, base: Array, strength: Array) -> Array:
    """π ∝ b·e^{u/α}, [P, W]; `strength` [P]."""
    low = jnp.where(base > 0, scores, -jnp.inf)
    weights = base * jnp.exp((low - low.max(axis=-1, keepdims=True)) / strength[:, None])
    return weights / jnp.maximum(weights.sum(axis=-1, keepdims=True), jnp.finfo(scores.dtype).tiny)


def worst_movement(policy: Array, scores: Array, error: Array, strength: Array) -> Array:
    """An upper bound of the total variation by which errors of all scores up to ±`error` move π, [P].

    The worst error raises a set S of answers, lowers the others, and moves p = π(S) to p/(p + (1 − p)e^{−2ε/α}): most
    where p = 1/(1 + e^{ε/α}), by tanh(ε/2α). A set that contains the likeliest answer has at least its mass, one
    without it at most the rest: where that leaves out the worst p, the bound is what these two give, and one of them
    attains it.
    """
    top = policy.max(axis=-1)
    x = 2 * error / strength
    worst = 1 / (1 + jnp.exp(x / 2))

    def moved(p: Array) -> Array:
        raised = jnp.where(p > 0, p + (1 - p) * jnp.exp(-x), 1)
        return p * (1 - p) * -jnp.expm1(-x) / raised

    between = (worst >= 1 - top) & (worst < top)
    return jnp.where(between, jnp.maximum(moved(top), moved(1 - top)), jnp.tanh(x / 4))


def safe_strength(scores: Array, base: Array, error: Array, budget: float) -> Array:
    """The smallest α above which errors up to ±`error` never move the answers by more than `budget`, [P].

    ε/(2·artanh(budget)) is enough for any prompt; where one answer stands out less is, down to nothing at all.
    """
    most = error / (2 * jnp.arctanh(budget)) * (1 + 1e-12)

    def safe(strength: Array) -> Array:
        return worst_movement(tilted(scores, base, strength), scores, error, strength) <= budget

    def look(i: Any, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        low, high, going = state
        level = size * most * LOWEST ** ((jnp.asarray(i, scores.dtype) + 1) / LEVELS)
        fine = going & safe(level)
        return jnp.where(going & ~fine, level, low), jnp.where(fine, level, high), fine

    size = jnp.ones(scores.shape[:1], scores.dtype)
    state = (0 * size, most * size, size > 0)
    low, high, going = jax.lax.fori_loop(0, LEVELS, look, state)

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        fine = safe(middle)
        return jnp.where(fine, low, middle), jnp.where(fine, middle, high)

    _, found = jax.lax.fori_loop(0, STEPS, halve, (low, high))
    return jnp.where(going, 0.0, found)


def given_up(policy: Array, scores: Array) -> Array:
    """Max u − E_π[u], [P]."""
    low = jnp.where(policy > 0, scores, 0)
    return jnp.where(policy > 0, scores, -jnp.inf).max(axis=-1) - (policy * low).sum(axis=-1)


def best_of(scores: Array, base: Array, count: int) -> tuple[Array, Array]:
    """(the policy of the best of `count` draws from the base, its KL to the base): [P, W] and [P].

    Ties go to a drawn answer at random: a tied set shares its mass in proportion to the base.
    """
    low = jnp.where(base > 0, scores, -jnp.inf)
    order = jnp.argsort(low, axis=-1)
    rising, mass = (jnp.take_along_axis(x, order, axis=-1) for x in (low, base))
    upto = jnp.cumsum(mass, axis=-1)
    first = jax.vmap(lambda x: jnp.searchsorted(x, x, side="left"))(rising)
    last = jax.vmap(lambda x: jnp.searchsorted(x, x, side="right"))(rising) - 1
    below = jnp.where(first > 0, jnp.take_along_axis(upto, jnp.maximum(first - 1, 0), axis=-1), 0)
    above = jnp.minimum(jnp.take_along_axis(upto, last, axis=-1), 1)
    level = jnp.where(last == rising.shape[-1] - 1, 1.0, above)
    shared = (level**count - below**count) / jnp.maximum(level - below, jnp.finfo(scores.dtype).tiny)
    policy = mass * shared
    kl = jnp.where(mass > 0, policy * jnp.log(jnp.where(mass > 0, jnp.maximum(shared, 1e-300), 1)), 0).sum(axis=-1)
    back = jnp.argsort(order, axis=-1)
    return jnp.take_along_axis(policy, back, axis=-1), jnp.maximum(kl, 0)


def same_kl(scores: Array, base: Array, kl: Array) -> Array:
    """The strength at which the tilted policy has this KL to the base, [P]; 0 where even the optimum has less."""
    low = jnp.where(base > 0, scores, -jnp.inf)
    span = low.max(axis=-1) - jnp.where(base > 0, scores, jnp.inf).min(axis=-1)
    span = jnp.where(span > 0, span, 1)

    def distance(strength: Array) -> Array:
        policy = tilted(scores, base, strength)
        ratio = jnp.where(policy > 0, policy / jnp.where(base > 0, base, 1), 1)
        return (policy * jnp.log(ratio)).sum(axis=-1)

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = jnp.sqrt(low * high)
        near = distance(middle) > kl
        return jnp.where(near, middle, low), jnp.where(near, high, middle)

    low, high = jax.lax.fori_loop(0, STEPS, halve, (1e-6 * span, 1e6 * span))
    return jnp.where(distance(low) < kl, 0.0, high)

"""What a temperature, a KL coefficient or best-of-N makes of a prompt: how far answers move, and what they give up.

The answers of a prompt are what its base policy offers: π ∝ b·e^{βu}, β = 1/α, b the base's probabilities (how often an
answer was sampled, if the table has none). Everything is done with log b: bases differ by more than numbers do.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

HALVINGS = 100  # of a bisection
STEPS, MOST_STEPS = 64, 1000  # of a march over temperatures: of all, and of those that are left
FINEST = 1e-7  # of where a march stands, below which it has arrived
FAR = 30.0  # from which a hyperbolic sine is half an exponential


def tilted(scores: Array, base_log: Array, beta: Array) -> Array:
    """π ∝ b·e^{βu}, [P, W]; `beta` [P], +inf for the best answers alone. A prompt without answers gets zeros."""
    there = ~jnp.isneginf(base_log)
    best = jnp.where(there, scores, -jnp.inf).max(axis=-1, keepdims=True)
    finite = jnp.isfinite(beta)[:, None]
    warm = base_log + jnp.where(finite, beta[:, None], 0) * jnp.where(there, scores - best, 0)
    logs = jnp.where(there & (finite | (scores == best)), warm, -jnp.inf)
    top = logs.max(axis=-1, keepdims=True)
    weights = jnp.exp(logs - jnp.where(jnp.isfinite(top), top, 0))
    return weights / jnp.maximum(weights.sum(axis=-1, keepdims=True), 1e-300)


def _log_odds(scores: Array, base_log: Array, beta: Array) -> Array:
    """Log π(a)/(1 − π(a)) of the likeliest answer, [P]."""
    logs = base_log + beta[:, None] * jnp.where(jnp.isneginf(base_log), 0, scores)
    at = jnp.argmax(logs, axis=-1)
    own = jnp.take_along_axis(logs, at[:, None], axis=-1)[:, 0]
    others = jnp.where(jnp.arange(logs.shape[-1]) == at[:, None], -jnp.inf, logs)
    return own - jax.nn.logsumexp(others, axis=-1)


def worst_movement(scores: Array, base_log: Array, error: Array, beta: Array) -> Array:
    """An upper bound of the total variation by which errors of all scores up to ±ε move π, [P].

    The worst error raises a set S of answers, lowers the others, and moves log-odds z of π(S) by 2εβ: most where
    z = −εβ, by tanh(εβ/2). A set with the likeliest answer has log-odds of at least L, one without it at most −L: where
    L > εβ that leaves out the worst z, and the bound is what −L gives, sinh x/(cosh x + cosh(L − x)) with x = εβ; a set
    attains it.
    """
    x = error * beta
    apart = jnp.maximum(_log_odds(scores, base_log, beta) - x, 0)
    near = jnp.sinh(jnp.minimum(x, FAR)) / (jnp.cosh(jnp.minimum(x, FAR)) + jnp.cosh(jnp.minimum(apart, 700.0)))
    return jnp.where(x > FAR, jax.nn.sigmoid(x - apart), near)


def _needed(x: Array, budget: float) -> Array:
    """How large L has to be for a budget, at x = εβ: x + arccosh(sinh x/B − cosh x); no more than 2x + log(1/B − 1)."""
    near = jnp.sinh(jnp.minimum(x, FAR)) / budget - jnp.cosh(jnp.minimum(x, FAR))
    close = jnp.minimum(x, FAR) + jnp.arccosh(jnp.maximum(near, 1))
    return jnp.where(x > FAR, 2 * x + jnp.log(1 / budget - 1), jnp.where(near > 1, close, -jnp.inf))


def safe_strength(scores: Array, base_log: Array, error: Array, budget: float) -> Array:
    """The smallest α above which errors up to ±ε never move the answers by more than `budget`, [P].

    ε/(2·artanh(budget)) is enough for any prompt; where one answer stands out less is, down to 0. From there on β goes
    up in steps within which nothing can happen: the log-odds of one answer are concave in β, so that between two β they
    are no lower than at the lower end, and what is needed of them only grows. It is 0 where the log-odds of the best
    answer, whose slope is never below its lead, stay ahead for good. Where they creep along what is needed it may come
    out larger, never smaller.
    """
    there = ~jnp.isneginf(base_log)
    low = jnp.where(there, scores, -jnp.inf)
    best = jnp.argmax(low, axis=-1)
    highest = low.max(axis=-1)
    others = jnp.where(jnp.arange(low.shape[-1]) == best[:, None], -jnp.inf, low)
    usable = there.sum(axis=-1) > 1
    first = jnp.where(usable, 2 * jnp.arctanh(jnp.asarray(budget, scores.dtype)) / error * (1 - 1e-12), 1.0)
    level = jnp.where(there, scores - highest[:, None], 0)
    prompts = (level, base_log, best, highest - others.max(axis=-1))
    state = _March(first, first / 16, usable, ~usable)
    state = _marched(prompts, state, error, budget, STEPS)
    # the few that creep along the budget go on by themselves
    rest = jnp.argsort(~state.going, stable=True)[: max(1, len(first) // 8)]
    own = _marched(tuple(x[rest] for x in prompts), _March(*(x[rest] for x in state)), error, budget, MOST_STEPS)
    beta, free = state.beta.at[rest].set(own.beta), state.free.at[rest].set(own.free)
    return jnp.where(free, 0.0, 1 / beta)


class _March(NamedTuple):
    """Up to which β prompts are safe, the step that is tried next, which are on their way, which are safe for good."""

    beta: Array
    step: Array
    going: Array
    free: Array


def _marched(prompts: tuple[Array, ...], state: _March, error: Array, budget: float, most: int) -> _March:
    level, base_log, best, lead = prompts
    places = jnp.arange(level.shape[-1])
    ahead = jnp.log(1 / budget - 1)

    def on(carry: tuple[Any, _March]) -> tuple[Any, _March]:
        count, (beta, step, going, free) = carry
        top = jnp.argmax(base_log + beta[:, None] * level, axis=-1)
        at = jnp.take_along_axis(base_log, top[:, None], axis=-1), jnp.take_along_axis(level, top[:, None], axis=-1)
        start, slope = jnp.where(places == top[:, None], -jnp.inf, base_log - at[0]), level - at[1]

        def odds(beta: Array) -> Array:
            return -jax.nn.logsumexp(start + beta[:, None] * slope, axis=-1)

        here = odds(beta)
        needed, then = _needed(error * beta, budget), _needed(error * (beta + step), budget)
        clear = jnp.minimum(here, odds(beta + step)) >= then
        # as far as what is needed reaches what is there, if it goes on growing as it does
        reach = 0.9 * step * (here - needed) / jnp.maximum(then - needed, 1e-300)
        reach = jnp.where(jnp.isfinite(reach), reach, jnp.where(clear, 2 * step, step / 2))
        forever = (lead >= 2 * error) & (top == best) & (here >= 2 * error * beta + ahead)
        after = _March(
            beta=jnp.where(going & clear & ~forever, beta + step, beta),
            step=jnp.clip(reach, step / 8, jnp.where(clear, 4 * step, step / 2)),
            going=going & ~forever & (step > FINEST * beta),
            free=free | (going & forever),
        )
        return count + 1, after

    return jax.lax.while_loop(lambda carry: jnp.any(carry[1].going) & (carry[0] < most), on, (0, state))[1]


def given_up(policy: Array, scores: Array, base_log: Array) -> Array:
    """Max u − E_π[u], [P], over all answers."""
    there = ~jnp.isneginf(base_log)
    best = jnp.where(there, scores, -jnp.inf).max(axis=-1)
    return jnp.where(there, policy * (best[:, None] - jnp.where(there, scores, 0)), 0).sum(axis=-1)


def best_of(scores: Array, base_log: Array, count: int) -> tuple[Array, Array]:
    """(the policy of the best of `count` draws from the base, its KL to the base): [P, W] and [P].

    Ties go to a drawn answer at random: a tied set shares its mass in proportion to the base.
    """
    base = tilted(scores, base_log, jnp.zeros(scores.shape[0], scores.dtype))
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


def same_kl(scores: Array, base_log: Array, kl: Array) -> Array:
    """The strength at which the tilted policy is so far from the base, [P]; +inf for no KL, 0 where none is as far."""
    there = ~jnp.isneginf(base_log)
    low = jnp.where(there, scores, -jnp.inf)
    span = low.max(axis=-1) - jnp.where(there, scores, jnp.inf).min(axis=-1)
    span = jnp.where(jnp.isfinite(span) & (span > 0), span, 1)

    def distance(strength: Array) -> Array:
        policy = tilted(scores, base_log, 1 / strength)
        ratio = jnp.log(jnp.where(policy > 0, policy, 1)) - jnp.where(there, base_log, 0)
        return jnp.where(policy > 0, policy * ratio, 0).sum(axis=-1)

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        cold, hot = ends
        middle = jnp.sqrt(cold * hot)
        near = distance(middle) > kl
        return jnp.where(near, middle, cold), jnp.where(near, hot, middle)

    cold, hot = jax.lax.fori_loop(0, HALVINGS, halve, (1e-14 * span, 1e14 * span))
    return jnp.where(kl < 1e-14, jnp.inf, jnp.where(distance(cold) < kl, 0.0, hot))

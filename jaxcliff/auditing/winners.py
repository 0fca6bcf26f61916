"""One prompt at a time, exactly: who wins, by how much, and how far the nearest change of the winner is.

All functions take batches with a fixed number of places, [P, W, …], so that a table of any size needs few programs.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Ranking(NamedTuple):
    """Winners by one kind of score, [P] each, or [P, M] by several.

    Attributes:
        winner, second: their places; −1 where there is none. The first place wins a tie.
        margin: how far the second is behind; tied: how many answers are within the tie, the winner included.
        behind: how far the best answer outside the tie is behind, +inf if there is none.
    """

    winner: Array
    second: Array
    margin: Array
    tied: Array
    behind: Array


def ranking(scores: Array, there: Array, tie: Array) -> Ranking:
    """Of scores [P, W], where they are there; gaps up to `tie` are ties."""
    low = jnp.where(there, scores, -jnp.inf)
    first = jnp.argmax(low, axis=-1)
    best = jnp.take_along_axis(low, first[:, None], axis=-1)
    others = jnp.where(jnp.arange(low.shape[-1]) == first[:, None], -jnp.inf, low)
    second = jnp.argmax(others, axis=-1)
    count = there.sum(axis=-1)
    gaps = jnp.where(there, best - low, jnp.inf)
    return Ranking(
        winner=jnp.where(count > 0, first, -1),
        second=jnp.where(count > 1, second, -1),
        margin=jnp.where(count > 1, best[:, 0] - others.max(axis=-1), jnp.inf),
        tied=(gaps <= tie).sum(axis=-1),
        behind=jnp.where(gaps <= tie, jnp.inf, gaps).min(axis=-1),
    )


def weights_distance(scores: Array, there: Array, weights: Array, winner: Array, tie: Array) -> tuple[Array, ...]:
    """How far weights have to move on the simplex, ½‖Δw‖₁, until another answer draws level with the winner.

    (distance [P], +inf if no weights do it; the rival's place; the model that gains; the model that loses first)

    For one rival, d_k = how much model k puts it behind: mass moves to the model with the smallest d_k, from the
    largest d_k down, until Σ w_k d_k = 0. That is a linear programme with one constraint beside the simplex, solved in
    closed form.
    """
    own = jnp.take_along_axis(scores, jnp.maximum(winner, 0)[:, None, None], axis=1)
    behind = own - scores  # d, [P, W, M]
    # a model without a weight may lack a score: nothing can be moved to it
    behind = jnp.where(jnp.isfinite(behind), behind, jnp.where(jnp.isfinite(behind), behind, 0).max(-1, keepdims=True))
    gap = behind @ weights
    rivals = there & (jnp.arange(scores.shape[1]) != winner[:, None])
    least = behind.min(axis=-1, keepdims=True)
    order = jnp.argsort(-behind, axis=-1)
    rate = jnp.take_along_axis(behind - least, order, axis=-1)
    mass = weights[order]
    gained = jnp.cumsum(mass * rate, axis=-1) - mass * rate
    wanted = jnp.where(gap <= tie, 0, gap)
    moved = jnp.where(rate > 0, (wanted[..., None] - gained) / jnp.where(rate > 0, rate, 1), 0)
    distance = jnp.clip(moved, 0, mass).sum(axis=-1)
    distance = jnp.where((least[..., 0] <= 0) | (wanted == 0), distance, jnp.inf)
    distance = jnp.where(rivals, distance, jnp.inf)
    rival = jnp.argmin(distance, axis=-1)
    at = (jnp.arange(len(rival)), rival)
    found = distance[at]
    reached = jnp.isfinite(found)
    gains = jnp.where(reached, jnp.argmin(behind[at], axis=-1), -1)
    loses = jnp.where(reached, jnp.argmax(jnp.where(weights > 0, behind[at], -jnp.inf), axis=-1), -1)
    return found, jnp.where(reached, rival, -1), gains, loses


def log_cdf(x: Array) -> Array:
    """Log Φ(x): of full relative accuracy also where 1 − Φ is small, and no less than that of the smallest number."""
    tail = jnp.maximum(0.5 * jax.scipy.special.erfc(jnp.abs(x) * 2**-0.5), jnp.finfo(x.dtype).tiny)
    return jnp.where(x > 0, jnp.log1p(-tail), jnp.log(tail))


REACH = 12.0  # of the quadrature: how far it goes on either side, in units of the noise
FEWEST, MOST = 32, 2048  # steps of the quadrature


def flip_probability(
    scores: Array, there: Array, noise: Array, tie: Array, accuracy: float = 1e-9, floor: float = 1e-290
) -> Array:
    """P(the best answer under noise is none of those that win now), [P], for errors N(0, noise²), independent.

    With T the tied set, P = ∫ f_T(x)·(−expm1(Σ_{b ∉ T} log Φ(x − u_b))) dx, f_T the density of the largest of T. The
    integrand is entire and falls off as a Gaussian does, where a trapezoidal rule at least squares its relative error
    each time that its step is halved: it is halved until the last halving changed no answer of the batch by more than
    `accuracy` of itself and `floor`, of which the square is left (down to probabilities of 1e-150). Far ahead the bump
    sits half-way to the runner-up, where points are centred.
    """
    low = jnp.where(there, scores, -jnp.inf)
    behind = jnp.where(there, (low.max(axis=-1, keepdims=True) - low) / noise, jnp.inf)
    tied = behind <= tie / noise
    nearest = jnp.where(tied, jnp.inf, behind).min(axis=-1)
    half = jnp.where(jnp.isfinite(nearest), nearest, 0) / 2
    crowd = jnp.sqrt(
        2 * jnp.log(jnp.maximum(there.sum(axis=-1), 2).astype(low.dtype))
    )  # many rivals move the bump to the right
    start, stop = -half - REACH, -half + REACH + jnp.minimum(crowd, half)

    def at(x: Array) -> Array:
        z = x[:, None] + behind
        logs = jnp.where(jnp.isinf(behind), 0, log_cdf(jnp.where(jnp.isinf(behind), 0, z)))
        inside = jnp.where(tied, logs, 0).sum(axis=-1, keepdims=True)
        outside = jnp.where(tied, 0, logs).sum(axis=-1)
        density = jnp.where(tied, jnp.exp(inside - logs - 0.5 * jnp.where(tied, z, 0) ** 2), 0).sum(axis=-1)
        return density * (2 * jnp.pi) ** -0.5 * -jnp.expm1(outside)

    def summed(count: Any, shift: float) -> Array:
        step = (stop - start) / jnp.asarray(count, half.dtype)

        def add(i: Any, total: Array) -> Array:
            return total + at(start + step * (jnp.asarray(i, half.dtype) + shift))

        return step * jax.lax.fori_loop(0, count, add, jnp.zeros_like(half))

    def halve(state: tuple[Any, Array, Any]) -> tuple[Any, Array, Any]:
        count, before, _ = state
        after = (before + summed(count, 0.5)) / 2
        return 2 * count, after, jnp.any(jnp.abs(after - before) > accuracy * (after + floor))

    start_state = (jnp.asarray(FEWEST), summed(FEWEST, 0.0), jnp.asarray(True))
    _, found, _ = jax.lax.while_loop(lambda state: state[2] & (state[0] < MOST), halve, start_state)
    return jnp.where(there.sum(axis=-1) > 1, jnp.clip(found, 0, 1), 0)


DRAWS, AT_ONCE = 4096, 64  # of the errors of a prompt, where they are sampled


def sampled_flips(
    keys: Array, scores: Array, there: Array, noise: Array, tie: Array, column: Array, correlation: Array, length: Array
) -> Array:
    """The same probability for errors that are the more alike the nearer answers are in a column, from `DRAWS` draws.

    Cov(e_a, e_b) = noise²·ρ·exp(−|x_a − x_b|/length) for two answers. Along the column that is a Markov chain, which is
    drawn from one answer to the next. One key per prompt, so that its draws depend on no other.
    """

    def one(key: Array, u: Array, there: Array, x: Array) -> Array:
        low = jnp.where(there, u, -jnp.inf)
        order = jnp.argsort(jnp.where(there, x, jnp.inf))
        behind = jnp.where(there, low.max() - low, jnp.inf)[order].astype(jnp.float32)
        tied = behind <= tie.astype(jnp.float32)
        steps = jnp.diff(jnp.where(there, x, 0)[order], prepend=0)
        alike = jnp.exp(-jnp.abs(steps) / length).astype(jnp.float32).at[0].set(0)
        rho, size = correlation.astype(jnp.float32), noise.astype(jnp.float32)

        def block(count: Array, own: Array) -> tuple[Array, None]:
            fresh, alone = jax.random.normal(own, (2, len(u), AT_ONCE), jnp.float32)

            def on(z: Array, step: tuple[Array, Array]) -> tuple[Array, Array]:
                near, new = step
                z = near * z + jnp.sqrt(1 - near**2) * new
                return z, z

            _, together = jax.lax.scan(on, fresh[0] * 0, (alike, fresh))
            errors = size * (jnp.sqrt(rho) * together + jnp.sqrt(1 - rho) * alone)
            best = jnp.argmax(jnp.where(jnp.isinf(behind)[:, None], -jnp.inf, errors - behind[:, None]), axis=0)
            return count + (~tied[best]).sum(dtype=count.dtype), None

        keys = jax.random.split(key, DRAWS // AT_ONCE)
        left, _ = jax.lax.scan(block, jnp.zeros((), jnp.int32), keys)
        return jnp.where(there.sum() > 1, left.astype(u.dtype) / DRAWS, 0)

    return jax.vmap(one)(keys, scores, there, column)

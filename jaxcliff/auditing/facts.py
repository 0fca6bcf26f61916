"""All that is said of single prompts, as one program over a batch of them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcliff.auditing import population, tilting, winners

LEVELS = 2.0 ** np.linspace(-4, 4, 13)  # of noise, beside the one that is taken


@functools.partial(jax.jit, static_argnames=("budget", "best_of", "both"))
def facts(
    batch: tuple[Any, ...],
    weights: Array,
    ties: Array,
    tie: Array,
    noise: Array,
    spread: Array,
    correlated: tuple[Array, ...] | None = None,
    *,
    budget: float,
    best_of: int,
    both: bool,
) -> dict[str, Any]:
    """All that is said of single prompts, [P, …] each.

    `correlated`, of errors that are drawn: (a key per prompt, the correlation, the length over which it falls); the
    column is the last suspect.
    """
    present, scores, times, again, logs, suspects = batch
    counts = weights > 0
    there = present & (jnp.isfinite(scores) | ~counts).all(axis=-1)
    whole = jnp.where(there[..., None] & counts, scores, 0)
    mixed = whole @ weights
    first = winners.ranking(mixed, there, tie)
    by_model = jnp.moveaxis(scores, -1, 0)
    own = jax.vmap(winners.ranking)(by_model, present & jnp.isfinite(by_model), ties)
    away, rival, gains, loses = winners.weights_distance(scores, there, weights, first.winner, tie)
    some = jnp.maximum(there.sum(axis=-1), 1)
    rows = jnp.arange(len(some))
    counted = jnp.log(jnp.where(there, times, 1)) if logs is None else logs
    base = jnp.where(there, counted, -jnp.inf)
    base -= jnp.where(there.any(axis=-1), jax.nn.logsumexp(base, axis=-1), 0)[:, None]
    strength = tilting.safe_strength(mixed, base, 2 * noise, budget)
    beta = jnp.where(strength > 0, 1 / jnp.where(strength > 0, strength, 1), jnp.inf)
    calmed = tilting.tilted(mixed, base, beta)
    moves = tilting.worst_movement(mixed, base, 2 * noise, jnp.where(strength > 0, beta, 1))
    best, kl = tilting.best_of(mixed, base, best_of)
    even = tilting.same_kl(mixed, base, kl)
    tilt = tilting.tilted(mixed, base, jnp.where(even > 0, 1 / jnp.where(even > 0, even, 1), jnp.inf))
    conflict = population.conflicts(scores, present, ties, spread)
    suspicion = population.suspicions(mixed, there, first.winner, suspects)
    if correlated is None:
        flips = winners.flip_probability(mixed, there, noise, tie)
        error = jnp.zeros_like(flips)
    else:
        keys, rho, length = correlated
        flips = winners.sampled_flips(keys, mixed, there, noise, tie, suspects[..., -1], rho, length)
        likely = (flips * winners.DRAWS + 0.5) / (winners.DRAWS + 1)  # also where none of the draws flipped
        error = jnp.sqrt(likely * (1 - likely) / winners.DRAWS)
    # In units of the noise and from the best answer on: single precision has few digits, and no large numbers.
    low = jnp.where(there, (mixed - jnp.where(there, mixed, -jnp.inf).max(axis=-1, keepdims=True)) / noise, 0)
    low, close = jnp.maximum(low, -1e30).astype(jnp.float32), (tie / noise).astype(jnp.float32)
    levels = jnp.asarray(LEVELS, jnp.float32)
    curve = jax.lax.map(lambda level: winners.flip_probability(low, there, level, close, 1e-3, 0.1), levels)
    told = {
        "answers": present.sum(axis=-1),
        "scored": there.sum(axis=-1),
        "winner": first.winner,
        "runner_up": first.second,
        "value": jnp.where(first.winner >= 0, mixed[rows, jnp.maximum(first.winner, 0)], jnp.nan),
        "mean": jnp.where(there, mixed, 0).sum(axis=-1) / some.astype(mixed.dtype),
        "margin": first.margin,
        "tied": first.tied,
        "winner_again": again[rows, jnp.maximum(first.winner, 0)],
        "repeats": (times > 1).any(axis=-1),
        "behind_the_tie": first.behind,
        "distance_all": first.margin / 2,
        "distance_entry": first.margin / weights.max(),
        "weights_distance": away,
        "weights_rival": rival,
        "weights_gain": gains,
        "weights_lose": loses,
        "flip_probability": flips,
        "flip_error": error,
        "temperature": strength,
        "temperature_costs": tilting.given_up(calmed, mixed, base),
        "temperature_worst": jnp.where(strength > 0, moves, 0),
        "best_of_kl": kl,
        "best_of_loses": tilting.given_up(best, mixed, base),
        "same_kl_temperature": even,
        "same_kl_loses": tilting.given_up(tilt, mixed, base),
    }
    if both:
        inside = jnp.clip(mixed, 0, 1)  # weights that add up to a hair more
        odds = jnp.where(there, jnp.log(inside) - jnp.log1p(-inside), -jnp.inf)
        apart = winners.ranking(odds, there, jnp.zeros_like(tie)).margin
        told["margin_logit"] = jnp.where(first.margin > 0, apart, 0)  # also at an end, where log-odds are infinite
    for k in range(len(ties)):
        told |= {f"winner_{k}": own.winner[k], f"second_{k}": own.second[k]}
        told |= {f"margin_{k}": own.margin[k], f"tied_{k}": own.tied[k]}
        told[f"distance_{k}"] = jnp.where(
            weights[k] > 0, first.margin / (2 * jnp.where(counts[k], weights[k], 1)), jnp.inf
        )
    for e in range(conflict.apart.shape[-1]):
        told |= {
            f"apart_{e}": conflict.apart[:, e],
            f"rho_{e}": conflict.correlation[:, e],
            f"loss_{e}": conflict.loss[:, e],
        }
    for x in range(suspects.shape[-1]):
        told |= {f"rank_{x}": suspicion.rank[:, x], f"spread_{x}": suspicion.variance[:, x]}
        told[f"follows_{x}"] = suspicion.correlation[:, x]
    return {"told": told, "curve": curve, "there": there}

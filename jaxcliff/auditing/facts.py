"""All that is said of single prompts, as one program over a batch of them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcliff.auditing import population, tilting, winners

LEVELS = 2.0 ** np.linspace(-3, 3, 13)  # of noise, beside the one that is taken


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
    base = jnp.where(
        there, times if logs is None else jnp.exp(logs - jnp.where(there, logs, -jnp.inf).max(-1, keepdims=True)), 0
    )
    base = base / jnp.maximum(base.sum(axis=-1, keepdims=True), jnp.finfo(base.dtype).tiny)
    strength = tilting.safe_strength(mixed, base, 2 * noise, budget)
    hottest = jnp.where(strength > 0, strength, 1e-9 * noise)
    best, kl = tilting.best_of(mixed, base, best_of)
    even = tilting.same_kl(mixed, base, kl)
    tilt = tilting.tilted(mixed, base, jnp.where(even > 0, even, 1e-9 * noise))
    conflict = population.conflicts(scores, present, ties, spread)
    suspicion = population.suspicions(mixed, there, first.winner, suspects)
    if correlated is None:
        flips = winners.flip_probability(mixed, there, noise, tie)
        error = jnp.zeros_like(flips)
    else:
        keys, rho, length = correlated
        flips = winners.sampled_flips(keys, mixed, there, noise, tie, suspects[..., -1], rho, length)
        error = jnp.sqrt(flips * (1 - flips) / winners.DRAWS)
    levels = jnp.asarray(LEVELS, jnp.float32)
    low, close = mixed.astype(jnp.float32), jnp.asarray(tie, jnp.float32)
    # differences first: single precision has no digits for scores far from 0
    low = (mixed - jnp.where(there, mixed, -jnp.inf).max(axis=-1, keepdims=True)).astype(jnp.float32)
    curve = jax.lax.map(
        lambda level: winners.flip_probability(low, there, level * noise.astype(jnp.float32), close, 1e-3, 0.1), levels
    )
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
        "temperature_costs": tilting.given_up(tilting.tilted(mixed, base, hottest), mixed),
        "temperature_worst": tilting.worst_movement(tilting.tilted(mixed, base, hottest), mixed, 2 * noise, hottest),
        "best_of_kl": kl,
        "best_of_loses": tilting.given_up(best, mixed),
        "same_kl_temperature": even,
        "same_kl_loses": tilting.given_up(tilt, mixed),
    }
    if both:
        odds = jnp.where(there, jnp.log(mixed) - jnp.log1p(-mixed), -jnp.inf)
        apart = winners.ranking(odds, there, jnp.zeros_like(tie)).margin
        told["margin_logit"] = jnp.where(first.margin > 0, apart, 0)  # also at an end, where log-odds are infinite
    for k in range(len(ties)):
        told |= {f"winner_{k}": own.winner[k], f"margin_{k}": own.margin[k], f"tied_{k}": own.tied[k]}
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

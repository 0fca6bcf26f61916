"""What adds up over prompts: winners along edges and over the triangle of weights, conflicts of models, suspects."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

PARTS = 42  # of an edge of the triangle of weights


class Breakpoints(NamedTuple):
    """Where winners change as weights go from one model to another: an entry per change.

    Attributes:
        gid: the prompt; edge: the number of the edge; t: the share of the second model.
        leaves, enters: the places of the answers.
    """

    gid: np.ndarray
    edge: np.ndarray
    t: np.ndarray
    leaves: np.ndarray
    enters: np.ndarray


def edges(models: int) -> list[tuple[int, int]]:
    """The pairs of models: the edges of the simplex of weights."""
    return list(itertools.combinations(range(models), 2))


def breakpoints(gids: np.ndarray, scores: np.ndarray, there: np.ndarray) -> Breakpoints:
    """All of them, exactly: along an edge every answer is a line over t, and the winner is their upper envelope."""
    found = [_along(number, gids, scores, there, *pair) for number, pair in enumerate(edges(scores.shape[-1]))]
    return Breakpoints(*(np.concatenate([part for parts in found for part in parts[i]]) for i in range(5)))


def _along(
    number: int, gids: np.ndarray, scores: np.ndarray, there: np.ndarray, i: int, j: int
) -> tuple[list[np.ndarray], ...]:
    low = np.where(there, scores[..., i], -np.inf)
    slope = np.where(there, scores[..., j] - scores[..., i], -np.inf)
    best = low.max(axis=1, keepdims=True)
    current = np.where(low == best, slope, -np.inf).argmax(axis=1)
    at = np.flatnonzero((gids >= 0) & there.any(axis=1))
    lists: tuple[list[np.ndarray], ...] = (
        [np.zeros(0, int)],
        [np.zeros(0, int)],
        [np.zeros(0)],
        [np.zeros(0, int)],
        [np.zeros(0, int)],
    )
    while len(at):
        now = current[at, None]
        own, own_slope = (np.take_along_axis(x[at], now, axis=1) for x in (low, slope))
        steeper = slope[at] > own_slope
        with np.errstate(invalid="ignore", divide="ignore"):
            t = np.where(steeper, (own - low[at]) / (slope[at] - own_slope), np.inf)
        nearest = t.min(axis=1, keepdims=True)
        then = np.where(t == nearest, slope[at], -np.inf).argmax(axis=1)
        on = nearest[:, 0] < 1
        at, then, when, before = at[on], then[on], nearest[on, 0], current[at][on]
        for each, part in zip(lists, (gids[at], np.full(len(at), number), when, before, then), strict=True):
            each.append(part)
        current[at] = then
    return lists


def triangle() -> np.ndarray:
    """Weights of three models on a grid, [946, 3]."""
    grid = np.array([(i, j, PARTS - i - j) for i in range(PARTS + 1) for j in range(PARTS + 1 - i)])
    return grid / PARTS


@jax.jit
def kept_over_the_triangle(scores: Array, there: Array, winner: Array, weights: Array) -> Array:
    """How many prompts keep their winner under each of some weights, [G]."""

    def one(w: Array) -> Array:
        mixed = jnp.where(there, scores @ w, -jnp.inf)
        own = jnp.take_along_axis(mixed, jnp.maximum(winner, 0)[:, None], axis=1)[:, 0]
        return ((own >= mixed.max(axis=1)) & jnp.isfinite(own) & (winner >= 0)).sum()

    return jax.lax.map(one, weights)


def ranks(x: Array, there: Array) -> Array:
    """Mean ranks from 0 among those that are there, [P, W]; ties share theirs."""
    padded = jnp.where(there, x, jnp.inf)
    rising = jnp.sort(padded, axis=-1)
    below = jax.vmap(lambda s, v: jnp.searchsorted(s, v, side="left"))(rising, padded)
    upto = jax.vmap(lambda s, v: jnp.searchsorted(s, v, side="right"))(rising, padded)
    upto = jnp.minimum(upto, there.sum(axis=-1, keepdims=True, dtype=upto.dtype))
    return jnp.where(there, (below + upto - 1).astype(x.dtype) / 2, 0)


def rank_correlation(x: Array, y: Array, there: Array) -> Array:
    """Spearman's, [P]; NaN where a side is the same for all answers."""
    count = jnp.maximum(there.sum(axis=-1, keepdims=True), 1).astype(x.dtype)

    def centred(z: Array) -> Array:
        own = ranks(z, there)
        return jnp.where(there, own - own.sum(axis=-1, keepdims=True) / count, 0)

    a, b = centred(x), centred(y)
    size = jnp.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return jnp.where(size > 0, (a * b).sum(axis=-1) / jnp.where(size > 0, size, 1), jnp.nan)


class Conflict(NamedTuple):
    """Of every pair of models, per prompt, [P, E].

    Attributes:
        apart: 1 where no answer is best for both; NaN where one of them has no score.
        correlation: of their ranks.
        loss: how much worse for one model the other's winner is, the mean of both, in units of their spreads.
    """

    apart: Array
    correlation: Array
    loss: Array


def conflicts(scores: Array, present: Array, ties: Array, spread: Array) -> Conflict:
    """Of every pair of models, per prompt."""
    pairs = edges(scores.shape[-1])
    if not pairs:
        nothing = jnp.zeros((scores.shape[0], 0), scores.dtype)
        return Conflict(nothing, nothing, nothing)

    def one(pair: Array) -> Conflict:
        x, y = scores[..., pair[0]], scores[..., pair[1]]
        there = present & jnp.isfinite(x) & jnp.isfinite(y)
        choice = there.sum(axis=-1) > 1
        best = [jnp.where(there, z, -jnp.inf).max(axis=-1, keepdims=True) for z in (x, y)]
        behind = [b - jnp.where(there, z, -jnp.inf) for b, z in zip(best, (x, y), strict=True)]
        wins = [there & (gap <= ties[k]) for gap, k in zip(behind, pair, strict=True)]

        def lost(gap: Array, chosen: Array, unit: Array) -> Array:
            own = jnp.take_along_axis(gap, jnp.argmin(chosen, axis=-1)[:, None], axis=1)[:, 0]
            return own / jnp.where(unit > 0, unit, 1)

        loss = (lost(behind[0], behind[1], spread[pair[0]]) + lost(behind[1], behind[0], spread[pair[1]])) / 2
        apart = (~(wins[0] & wins[1]).any(axis=-1)).astype(x.dtype)
        correlation = rank_correlation(x, y, there)
        return Conflict(jnp.where(choice, apart, jnp.nan), correlation, jnp.where(choice, loss, jnp.nan))

    found = jax.lax.map(one, jnp.asarray(pairs))
    return Conflict(*(x.T for x in found))


class Suspicion(NamedTuple):
    """Of every suspect column, per prompt, [P, X].

    Attributes:
        rank: of the winner among the answers by this column, from 0 (the least) to 1 (the most); ½ if it plays no part.
        variance: of that rank if the winner were drawn at random.
        correlation: of its ranks with those of the mixture.
    """

    rank: Array
    variance: Array
    correlation: Array


def suspicions(mixed: Array, there: Array, winner: Array, suspects: Array) -> Suspicion:
    """Whether winners follow columns that should not decide."""
    found = []
    for k in range(suspects.shape[-1]):
        x = suspects[..., k]
        seen = there & jnp.isfinite(x)
        count = seen.sum(axis=-1).astype(x.dtype)
        place = jnp.where(seen, ranks(x, seen) / jnp.maximum(count - 1, 1.0)[:, None], 0)
        own = jnp.take_along_axis(jnp.where(seen, place, jnp.nan), jnp.maximum(winner, 0)[:, None], axis=1)[:, 0]
        mean = place.sum(axis=-1) / jnp.maximum(count, 1.0)
        variance = jnp.where(seen, (place - mean[:, None]) ** 2, 0).sum(axis=-1) / jnp.maximum(count, 1.0)
        usable = (winner >= 0) & (variance > 0)
        nan = jnp.asarray(jnp.nan, x.dtype)
        found.append((jnp.where(usable, own, nan), jnp.where(usable, variance, nan), rank_correlation(x, mixed, seen)))
    if not found:
        nothing = jnp.zeros((mixed.shape[0], 0), mixed.dtype)
        return Suspicion(nothing, nothing, nothing)
    return Suspicion(*(jnp.stack(parts, axis=-1) for parts in zip(*found, strict=True)))

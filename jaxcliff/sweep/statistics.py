"""Statistics over draws that can be merged: of blocks of draws on the device, of all of them on the host.

A block has a fixed size and blocks are merged in their order, in float64 and int64, so that the numbers that come out
depend on no batch. NaN is left out, and `count` says how many numbers there were.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.types import NumbersLike, Word

NAMES = ("count", "mean", "m2", "min", "max")


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Which statistics of one output are kept; see `statistics`."""

    names: tuple[str, ...]
    edges: np.ndarray | None = None
    quantiles: np.ndarray | None = None


def statistics(*names: Word, edges: NumbersLike | None = None, quantiles: NumbersLike | None = None) -> Statistics:
    """What is kept of an output over draws.

    Args:
        names: of "count" (numbers that are not NaN), "mean", "m2" (the sum of squared distances from the mean), "min",
            "max". The count is always kept.
        edges: increasing numbers: how many draws lie below the first, between two, from the last on.
        quantiles: shares between 0 and 1; of each, the two edges between which it lies.
    """
    for name in names:
        if name not in NAMES:
            raise ValueError(
                f"a statistic is one of {', '.join(NAMES)} (or edges=, quantiles=), not {checks.shown(name)}"
            )
    kept = tuple(n for n in NAMES if n in names or n == "count")
    bounds = None if edges is None else np.atleast_1d(checks.numbers(edges, "edges"))
    if bounds is not None and not (bounds.ndim == 1 and np.isfinite(bounds).all() and (np.diff(bounds) > 0).all()):
        raise ValueError(f"edges must be a list of increasing numbers, not {checks.shown(edges)}")
    shares = None if quantiles is None else np.atleast_1d(checks.numbers(quantiles, "quantiles"))
    if shares is not None and (bounds is None or not ((shares >= 0) & (shares <= 1)).all()):
        raise ValueError("quantiles are shares between 0 and 1, and need edges= between which they are found")
    return Statistics(kept, bounds, shares)


def of_block(x: jax.Array, there: jax.Array, edges: np.ndarray | None) -> dict[str, jax.Array]:
    """The statistics over the last axis of x, of the draws that are there, a boolean of its length."""
    number = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
    counts = there & ~jnp.isnan(number)
    n = jnp.sum(counts, axis=-1)
    mean = jnp.sum(jnp.where(counts, number, 0), axis=-1) / jnp.maximum(n, 1).astype(number.dtype)
    away = jnp.where(counts, number - mean[..., None], 0)
    found = {
        "count": n,
        "mean": mean,
        "m2": jnp.sum(away**2, axis=-1),
        "min": jnp.min(jnp.where(counts, number, jnp.inf), axis=-1),
        "max": jnp.max(jnp.where(counts, number, -jnp.inf), axis=-1),
    }
    if edges is not None:
        place = jnp.searchsorted(jnp.asarray(edges, number.dtype), number, side="right")
        bins = jnp.arange(len(edges) + 1, dtype=place.dtype)
        found["histogram"] = jnp.sum(counts[..., None] & (place[..., None] == bins), axis=-2)
    return found


def merged(first: dict[str, np.ndarray] | None, block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Two blocks as one, in float64 and int64 (Chan, Golub and LeVeque's update of the mean and of M2)."""
    new = {name: np.asarray(x, np.int64 if x.dtype.kind in "iu" else np.float64) for name, x in block.items()}
    if first is None:
        return new
    n, m = first["count"], new["count"]
    total = np.maximum(n + m, 1)
    apart = new["mean"] - first["mean"]
    found = {
        "count": n + m,
        "mean": np.where(m > 0, first["mean"] + apart * (m / total), first["mean"]),
        "m2": first["m2"] + new["m2"] + apart**2 * (n * (m / total)),
        "min": np.minimum(first["min"], new["min"]),
        "max": np.maximum(first["max"], new["max"]),
    }
    if "histogram" in new:
        found["histogram"] = first["histogram"] + new["histogram"]
    return found


def finished(kept: Statistics, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is asked for, by the end of its name; NaN where there is no number at all."""
    nothing = found["count"] == 0
    answer: dict[str, np.ndarray] = {}
    for name in kept.names:
        answer[name] = found[name] if name == "count" else np.where(nothing, np.nan, found[name])
    if kept.edges is not None:
        answer["histogram"] = found["histogram"]
    if kept.edges is not None and kept.quantiles is not None:
        low, high = _brackets(found["histogram"], found["count"], kept.edges, kept.quantiles)
        answer |= {"quantile_low": low, "quantile_high": high}
    return answer


def _brackets(histogram: np.ndarray, count: np.ndarray, edges: np.ndarray, shares: np.ndarray) -> Any:
    """The edges below and above each quantile: of ⌈share·count⌉ numbers (1 at least) the largest."""
    upto = np.cumsum(histogram, axis=-1)
    wanted = np.clip(np.ceil(shares * count[..., None]), 1, None)
    place = np.sum(upto[..., None, :] < wanted[..., None], axis=-1)
    below, above = np.concatenate([[-np.inf], edges]), np.concatenate([edges, [np.inf]])
    nothing = (count == 0)[..., None]
    place = np.minimum(place, len(edges))
    return np.where(nothing, np.nan, below[place]), np.where(nothing, np.nan, above[place])


def kept_as(kept: Statistics, dtype: np.dtype, shape: tuple[int, ...]) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Of each thing kept of an output of some shape: dtype, and shape."""
    whole, real = np.dtype(np.int64), np.dtype(np.float64)
    found: dict[str, Any] = {name: (whole if name == "count" else real, shape) for name in kept.names}
    if kept.edges is not None:
        found["histogram"] = whole, (*shape, len(kept.edges) + 1)
    if kept.quantiles is not None:
        found |= {f"quantile_{end}": (real, (*shape, len(kept.quantiles))) for end in ("low", "high")}
    return found

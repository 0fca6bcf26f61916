"""How wrong a solution can be: one certificate for any vector of values, wherever it came from.

For any h let q = fl(r̃ + γPh), v = fl(op q), g = fl(v − h). With u the unit roundoff, k the most non-zeros in a
transition row, δ the largest row-sum defect and L the number of discounted steps,

    ρ = γ(ku/(1 − ku) + δ + u)‖h‖ + u(‖r̃‖ + ‖q‖)        bounds the rounding of q
    lo = min g − ρ − u‖g‖,   hi = max g + ρ + u‖g‖        enclose the exact one-step change of h
    V* − h  lies in [L·lo, L·hi],  hence  Q* − q − ρ-ball  in  γL·[lo, hi]

so Q* = q + γL(lo + hi)/2 ± (ρ + w/2) with w = γL(hi − lo), up to the rounding of that sum. The gap V* − Q* does not pay
for the shift: its error is at most 2ρ + w. Numbers below the smallest normal one may be flushed to zero, which adds a
constant of that size to ρ; an operator that rounds (an average, a log-sum-exp) adds its own `slack`. Where an episode
can end, the 0 of its end belongs to [lo, hi]. The *span* hi − lo shrinks with mixing, on many chains ten to a hundred
times sooner than ‖g‖. (MacQueen 1966 and Porteus 1971 for the exact part; the rounding terms are tested against
rational arithmetic.)
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core.numerics import namespace, unit_roundoff
from jaxcliff.core.records import record
from jaxcliff.core.types import LaneScalars
from jaxcliff.solvers.batch import Batch


@record
class Certificate:
    """Per lane: `offset` to add to q and v, and bounds on the error of Q and of gaps (before u·gap).

    `change` is the measured range of g, `noise` the part of the bound that no iteration can remove.
    """

    offset: LaneScalars
    error_bound: LaneScalars
    gap_error: LaneScalars
    change: LaneScalars
    noise: LaneScalars


def worst(measured: Any, axis: int = -1) -> Any:
    """The largest error that an operator measured in itself; 0 where it had nothing to measure."""
    return 0 if measured is None else jnp.max(measured, axis=axis)


def enclosed(
    u: float, reach: Any, lowest: Any, highest: Any, rho: Any, slack: Any = 0
) -> tuple[Any, Any, Any, tuple[Any, Any]]:
    """What follows from a measured step g in [lowest, highest], wrong by ρ (and what an operator adds itself).

    For numpy's arrays and for JAX's: the noise in [lo, hi], w = γL(hi − lo), the error of a gap, and (lo, hi).
    """
    xp = namespace(lowest, highest)
    noise = rho + slack + u * xp.maximum(xp.abs(lowest), xp.abs(highest))
    low, high = lowest - noise, highest + noise
    width = reach * (high - low)
    return noise, width, (2 * rho + slack + width) * (1 + 16 * u), (low, high)


def certify(batch: Batch, h: jax.Array, v: jax.Array, measured: Any, axis: int = -1) -> Certificate:
    """The certificate of h, given v = op(backup(h)) and the error measured while computing v; `axis` is the states'."""
    u = unit_roundoff(h.dtype)
    h_norm = jnp.max(jnp.abs(h), axis=axis)
    q_norm = batch.peak + h_norm
    slack = batch.rounding.relative * q_norm + batch.rounding.absolute + worst(measured, axis)
    rho = batch.drift * h_norm + u * (batch.peak + q_norm) + jnp.where((q_norm > 0) | batch.tiny, batch.underflow, 0)
    g = v - h
    lowest, highest = jnp.min(g, axis=axis), jnp.max(g, axis=axis)
    if batch.mdp.pinned:
        lowest, highest = jnp.minimum(lowest, 0), jnp.maximum(highest, 0)
    reach = batch.discount * batch.steps
    noise, width, gap_error, (low, high) = enclosed(u, reach, lowest, highest, rho, slack)
    middle = reach * (low + high) / 2
    level = batch.centre * batch.steps
    offset = middle + level
    shift_error = 6 * u * (jnp.abs(middle) + jnp.abs(level)) + u * (q_norm + batch.rounding.bonus + jnp.abs(offset))
    return Certificate(
        offset=offset,
        error_bound=(rho + slack + width / 2 + shift_error) * (1 + 16 * u),
        gap_error=gap_error,
        change=highest - lowest,
        noise=noise,
    )

"""Value iteration that stops by span bounds.

    h ← v − mid(v),   v = op(r̃ + γPh)

A lane has finished when its error bound is within the tolerance; or when the change of one sweep is below
the noise of one sweep; or when 2L sweeps have not halved the change, which exact arithmetic would have done
(γ^{2L} ≤ e⁻²; at γ = 1, P(more than 2H steps) ≤ ½): both are the rounding floor.
"""

import jax
import jax.numpy as jnp

from jaxcliff._records import record
from jaxcliff._types import LaneFlags, LaneScalars, Values
from jaxcliff.solvers import bounds
from jaxcliff.solvers.batch import Batch
from jaxcliff.solvers.loop import iterate


@record
class _Sweep:
    h: Values
    mark: LaneScalars  # the change at the last milestone
    count: jax.Array


def value_iteration(batch: Batch, h: Values, tolerance: LaneScalars, limit: int) -> tuple[Values, LaneFlags, jax.Array]:
    """Iterates from h; returns the last h, which lanes finished, and sweeps per lane."""
    milestone = jnp.minimum(2 * batch.steps + 1, 2.0**30).astype(jnp.int32)

    def sweep(state: _Sweep) -> tuple[_Sweep, LaneFlags]:
        v, measured = batch.value(batch.backup(state.h))
        bound = bounds.certify(batch, state.h, v, measured)
        at_milestone = state.count % milestone == milestone - 1
        finished = (
            (bound.error_bound <= tolerance * batch.span)
            | ~(bound.change > bound.noise)
            | (at_milestone & (bound.change > 0.75 * state.mark))
        )
        mark = jnp.where(at_milestone, bound.change, state.mark)
        h = jnp.where(finished[:, None], state.h, batch.centred(v))
        return _Sweep(h, mark, state.count + 1), finished

    start = _Sweep(
        h=batch.centred(h), mark=jnp.full_like(batch.span, jnp.inf), count=batch.status.astype(jnp.int32) * 0
    )
    state, finished, count = iterate(sweep, start, batch.failed, limit)
    return state.h, finished, count

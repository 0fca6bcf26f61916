"""Value iteration that stops by span bounds.

    h ← v − mid(v),   v = op(r̃ + γPh)

A lane has finished when its error bound is within the tolerance; or when the change of one sweep is below
the noise of one sweep; or when 2L sweeps have not halved the change, which exact arithmetic would have done
(γ^{2L} ≤ e⁻²; at γ = 1, P(more than 2H steps) ≤ ½): both are the rounding floor.

Where the inverse M = (I − γP_π₀)⁻¹ of a nearby policy is at hand, the step h ← h + M(v − h) goes to the fixed point
at once where π₀ is the policy, and nearly so where it is near: a *chord* step, Newton's with an old derivative. A lane
takes such steps as long as they at least halve its change; two that did not, and it sweeps.

When only an eighth of the lanes is left, these go on by themselves.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff._numerics import contract
from jaxcliff._records import record
from jaxcliff._types import Columns, LaneFlags, LaneScalars, LaneStatus, Values
from jaxcliff.solvers import bounds, sweeps
from jaxcliff.solvers.batch import Batch
from jaxcliff.solvers.loop import Clock, iterate
from jaxcliff.transitions import Dense

SMALLEST_REST = 8  # lanes; fewer are not worth a second loop
FAILURES = 2  # of chord steps, before a lane sweeps


@record
class _Sweep:
    h: Columns
    change: LaneScalars  # of the last step
    mark: LaneScalars  # the change at the last milestone
    failures: LaneStatus
    count: LaneStatus


def value_iteration(
    batch: Batch, h: Values, tolerance: LaneScalars, limit: int, clock: Clock | None = None, inverse: Any = None
) -> tuple[Values, LaneFlags, LaneStatus]:
    """Iterates from h, [B, S]; returns the last h, which lanes finished, and sweeps per lane."""
    never, none = jnp.full_like(batch.span, jnp.inf), batch.status.astype(jnp.int32) * 0
    start = _Sweep(h=batch.centred(h).T, change=never, mark=never, failures=none, count=none)
    # The bits of a matrix product depend on its shape, so that a lane that needs one stays in its batch.
    products = isinstance(batch.mdp.transitions, Dense) or inverse is not None
    spare = 0 if products or len(batch.span) < 8 * SMALLEST_REST else len(batch.span) // 8
    step = _step(batch, tolerance, inverse)
    state, finished, count = iterate(
        step, start, batch.failed, limit, lane_axis=-1, spare=spare, clock=clock, cost=batch.sweep_cost
    )
    if spare:
        rest = jnp.argsort(finished, stable=True)[:spare]
        own, done, had = jax.tree.map(lambda x: x[..., rest], (state, finished, count))
        few = batch.take(rest)
        step = _step(few, tolerance[rest], inverse)
        found = iterate(step, own, done, limit, lane_axis=-1, count=had, clock=clock, cost=few.sweep_cost)
        state, finished, count = jax.tree.map(
            lambda whole, some: whole.at[..., rest].set(some), (state, finished, count), found
        )
    return state.h.T, finished, count


def _step(batch: Batch, tolerance: LaneScalars, inverse: Any) -> Callable[[_Sweep], tuple[_Sweep, LaneFlags]]:
    milestone = jnp.minimum(2 * batch.steps + 1, 2.0**30).astype(jnp.int32)
    backup = sweeps.backup(batch)

    def step(state: _Sweep) -> tuple[_Sweep, LaneFlags]:
        v, measured = backup(state.h)
        bound = bounds.certify(batch, state.h, v, measured, axis=0)
        at_milestone = state.count % milestone == milestone - 1
        finished = (
            (bound.error_bound <= tolerance * batch.span)
            | ~(bound.change > bound.noise)
            | (at_milestone & (bound.change > 0.75 * state.mark))
        )
        failures = jnp.where(bound.change > 0.5 * state.change, state.failures + 1, state.failures)
        if inverse is not None:
            chord = state.h + contract("st,tb->sb", inverse, v - state.h)
            v = batch.pin(jnp.where(failures < FAILURES, chord, v), axis=0)
        return _Sweep(
            h=jnp.where(finished, state.h, batch.centred(v, axis=0)),
            change=bound.change,
            mark=jnp.where(at_milestone, bound.change, state.mark),
            failures=failures,
            count=state.count + 1,
        ), finished

    return step

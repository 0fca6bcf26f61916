"""Value iteration that stops by span bounds.

    h ← v − mid(v),   v = op(r̃ + γPh)

After every few sweeps a lane looks whether it has finished: because its error bound is within the tolerance; or the
change of one sweep is below the noise of one sweep; or 2L sweeps have not halved the change, which exact arithmetic
would have done (γ^{2L} ≤ e⁻²; at γ = 1, P(more than 2H steps) ≤ ½): the last two are the rounding floor.

The certificate asks nothing of where h came from. So a large batch in float64 that starts from nowhere is swept in
float32 first, at half the cost, as far as float32 reaches.

Where the inverse M = (I − γP_π₀)⁻¹ of a nearby policy is at hand, the step h ← h + M(v − h) goes to the fixed point
at once where π₀ is the policy, and nearly so where it is near: a *chord* step, Newton's with an old derivative. A lane
takes such steps as long as they at least halve its change; two that did not, and it sweeps.

When only an eighth of the lanes is left, these go on by themselves.
"""

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

STRIDE = 4  # sweeps between two looks, which cost about half a sweep
SMALLEST_REST = 8  # lanes; fewer are not worth a second loop
FAILURES = 2  # of chord steps, before a lane sweeps
SEARCH_LIMIT = 64  # sweeps in float32: lanes that need more would hold up their block
SEARCH_WORK = 2**20  # multiplications of one sweep, from which a search in float32 pays for its compilation


@record
class Sweep:
    """Where a lane stands: enough to go on with the same bits, in whatever company."""

    h: Columns
    change: LaneScalars  # of the last step
    mark: LaneScalars  # the change at the last milestone
    failures: LaneStatus
    count: LaneStatus


def value_iteration(
    batch: Batch,
    h: Values,
    finished: LaneFlags,
    tolerance: LaneScalars,
    limit: Any,
    clock: Clock | None = None,
    *,
    inverse: Any = None,
    search: bool = False,
) -> tuple[Values, LaneFlags, LaneStatus]:
    """Iterates from h, [B, S], to the end; returns the last h, which lanes finished, and sweeps per lane."""
    state = begin(batch, h, finished, tolerance, limit, clock, search)
    spare = spare_lanes(batch, inverse)
    state, done = go_on(batch, state, finished, tolerance, limit, clock, spare=spare, inverse=inverse)
    if spare:
        rest = jnp.argsort(done, stable=True)[:spare]
        own = jax.tree.map(lambda x: x[..., rest], state)
        found = go_on(batch.take(rest), own, done[rest], tolerance[rest], limit, clock)
        state, done = jax.tree.map(lambda whole, some: whole.at[..., rest].set(some), (state, done), found)
    return state.h.T, done, state.count


def begin(
    batch: Batch,
    h: Values,
    finished: LaneFlags,
    tolerance: LaneScalars,
    limit: Any,
    clock: Clock | None = None,
    search: bool = False,
) -> Sweep:
    """The start from h. If that is worth nothing (`search`), a large batch in float64 looks for a better one first."""
    h = batch.centred(h).T
    if search and h.dtype == jnp.float64 and batch.sweep_cost >= SEARCH_WORK:
        coarse, unit = batch.coarse()
        state = _start(coarse, (h / unit).astype(jnp.float32))
        most = jnp.minimum(limit, SEARCH_LIMIT)
        state, _ = go_on(coarse, state, finished, tolerance.astype(jnp.float32), most, clock)
        found = state.h.astype(h.dtype) * unit
        h = jnp.where(jnp.all(jnp.isfinite(found), axis=0), found, h)
    return _start(batch, h)


def _start(batch: Batch, h: Columns) -> Sweep:
    never, none = jnp.full_like(batch.span, jnp.inf), batch.status.astype(jnp.int32) * 0
    return Sweep(h=h, change=never, mark=never, failures=none, count=none)


def spare_lanes(batch: Batch, inverse: Any = None) -> int:
    """How many lanes may go on by themselves. A lane that needs a product, whose bits depend on its shape, may not."""
    if isinstance(batch.mdp.transitions, Dense) or inverse is not None or len(batch.span) < 8 * SMALLEST_REST:
        return 0
    return len(batch.span) // 8


def go_on(
    batch: Batch,
    state: Sweep,
    finished: LaneFlags,
    tolerance: LaneScalars,
    limit: Any,
    clock: Clock | None = None,
    *,
    spare: int = 0,
    inverse: Any = None,
) -> tuple[Sweep, LaneFlags]:
    """Sweeps until no more than `spare` lanes are left; which lanes finished by themselves."""
    stride = jnp.clip(limit, 1, STRIDE if inverse is None else 1)
    milestone = jnp.minimum(2 * batch.steps + 1, 2.0**30).astype(jnp.int32)
    backup = sweeps.backup(batch)
    closed = jax.eval_shape(backup, state.h)[1] is None  # an operator that measures no error of its own

    def sweep(_: Any, state: Any) -> Any:
        _, v, _ = state
        return v, *backup(v)

    def step(state: Sweep) -> tuple[Sweep, LaneFlags]:
        if inverse is None:
            nothing = None if closed else state.h * 0
            h, v, measured = jax.lax.fori_loop(0, stride, sweep, (state.h, state.h, nothing))
        else:
            h, (v, measured) = state.h, backup(state.h)
        bound = bounds.certify(batch, h, v, measured, axis=0)
        at_milestone = state.count // milestone < (state.count + stride) // milestone
        finished = (
            (bound.error_bound <= tolerance * batch.span)
            | ~(bound.change > bound.noise)
            | (at_milestone & (bound.change > 0.75 * state.mark))
        )
        failures = jnp.where(bound.change > 0.5 * state.change, state.failures + 1, state.failures)
        if inverse is not None:
            chord = h + contract("st,tb->sb", inverse, v - h)
            v = batch.pin(jnp.where(failures < FAILURES, chord, v), axis=0)
        return Sweep(
            h=batch.centred(jnp.where(finished, h, v), axis=0),
            change=bound.change,
            mark=jnp.where(at_milestone, bound.change, state.mark),
            failures=failures,
            count=state.count + stride,
        ), finished

    state, finished, _ = iterate(
        step,
        state,
        finished,
        limit,
        lane_axis=-1,
        count=state.count,
        spare=spare,
        stride=stride,
        clock=clock,
        cost=batch.sweep_cost * (STRIDE if inverse is None else 1),
    )
    return state, finished

"""Value iteration that stops by span bounds.

    h ← v − mid(v),   v = op(r̃ + γPh)

After every few sweeps a lane looks whether it has finished: because its error bound is within the tolerance; or the
change of one sweep is below the noise of one sweep; or 2L sweeps have not halved the change, which exact arithmetic
would have done (γ^{2L} ≤ e⁻²; at γ = 1, P(more than 2H steps) ≤ ½): the last two are the rounding floor.

The certificate asks nothing of where h came from. So a large batch in float64 that starts from nowhere is swept in
float32 first, at half the cost, as far as float32 reaches.

Where two sweeps after two sweeps change h by one and the same direction, up to a factor λ, what is still to come is a
geometric series, and the lane goes to its limit at once: h ← v + λ/(1 − λ)·change (Aitken's step). A policy that goes
round in a circle is such a case: its slowest error shrinks by γ a sweep, and nothing else is left. A lane whose change
grew after such a step a few times takes no more of them.

Where the inverse M = (I − γP_π₀)⁻¹ of a nearby policy is at hand, the step h ← h + M(v − h) goes to the fixed point
at once where π₀ is the policy, and nearly so where it is near: a *chord* step, Newton's with an old derivative. A lane
takes such steps as long as they at least halve its change; two that did not, and it is left to others.

When only an eighth of the lanes is left, these go on by themselves.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core.loop import Clock, iterate
from jaxcliff.core.numerics import contract
from jaxcliff.core.records import record
from jaxcliff.core.types import Columns, LaneFlags, LaneScalars, LaneStatus, Values
from jaxcliff.model.transitions import Dense
from jaxcliff.solvers import bounds
from jaxcliff.solvers.batch import Batch
from jaxcliff.solvers.methods import sweeps

STRIDE = 4  # sweeps between two looks, which cost about half a sweep; twice two
FORESIGHT = 16  # sweeps after which a lane may go to its limit at once, at the earliest after twice as many
ALIGNED = 0.1  # of a change, what may be left of it if the series is geometric
SMALLEST_REST = 8  # lanes; fewer are not worth a second loop
FAILURES = 2  # of chord steps, before a lane gives up
MISSES = 4  # of Aitken's steps, before a lane takes no more of them
SEARCH_LIMIT = 256  # sweeps in float32: lanes that need more would hold up their block
SEARCH_LANES = 16  # fewer are no faster in float32
SEARCH_WORK = 2**19  # multiplications of one sweep, from which a search in float32 pays for its compilation


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
    large = batch.sweep_cost >= SEARCH_WORK and len(batch.span) >= SEARCH_LANES
    if search and large and h.dtype == jnp.float64:
        coarse, unit = batch.coarse()
        state = _start(coarse, (h / unit).astype(jnp.float32))
        most = jnp.minimum(limit, SEARCH_LIMIT)
        state, _ = go_on(coarse, state, finished, tolerance.astype(jnp.float32), most, clock)
        found = state.h.astype(h.dtype) * unit
        h = jnp.where(jnp.all(jnp.isfinite(found), axis=0), found, h)
    return _start(batch, h)


def _ahead(batch: Batch, looks: LaneFlags, h: Columns, middle: Columns, last: Columns, v: Columns) -> Columns:
    """Where values go that were h, two sweeps later `middle`, then `last`, and now are v, if they go to a limit; or v.

    A series of every other sweep has done with errors that change their sign; one of sweeps with what is left of them.
    """
    before = batch.centred(jnp.stack([middle - h, last - middle]), axis=1)
    now = batch.centred(jnp.stack([v - middle, v - last]), axis=1)
    largest = jnp.max(jnp.abs(now), axis=1, keepdims=True)
    unit = jnp.where(largest > 0, largest, 1)
    before, now = before / unit, now / unit
    less = before - now
    ahead = jnp.sum(less * now, axis=1) / jnp.sum(less * less, axis=1)  # λ/(1 − λ); NaN compares false
    rest = jnp.max(jnp.abs(now - ahead[:, None] * less), axis=1)
    far, near = looks & (rest <= ALIGNED) & (jnp.abs(ahead) <= batch.steps)
    ahead = ahead * unit[:, 0]
    return v + jnp.where(far, ahead[0] * now[0], jnp.where(near, ahead[1] * now[1], 0))


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
    turns = jnp.where((limit < STRIDE) | (inverse is not None), 1, 2)
    stride = turns**2
    milestone = jnp.minimum(2 * batch.steps + 1, 2.0**30).astype(jnp.int32)
    backup = sweeps.backup(batch)
    closed = jax.eval_shape(backup, state.h)[1] is None  # an operator that measures no error of its own

    def sweep(_: Any, state: Any) -> Any:
        _, v, _ = state
        return v, *backup(v)

    def on(_: Any, state: Any) -> Any:
        return state[2], *jax.lax.fori_loop(0, turns, sweep, state[1:])

    def step(state: Sweep) -> tuple[Sweep, LaneFlags]:
        if inverse is None:
            nothing = None if closed else state.h * 0
            start = (state.h, state.h, state.h, nothing)
            middle, h, v, measured = jax.lax.fori_loop(0, turns, on, start)
        else:
            h, (v, measured) = state.h, backup(state.h)
        bound = bounds.certify(batch, h, v, measured, axis=0)
        at_milestone = state.count // milestone < (state.count + stride) // milestone
        failed = bound.change > (1.0 if inverse is None else 0.5) * state.change
        failures, mark = jnp.where(failed, state.failures + 1, state.failures), state.mark
        if inverse is None:  # sweeps never make a change larger: what a step too far has cost is no sign of a floor
            mark = jnp.where(failed & (failures <= MISSES), jnp.inf, mark)
        finished = (
            (bound.error_bound <= tolerance * batch.span)
            | ~(bound.change > bound.noise)
            | (at_milestone & (bound.change > 0.75 * mark))
        )
        if inverse is not None:
            v = batch.pin(h + contract("st,tb->sb", inverse, v - h), axis=0)
            finished |= failures >= FAILURES
        else:
            looks = (state.count + stride) % FORESIGHT == 0
            looks &= (state.count >= 2 * FORESIGHT - stride) & (failures < MISSES)
            ahead = functools.partial(_ahead, batch, looks)
            v = jax.lax.cond(jnp.any(looks), ahead, lambda *values: values[-1], state.h, middle, h, v)
        return Sweep(
            h=batch.centred(jnp.where(finished, h, v), axis=0),
            change=bound.change,
            mark=jnp.where(at_milestone, bound.change, mark),
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
    return state, finished if inverse is None else finished & (state.failures < FAILURES)

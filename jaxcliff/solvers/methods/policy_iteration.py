"""Policy iteration that cannot cycle: an action is switched only where its advantage is certain, or the bound falls.

    V ← (I − γP_π)⁻¹ r_π (deflated),   π ← the best action where its advantage exceeds its certified error

Each such switch improves the policy in exact arithmetic. On slowly mixing chains the certified error of an advantage
is far above its actual one; so when no advantage is certain any more, those above the rounding of one backup are tried,
as long as each try lowers the certified bound by a tenth. Both kinds of step can happen only finitely often: ties are
left alone. A few sweeps of value iteration then shrink what is left.

A linear solve costs as much as hundreds of sweeps. So every lane begins with roughly as many sweeps as its solves would
cost (`plans.py`), and those that this was enough for are spared the solves.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core.loop import Clock, iterate, repeat
from jaxcliff.core.numerics import contract, unit_roundoff
from jaxcliff.core.records import record
from jaxcliff.core.types import Columns, LaneFlags, LaneScalars, LaneStatus, Values
from jaxcliff.solvers import bounds
from jaxcliff.solvers.batch import Batch
from jaxcliff.solvers.methods import sweeps
from jaxcliff.solvers.methods.linear import policy_values
from jaxcliff.solvers.methods.value_iteration import begin, go_on

FINISHING_SWEEPS = 16
GUESSED_IMPROVEMENTS = 10  # of a policy, for how long a group of lanes will take
MATRIX_ENTRIES = 2**20  # of the matrices held at a time: 8 MiB in float64, which a processor still has at hand
DEVICE_ENTRIES = 2**26  # the same on an accelerator, which wants many at once

Evaluate = Callable[[jax.Array], tuple[Columns, LaneFlags]]


@record
class _Improvement:
    actions: jax.Array
    h: Columns  # the values with the smallest certified bound so far
    bound: LaneScalars


def lanes_at_a_time(num_states: int) -> int:
    """How many lanes are solved at a time, so that their S × S matrices stay within bounds."""
    entries = MATRIX_ENTRIES if jax.default_backend() == "cpu" else DEVICE_ENTRIES
    return max(1, entries // num_states**2)


def sweeps_first(num_states: int) -> int:
    """As many sweeps as the linear solves of a lane may cost."""
    return 1000 + num_states**2 // 8


def policy_iteration(
    batch: Batch, h: Values, finished: LaneFlags, tolerance: LaneScalars, limit: Any, clock: Clock | None = None
) -> tuple[Values, LaneFlags, LaneStatus]:
    """Iterates from the greedy policy of h; returns h, which lanes finished, and their improvements."""
    lanes, size = len(h), lanes_at_a_time(batch.mdp.num_states)
    count = batch.status.astype(jnp.int32) * 0
    if lanes <= size:
        return _solves(batch, h, finished, tolerance, limit, clock)

    def some(state: tuple[Values, LaneFlags, LaneFlags, LaneStatus]) -> tuple:
        h, finished, tried, count = state
        rest = jnp.argsort(tried, stable=True)[:size]
        now = _solves(batch.take(rest), h[rest], tried[rest], tolerance[rest], limit)
        fresh = jnp.where(tried[rest], lanes, rest)  # where fewer are left, lanes that had their turn fill up
        h, finished, count = (x.at[fresh].set(y, mode="drop") for x, y in zip((h, finished, count), now, strict=True))
        return h, finished, tried.at[rest].set(True), count

    start = (h, finished, finished, count)
    cost = GUESSED_IMPROVEMENTS * batch.solve_cost * size / lanes
    h, finished, _, count = repeat(lambda state: jnp.any(~state[2]), some, start, clock, cost)
    return h, finished, count


def _solves(
    batch: Batch, h: Values, finished: LaneFlags, tolerance: LaneScalars, limit: Any, clock: Clock | None = None
) -> tuple[Values, LaneFlags, LaneStatus]:
    def evaluate(actions: jax.Array) -> tuple[Columns, LaneFlags]:
        policy = jax.nn.one_hot(actions.T, batch.mdp.num_actions, dtype=h.dtype)
        received = contract("bsa,bsa->bs", policy, batch.reward)
        return policy_values(batch.mdp, batch.discount, policy, received).T, ~batch.failed

    better, done, count = improve_policies(batch, h, finished, evaluate, limit, clock)
    return polished(batch, better, finished, tolerance, clock), done, count


def polished(
    batch: Batch, h: Values, finished: LaneFlags, tolerance: LaneScalars, clock: Clock | None = None
) -> Values:
    """A few sweeps, which shrink what a linear solve has left of its rounding."""
    limit = FINISHING_SWEEPS
    return go_on(batch, begin(batch, h, finished, tolerance, limit), finished, tolerance, limit, clock)[0].h.T


def evaluation(
    batch: Batch, h: Values, finished: LaneFlags, tolerance: LaneScalars, limit: Any, clock: Clock | None = None
) -> tuple[Values, LaneFlags, LaneStatus]:
    """The values of one given policy per lane: a single linear solve."""
    policy = batch.operator.policy(batch.reward, batch.mdp.legal)
    received = contract("bsa,bsa->bs", policy, batch.reward)
    h = jnp.where(finished[:, None], h, batch.centred(policy_values(batch.mdp, batch.discount, policy, received)))
    return polished(batch, h, finished, tolerance, clock), ~batch.failed, (~finished).astype(jnp.int32)


def improve_policies(
    batch: Batch,
    h: Values,
    finished: LaneFlags,
    evaluate: Evaluate,
    limit: Any,
    clock: Clock | None = None,
    cost: float | None = None,
) -> tuple[Values, LaneFlags, LaneStatus]:
    """The loop of improvements, for any way to find the values of a policy: actions [S, B] → (values, lanes it could).

    A lane whose policy could not be evaluated stops with the best values it had, and counts as not finished.
    """
    u = unit_roundoff(h.dtype)
    best_of = sweeps.improvement(batch)

    def improve(state: tuple[_Improvement, LaneFlags]) -> tuple[tuple[_Improvement, LaneFlags], LaneFlags]:
        now, _ = state
        h, able = evaluate(now.actions)
        h = batch.centred(h, axis=0)
        best, first, own = best_of(h, now.actions)
        advantage = (best - own) * (1 - 4 * u)
        current, optimum = (bounds.certify(batch, h, v, None, axis=0) for v in (own, best))
        certain = advantage > current.gap_error
        plausible = advantage > 2 * current.noise
        improves = jnp.any(certain, axis=0)
        falls = able & (optimum.error_bound < now.bound)
        proceed = able & (improves | (jnp.any(plausible, axis=0) & (optimum.error_bound < 0.9 * now.bound)))
        proposed = _Improvement(
            actions=jnp.where(jnp.where(improves, certain, plausible) & able, first, now.actions),
            h=jnp.where(falls, h, now.h),
            bound=jnp.where(falls, optimum.error_bound, now.bound),
        )
        return (proposed, able), ~proceed

    start = batch.centred(h).T
    _, actions, _ = best_of(start, jnp.zeros(start.shape, jnp.int32))
    first = (_Improvement(actions, start, jnp.full_like(batch.span, jnp.inf)), ~batch.failed)
    (last, able), finished, count = iterate(
        improve, first, finished, limit, lane_axis=-1, clock=clock, cost=cost or batch.solve_cost
    )
    return last.h.T, finished & able, count

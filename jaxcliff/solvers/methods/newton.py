"""Newton's method on a regularised Bellman equation, known as soft policy iteration.

A regularised maximum is convex, and its derivative is its policy: op(q') ≥ op(q) + π·(q' − q). Solving the linear
equation on the right for its fixed point is one step:

    V ← (I − γP_π)⁻¹ [Σ π r̃ + (op(q) − Σ π q)]

the value of the current policy with the bonus of its own regulariser. The values rise to the optimum, quadratically
near it. A lane has finished when its bound is within the tolerance, or its change is below the noise of one backup, or
a few steps in a row have not lowered the bound by a tenth; a few sweeps of value iteration then shrink what is left.
"""

from typing import Any

import jax.numpy as jnp

from jaxcliff.core.loop import Clock, iterate
from jaxcliff.core.numerics import contract
from jaxcliff.core.records import record
from jaxcliff.core.types import LaneFlags, LaneScalars, LaneStatus, Values
from jaxcliff.solvers import bounds
from jaxcliff.solvers.batch import Batch
from jaxcliff.solvers.methods.linear import policy_values
from jaxcliff.solvers.methods.policy_iteration import polished

PATIENCE = 4


@record
class _Step:
    h: Values
    best: Values  # the values with the smallest certified bound so far
    bound: LaneScalars
    stale: LaneStatus  # how many steps ago the bound last fell by a tenth


def newton(
    batch: Batch, h: Values, finished: LaneFlags, tolerance: LaneScalars, limit: Any, clock: Clock | None = None
) -> tuple[Values, LaneFlags, LaneStatus]:
    """Iterates from h; returns the best h, which lanes finished, and steps per lane."""
    operator, legal = batch.operator, batch.mdp.legal

    def step(state: _Step) -> tuple[_Step, LaneFlags]:
        q = batch.backup(state.h)
        v, measured = batch.value(q)
        certificate = bounds.certify(batch, state.h, v, measured)
        bound = certificate.error_bound
        policy = operator.policy(q, legal)
        bonus = v - contract("bsa,bsa->bs", policy, q)
        received = contract("bsa,bsa->bs", policy, batch.reward) + bonus
        proposed = _Step(
            h=batch.centred(policy_values(batch.mdp, batch.discount, policy, received)),
            best=jnp.where((bound < state.bound)[:, None], state.h, state.best),
            bound=jnp.minimum(bound, state.bound),
            stale=jnp.where(bound < 0.9 * state.bound, 0, state.stale + 1),
        )
        finished = (
            (proposed.bound <= tolerance * batch.span)
            | ~(certificate.change > certificate.noise)
            | (proposed.stale >= PATIENCE)
        )
        return proposed, finished

    h = batch.centred(h)
    start = _Step(h, h, jnp.full_like(batch.span, jnp.inf), batch.status.astype(jnp.int32) * 0)
    state, done, count = iterate(step, start, finished, limit, clock=clock, cost=batch.solve_cost)
    best = jnp.where(finished[:, None], h, state.best)
    return polished(batch, best, finished, tolerance, clock), done, count

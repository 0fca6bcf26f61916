"""The method "shared": a batch of rewards solved around one policy that was factored beforehand.

A hard lane runs policy iteration in which every policy is evaluated through the factorisation (`factorize.py`): a few
matrix products for the whole batch, however slowly the chain mixes. A soft lane takes chord steps with the inverse.
A lane that moves too far from the base is left to the other methods (`plans.py`): they start from what was found, and
certify all lanes alike.
"""

from typing import Any

from jaxcliff.core.loop import Clock
from jaxcliff.core.types import LaneFlags, LaneScalars, LaneStatus, Values
from jaxcliff.solvers.batch import Batch
from jaxcliff.solvers.methods.factorize import Factorization, evaluate_nearby
from jaxcliff.solvers.methods.policy_iteration import FINISHING_SWEEPS, improve_policies
from jaxcliff.solvers.methods.value_iteration import begin, go_on, value_iteration


def shared(
    base: Factorization,
    batch: Batch,
    h: Values,
    finished: LaneFlags,
    tolerance: LaneScalars,
    limit: Any,
    clock: Clock | None = None,
) -> tuple[Values, LaneFlags, LaneStatus]:
    """Iterates from h; returns the last h, which lanes finished, and steps per lane."""
    if batch.operator.kind == "regularized":
        return value_iteration(batch, h, finished, tolerance, limit, clock, inverse=base.inverse)
    cost = batch.sweep_cost + len(batch.reward) * (batch.mdp.num_states**2 + base.capacity**3 / 3)
    h, _, count = improve_policies(batch, h, finished, evaluate_nearby(base, batch), limit, clock, cost)
    state, done = go_on(
        batch, begin(batch, h, finished, tolerance, limit), finished, tolerance, FINISHING_SWEEPS, clock
    )
    return state.h.T, done, count

"""Policy iteration that cannot cycle: an action is switched only where its advantage is certain.

    V ← (I − γP_π)⁻¹ r_π (deflated),   π ← the best action where its advantage exceeds its certified error

Each switch improves the policy in exact arithmetic, so the loop ends at a policy whose remaining advantages
could all be rounding; ties are left alone. A few sweeps of value iteration then shrink what the advantages
that were too small to certify leave in the bound.
"""

import jax

from jaxcliff._numerics import contract
from jaxcliff._records import record
from jaxcliff._types import LaneFlags, LaneScalars, Policies, Values
from jaxcliff.solvers import bounds
from jaxcliff.solvers.batch import Batch
from jaxcliff.solvers.linear import policy_values
from jaxcliff.solvers.loop import iterate
from jaxcliff.solvers.value_iteration import value_iteration

FINISHING_SWEEPS = 16
BLOCK_ENTRIES = 2**23  # matrix entries held at a time: 64 MiB in float64


@record
class _Improvement:
    policy: Policies
    h: Values


def block_size(num_states: int) -> int:
    """How many lanes are solved at a time, so that their S × S matrices stay within `BLOCK_ENTRIES`."""
    return max(1, BLOCK_ENTRIES // num_states**2)


def policy_iteration(
    batch: Batch, h: Values, tolerance: LaneScalars, limit: int
) -> tuple[Values, LaneFlags, jax.Array]:
    """Iterates from the greedy policy of h; returns h, which lanes finished, and improvements per lane."""
    operator, legal = batch.operator, batch.mdp.legal

    def improve(state: _Improvement) -> tuple[_Improvement, LaneFlags]:
        h = policy_values(batch.mdp, batch.discount, state.policy, batch.reward)
        h = batch.centred(h)
        q = batch.backup(h)
        own = contract("bsa,bsa->bs", state.policy, q)
        error = bounds.certify(batch, h, batch.pin(own)).gap_error
        policy, switched = operator.improve(state.policy, q, own, legal, error)
        return _Improvement(policy, h), ~switched

    h = batch.centred(h)
    start = _Improvement(operator.policy(batch.backup(h), legal), h)
    state, finished, count = iterate(improve, start, batch.failed, limit)
    h, _, _ = value_iteration(batch, state.h, tolerance, FINISHING_SWEEPS)
    return h, finished, count

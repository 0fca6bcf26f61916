"""Policy iteration that cannot cycle: an action is switched only where its advantage is certain, or the bound falls.

    V ← (I − γP_π)⁻¹ r_π (deflated),   π ← the best action where its advantage exceeds its certified error

Each such switch improves the policy in exact arithmetic. On slowly mixing chains the certified error of an advantage
is far above its actual one; so when no advantage is certain any more, those above the rounding of one backup are tried,
as long as each try lowers the certified bound by a tenth. Both kinds of step can happen only finitely often: ties are
left alone. A few sweeps of value iteration then shrink what is left.
"""

import jax
import jax.numpy as jnp

from jaxcliff._numerics import contract, unit_roundoff
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
    h: Values  # the values with the smallest certified bound so far
    bound: LaneScalars


def block_size(num_states: int) -> int:
    """How many lanes are solved at a time, so that their S × S matrices stay within `BLOCK_ENTRIES`."""
    return max(1, BLOCK_ENTRIES // num_states**2)


def policy_iteration(
    batch: Batch, h: Values, tolerance: LaneScalars, limit: int
) -> tuple[Values, LaneFlags, jax.Array]:
    """Iterates from the greedy policy of h; returns h, which lanes finished, and improvements per lane."""
    operator, legal = batch.operator, batch.mdp.legal

    def improve(state: _Improvement) -> tuple[_Improvement, LaneFlags]:
        received = contract("bsa,bsa->bs", state.policy, batch.reward)
        h = batch.centred(policy_values(batch.mdp, batch.discount, state.policy, received))
        q = batch.backup(h)
        own, (best, measured) = contract("bsa,bsa->bs", state.policy, q), operator.value(q, legal)
        advantage = (best - own) * (1 - 4 * u)
        evaluation, optimum = (bounds.certify(batch, h, batch.pin(v), measured) for v in (own, best))
        certain = advantage > evaluation.gap_error[:, None]
        plausible = advantage > 2 * evaluation.noise[:, None]
        improves = jnp.any(certain, axis=-1)
        switch = jnp.where(improves[:, None], certain, plausible)
        proceed = improves | (jnp.any(plausible, axis=-1) & (optimum.error_bound < 0.9 * state.bound))
        proposed = _Improvement(
            policy=jnp.where(switch[..., None], operator.policy(q, legal), state.policy),
            h=jnp.where((optimum.error_bound < state.bound)[:, None], h, state.h),
            bound=jnp.minimum(optimum.error_bound, state.bound),
        )
        return proposed, ~proceed

    h = batch.centred(h)
    u = unit_roundoff(h.dtype)
    start = _Improvement(operator.policy(batch.backup(h), legal), h, jnp.full_like(batch.span, jnp.inf))
    state, finished, count = iterate(improve, start, batch.failed, limit)
    h, _, _ = value_iteration(batch, state.h, tolerance, FINISHING_SWEEPS)
    return h, finished, count

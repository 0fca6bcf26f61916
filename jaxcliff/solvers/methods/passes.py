"""Problems that need no iteration: trees by one backward pass, bandits by their rewards.

A tree's values follow from its last level upwards. With E_t the bound on the error of level t,

    E_t = (γE_{t+1} + uγ‖V_{t+1}‖ + u‖Q_t‖)(1 + 4u),     error of a gap of level t ≤ 2E_t + u·gap,

where ‖Q_t‖ is at most ‖R‖ + γ‖V_{t+1}‖, which takes no further look at Q.

A bandit's action values, and those of a tree's last level, are its rewards, exactly; only where they are tiny, gaps
between them may be lost below the smallest normal number.
"""

import jax
import jax.numpy as jnp

from jaxcliff.core.numerics import unit_roundoff
from jaxcliff.core.types import LaneScalars, Rewards, Values
from jaxcliff.model.transitions import Tree
from jaxcliff.solvers.batch import SMALL, Batch, tiny_lanes
from jaxcliff.solvers.bounds import worst


def backward(batch: Batch) -> tuple[Rewards, Values, LaneScalars, jax.Array]:
    """Q, V, the error bound of each lane and the gap error of each state, from the leaves up."""
    tree = batch.mdp.transitions
    assert isinstance(tree, Tree)
    u = unit_roundoff(batch.reward.dtype)
    starts = tree.level_starts
    error, q_norm, flushed = jnp.zeros_like(batch.span), batch.peak, _flushed(batch)
    after = None
    levels = []
    for t in reversed(range(tree.depth)):
        rows = slice(starts[t], starts[t + 1])
        operator = batch.operator.level(rows.start, rows.stop)
        legal = None if batch.mdp.legal is None else batch.mdp.legal[rows]
        q = batch.reward[:, rows]
        if after is not None:
            children = after.reshape(*after.shape[:-1], tree.level_sizes[t], tree.vocabulary)
            if tree.end_token:
                children = jnp.pad(children, [(0, 0), (0, 0), (0, 1)])
            q = q + batch.discount * children
            largest = jnp.max(jnp.abs(after), axis=-1)
            error = batch.discount * (error + u * largest) + flushed
            q_norm = batch.peak + batch.discount * largest
        after, measured = operator.value(q, legal)
        error = (error + (u * q_norm if t < tree.depth - 1 else 0)) * (1 + 4 * u)
        rounding = operator.rounding(q, legal)
        slack = rounding.relative * q_norm + rounding.absolute + worst(measured)
        lost = _lost(batch, q, legal, after) if t == tree.depth - 1 else 0
        levels.append((q, after, jnp.broadcast_to((2 * error + slack)[:, None] + lost, after.shape), error))
        error = (error + slack) * (1 + 4 * u)
    levels.reverse()
    q, v, gap_error = (jnp.concatenate([level[i] for level in levels], axis=1) for i in range(3))
    largest_error = jnp.max(jnp.stack([level[3] for level in levels] + [error]), axis=0) + flushed
    return q, v, largest_error, gap_error


def bandit(batch: Batch) -> tuple[Rewards, Values, LaneScalars, jax.Array]:
    """Q is the reward; only the operator can round."""
    v, measured = batch.value(batch.reward)
    slack = batch.rounding.relative * batch.peak + batch.rounding.absolute + worst(measured)
    return batch.reward, v, slack + _flushed(batch), slack[:, None] + _lost(batch, batch.reward, batch.mdp.legal, v)


def _flushed(batch: Batch) -> LaneScalars:
    """What a reward can lose below the smallest normal number."""
    return jnp.where((batch.peak > 0) | batch.tiny, batch.underflow, 0)


def _lost(batch: Batch, q: Rewards, legal: jax.Array | None, v: Values) -> Values:
    """What a gap between rewards can lose: nothing, unless the best of them is tiny, and one of them not 0."""
    best = jnp.abs(v) < SMALL[q.dtype.name]
    counts = jnp.ones(q.shape[-2:], bool) if legal is None else legal
    lanes = tiny_lanes(q, counts, jnp.any(best, axis=-1))
    return jnp.where(best & lanes[:, None], batch.underflow, 0)

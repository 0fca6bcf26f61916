"""The one driver of every fixed-point method. It knows no mathematics and no decision problem."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxcliff._types import LaneFlags

State = TypeVar("State")


def iterate(
    step: Callable[[State], tuple[State, LaneFlags]],
    state: State,
    finished: LaneFlags,
    limit: int,
    *,
    lane_axis: int = 0,
    count: Any = None,
    spare: int = 0,
) -> tuple[State, LaneFlags, jax.Array]:
    """Repeats `step` on a batch of lanes until each says that it has finished, or `limit` is reached.

    A finished lane is frozen: what it holds never depends on how long its neighbours go on.

    Args:
        step: state → (next state, which lanes have finished).
        state: any pytree; the first axis of every leaf (or the last, `lane_axis=-1`) is that of the lanes.
        finished: lanes that need no step.
        limit: of steps per lane.
        count: steps that each lane has had already.
        spare: stop when no more than so many lanes are left.

    Returns:
        The last state, which lanes finished by themselves, and the number of steps of each lane.
    """

    def body(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        state, finished, count, n = carry
        proposed, now = step(state)
        state = jax.tree.map(lambda new, old: jnp.where(along(finished, old), old, new), proposed, state)
        return state, finished | now, count + (~finished).astype(count.dtype), n + 1

    def unfinished(carry: tuple[Any, ...]) -> jax.Array:
        _, finished, _, n = carry
        return (jnp.sum(~finished) > spare) & (n < limit)

    def along(lanes: LaneFlags, leaf: jax.Array) -> jax.Array:
        return lanes if lane_axis == -1 else lanes.reshape(lanes.shape + (1,) * (leaf.ndim - lanes.ndim))

    if count is None:
        count = finished.astype(jnp.int32) * 0
    state, finished, count, _ = jax.lax.while_loop(
        unfinished, body, (state, finished, count, jnp.max(count, initial=0))
    )
    return state, finished, count

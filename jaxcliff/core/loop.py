"""The one driver of every fixed-point method. It knows no mathematics and no decision problem.

A long solve runs in slices: a `Clock` limits how much its loops do in one call of the compiled program, and keeps where
they stood, so that the next call goes on from there, bit for bit. Without a clock, inside other JAX transformations, a
loop is one `jax.lax.while_loop`.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxcliff.core.types import LaneFlags

State = TypeVar("State")
Carry = TypeVar("Carry")


class Clock:
    """The work that is left for the loops of one program, one after the other, in one call.

    A loop that runs out of work stops, and those after it do not begin. On the next call (`saved` is what was `kept`)
    every loop that had begun takes up its own carry, so that what lies between loops computes what it did before.
    """

    def __init__(self, work: Any, saved: Any = None):
        self.left = jnp.asarray(work, jnp.float32)
        self.kept: list[Any] = []
        self._saved: Iterator[Any] | None = None if saved is None else iter(saved)

    def run(self, more: Callable[[Carry], Any], body: Callable[[Carry], Carry], carry: Carry, cost: float) -> Carry:
        """`jax.lax.while_loop`, each turn of which costs so much work."""
        begun = self.left > 0
        if self._saved is not None:
            before, stood = next(self._saved)
            carry = jax.tree.map(lambda old, new: jnp.where(before, old, new), stood, carry)
            begun |= before
        turns = jnp.ceil(jnp.minimum(self.left / cost, 2.0**30)).astype(jnp.int32)

        def turn(state: tuple[jax.Array, Carry]) -> tuple[jax.Array, Carry]:
            return state[0] + 1, body(state[1])

        done, carry = jax.lax.while_loop(
            lambda state: (state[0] < turns) & more(state[1]), turn, (jnp.zeros((), jnp.int32), carry)
        )
        self.left = jnp.maximum(self.left - done.astype(jnp.float32) * cost, 0)
        self.kept.append((begun, carry))
        return carry

    @property
    def finished(self) -> jax.Array:
        """Whether all loops came to their ends."""
        return self.left > 0


def repeat(
    more: Callable[[Carry], Any], body: Callable[[Carry], Carry], carry: Carry, clock: Clock | None, cost: float
) -> Carry:
    """`jax.lax.while_loop`, in slices if there is a clock."""
    return jax.lax.while_loop(more, body, carry) if clock is None else clock.run(more, body, carry, cost)


def iterate(
    step: Callable[[State], tuple[State, LaneFlags]],
    state: State,
    finished: LaneFlags,
    limit: Any,
    *,
    lane_axis: int = 0,
    count: Any = None,
    spare: int = 0,
    stride: Any = 1,
    clock: Clock | None = None,
    cost: float = 1.0,
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
        stride: how many steps one call of `step` makes.
        clock: limits how many calls are made now; each costs so much work.

    Returns:
        The last state, which lanes finished by themselves, and the number of steps of each lane.
    """

    def going(finished: LaneFlags, count: jax.Array) -> LaneFlags:
        return ~finished & (count <= limit - stride)

    def body(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        state, finished, count = carry
        on = going(finished, count)
        proposed, now = step(state)
        state = jax.tree.map(lambda new, old: jnp.where(along(on, old), new, old), proposed, state)
        return state, finished | (on & now), jnp.where(on, count + stride, count)

    def unfinished(carry: tuple[Any, ...]) -> jax.Array:
        return jnp.sum(going(*carry[1:])) > spare

    def along(lanes: LaneFlags, leaf: jax.Array) -> jax.Array:
        return lanes if lane_axis == -1 else lanes.reshape(lanes.shape + (1,) * (leaf.ndim - lanes.ndim))

    if count is None:
        count = finished.astype(jnp.int32) * 0
    return repeat(unfinished, body, (state, finished, count), clock, cost)

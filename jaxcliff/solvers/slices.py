"""A solve with numbers in hand: block after block of lanes, each in slices of about a second.

One compiled program solves a block as far as its work reaches, and says whether that was all; if not, it is called
again with what its loops kept, and goes on with the same bits (`loop.Clock`). Between slices Python is in charge, so
that Ctrl-C ends a solve that would take hours within a slice.
"""

import contextlib
import functools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff._records import is_concrete
from jaxcliff._types import LaneScalars, Rewards
from jaxcliff.mdp import MDP
from jaxcliff.solvers import methods
from jaxcliff.solvers.batch import prepare
from jaxcliff.solvers.lanes import block_size
from jaxcliff.solvers.loop import Clock
from jaxcliff.solvers.solution import Solution

FIRST_WORK = 4e9  # multiplications: about a second on one core, and more than most solves need
SLICE = 1.0  # seconds


def in_hand(*trees: Any) -> bool:
    """Whether there are numbers to compute with here and now: nothing is traced."""
    return is_concrete(*trees, jnp.zeros(()))


def solve_lanes(
    method: str,
    limit: int,
    problem: tuple[MDP, Any],
    operator: Any,
    rewards: Rewards,
    tolerance: LaneScalars,
    init: Any,
) -> Solution:
    """What `lanes.compiled(method, limit)` computes, in slices."""
    lanes = tolerance.size
    blocks = 1 if method in methods.PASSES else max(1, -(-lanes // block_size(method, operator.kind, problem[0])))
    size = -(-lanes // blocks)

    def block(start: int) -> Callable[..., Any]:
        return functools.partial(
            solve_slice, method, limit, size, problem, operator, rewards, tolerance, init, np.int32(start)
        )

    if method in methods.PASSES or not lanes:
        return block(0)(np.float32(FIRST_WORK), None)[0]
    with _held_interrupts() as check:
        if size == lanes:
            return _finish(block(0), check)
        # The last block overlaps the one before it: what is solved twice has the same bits.
        starts = [*range(0, lanes - size, size), lanes - size]
        whole = None
        for start in starts:
            own = _finish(block(start), check)
            whole = _room(own, lanes) if whole is None else whole
            whole = _put(whole, own, np.int32(start))
    return jax.tree.map(lambda x: x.reshape(*tolerance.shape, *x.shape[1:]), whole)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def solve_slice(
    method: str,
    limit: int,
    size: int,
    problem: tuple[MDP, Any],
    operator: Any,
    rewards: Rewards,
    tolerance: LaneScalars,
    init: Any,
    start: Any,
    work: Any,
    saved: Any,
) -> tuple[Solution, jax.Array, Any]:
    """So many lanes from a first one: a solution, whether it is one yet, and what the loops keep until then."""
    lead, lanes = tolerance.shape, tolerance.size
    own = jax.tree.map(lambda x: x.reshape(lanes, *x.shape[len(lead) :]), (operator, rewards, tolerance, init))
    if size < lanes:
        own = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, size), own)
    operator, rewards, tolerance, init = own
    (mdp, base), clock = problem, Clock(work, saved)
    batch = prepare(mdp, operator, rewards, method not in methods.PASSES)
    solution = methods.apply(method, limit, batch, base, tolerance, init, clock)
    if size == lanes:
        solution = jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), solution)
    return solution, clock.finished, clock.kept


def _finish(block: Callable[..., Any], check: Callable[[], None]) -> Solution:
    """Slice after slice. The first is as long everywhere: how many bits it computes depends on no clock."""
    work, saved, slices = FIRST_WORK, None, 0
    while True:
        began = time.perf_counter()
        solution, finished, saved = block(np.float32(work), saved)
        if bool(finished):
            return solution
        check()
        slices += 1
        if slices > 2:  # the first two may have been compiled
            work = max(work * float(np.clip(SLICE / (time.perf_counter() - began), 0.125, 8)), 1.0)


def _room(part: Solution, lanes: int) -> Solution:
    return jax.tree.map(lambda x: jnp.zeros((lanes, *x.shape[1:]), x.dtype), part)


@functools.partial(jax.jit, donate_argnums=0)
def _put(whole: Solution, part: Solution, start: Any) -> Solution:
    return jax.tree.map(lambda x, y: jax.lax.dynamic_update_slice_in_dim(x, y, start, 0), whole, part)


@contextlib.contextmanager
def _held_interrupts() -> Iterator[Callable[[], None]]:
    """Ctrl-C is raised between two slices: inside a callback of XLA's it would be swallowed."""
    pending: list[int] = []

    def check() -> None:
        if pending:
            raise KeyboardInterrupt("a solve was interrupted between two slices")

    plain = threading.current_thread() is threading.main_thread()
    if not (plain and signal.getsignal(signal.SIGINT) is signal.default_int_handler):
        yield check
        return
    signal.signal(signal.SIGINT, lambda number, frame: pending.append(number))
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    check()

"""A solve with numbers in hand: blocks of lanes over the cores of a processor, stage after stage.

Blocks are as large whatever the number of cores, and every lane carries its own state, so that no bit of an answer
depends on either, or on a lane's company. Lanes that a block of sweeps does not finish go on with those that other
blocks have left, then with the next stage. An accelerator works on as many lanes at once as fit, through all stages.
"""

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import slices
from jaxcliff.core.devices import cores
from jaxcliff.core.loop import Clock
from jaxcliff.core.types import LaneScalars, Rewards
from jaxcliff.model.transitions import Dense
from jaxcliff.solvers import plans
from jaxcliff.solvers.batch import prepare
from jaxcliff.solvers.lanes import Problem, block_size, compiled
from jaxcliff.solvers.methods.value_iteration import STRIDE, begin, go_on, spare_lanes
from jaxcliff.solvers.solution import Solution

PADDED = 256  # lanes; up to here a batch is filled up to a power of two
QUANTA = 8  # the steps in which the size of larger blocks grows: few sizes are few programs
LEFT = (32, 128)  # sizes of a block of lanes that others have left
SMALL = 2**16  # numbers in the rewards of a block; the programs of smaller ones are compiled with less effort


def solve_lanes(
    method: str,
    stages: plans.Stages,
    search: bool,
    problem: Problem,
    operator: Any,
    rewards: Rewards,
    tolerance: LaneScalars,
    init: Any,
) -> tuple[Solution, plans.Stages]:
    """What `lanes.compiled(method, stages, search)` computes, block by block; and which stages were needed.

    A base may be a function that makes it, or None if it could not: it is asked where lanes are left to go round it.
    """
    arguments = (operator, rewards, tolerance, init)
    mdp, base, limits = problem
    arrays = [leaf for leaf in jax.tree.leaves((problem, arguments)) if isinstance(leaf, jax.Array)]
    devices = {device for leaf in arrays if leaf.committed for device in leaf.devices()}  # others go wherever they must
    if not stages or not tolerance.size or len(devices) > 1:  # one program, which has to know its base beforehand
        known = [i for i, name in enumerate(stages) if not (name == "nearby" and callable(base))]
        stages, limits = tuple(stages[i] for i in known), tuple(limits[i] for i in known)
        base = None if callable(base) else base
        return compiled(method, stages, search)((mdp, base, limits), *arguments), stages
    lead, lanes = tolerance.shape, tolerance.size
    host = all(device.platform == "cpu" for device in devices) if devices else jax.default_backend() == "cpu"
    flat = jax.tree.map(lambda x: _shaped(np.asarray(x) if host else x, (lanes, *x.shape[len(lead) :])), arguments)
    size = block_size(stages, operator.kind, mdp)
    place = next(iter(devices), None)
    with slices.held_interrupts() as check:
        solver = _in_stages if host else _at_once
        whole, needed = solver(method, stages, search, problem, flat, size, check)
    whole = jax.tree.map(lambda x: _shaped(x, (*lead, *x.shape[1:])), whole)
    return jax.device_put(whole, place) if host else whole, needed


def _block(
    method: str,
    stages: plans.Stages,
    search: bool,
    stop: bool,
    problem: Problem,
    lanes: Any,
    state: Any,
    work: Any,
    saved: Any,
) -> Any:
    """The solution of some lanes, which of them finished by themselves, and where the others stand in their sweeps.

    If it may `stop`, it is one stage of sweeps, and does when few lanes are left.
    """
    (mdp, base, limits), (operator, rewards, tolerance, init) = problem, lanes
    clock = Clock(work, saved)
    batch = prepare(mdp, operator, rewards)
    if stop:
        search, (limit,) = search and init is None, limits
        if state is None:
            h = plans.start_values(batch, base, init)
            state = begin(batch, h, batch.failed, tolerance, limit, clock, search)
        state, done = go_on(batch, state, batch.failed, tolerance, limit, clock, spare=spare_lanes(batch))
        count = state.count if plans.counts(method, stages[0]) else state.count * 0
        solution = plans.certified(method, batch, state.h, done, count, tolerance)
    else:
        solution, done = plans.apply(method, stages, batch, base, tolerance, init, limits, clock, search)
    return (solution, done, state), clock.finished, clock.kept


PROGRAMS = slices.Programs(_block, statics=4)


def _at_once(
    method: str,
    stages: plans.Stages,
    search: bool,
    problem: Problem,
    lanes: Any,
    size: int,
    check: Callable[[], None],
) -> tuple[Solution, plans.Stages]:
    """All stages in one program."""

    def solved(own: Any) -> Solution:
        def program(work: Any, saved: Any) -> Any:
            return PROGRAMS(method, stages, search, False, problem, own, None, work, saved)

        return slices.run(program, check)[0]

    count = len(lanes[2])
    if count <= size:
        return solved(lanes), stages
    cuts = [slice(start, start + size) for start in range(0, count, size)]
    parts = [solved(jax.tree.map(lambda x, cut=cut: x[cut], lanes)) for cut in cuts]
    return jax.tree.map(lambda *x: jnp.concatenate(x), *parts), stages


def _in_stages(
    method: str,
    stages: plans.Stages,
    search: bool,
    problem: Problem,
    lanes: Any,
    size: int,
    check: Callable[[], None],
) -> tuple[Solution, plans.Stages]:
    """One stage after the other, each a program of its own, for the lanes that the one before has left."""
    mdp, base, limits = problem
    size = _sized(len(lanes[2]), size)
    whole: Any = None
    needed: plans.Stages = ()
    left = np.arange(len(lanes[2]))
    before = np.zeros(len(left), np.int32)  # steps of the stages that are done
    for name, limit in zip(stages, limits, strict=True):
        if name == "nearby" and callable(base):
            base = base()
            if base is None:
                continue
        needed = (*needed, name)
        own_problem = (mdp, base if name == "nearby" else None, (limit,))
        stop = name == "sweeps" and min(size, len(left)) * mdp.reward.size > SMALL
        statics = (method, (name,), search and whole is None, stop)
        if whole is not None:  # around a base, its own values are the better start
            before = whole.iterations.copy()
            lanes = (*lanes[:3], None if name == "nearby" else whole.centred_values)
        # The bits of a matrix product depend on its shape, and on the place in it: such lanes stay where they are.
        newton = name == "solves" and lanes[0].kind != "optimum"
        products = name == "nearby" or newton or isinstance(mdp.transitions, Dense)
        at, state = left, None
        while True:
            few = size if whole is None else next((n for n in LEFT if len(at) <= n < size), size)
            if products:
                found = _over_cores(statics, own_problem, lanes, None, size, check, at)
                (solution, done), state = _taken(found[:2], at), _taken(found[2], at, axis=-1)
            else:
                solution, done, state = _over_cores(statics, own_problem, _taken(lanes, at), state, few, check)
            whole = solution if whole is None else _put(whole, at, solution)
            if before[at].any():
                whole.iterations[at] += before[at]
            on = ~done & (state.count <= limit - (STRIDE if limit >= STRIDE else 1)) if stop else done & False
            if not on.any():
                break
            at, state = at[on], _taken(state, on, axis=-1)
        left = np.flatnonzero(whole.status == plans.Status.ITERATION_LIMIT)
        if not len(left):
            break
    return whole, needed


def _over_cores(
    statics: tuple[Any, ...],
    problem: Problem,
    lanes: Any,
    state: Any,
    size: int,
    check: Callable[[], None],
    wanted: np.ndarray | None = None,
) -> Any:
    """What one program answers for all lanes, in blocks of a size, on as many cores as there are.

    Blocks without a lane that is wanted (all are, if None) are not solved, and what is returned for them means nothing.
    The last block begins among the lanes of the one before it, which answers for these: the two may differ in how far
    they went.
    """
    count = len(lanes[2])
    small = size * problem[0].reward.size <= SMALL
    firsts = list(range(0, count, size))  # each block answers from here on
    if wanted is not None:
        firsts = [first for first in firsts if ((wanted >= first) & (wanted < first + size)).any()]

    def one(start: int) -> Any:
        own, at = _filled(lanes, start, size), _filled(state, start, size, axis=-1)

        def program(work: Any, saved: Any) -> Any:
            return PROGRAMS(*statics, problem, own, at, work, saved, small=small)

        return slices.run(program, check)

    if count <= size:
        answer = jax.tree.map(np.asarray, one(0))
        if count == size:
            return answer
        solution, done, state = answer
        return (*jax.tree.map(lambda x: x[:count], (solution, done)), jax.tree.map(lambda x: x[..., :count], state))

    room: list[tuple[np.ndarray, bool]] = []  # the whole answer, and whether a leaf has its lanes last
    structure, lock = [], threading.Lock()

    x64, device = jax.config.jax_enable_x64, jax.config.jax_default_device  # type: ignore[attr-defined]

    def put(first: int) -> None:
        start = min(first, count - size)
        with jax.enable_x64(x64), jax.default_device(device):  # which other threads do not inherit
            answer = one(start)
        parts, shape = jax.tree.flatten(answer)
        with lock:
            if not room:
                named = len(jax.tree.leaves(answer[:2]))
                room.extend((_room(part, count, i >= named), i >= named) for i, part in enumerate(parts))
                structure.append(shape)
        for (whole, last), part in zip(room, parts, strict=True):
            own, to = np.asarray(part), slice(first, start + size)
            whole[(..., to) if last else to] = own[..., first - start :] if last else own[first - start :]

    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        running = [pool.submit(put, first) for first in firsts]
        try:
            for block in running:
                block.result()
        except BaseException:
            for block in running:
                block.cancel()
            raise
    return jax.tree.unflatten(structure[0], [whole for whole, _ in room])


def _sized(count: int, size: int) -> int:
    """The lanes of a block, at most `size`: few different numbers, for they are compiled in."""
    if count <= PADDED:
        return min(1 << (count - 1).bit_length(), size)
    quantum = max(32, size // QUANTA)
    return quantum * -(-count // (quantum * -(-count // size)))


def _shaped(x: Any, shape: tuple[int, ...]) -> Any:
    """An array with these axes; what has them already costs no call of the device."""
    return x if x.shape == shape else x.reshape(shape)


def _room(part: jax.Array, count: int, last: bool) -> np.ndarray:
    """Memory for so many lanes of what a block answers, which JAX can take over without a copy."""
    shape = (*part.shape[:-1], count) if last else (count, *part.shape[1:])
    needed = int(np.prod(shape)) * part.dtype.itemsize
    raw = np.empty(needed + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + needed].view(part.dtype).reshape(shape)


def _filled(tree: Any, start: int, size: int, axis: int = 0) -> Any:
    """So many lanes from a first one; where there are fewer, the last one again and again."""

    def cut(x: np.ndarray) -> np.ndarray:
        own = x[start : start + size] if axis == 0 else x[..., start : start + size]
        missing = size - own.shape[axis]
        if not missing:
            return own
        return np.concatenate([own, np.repeat(own[-1:] if axis == 0 else own[..., -1:], missing, axis)], axis)

    return jax.tree.map(cut, tree)


def _taken(tree: Any, lanes: np.ndarray, axis: int = 0) -> Any:
    """Some of the lanes, in ascending order or chosen by flags."""
    if len(jax.tree.leaves(tree)) and lanes.dtype != bool and len(lanes) == jax.tree.leaves(tree)[0].shape[axis]:
        return tree
    return jax.tree.map(lambda x: x[lanes] if axis == 0 else x[..., lanes], tree)


def _put(whole: Solution, at: np.ndarray, part: Solution) -> Solution:
    """The whole with some lanes solved further."""

    def put(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        old = old if old.flags.writeable else old.copy()
        old[at] = new
        return old

    return jax.tree.map(put, whole, part)

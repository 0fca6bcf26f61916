"""Who computes the chunks of a sweep: the threads and devices of this process, or the workers of an executor.

A chunk is a task that can be done twice with the same bits, so whoever dies costs only what it had in hand.
"""

import collections
import concurrent.futures
import contextlib
import functools
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxcliff.core.devices import cores
from jaxcliff.sweep import statistics
from jaxcliff.sweep.plan import Sweep
from jaxcliff.sweep.point import Box, Program
from jaxcliff.sweep.store import Store

AHEAD = 2  # boxes that wait for every thread
IN_FLIGHT = 256  # chunks that are given to an executor at a time

Values = dict[str, np.ndarray]


class UnfinishedError(ValueError):
    """What is done is kept, and the same again goes on."""

    unfinished = True


class Stop:
    """Ctrl-C during a sweep: the chunk in hand is finished; a second one does not wait for it."""

    def __init__(self) -> None:
        self.asked = False

    @contextlib.contextmanager
    def listening(self) -> Iterator["Stop"]:
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, self._ask)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt("the sweep was interrupted twice; what was in hand is lost")
        self.asked = True


class Inline(concurrent.futures.Executor):
    """Does everything at once, in this thread."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_result(function(*args, **kwargs))
        return future


def here(
    sweep: Sweep,
    computer: Box,
    numbers: Iterable[int],
    stop: Stop,
    threads: int | None = None,
) -> Iterator[tuple[int, Values, float]]:
    """Computes chunks in this process; gives each with its values and the seconds since the one before it."""
    began = time.monotonic()
    at_once = len(computer.devices or [0])
    threads = threads or (cores() if jax.default_backend() == "cpu" and at_once == 1 else AHEAD)
    inline = not isinstance(computer, Program) or threads == 1
    pool = Inline() if inline else concurrent.futures.ThreadPoolExecutor(threads)
    waiting: collections.deque[tuple[list[Any], Any]] = collections.deque()
    parts: dict[Any, Any] = {}  # of a chunk in hand: how many boxes are to come, and what there is

    def collect() -> Iterator[tuple[int, Values, float]]:
        nonlocal began
        tasks, future = waiting.popleft()
        for (number, box, _, _), found in zip(tasks, future.result(), strict=True):
            if _complete(sweep, parts, number, box, found):
                now = time.monotonic()
                yield number, parts.pop(number)[1], now - began
                began = now

    with pool:
        try:
            for tasks in _groups(sweep, numbers, at_once, stop, parts):
                computer.prepare(tasks[0][2])
                work = functools.partial(_run, sweep, computer, [(places, draws) for _, _, places, draws in tasks])
                waiting.append((tasks, pool.submit(work)))
                while len(waiting) >= (1 if inline else AHEAD * threads):
                    yield from collect()
            while waiting:
                yield from collect()
        except BaseException:
            for _, future in waiting:
                future.cancel()
            raise


def _run(sweep: Sweep, computer: Box, tasks: Sequence[Any]) -> Any:
    with jax.enable_x64(sweep.x64):  # a thread has a mode of its own
        return computer.run(tasks)


def _groups(
    sweep: Sweep, numbers: Iterable[int], at_once: int, stop: Stop, parts: dict[Any, Any]
) -> Iterator[list[Any]]:
    """Boxes (chunk, where, places, draws), as many at a time as there are devices; of one program each time."""
    layout, last = sweep.layout, None
    group: list[Any] = []
    for number in numbers:
        if stop.asked:
            break
        boxes = list(layout.boxes(number))
        parts[number] = [len(boxes) * layout.blocks, {}, {}]
        for box in boxes:
            places = layout.indices(box)
            statics = [int(i[0]) for name, i in zip(sweep.stored, places, strict=True) if sweep.axes[name].static]
            if group and (statics != last or len(group) == at_once):
                yield group
                group = []
            last = statics
            for block in range(layout.blocks):
                if len(group) == at_once:
                    yield group
                    group = []
                group.append((number, box, places, layout.drawn(block)))
    if group:
        yield group


def _complete(sweep: Sweep, parts: dict[Any, Any], number: int, box: tuple[slice, ...], found: Values) -> bool:
    """Puts what a box gave into its chunk; whether that was the last."""
    left, values, merging = parts[number]
    parts[number][0] = left - 1
    region = sweep.layout.region(number)
    key = tuple((s.start, s.stop) for s in box)
    if sweep.reduced:
        split: dict[str, Values] = {}
        for name, x in found.items():
            output, end = name.rsplit(".", 1)
            split.setdefault(output, {})[end] = x
        known, blocks = merging.get(key, ({}, 0))
        merging[key] = {name: statistics.merged(known.get(name), x) for name, x in split.items()}, blocks + 1
        if merging[key][1] < sweep.layout.blocks:
            return False
        whole, _ = merging.pop(key)
        found = {}
        for name, kept in sweep.kept.items():
            found |= {f"{name}_{end}": x for end, x in statistics.finished(kept, whole[name]).items()}
    inside = tuple(slice(s.start - r.start, s.stop - r.start) for s, r in zip(box, region, strict=True))
    there = tuple(slice(0, s.stop - s.start) for s in box)
    for field in sweep.fields:
        if field.name not in values:
            shape = (*(r.stop - r.start for r in region), *field.shape)
            values[field.name] = np.empty(shape, field.dtype)
        values[field.name][inside] = found[field.name][there]
    return parts[number][0] == 0


def elsewhere(
    payload: bytes,
    store: Path,
    numbers: Sequence[int],
    executor: concurrent.futures.Executor,
    threads: int | None,
    stop: Stop,
) -> Iterator[tuple[int, Values, float]]:
    """Gives chunks to the workers of an executor, which write them; gives what they say of each."""
    waiting: dict[Any, int] = {}
    left, failed = collections.deque(numbers), list[tuple[int, Exception]]()
    while left or waiting:
        while left and len(waiting) < IN_FLIGHT and not stop.asked:
            waiting[executor.submit(chunk, payload, str(store), left[0], threads or 1)] = left[0]
            left.popleft()
        if stop.asked:
            left.clear()
            for future in [f for f in waiting if f.cancel()]:
                del waiting[future]
        ready, _ = concurrent.futures.wait(waiting, timeout=1.0, return_when=concurrent.futures.FIRST_COMPLETED)
        for future in ready:
            number = waiting.pop(future)
            try:
                yield number, *future.result()
            except concurrent.futures.BrokenExecutor as error:
                raise UnfinishedError(
                    f"the workers are gone ({error}); what is done is kept, run again to go on"
                ) from None
            except concurrent.futures.CancelledError:
                continue
            except Exception as error:
                failed.append((number, error))
    if failed:
        number, first = failed[0]
        raise UnfinishedError(
            f"{len(failed)} of {len(numbers)} chunks failed; chunk {number}: {type(first).__name__}: {first}. What is "
            "done is kept; run again to try those that are left"
        ) from first


@functools.lru_cache(maxsize=4)
def _unpacked(payload: bytes) -> tuple[Sweep, Box]:
    sweep = pickle.loads(payload)
    return sweep, sweep.computer()


def chunk(payload: bytes, store: str, number: int, threads: int) -> tuple[Values, float]:
    """What a worker does: one chunk, from its record to the store. Gives what progress counts, and the seconds."""
    sweep, computer = _unpacked(payload)
    into = Store(Path(store))
    with jax.enable_x64(sweep.x64):
        for _, values, seconds in here(sweep, computer, [number], Stop(), threads):
            into.write(sweep.layout.place(number), values)
            into.log(chunk=number, seconds=round(seconds, 3))
            shown = ("status", "undecided", "undecided_mean", "undecided_count")
            return {name: values[name] for name in shown if name in values}, seconds
    raise AssertionError("a chunk gives its values")

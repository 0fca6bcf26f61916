"""One compiled program in hand: it runs in slices of about two seconds, so that Ctrl-C ends a solve of hours.

The program solves as far as its work reaches, and says whether that was all; if not, it is called again with what its
loops kept, and goes on with the same bits (`loop.Clock`). Between slices Python is in charge.
"""

import contextlib
import functools
import hashlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

FIRST_WORK = 4e9  # multiplications: about a second on one core, and more than most solves need
SLICE = 2.0  # seconds
MOST = 512  # programs that are kept; each holds memory maps, of which Linux allows 65,530


def run(program: Callable[..., Any], check: Callable[[], None]) -> Any:
    """(work, saved) → (answer, whether it is one, what to go on with), until it is one; before each, `check` may raise.

    The first slice is as long everywhere: how many bits it computes depends on no clock.
    """
    work, saved, slices = FIRST_WORK, None, 0
    while True:
        check()
        began = time.perf_counter()
        answer, finished, saved = program(np.float32(work), saved)
        if bool(finished):
            return answer
        slices += 1
        if slices > 2:  # the first two may have been compiled
            work = max(work * float(np.clip(SLICE / (time.perf_counter() - began), 0.125, 8)), 1.0)


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[[], None]]:
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


class Programs:
    """A function compiled ahead of its calls, once for every shape of its arguments; the first so many are static.

    Small ones are compiled with less effort: a first answer in a third of the time.
    """

    def __init__(self, function: Callable[..., Any], statics: int):
        self._jitted = jax.jit(function, static_argnums=tuple(range(statics)))
        self._statics = statics
        self._known: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def __call__(self, *args: Any, small: bool = False) -> Any:
        statics, rest = args[: self._statics], args[self._statics :]
        leaves, structure = jax.tree.flatten(rest)
        device = jax.config.jax_default_device  # type: ignore[attr-defined]
        key = (statics, structure, small, device, *map(_kind, leaves))
        with self._lock:
            program = self._known.pop(key, None) or compiled(self._jitted.lower(*args), small)
            self._known[key] = program  # the last in order
            if len(self._known) > MOST:
                del self._known[next(iter(self._known))]
        return program(*rest)

    def __len__(self) -> int:
        return len(self._known)

    def clear(self) -> None:
        """Forgets all programs."""
        self._known.clear()
        self._jitted.clear_cache()  # type: ignore[attr-defined]


class Shared:
    """A traced function as a program that is compiled once for all functions of the same text.

    What it closes over (the numbers of a problem) becomes arguments, so that the next problem of that shape finds it.
    """

    _known: ClassVar[dict[Any, Any]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, traced: Any, small: bool, devices: Sequence[Any] | None = None):
        whole = traced.jaxpr
        self._numbers = [_uncommitted(x) for x in whole.consts]
        self._structure = jax.tree.structure(traced.out_info)

        def hoisted(numbers: Any, *leaves: Any) -> Any:
            return jaxpr_as_fun(ClosedJaxpr(whole.jaxpr, numbers))(*leaves)

        like = [jax.ShapeDtypeStruct(x.shape, x.dtype, weak_type=x.weak_type) for x in whole.in_avals]
        lowered = jax.jit(hoisted).lower(self._numbers, *like)
        text = lowered.as_text()
        device = jax.config.jax_default_device  # type: ignore[attr-defined]
        key = hashlib.sha256(text.encode()).digest(), small, device, *map(str, devices or ())
        with self._lock:
            self.program = self._known.pop(key, None) or compiled(lowered, small)
            if "callback" not in text:  # which calls a function that the text does not tell from others
                self._known[key] = self.program
            if len(self._known) > MOST:
                del self._known[next(iter(self._known))]

    def __call__(self, *args: Any) -> Any:
        return jax.tree.unflatten(self._structure, self.program(self._numbers, *jax.tree.leaves(args)))

    @classmethod
    def forget(cls) -> None:
        """All programs."""
        cls._known.clear()


def _uncommitted(array: Any) -> jax.Array:
    """A copy that may go to any device."""
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        data = jnp.asarray(np.asarray(jax.random.key_data(array)))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    return jnp.asarray(np.asarray(array))


def _kind(leaf: Any) -> Any:
    return leaf.shape, leaf.dtype, getattr(leaf, "weak_type", False), getattr(leaf, "sharding", None)


QUICK: dict[str, Any] = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}


@functools.cache
def _quick() -> dict[str, Any]:
    """Those of the options above that this XLA knows."""
    if jax.default_backend() != "cpu":
        return {}
    nothing = jax.jit(lambda: 0).lower()
    found = {}
    for name, value in QUICK.items():
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            nothing.compile(compiler_options={name: value})
            found[name] = value
    return found


def compiled(lowered: Any, small: bool) -> Any:
    """A program; a small one with less effort."""
    options = _quick() if small else {}
    return lowered.compile(compiler_options=options) if options else lowered.compile()


def quickly(function: Callable[..., Any], static: Sequence[str] = ()) -> Callable[..., Any]:
    """A function that is compiled with less effort when it is called; inside no other program."""

    @functools.cache
    def program() -> Any:
        return jax.jit(function, static_argnames=static, compiler_options=_quick() or None)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        return program()(*args, **kwargs)

    return called

"""What this machine has: memory, and what would need more says so before it tries; cores; the host as a device."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

import jax

NOTICED = 2**28  # bytes; less is never refused, and costs no look


def require(needed: float, what: str, instead: str = "") -> None:
    """Raises a ValueError if `what` needs more bytes than are free, with what to do `instead`.

    Say what is needed at least, so that nothing that fits is refused.
    """
    if needed <= NOTICED:
        return
    free = max(_free_on_host(), _free_on_device())
    if needed > free:
        hint = f"; {instead}" if instead else ""
        raise ValueError(f"{what} would need {_size(needed)} of memory, and {_size(free)} are free{hint}")


def _free_on_host() -> float:
    """Bytes that the kernel could give, or all there are where it does not say; infinite where nothing is known."""
    try:
        for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * float(os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def _free_on_device() -> float:
    """Bytes left on the accelerator, where there is one."""
    stats = jax.local_devices()[0].memory_stats() or {}
    return float(stats.get("bytes_limit", 0) - stats.get("bytes_in_use", 0))


def _size(number: float) -> str:
    """So many bytes, as people say it."""
    return f"{number / 1e9:.1f} GB" if number < 1e15 else f"{number / 1e9:.1e} GB"


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def host() -> jax.Device:
    """The host as a device of this process (under `jax.distributed` the first of all may be another's)."""
    return jax.local_devices(backend="cpu")[0]


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """JAX in float64 on the host, inside this block and this thread only.

    Where that is how JAX is set anyway nothing changes, so that programs compiled outside are used inside.
    """
    plain = jax.default_backend() == "cpu" and jax.config.jax_default_device is None  # type: ignore[attr-defined]
    with jax.enable_x64(True), contextlib.nullcontext() if plain else jax.default_device(host()):
        yield

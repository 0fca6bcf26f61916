"""What would need more memory than there is says so before it tries."""

import os
import pathlib

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

"""Lanes shared among what there is to compute with: all accelerators, or all cores of the processor."""

import concurrent.futures
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxcliff.core.devices import cores
from jaxcliff.core.records import is_concrete

LEAST = 128  # lanes that are worth a part of their own


def shared(program: Callable[..., Any], *lanes: Any) -> Any:
    """`program(*lanes)` for arrays whose first axis are lanes, in equal parts; inside a transformation, in one.

    The last part begins among the lanes of the one before it, so that all are one program; those come from the first.
    """
    count = len(lanes[0])
    several = jax.local_devices() if jax.default_backend() != "cpu" else [None] * cores()
    parts = min(len(several), count // LEAST)
    if parts < 2 or not is_concrete(lanes):
        return program(*lanes)
    size = -(-count // parts)
    chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
    x64 = jax.config.jax_enable_x64  # type: ignore[attr-defined]

    def one(part: int) -> Any:
        start = min(part * size, count - size)
        device = chosen if several[part] is None else several[part]
        with jax.enable_x64(x64), jax.default_device(device):  # which threads do not inherit
            own = [jax.device_put(x[start : start + size], several[part]) for x in lanes]
            return jax.tree.map(lambda x: np.asarray(x)[part * size - start :], program(*own))

    with concurrent.futures.ThreadPoolExecutor(parts) as pool:
        found = list(pool.map(one, range(parts)))
    return jax.tree.map(lambda *x: jax.numpy.asarray(np.concatenate(x)), *found)

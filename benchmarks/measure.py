"""How everything is timed: compiled first, blocked until ready, the median of several runs, in floors.

One *floor* is the time of one backup V ← max_a(R + γPV) of all lanes with the transitions as one dense matrix product:
a tenth of ten such backups in one compiled loop, median of nine, in the same dtype and process.
"""

import os
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc


def seconds(run: Callable[[], Any], repeats: int = 5) -> tuple[float, list[float]]:
    """(seconds of the first call beyond a warm one: compilation, seconds of each of `repeats` warm calls)."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - began)
    return max(times[0] - float(np.median(times[1:])), 0.0), times[1:]


def floor(mdp: jc.MDP, rewards: jax.Array) -> float:
    """Seconds of one floor for this problem and batch."""
    states, actions = mdp.reward.shape
    matrix = jnp.asarray(mdp.transitions.to_scipy().toarray()).astype(mdp.dtype)

    @jax.jit
    def ten(rewards: jax.Array, matrix: jax.Array) -> jax.Array:
        def backup(_: int, v: jax.Array) -> jax.Array:
            q = jnp.einsum("bt,nt->bn", v, matrix, precision="highest").reshape(-1, states, actions)
            return jnp.max(rewards + mdp.discount * q, axis=-1)

        return jax.lax.fori_loop(0, 10, backup, jnp.zeros(rewards.shape[:2], rewards.dtype))

    _, times = seconds(lambda: ten(rewards, matrix), repeats=9)
    return float(np.median(times)) / 10


def worst_residual(mdp: jc.MDP, rewards: jax.Array, values: jax.Array) -> float:
    """The largest ‖max_a(R + γPV) − V‖/(1 − γ): an error bound that asks nothing of the solver."""
    q = rewards + mdp.discount * mdp.expect(values)
    return float(jnp.max(jnp.abs(jnp.max(q, -1) - values)) / (1 - mdp.discount))


def machine() -> dict[str, Any]:
    """What ran this: device, cores, versions."""
    return {
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
    }

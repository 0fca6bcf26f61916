"""How often noise changes the optimal policy, by brute force: millions of rewards drawn, solved and counted in place.

The answer is compared with `jc.flip_probability`, which solves nothing: it asks how far the walls of one policy are.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc
from benchmarks import measure
from benchmarks.cases import Record, middling

SIGMA = 0.02
LANES = 2**16  # rewards at a time; on an accelerator four times as many
BLOCKS = {"cpu": 8}
MANY_BLOCKS = 128


def measured(name: str = "draws") -> Iterator[Record]:
    """S=64, A=4, γ=.95, N(0, .02²) on every entry: the records of both dtypes."""
    here = jax.default_backend()
    lanes, blocks = (LANES if here == "cpu" else 4 * LANES), BLOCKS.get(here, MANY_BLOCKS)
    keys = jax.random.split(jax.random.key(1), blocks)
    for dtype in (jnp.float64, jnp.float32):
        mdp = middling()[0].astype(dtype)
        expected = jc.flip_probability(mdp, sigma=SIGMA, key=jax.random.key(0))
        before = jc.optimal_actions(jc.solve(mdp)).optimal
        one = functools.partial(_counted, mdp, before, lanes=lanes)
        every = functools.partial(_all, one, keys)
        compiled, _ = measure.seconds(functools.partial(one, keys[0]), repeats=1)
        _, times = measure.seconds(every, repeats=1)
        changed, unsure = np.sum(np.asarray(every(), np.int64), axis=0) / (lanes * blocks)
        error = 4 * np.hypot(np.sqrt(changed * (1 - changed) / (lanes * blocks)), expected.standard_error)
        yield {
            "case": name,
            "method": f"auto, jitted, {np.dtype(dtype).name}",
            "dtype": np.dtype(dtype).name,
            "states": mdp.num_states,
            "actions": mdp.num_actions,
            "discount": float(mdp.discount),
            "lanes": lanes * blocks,
            "seconds": times,
            "compile_seconds": compiled,
            "changed": changed,
            "undecided": unsure,
            "expected": expected.estimate,
            "correct": bool(changed - error <= expected.estimate <= changed + unsure + error),
        } | dict.fromkeys(
            ("floors", "memory_floors", "times_best_peer", "times_naive", "error", "peak_bytes", "process_bytes")
        )


def _all(one: Callable[[jax.Array], Any], keys: jax.Array) -> list[Any]:
    return [one(key) for key in keys]


@functools.partial(jax.jit, static_argnames="lanes")
def _counted(mdp: jc.MDP, before: jax.Array, key: jax.Array, lanes: int) -> tuple[jax.Array, jax.Array]:
    """In how many lanes an optimal action certainly is none any more, and in how many others a rival ties, or may."""
    noise = SIGMA * jax.random.normal(key, (lanes, *mdp.reward.shape), mdp.dtype)
    acts = jc.optimal_actions(jc.solve(mdp, mdp.reward + noise))
    left = jnp.any(before & acts.suboptimal, axis=(-2, -1))
    unsure = jnp.any(~before & (acts.optimal | acts.undecided), axis=(-2, -1))
    return jnp.sum(left), jnp.sum(unsure & ~left)

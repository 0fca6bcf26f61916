"""What every contraction and every error bound shares: full precision, the unit roundoff, exact row sums.

And how numbers get from the host to JAX and are computed with there or here: every operation that JAX runs by itself, a
conversion too, is compiled anew for every shape; numpy's are not.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core.records import is_concrete


def placed(array: Any) -> jax.Array:
    """A copy of a host array, among JAX's; nothing is compiled for it."""
    return jax.device_put(np.array(array))


def cast(array: Any, dtype: Any) -> jax.Array:
    """The same numbers in another dtype."""
    if not is_concrete(array):
        return array.astype(dtype)
    if isinstance(array, jax.Array) and array.dtype == dtype:
        return array
    return placed(np.asarray(array).astype(dtype))


def namespace(*trees: Any) -> Any:
    """The module that computes with these arrays: numpy if all are numpy's, else `jax.numpy`."""
    return np if all(isinstance(x, np.ndarray | np.generic) for x in jax.tree.leaves(trees)) else jnp


def one_program(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays that is one compiled program for JAX's; with numpy's, numpy computes it as it is."""
    program = jax.jit(function)

    @functools.wraps(function)
    def computed(*arrays: Any) -> Any:
        return function(*arrays) if namespace(*arrays) is np else program(*arrays)

    return computed


def contract(subscripts: str, *operands: jax.Array) -> jax.Array:
    """`jnp.einsum` at full precision.

    The default of GPUs (TF32) and TPUs (one bfloat16 pass) gives wrong policies with a residual of exactly
    zero, so every contraction of the package goes through here; a test reads the jaxpr.
    """
    return jnp.einsum(subscripts, *operands, precision=jax.lax.Precision.HIGHEST)


@functools.partial(jax.jit, static_argnums=0)
def norm_of(p: float, counts: jax.Array, reward: jax.Array, other: Any = 0) -> jax.Array:
    """‖reward − other‖ in the norm p, over the last two axes and the entries that count."""
    size = jnp.where(counts, jnp.abs(reward - other), 0)
    largest = jnp.max(size, axis=(-2, -1))
    if p == np.inf:
        return largest
    # In units of the largest entry: no power overflows or is lost below the smallest number.
    unit = jax.lax.stop_gradient(jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1))
    return unit * jnp.sum((size / unit[..., None, None]) ** p, axis=(-2, -1)) ** (1 / p)


def unit_roundoff(dtype: jnp.dtype) -> float:
    """u, half an ulp of 1: |fl(x ∘ y) − (x ∘ y)| ≤ u·|x ∘ y|."""
    return float(jnp.finfo(dtype).eps) / 2


def row_defects(rows: np.ndarray) -> np.ndarray:
    """|Σ_k rows[..., k] − 1|, correct to the last bits: pairwise summation that keeps every rounding error."""
    total = rows.astype(np.float64)
    lost = np.zeros(rows.shape[:-1])
    while (n := total.shape[-1]) > 1:
        if n % 2:
            total = np.concatenate([total, np.zeros((*total.shape[:-1], 1))], axis=-1)
        a, b = total[..., 0::2], total[..., 1::2]
        total = a + b
        t = total - a
        lost = lost + ((a - (total - t)) + (b - t)).sum(-1)
    return np.abs((total[..., 0] - 1.0) + lost)


def promoted(*dtypes: jnp.dtype) -> jnp.dtype:
    """The dtype that holds all of these and at least float32, whatever JAX's promotion mode is."""
    with jax.numpy_dtype_promotion("standard"):
        result = jnp.dtype(jnp.float32)
        for dtype in dtypes:
            result = jnp.promote_types(result, dtype)
        return result

"""What every contraction and every bound shares: full precision, real numbers, the unit roundoff, exact row sums."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def real(value: Any, what: str) -> jax.Array:
    """`value` as an array; what would be dropped on the way, imaginary parts and masks, is refused, and so is text."""
    if isinstance(value, jax.Array):
        return _checked_real(value, what)
    return _checked_real(jnp.asarray(_unmasked(value, what)), what)


def host(value: Any, what: str) -> np.ndarray:
    """The same as float64 on the host, whatever JAX's switch is."""
    return np.asarray(_checked_real(np.asarray(_unmasked(value, what)), what), np.float64)


def _unmasked(value: Any, what: str) -> Any:
    if count := _masked(value):
        entries = "1 entry" if count == 1 else f"{count} entries"
        raise ValueError(f"{entries} of {what} {'is' if count == 1 else 'are'} masked; fill or remove what is masked")
    if isinstance(value, str | bytes) or getattr(getattr(value, "dtype", None), "kind", "f") in "OSUMm":
        raise ValueError(f"{what} must be numbers, not {getattr(value, 'dtype', type(value).__name__)}")
    return value.data if np.ma.isMaskedArray(value) else value


def _masked(value: Any) -> int:
    """How many entries are masked, also in lists of arrays."""
    if isinstance(value, list | tuple):
        return sum(map(_masked, value))
    return int(np.ma.count_masked(value)) if np.ma.isMaskedArray(value) else 0


def _checked_real(array: Any, what: str) -> Any:
    if jnp.issubdtype(array.dtype, jnp.complexfloating):
        raise ValueError(f"{what} must be real, not {array.dtype}")
    return array


def contract(subscripts: str, *operands: jax.Array) -> jax.Array:
    """`jnp.einsum` at full precision.

    The default of GPUs (TF32) and TPUs (one bfloat16 pass) gives wrong policies with a residual of exactly
    zero, so every contraction of the package goes through here; a test reads the jaxpr.
    """
    return jnp.einsum(subscripts, *operands, precision=jax.lax.Precision.HIGHEST)


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

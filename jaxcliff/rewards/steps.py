"""Random steps away from a reward, of size 1 at most: what perturbations scale and add. One program each."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core.numerics import norm_of
from jaxcliff.core.types import Rewards
from jaxcliff.model.mdp import MDP


@functools.partial(jax.jit, static_argnums=(0, 1))
def inside(p: float, shape: tuple[int, ...], key: jax.Array, mdp: MDP) -> Rewards:
    """Steps from all of the unit ball of the norm p."""
    direction_key, length_key = jax.random.split(key)
    if p == np.inf:
        return jax.random.uniform(direction_key, shape, mdp.dtype, -1, 1)
    # U^{1/n} of a uniform direction fills the ball.
    entries = jnp.sum(mdp.decisions).astype(mdp.dtype)
    length = jax.random.uniform(length_key, (shape[0], 1, 1), mdp.dtype) ** (1 / entries)
    return directions(p, shape, direction_key, mdp) * length


@functools.partial(jax.jit, static_argnums=(0, 1))
def directions(p: float, shape: tuple[int, ...], key: jax.Array, mdp: MDP) -> Rewards:
    """Steps of norm 1 in random directions."""
    if p == np.inf:
        step = jax.random.uniform(key, shape, mdp.dtype, -1, 1)
    else:
        # |x| with density ∝ exp(−|x|^p) has a uniform direction.
        step = jax.random.generalized_normal(key, p, shape, mdp.dtype)
    return jnp.where(mdp.decisions, step, 0) / norm_of(p, mdp.decisions, step)[:, None, None]


@functools.partial(jax.jit, static_argnums=0)
def scattered(shape: tuple[int, ...], key: jax.Array, mdp: MDP, entries: Any) -> Rewards:
    """±1 on so many entries."""
    which, sign = jax.random.split(key)
    order = jnp.where(mdp.decisions, jax.random.uniform(which, shape, mdp.dtype), jnp.inf).reshape(shape[0], -1)
    rank = jnp.argsort(jnp.argsort(order, axis=-1), axis=-1).reshape(shape)
    return jnp.where(rank < entries, jax.random.rademacher(sign, shape, mdp.dtype), 0)


@functools.partial(jax.jit, static_argnums=0)
def among(shape: tuple[int, ...], key: jax.Array, mdp: MDP, tied: jax.Array) -> Rewards:
    """Steps on entries that tie, which sum to 0 in every state."""
    tied = tied & mdp.decisions
    noise = jnp.where(tied, jax.random.uniform(key, shape, mdp.dtype, -1, 1), 0)
    number = jnp.maximum(jnp.sum(tied, axis=-1, keepdims=True), 1).astype(mdp.dtype)
    noise = jnp.where(tied, noise - jnp.sum(noise, axis=-1, keepdims=True) / number, 0)
    largest = jnp.max(jnp.abs(noise), axis=(-2, -1), keepdims=True)
    return noise / jnp.where(largest > 0, largest, 1)

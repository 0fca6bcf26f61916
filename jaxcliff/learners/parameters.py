"""What a learner adjusts, where that is not the logits themselves: parameters θ that make a table of logits z(θ).

Each is a record with `start(dtype)`, the parameters at which z = 0 (so that learning begins at the base), and
`logits(θ)`, [S, A].
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from jaxcliff.core import checks
from jaxcliff.core.records import record, static
from jaxcliff.core.types import Key, Number, NumbersLike, Whole
from jaxcliff.rewards.models import RewardModel


@record
class LogLinear:
    """z = Φθ, with features Φ [S, A, D]."""

    features: Any

    def __post_init__(self) -> None:
        if jnp.ndim(self.features) != 3:
            raise ValueError(f"features must have shape [S, A, D], not {list(jnp.shape(self.features))}")

    def start(self, dtype: Any) -> Array:
        return jnp.zeros(jnp.shape(self.features)[-1], dtype)

    def logits(self, theta: Array) -> Array:
        return jnp.einsum("sad,d->sa", jnp.asarray(self.features, theta.dtype), theta, precision="highest")


def log_linear(features: NumbersLike) -> LogLinear:
    """Logits that are linear in given features, [S, A, D]."""
    return LogLinear(jnp.asarray(features))


def aggregated(groups: NumbersLike, actions: Whole) -> LogLinear:
    """States of the same group, a whole number for each of S, share their logits."""
    of = checks.array(groups, "groups").astype(int)
    if of.ndim != 1:
        raise ValueError(f"groups are a whole number for each state, not an array of shape {list(of.shape)}")
    shared = jnp.kron(jax.nn.one_hot(of, int(of.max()) + 1), jnp.eye(checks.whole(actions, "actions", 1)))
    return LogLinear(shared.reshape(len(of), actions, -1))


def low_rank(key: Key, states: Whole, actions: Whole, rank: Whole) -> LogLinear:
    """Logits from so few random features, of standard deviation 1/√rank."""
    shape = (int(states), int(actions), int(checks.whole(rank, "rank", 1)))
    return LogLinear(jax.random.normal(checks.random_key(key), shape) / jnp.sqrt(rank))


@record
class Escort:
    """z = p·log|θ|, θ [S, A] from 1: the escort transform, π ∝ b·|θ|^p."""

    power: Any
    states: Any = static()
    actions: Any = static()

    def start(self, dtype: Any) -> Array:
        return jnp.ones((self.states, self.actions), dtype)

    def logits(self, theta: Array) -> Array:
        size = jnp.maximum(jnp.abs(theta), jnp.finfo(theta.dtype).tiny)
        return jnp.asarray(self.power, theta.dtype) * jnp.log(size)


def escort(states: Whole, actions: Whole, power: Number = 2.0) -> Escort:
    """Policies in proportion to |θ|^p, which leave a corner faster than those of logits do."""
    if not checks.number(power, "power") >= 1:
        raise ValueError(f"the power of an escort transform is at least 1, not {checks.shown(power)}")
    return Escort(power, checks.whole(states, "states", 1), checks.whole(actions, "actions", 1))


@record
class Network:
    """z = N(features; θ), a flax network of tanh layers over features [S, A, F] of states and actions."""

    features: Any
    weights: Any = dataclasses.field(repr=False)
    graph: Any = static(default=None, repr=False)

    def start(self, dtype: Any) -> Any:
        return jax.tree.map(lambda x: jnp.asarray(x, dtype), self.weights)

    def logits(self, theta: Any) -> Array:
        dtype = jax.tree.leaves(theta)[0].dtype
        return nnx.merge(self.graph, theta)(jnp.asarray(self.features, dtype)).astype(dtype)


def network(key: Key, features: NumbersLike, hidden: Sequence[int] = (32,)) -> Network:
    """A network with random hidden layers, whose last layer begins at 0."""
    several = checks.array(features, "features")
    if several.ndim != 3:
        raise ValueError(f"features must have shape [S, A, F], not {list(several.shape)}")
    model = RewardModel(several.shape[-1], hidden, rngs=nnx.Rngs(checks.random_key(key)))
    last: Any = model.network.layers[-1]
    for weight in (last.kernel, last.bias):
        weight[...] = jnp.zeros_like(weight[...])
    graph, weights = nnx.split(model)
    return Network(several, weights, graph)

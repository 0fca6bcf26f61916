"""Small reward models and gates, fitted to preferences or returns, or to anything that can be differentiated.

A model reads features of state-action pairs, [S, A, F], and returns a reward, [S, A]; a gate reads features of states,
[S, F], and returns weights over N components, [N, S]. Both are flax NNX modules, so that what they learn stays in
them; they compute in JAX's default precision (float64 where 64-bit mode is on). Because the solver has implicit
derivatives, a loss may look *through* the policy that a reward produces.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxcliff.core.records import is_concrete, record
from jaxcliff.core.types import NumbersLike, Rewards

__all__ = ["Gate", "RewardModel", "Trajectories", "fit", "preference_loss", "return_loss"]


def __dir__() -> list[str]:
    return list(__all__)


class RewardModel(nnx.Module):
    """R(s, a) = network(features of (s, a)): linear without hidden layers, else tanh layers of the given widths."""

    def __init__(self, features: int, hidden: Sequence[int] = (32,), *, rngs: nnx.Rngs):
        self.network = _Network(features, hidden, 1, rngs)

    def __call__(self, features: Any) -> Rewards:
        """Features [..., S, A, F] to a reward [..., S, A]."""
        return self.network(jnp.asarray(features))[..., 0]


class Gate(nnx.Module):
    """Weights w_k(s) of N components from features of the state: a softmax over a network."""

    def __init__(self, features: int, components: int, hidden: Sequence[int] = (32,), *, rngs: nnx.Rngs):
        self.network = _Network(features, hidden, components, rngs)

    def __call__(self, features: Any) -> jax.Array:
        """Features [..., S, F] to weights [..., N, S]."""
        return jnp.moveaxis(jax.nn.softmax(self.network(jnp.asarray(features)), axis=-1), -1, -2)


class _Network(nnx.Module):
    def __init__(self, inputs: int, hidden: Sequence[int], outputs: int, rngs: nnx.Rngs):
        widths = [inputs, *hidden, outputs]
        self.dtype = jnp.result_type(float)
        self.inputs = inputs
        self.layers = nnx.List(
            [
                nnx.Linear(a, b, param_dtype=self.dtype, precision="highest", rngs=rngs)
                for a, b in itertools.pairwise(widths)
            ]
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        if x.shape[-1] != self.inputs:
            raise ValueError(f"this network reads {self.inputs} features, not {x.shape[-1]}")
        *body, last = self.layers
        x = x.astype(self.dtype)
        for layer in body:
            x = jnp.tanh(layer(x))
        return last(x)


@record
class Trajectories:
    """n trajectories of T steps: states and actions, [n, T], and the weight of each step (γᵗ, 0 after the end)."""

    states: Any
    actions: Any
    weights: Any

    def __post_init__(self) -> None:
        shapes = [np.shape(x) for x in (self.states, self.actions, self.weights)]
        if len(set(shapes)) != 1 or len(shapes[0]) != 2:
            raise ValueError(f"states, actions and weights must share one shape [n, T], not {shapes}")
        for name in ("states", "actions"):
            if not jnp.issubdtype(jnp.asarray(getattr(self, name)).dtype, jnp.integer):
                raise ValueError(f"{name} of a trajectory are integers, not {jnp.asarray(getattr(self, name)).dtype}")

    def returns(self, reward: Rewards) -> jax.Array:
        """Σ_t weight · R(s_t, a_t), [n]."""
        s, a = reward.shape
        if is_concrete(self.states, self.actions):
            states, actions = np.asarray(self.states), np.asarray(self.actions)
            if states.size and not (
                states.min() >= 0 and states.max() < s and actions.min() >= 0 and actions.max() < a
            ):
                raise ValueError(f"a trajectory leaves the {s} states and {a} actions of the reward")
        return _returns(reward, self.states, self.actions, jnp.asarray(self.weights))


@jax.jit
def _returns(reward: Rewards, states: jax.Array, actions: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.sum(weights.astype(reward.dtype) * reward[states, actions], axis=-1)


def preference_loss(reward: Rewards, preferred: Trajectories, rejected: Trajectories) -> jax.Array:
    """Bradley-Terry: the mean of −log σ(G(preferred) − G(rejected)) over pairs of trajectories."""
    if len(preferred.states) != len(rejected.states) or not len(preferred.states):
        raise ValueError(f"pairs of trajectories: {len(preferred.states)} preferred, {len(rejected.states)} rejected")
    return jnp.mean(jax.nn.softplus(rejected.returns(reward) - preferred.returns(reward)))


def return_loss(reward: Rewards, trajectories: Trajectories, returns: NumbersLike) -> jax.Array:
    """The mean squared error of the returns of trajectories."""
    predicted = trajectories.returns(reward)
    if np.shape(returns) != predicted.shape or not predicted.size:
        raise ValueError(f"there are {predicted.size} trajectories, but returns of shape {list(np.shape(returns))}")
    return jnp.mean((predicted - jnp.asarray(returns).astype(predicted.dtype)) ** 2)


def fit(
    model: nnx.Module,
    loss: Callable[[Any], jax.Array],
    *,
    steps: int = 500,
    optimizer: optax.GradientTransformation | None = None,
) -> jax.Array:
    """Changes the parameters of a model to make `loss(model)` small; returns the loss before every step, [steps].

    The default optimiser is Adam with learning rate 1e-2. If a loss or a gradient is not finite, the model goes back to
    the last parameters whose loss and gradient were, and a sentence says after how many steps that was.

        fit(model, lambda m: preference_loss(m(features), preferred, rejected))
    """
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps must be a whole number of at least 1, not {steps}")
    if not isinstance(model, nnx.Module):
        raise TypeError(f"fit changes a flax nnx.Module, not a {type(model).__name__}")
    optimizer = optax.adam(1e-2) if optimizer is None else optimizer
    structure, parameters, rest = nnx.split(model, nnx.Param, ...)  # type: ignore[misc]

    def objective(parameters: Any) -> jax.Array:
        return loss(nnx.merge(structure, parameters, rest))

    def step(carry: Any, _: None) -> tuple[Any, jax.Array]:
        parameters, state, good, count, alive = carry
        value, gradient = jax.value_and_grad(objective)(parameters)
        alive = alive & jnp.isfinite(value) & jnp.isfinite(optax.tree.norm(gradient))
        good = jax.tree.map(lambda new, old: jnp.where(alive, new, old), parameters, good)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes counters with floats
            update, moved = optimizer.update(gradient, state, parameters)
            proposed = (optax.apply_updates(parameters, update), moved)
        parameters, state = jax.tree.map(lambda new, old: jnp.where(alive, new, old), proposed, (parameters, state))
        return (parameters, state, good, count + alive.astype(count.dtype), alive), value

    @jax.jit
    def train(parameters: Any) -> tuple[Any, jax.Array, jax.Array]:
        start = (parameters, optimizer.init(parameters), parameters, jnp.asarray(0), jnp.asarray(True))
        (last, state, good, count, alive), losses = jax.lax.scan(step, start, None, length=steps)
        # One look more, at where the last step led.
        (_, _, good, count, _), _ = step((last, state, good, count, alive), None)
        return good, count, losses

    parameters, count, losses = train(parameters)
    nnx.update(model, parameters)
    if int(count) <= steps:
        raise FloatingPointError(
            f"the loss or its gradient is not finite after {int(count)} steps; "
            "the model keeps the parameters before that"
        )
    return losses

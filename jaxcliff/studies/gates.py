"""Gates that are learned with the policy: what they are told, the weights they give, and how they are fitted.

A policy is trained on R_w = Σ_k w_k R_k with entropy α; a gate of feedback ζ sees what came of it and answers

    w = softmax(ζ·g),   g_k = J_k(π_α(R_w))   or   g_k = dJ_U/dw_k = (1/α)·E_d[A_U·A_k]

with J_k the return of component k, and, where a true reward U is known, the hypergradient of its return through the
optimum (A are advantages of π_α, d its visits). Both are gradients, of V_α(R_w) and of J_U(π_α(R_w)); so the weights
that answer themselves are the stationary points of either, plus H(w)/ζ, and `trained` finds them with optax.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from jaxcliff.core.numerics import contract, placed
from jaxcliff.model.mdp import MDP
from jaxcliff.operators.regularizers import Entropy
from jaxcliff.rewards.models import Gate, fit
from jaxcliff.solvers.evaluate import evaluate, occupancy
from jaxcliff.solvers.solve import solve


class System(NamedTuple):
    """A problem, its components [N, S, A], and the true reward [S, A], if gates are told of one."""

    mdp: MDP
    rewards: Array
    true_reward: Any = None


class Answers(NamedTuple):
    """What came of weights, lane by lane: policies [L, S, A], what gates are told of them [L, N], values [L]."""

    policy: Array
    scores: Array
    value: Array


@jax.jit
def answered(system: System, strength: Array, weights: Array) -> Answers:
    """The soft optimum of weights [L, N] (or [L, N, S]) at strengths [L]; components may have lanes too."""
    return _answered(system, strength, weights)


def _answered(system: System, strength: Array, weights: Array) -> Answers:
    mdp = system.mdp
    several = jnp.broadcast_to(system.rewards, (len(strength), *system.rewards.shape[-3:]))
    tables = weights if weights.ndim == 3 else weights[..., None]
    reward = jnp.sum(tables[..., None] * several, axis=1)
    found = solve(mdp, reward, regularizer=Entropy(strength[:, None]))
    told = scores(system, strength, found.policy)
    return Answers(found.policy, told, contract("s,ls->l", mdp.initial, found.values))


def scores(system: System, strength: Array, policy: Array) -> Array:
    """What gates are told of policies, [L, N]: returns, or the gradient of the true one."""
    if system.true_reward is None:
        earned = jnp.where(system.mdp.decisions, system.rewards, 0)
        earned = jnp.broadcast_to(earned, (len(policy), *earned.shape[-3:]))
        return contract("lsa,lnsa->ln", occupancy(system.mdp, policy), earned)
    return hypergradient(system, strength, policy)


def hypergradient(system: System, strength: Array, policy: Array) -> Array:
    """dJ_U/dw_k = (1/α)·E_d[A_U·A_k] of soft optima, [L, N]: 0 where the policy is hard, as nothing moves."""
    mdp, true = system.mdp, system.true_reward
    several = jnp.broadcast_to(system.rewards, (len(policy), *system.rewards.shape[-3:]))
    both = jnp.concatenate([several, jnp.broadcast_to(true, (len(policy), 1, *true.shape))], axis=1)
    after = evaluate(mdp, policy[:, None], both)
    ahead = jnp.where(mdp.decisions, after.q_values - after.values[..., None], 0)
    often = occupancy(mdp, policy)
    return contract("lsa,lsa,lnsa->ln", often, ahead[:, -1], ahead[:, :-1]) / strength[:, None]


@jax.jit
def slopes(system: System, strength: Array, weights: Array) -> Array:
    """d scores_k/d weight_j, [L, N, N], of weights [L, N]; of returns it is (1/α)·E_d[A_k·A_j]."""

    def told(w: Array) -> Array:
        return _answered(system, strength, w).scores

    def along(j: int) -> Array:
        return jax.jvp(told, (weights,), (jnp.zeros_like(weights).at[:, j].set(1),))[1]

    return jnp.stack([along(j) for j in range(weights.shape[-1])], axis=-1)


def weighed(feedback: Array, told: Array) -> Array:
    """Softmax(ζ·g), [L, N], of feedback [L]; infinite feedback is the hard gate, which takes the first of a tie."""
    endless = jnp.isinf(feedback)[:, None]
    first = jax.nn.one_hot(jnp.argmax(told, axis=-1), told.shape[-1], dtype=told.dtype)
    return jnp.where(endless, first, jax.nn.softmax(jnp.where(endless, 0, feedback[:, None]) * told, axis=-1))


def from_rewards(mdp: MDP, rewards: Array, feedback: Array) -> Array:
    """Softmax(ζ·max_a R_k(s, a)), [L, N, S]: a gate that looks at the rewards of a state and at no policy."""
    best = jnp.max(jnp.where(mdp.decisions, rewards, -jnp.inf), axis=-1)
    best = jnp.where(jnp.isfinite(best), best, 0)
    return jax.nn.softmax(feedback[:, None, None] * best, axis=-2)


def trained(
    system: System, feedback: np.ndarray, strength: np.ndarray, *, steps: int, key: Array, rate: float = 0.05
) -> np.ndarray:
    """Weights [L, N] of flax gates fitted by optax with the policy, a gate for each lane.

    Positive feedback goes up V_α(R_w) + H(w)/ζ (with a true reward, J_U + H(w)/ζ), negative feedback goes down. The
    gates are one `Gate` that reads which lane it is asked for.
    """
    lanes, number = len(feedback), system.rewards.shape[-3]
    dtype = system.mdp.dtype
    inverse, sign, at = (placed(np.asarray(x).astype(dtype)) for x in (1 / feedback, np.sign(feedback), strength))
    which = jnp.eye(lanes, dtype=dtype)
    seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
    gate = Gate(lanes, number, (), rngs=nnx.Rngs(seed))

    def loss(model: Any) -> Array:
        weights = model(which).T.astype(dtype)
        came = _answered(system, at, weights)
        if system.true_reward is None:
            goal = came.value
        else:
            goal = contract("lsa,sa->l", occupancy(system.mdp, came.policy), system.true_reward)
        spread = -jnp.sum(jax.scipy.special.xlogy(weights, weights), axis=-1)
        return -jnp.sum(sign * (goal + inverse * spread))

    fit(gate, loss, steps=steps, optimizer=optax.adam(rate))
    return np.asarray(gate(which)).T


@functools.partial(jax.jit, static_argnames="steps")
def naive(system: System, feedback: Array, strength: Array, weights: Array, steps: int) -> tuple[Array, Array]:
    """w → softmax(ζ·g(w)), so many times: where it is, and where it was one and two steps before, [3, L, N]."""

    def on(_: int, several: Array) -> Array:
        now = weighed(feedback, _answered(system, strength, several[0]).scores)
        return jnp.stack([now, several[0], several[1]])

    last = jax.lax.fori_loop(0, steps, on, jnp.stack([weights, weights, weights]))
    return last, jnp.max(jnp.abs(last[0] - last[1]), axis=-1)

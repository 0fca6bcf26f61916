"""Gates that are learned with the policy: what they are told, the weights they give, and how they are fitted.

A policy is trained on R_w = Σ_k w_k R_k with entropy α; a gate of feedback ζ sees what came of it and answers

    w = softmax(ζ·g),   g_k = J_k(π_α(R_w))   or   g_k = dJ_U/dw_k = (1/α)·E_d[A_U·A_k]

with J_k the return of component k, and, where a true reward U is known, the hypergradient of its return through the
optimum (A are advantages of π_α, d its visits). Both are gradients, of V_α(R_w) and of J_U(π_α(R_w)); so the weights
that answer themselves are the stationary points of either, plus H(w)/ζ, and `trained` finds them with optax.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from jaxcliff.core.numerics import contract, placed
from jaxcliff.core.records import is_concrete
from jaxcliff.core.slices import quickly
from jaxcliff.model.mdp import MDP
from jaxcliff.operators.regularizers import Entropy
from jaxcliff.rewards.models import Gate, fit
from jaxcliff.solvers.evaluate import evaluate, occupancy
from jaxcliff.solvers.solve import solve

LEAST = 64  # lanes of a program
Answer = TypeVar("Answer")


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


def padded(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Marks a program of lanes: it runs on 64 of them, or 128, …, so that few programs are compiled.

    Its arguments are a system and arrays whose first axis is that of lanes, as that of all it returns.
    """
    program = quickly(function)

    @functools.wraps(function)
    def computed(system: System, *lanes: Any) -> Any:
        count = len(lanes[0])
        size = max(LEAST, 1 << (count - 1).bit_length()) if count else 0
        if not is_concrete(system, *lanes) or not count:
            return function(system, *lanes)
        given = (placed(np.concatenate([x, np.repeat(x[-1:], size - count, 0)])) for x in map(np.asarray, lanes))
        return jax.tree.map(lambda x: np.asarray(x)[:count], program(system, *given))

    return computed


@padded
def answered(system: System, strength: Array, weights: Array) -> Answers:
    """The soft optimum of weights [L, N] (or [L, N, S]) at strengths [L]."""
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


@padded
def slopes(system: System, strength: Array, weights: Array) -> Array:
    """By how much g_k grows with w_j, [L, N, N], at weights [L, N]; of returns it is (1/α)·E_d[A_k·A_j]."""
    if system.true_reward is None:
        each = system.rewards
        policy = answered(system, strength, weights).policy
        columns = [hypergradient(system._replace(true_reward=of), strength, policy) for of in each]
        return jnp.stack(columns, axis=-1)

    def told(w: Array) -> Array:
        return answered(system, strength, w).scores

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
        came = answered(system, at, weights)
        if system.true_reward is None:
            goal = came.value
        else:
            goal = contract("lsa,sa->l", occupancy(system.mdp, came.policy), system.true_reward)
        spread = -jnp.sum(jax.scipy.special.xlogy(weights, weights), axis=-1)
        return -jnp.sum(sign * (goal + inverse * spread))

    fit(gate, loss, steps=steps, optimizer=optax.adam(rate))
    return np.asarray(gate(which)).T


@functools.partial(quickly, static=("steps",))
def naive(system: System, feedback: Array, strength: Array, weights: Array, steps: int) -> tuple[Array, Array]:
    """A gate that jumps to softmax(ζ·g(w)), so many times.

    Where it is, and was one and two steps before, [3, L, N]; and how far apart the last two are, [L].
    """

    def on(_: Any, several: Array) -> Array:
        now = weighed(feedback, answered(system, strength, several[0]).scores)
        return jnp.stack([now, several[0], several[1]])

    last = jax.lax.fori_loop(0, steps, on, jnp.stack([weights, weights, weights]))
    return last, jnp.max(jnp.abs(last[0] - last[1]), axis=-1)

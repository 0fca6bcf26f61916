"""A gate and a policy trained together, step by step until they settle; and one reward swept up and down.

A step evaluates the policy, tells the gate, and improves the policy on the mixture that the gate answers with (soft
policy iteration). With positive feedback it never goes down on V_α(R_w) + H(w)/ζ, so where it settles is stable; with
negative feedback the gate's logits move a part of the way only, as the whole way can swing for ever.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxcliff.core.numerics import contract
from jaxcliff.core.slices import quickly
from jaxcliff.model.mdp import MDP
from jaxcliff.solvers.evaluate import evaluate
from jaxcliff.studies.gates import System, hypergradient

SETTLED = 1e-10
SHUT = -1e3  # logits of what a hard gate leaves out


class Pair(NamedTuple):
    """Policies [L, S, A] and the logits of their weights [L, N]."""

    policy: Array
    logits: Array


class Gain(NamedTuple):
    """Of each lane: feedback ζ, strength α, and which part of the way logits go in one step."""

    feedback: Array
    strength: Array
    part: Array


def step(system: System, gain: Gain, pair: Pair) -> Pair:
    """One step of both."""
    mdp, policy = system.mdp, pair.policy
    strength = gain.strength[:, None, None]
    surprise = -strength * jnp.where(policy > 0, jnp.log(jnp.where(policy > 0, policy, 1)), 0)
    several = jnp.broadcast_to(system.rewards, (len(policy), *system.rewards.shape[-3:]))
    after = evaluate(mdp, policy[:, None], jnp.concatenate([several, surprise[:, None]], axis=1))
    if system.true_reward is None:
        told = contract("s,lns->ln", mdp.initial, after.values[:, :-1])
    else:
        told = hypergradient(system, gain.strength, policy)
    logits = pair.logits + gain.part[:, None] * (_aim(gain.feedback, told) - pair.logits)
    logits = logits - jnp.max(logits, axis=-1, keepdims=True)
    q = jnp.where(mdp.decisions, after.q_values, 0)
    best = jnp.sum(jax.nn.softmax(logits)[..., None, None] * q[:, :-1], axis=1) + q[:, -1] - surprise
    return Pair(_softmax(mdp, best / strength, policy), logits)


def _aim(feedback: Array, told: Array) -> Array:
    """ζ·g; for a hard gate, 0 for the first of the best and next to nothing for the others."""
    endless = jnp.isinf(feedback)[:, None]
    first = jnp.arange(told.shape[-1]) == jnp.argmax(told, axis=-1)[:, None]
    hard = jnp.where(first, jnp.zeros((), told.dtype), jnp.asarray(SHUT, told.dtype))
    return jnp.where(endless, hard, jnp.where(endless, 0, feedback[:, None]) * told)


def _softmax(mdp: MDP, q: Array, before: Array) -> Array:
    """Softmax over legal actions; in states without a decision, the policy before."""
    found = jax.nn.softmax(jnp.where(mdp.decisions, q, -jnp.inf), axis=-1)
    return jnp.where(jnp.any(mdp.decisions, axis=-1, keepdims=True), found, before)


@functools.partial(quickly, static=("most",))
def settled(system: System, gain: Gain, pair: Pair, most: int) -> tuple[Pair, Array]:
    """Steps until no lane changes any more, or so many; and how much each changed in the last one, [L]."""
    return _settled(system, gain, pair, most)


def _settled(system: System, gain: Gain, pair: Pair, most: int) -> tuple[Pair, Array]:
    def on(carry: Any) -> Any:
        pair, _, count = carry
        new = step(system, gain, pair)
        moved = jnp.max(jnp.abs(new.policy - pair.policy), axis=(-2, -1))
        moved += jnp.max(jnp.abs(jax.nn.softmax(new.logits) - jax.nn.softmax(pair.logits)), axis=-1)
        return new, moved, count + 1

    tolerance = max(SETTLED, 16 * float(jnp.finfo(pair.policy.dtype).eps))
    start = pair, jnp.full_like(gain.feedback, jnp.inf), 0
    pair, moved, _ = jax.lax.while_loop(lambda carry: jnp.any(carry[1] > tolerance) & (carry[2] < most), on, start)
    return pair, moved


@functools.partial(quickly, static=("most",))
def swept(
    system: System, gain: Gain, pair: Pair, changes: Array, positions: Array, most: int
) -> tuple[Array, Array, Array]:
    """Follows a pair while rewards are R + t·changes for one t after the other.

    Policies [T, L, S, A], weights [T, L, N], and how much each lane still changed when it was left, [T, L].
    """

    def at(pair: Pair, t: Array) -> tuple[Pair, tuple[Array, Array, Array]]:
        there = system._replace(rewards=system.rewards + t * changes)
        pair, moved = _settled(there, gain, pair, most)
        return pair, (pair.policy, jax.nn.softmax(pair.logits), moved)

    return jax.lax.scan(at, pair, positions)[1]

"""Seeds of a learner, followed one after the other until each has decided: on what, after how long, how far apart."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxcliff.learners.training import policy_of, started, stepped
from jaxcliff.model.mdp import MDP


class Landings(NamedTuple):
    """What became of several seeds of one lane, one after the other.

    How many landed on each action [A]; steps of those, in all and at most; the total variation between each two that
    follow each other, largest over states, in all; the policy of the last, [S, A]; and by how much its first step moved
    log π.
    """

    landed: Array
    steps: Array
    most: Array
    apart: Array
    policy: Array
    moved: Array


def landings(learner: Any, mdp: MDP, reward: Array, state: int, confidence: float, most: int, keys: Array) -> Landings:
    """Follows each seed from the base until an action of a state has so much probability, or for so many steps."""
    first, none = started(learner, mdp), jnp.zeros((), mdp.dtype)
    base = policy_of(learner, mdp, first.theta)[0]
    found = Landings(jnp.zeros(mdp.num_actions, mdp.dtype), none, none, none, base, jnp.zeros_like(base))

    def on(carry: Any) -> Any:
        which, step, at, found = carry
        key = jax.random.fold_in(keys[which], step)
        after = stepped(learner, mdp, reward[None], at, (), key, none)[0]
        policy, logs = policy_of(learner, mdp, after.theta)
        share = policy[state]
        landed = share.max() >= confidence
        ended = landed | (step + 1 >= most)
        took = jnp.where(landed, step + 1, 0).astype(mdp.dtype)
        apart = jnp.abs(policy - found.policy).sum(axis=-1).max() / 2
        told = Landings(
            found.landed + (landed & (jnp.arange(len(share)) == share.argmax())).astype(mdp.dtype),
            found.steps + took,
            jnp.maximum(found.most, took),
            found.apart + jnp.where(which % 2 == 1, apart, 0),
            policy,
            found.moved,
        )
        found = jax.tree.map(lambda x, y: jnp.where(ended, x, y), told, found)
        moved = jnp.where(step == 0, logs - policy_of(learner, mdp, first.theta)[1], found.moved)
        at = jax.tree.map(lambda x, y: jnp.where(ended, x, y), first, after)
        return which + ended.astype(jnp.int32), jnp.where(ended, 0, step + 1), at, found._replace(moved=moved)

    start = jnp.int32(0), jnp.int32(0), first, found
    return jax.lax.while_loop(lambda carry: carry[0] < len(keys), on, start)[-1]

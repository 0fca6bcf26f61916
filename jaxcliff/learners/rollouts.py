"""Groups of answers: G trajectories from each start, in a bandit, a token tree or a chain."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcliff.core.records import is_concrete
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors, Tree

EPISODES = 8  # of a chain without an end: so many times 1/(1 − γ) steps


class Rollouts(NamedTuple):
    """What was sampled, [C, G, T] each: states, actions, and whether the episode had not ended before."""

    states: Array
    actions: Array
    live: Array


def starts(mdp: MDP, prompts: int, key: Array) -> tuple[Array, Array]:
    """(where groups start, [C]; how much each counts): a bandit's contexts, or draws of where episodes begin."""
    if mdp.transitions is None:
        return jnp.arange(mdp.num_states), mdp.initial
    upto = jnp.cumsum(mdp.initial)
    u = jax.random.uniform(key, (prompts,), upto.dtype) * upto[-1]
    drawn = jnp.minimum((u[:, None] >= upto).sum(axis=-1), mdp.num_states - 1)
    return drawn, jnp.full(prompts, 1 / prompts, upto.dtype)


def length_of(mdp: MDP) -> int:
    """Steps of a trajectory: the depth of a tree, 1 of a bandit, of a chain until what follows counts for little."""
    if mdp.transitions is None:
        return 1
    if isinstance(mdp.transitions, Tree):
        return int(mdp.transitions.depth)
    if not is_concrete(mdp.steps):
        raise ValueError(
            "inside a transformation a chain does not say how long trajectories are: give the learner length="
        )
    return int(np.ceil(EPISODES * float(mdp.steps)))


def sample(mdp: MDP, starts: Array, policy: Array, key: Array, group: int, length: int) -> Rollouts:
    """G trajectories from each start under a policy [S, A]."""
    upto = jnp.cumsum(policy, axis=-1)
    shape = (len(starts), group)

    def drawn(rows: Array, u: Array) -> Array:
        """An index of each row of cumulated probabilities."""
        return jnp.minimum((u[..., None] * rows[..., -1:] >= rows).sum(axis=-1, dtype=jnp.int32), rows.shape[-1] - 1)

    def step(carry: tuple[Array, Array], keys: Array) -> tuple[tuple[Array, Array], tuple[Array, Array, Array]]:
        state, live = carry
        u = jax.random.uniform(keys, (2, *shape), policy.dtype)
        action = drawn(upto[state], u[0])
        after, ended = _next(mdp, state, action, u[1], drawn)
        return (after, live & ~ended), (state, action, live)

    first = jnp.broadcast_to(starts.astype(jnp.int32)[:, None], shape)
    open_ = jnp.ones(shape, bool) if mdp.terminal is None else ~mdp.terminal[first]
    if length == 1:
        action = drawn(upto[first], jax.random.uniform(key, shape, policy.dtype))
        return Rollouts(first[..., None], action[..., None], open_[..., None])
    _, parts = jax.lax.scan(step, (first, open_), jax.random.split(key, length))
    return Rollouts(*(jnp.moveaxis(x, 0, -1) for x in parts))


def _next(mdp: MDP, state: Array, action: Array, u: Array, drawn: Any) -> tuple[Array, Array]:
    """(where the action leads, whether the episode ends with it)."""
    rows = mdp.transitions
    if isinstance(rows, Tree):
        last = state >= rows.level_starts[-2]
        ended = last | (action >= rows.vocabulary)
        return jnp.where(ended, 0, rows.vocabulary * state + 1 + action).astype(jnp.int32), ended
    if isinstance(rows, Dense):
        after = drawn(jnp.cumsum(rows.probabilities[state, action], axis=-1), u.astype(rows.dtype))
    else:
        assert isinstance(rows, Successors)
        at = drawn(jnp.cumsum(rows.probabilities[state, action], axis=-1), u.astype(rows.dtype))
        after = jnp.take_along_axis(rows.states[state, action], at[..., None], axis=-1)[..., 0].astype(jnp.int32)
    ended = jnp.zeros(state.shape, bool) if mdp.terminal is None else mdp.terminal[after]
    return after, ended


def returns(mdp: MDP, several: Array, rollouts: Rollouts) -> Array:
    """Σ γᵗ R of every trajectory, of each of several rewards [N, S, A]: [N, C, G]."""
    paid = several[:, rollouts.states, rollouts.actions]
    steps = jnp.arange(paid.shape[-1], dtype=paid.dtype)
    return (jnp.where(rollouts.live, paid, 0) * mdp.discount.astype(paid.dtype) ** steps).sum(axis=-1)


def table(mdp: MDP, rollouts: Rollouts, x: Array, counts: Array) -> Array:
    """Σ x over the samples of each (state, action), [S, A]: the mean over groups, each of which counts so much."""
    share = (counts / rollouts.states.shape[1]).astype(x.dtype)
    x = jnp.where(rollouts.live, x, 0) * share[:, None, None]
    states, actions = mdp.reward.shape
    if states * actions <= 64:  # a sum over all entries is faster than scattering, and keeps to vector units
        at = rollouts.states * actions + rollouts.actions
        own = at.reshape(-1)[:, None] == jnp.arange(states * actions, dtype=at.dtype)
        return jnp.where(own, x.reshape(-1)[:, None], 0).sum(axis=0).reshape(states, actions)
    return jnp.zeros((states, actions), x.dtype).at[rollouts.states, rollouts.actions].add(x)

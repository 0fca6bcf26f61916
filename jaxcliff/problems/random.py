"""Random problems: generic ones, whose ties have probability 0, and ones whose ties were planted."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.mdp import MDP, inverse_bellman
from jaxcliff.transitions import Dense, Successors


def garnet(
    key: jax.Array,
    *,
    states: int = 64,
    actions: int = 4,
    branching: int = 5,
    discount: Any = 0.95,
    dense: bool = False,
) -> MDP:
    """A Garnet: every action leads to `branching` random states with Dirichlet(1) weights; R ~ N(0, 1).

    Known: ties have probability 0. With `dense` the same transitions are stored as one array [S, A, S].
    """
    if not 1 <= branching <= states:
        raise ValueError(f"branching must lie between 1 and the number of states, {states}; it is {branching}")
    successor_key, weight_key, reward_key = jax.random.split(key, 3)
    order = jax.random.uniform(successor_key, (states, actions, states))
    nxt = jnp.argsort(order, axis=-1)[..., :branching]
    weights = jax.random.dirichlet(weight_key, jnp.ones(branching), (states, actions))
    reward = jax.random.normal(reward_key, (states, actions))
    if not dense:
        return MDP(Successors(nxt, weights), reward, discount)
    s, a = jnp.arange(states)[:, None, None], jnp.arange(actions)[:, None]
    p = jnp.zeros((states, actions, states)).at[s, a, nxt].set(weights)
    return MDP(Dense(p), reward, discount)


def tie_planted(
    key: jax.Array,
    *,
    states: int = 16,
    actions: int = 4,
    branching: int = 4,
    ties: int = 2,
    tied_states: int | None = None,
    near_gap: float = 0.0,
    margin: float = 0.1,
    discount: Any = 0.95,
) -> tuple[MDP, jax.Array]:
    """A Garnet whose optimal action values are chosen first, and its reward from them.

    At the first `tied_states` states (all, if not given) `ties` random actions share the best value, up to `near_gap`
    between them; every other action is worse by at least `margin`, and so is every rival in the other states. The
    reward is the inverse Bellman image of these values.

    Known: the action values, which are returned. They are exact for the reward before it is rounded; the reward that
    is stored is off by rounding, and its own exact values are what the solvers are held to.

    Returns:
        The problem, and Q [S, A].
    """
    if not 1 <= ties <= actions:
        raise ValueError(f"ties must lie between 1 and the number of actions, {actions}; it is {ties}")
    if not 0 <= near_gap < margin:
        raise ValueError(f"near_gap must be at least 0 and less than margin, {margin:g}; it is {near_gap:g}")
    model_key, value_key, choice_key, below_key = jax.random.split(key, 4)
    blank = garnet(model_key, states=states, actions=actions, branching=branching, discount=discount)
    best = jax.random.normal(value_key, (states, 1))
    rank = jnp.argsort(jnp.argsort(jax.random.uniform(choice_key, (states, actions)), axis=-1), axis=-1)
    count = jnp.where(jnp.arange(states) < (states if tied_states is None else tied_states), ties, 1)[:, None]
    below = margin + jax.random.exponential(below_key, (states, actions))
    q = best - jnp.where(rank == 0, 0, jnp.where(rank < count, near_gap, below))
    q = q.astype(blank.dtype)
    return MDP(blank.transitions, inverse_bellman(blank, q), blank.discount), q

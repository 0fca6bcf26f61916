"""Random problems: generic ones, whose ties have probability 0, and ones whose ties were planted."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks, devices
from jaxcliff.core.labels import Labels
from jaxcliff.core.numerics import cast
from jaxcliff.core.records import is_concrete
from jaxcliff.core.types import Flag, Key, Number, Whole
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors
from jaxcliff.rewards.inverse import inverse_bellman

SORTED = 2**24  # entries of a table [S, A, S] that is sorted to draw successors; larger problems make no such table


def in_both_dtypes(draw: Callable[..., jax.Array], key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Random numbers in JAX's default float, drawn in float32 in either mode: one key gives one problem."""
    return draw(key, shape, jnp.float32).astype(jnp.zeros(()).dtype)


def garnet(
    key: Key,
    *,
    states: Whole = 64,
    actions: Whole = 4,
    branching: Whole = 5,
    discount: Number = 0.95,
    dense: Flag = False,
) -> MDP:
    """A Garnet: every action leads to `branching` random states with Dirichlet(1) weights; R ~ N(0, 1).

    Known: ties have probability 0. With `dense` the same transitions are stored as one array [S, A, S]. Time and memory
    grow with S·A (and not with S²) where S²·A is more than 2²⁴; there the draw is another one than below, and a key
    gives the problem that this version draws.
    """
    states, actions = checks.whole(states, "states", 1), checks.whole(actions, "actions", 1)
    branching = checks.whole(branching, "branching", 1)
    if branching > states:
        raise ValueError(f"branching must lie between 1 and the number of states, {states}; it is {branching}")
    key, dense = checks.random_key(key), checks.flag(dense, "dense")
    if is_concrete(key):
        entries, size = states * actions, jnp.zeros(()).dtype.itemsize
        hint = "leave out dense=True, which stores no more than the successors" if dense else "take fewer states"
        needed = 2 * entries * (states * size if dense else branching * (size + 4))
        devices.require(needed, f"a Garnet of {states} states and {actions} actions", hint)
    nxt, weight_key, reward = _garnet(key, states, actions, branching)
    # A program of its own: as a part of another its last bits would be others.
    weights = jax.random.dirichlet(weight_key, np.ones(branching, np.float32), (states, actions), np.float32)
    weights = weights.astype(reward.dtype)
    transitions = Dense(_dense(nxt, weights)) if dense else Successors(nxt, weights)
    return MDP(transitions, reward, discount, labels=Labels(name="Garnet"))


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _garnet(key: jax.Array, states: int, actions: int, branching: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Successors, the key of their weights, and the reward."""
    successor_key, weight_key, reward_key = jax.random.split(key, 3)
    nxt = _distinct(successor_key, (states, actions), states, branching)
    return nxt, weight_key, in_both_dtypes(jax.random.normal, reward_key, (states, actions))


@jax.jit
def _dense(nxt: jax.Array, weights: jax.Array) -> jax.Array:
    """The same transitions as an array [S, A, S]."""
    states, actions, _ = nxt.shape
    s, a = jnp.arange(states)[:, None, None], jnp.arange(actions)[:, None]
    return jnp.zeros((states, actions, states), weights.dtype).at[s, a, nxt].set(weights)


def _distinct(key: jax.Array, rows: tuple[int, int], states: int, count: int) -> jax.Array:
    """So many different states for every row, [*rows, count], each set with the same probability."""
    if rows[0] * rows[1] * states <= SORTED:
        return jnp.argsort(jax.random.uniform(key, (*rows, states), jnp.float32), axis=-1)[..., :count]

    def draw(j: jax.Array, chosen: jax.Array) -> jax.Array:
        """Floyd's step: a state up to the last one allowed, or that one itself if it was drawn before."""
        last = states - count + j
        drawn = jax.random.randint(jax.random.fold_in(key, j), rows, 0, last + 1, jnp.int32)
        taken = jnp.any(chosen == drawn[..., None], axis=-1)
        return chosen.at[..., j].set(jnp.where(taken, last, drawn).astype(jnp.int32))

    return jax.lax.fori_loop(0, count, draw, jnp.full((*rows, count), -1, jnp.int32))


def tie_planted(
    key: Key,
    *,
    states: Whole = 16,
    actions: Whole = 4,
    branching: Whole = 4,
    ties: Whole = 2,
    tied_states: Whole | None = None,
    near_gap: Number = 0.0,
    margin: Number = 0.1,
    discount: Number = 0.95,
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
    states, actions = checks.whole(states, "states", 1), checks.whole(actions, "actions", 1)
    near_gap, margin = checks.number(near_gap, "near_gap"), checks.number(margin, "margin")
    ties = checks.whole(ties, "ties", 1)
    if ties > actions:
        raise ValueError(f"ties must lie between 1 and the number of actions, {actions}; it is {ties}")
    tied_states = states if tied_states is None else checks.whole(tied_states, "tied_states", 0, states)
    if not 0 <= near_gap < margin:
        raise ValueError(f"near_gap must be at least 0 and less than margin, {margin:g}; it is {near_gap:g}")
    model_key, q = _planted(checks.random_key(key), (states, actions), ties, tied_states, near_gap, margin)
    blank = garnet(model_key, states=states, actions=actions, branching=branching, discount=discount)
    q = cast(q, blank.dtype)
    labels = Labels(name="Garnet with ties")
    return MDP(blank.transitions, inverse_bellman(blank, q), blank.discount, labels=labels), q


@functools.partial(jax.jit, static_argnums=1)
def _planted(
    key: jax.Array, shape: tuple[int, int], ties: Any, tied_states: Any, near_gap: Any, margin: Any
) -> tuple[jax.Array, jax.Array]:
    """The key of the transitions, and the action values."""
    states, _ = shape
    model_key, value_key, choice_key, below_key = jax.random.split(key, 4)
    best = in_both_dtypes(jax.random.normal, value_key, (states, 1))
    order = jnp.argsort(jax.random.uniform(choice_key, shape, jnp.float32), axis=-1)
    rank = jnp.argsort(order, axis=-1)
    count = jnp.where(jnp.arange(states) < tied_states, ties, 1)[:, None]
    below = margin + in_both_dtypes(jax.random.exponential, below_key, shape)
    return model_key, best - jnp.where(rank == 0, 0, jnp.where(rank < count, near_gap, below))

"""Random instances, and those that attain a bound. All chains have one shape and all trees another: few programs."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff import problems
from jaxcliff.claims.registry import Batch
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense

STATES, ACTIONS = 12, 4
VOCABULARY, DEPTH = 3, 3
DISCOUNTS = (0.0, 0.5, 0.9, 0.99)
Rng = np.random.Generator


def key(rng: Rng) -> jax.Array:
    """A JAX key."""
    return jax.random.key(int(rng.integers(2**31)))


def chain(rng: Rng, discounts: Any = DISCOUNTS) -> MDP:
    """A Garnet, or one time in four a chain in which every state can follow."""
    discount = float(rng.choice(discounts))
    if rng.random() < 0.75:
        mdp = problems.garnet(key(rng), states=STATES, actions=ACTIONS, branching=4, discount=discount)
    else:
        mdp = problems.garnet(key(rng), states=STATES, actions=ACTIONS, branching=STATES, discount=discount, dense=True)
    return mdp.astype(jnp.float64)


def tree(rng: Rng, vocabulary: int = VOCABULARY, depth: int = DEPTH) -> MDP:
    """A token tree at γ = 1, from its root."""
    mdp = problems.token_tree(key(rng), vocabulary=vocabulary, depth=depth).astype(jnp.float64)
    return mdp.replace(initial=np.eye(mdp.num_states)[0])


def rewards_of(rng: Rng, mdp: MDP, count: int) -> np.ndarray:
    """N(0, 1), [count, S, A]; 0 where nothing is decided."""
    return np.where(mdp.decisions, rng.normal(size=(count, *mdp.reward.shape)), 0)


def changes_of(rng: Rng, mdp: MDP, count: int) -> np.ndarray:
    """Of four kinds (noise, signs, one entry, all alike), of sizes from .001 to 1."""
    return _changes(rng, np.asarray(mdp.decisions), count)


def _changes(rng: Rng, entries: np.ndarray, count: int) -> np.ndarray:
    """Of some entries of the reward only."""
    shape = (count, *entries.shape)
    noise, signs = rng.normal(size=shape), rng.choice([-1.0, 1.0], size=shape)
    order = np.where(entries, rng.random(shape), -1)
    one = (order == order.max(axis=(1, 2), keepdims=True)).astype(float)
    kinds = np.stack([noise, signs, one, np.ones(shape)])[rng.integers(4, size=count), np.arange(count)]
    return np.where(entries, kinds * 10 ** rng.uniform(-3, 0, size=(count, 1, 1)), 0)


def pairs(rng: Rng, count: int) -> Batch:
    """Two rewards of a chain, or of a tree."""
    mdp = chain(rng) if rng.random() < 0.75 else tree(rng)
    return Batch(mdp, {"rewards": rewards_of(rng, mdp, count), "changes": changes_of(rng, mdp, count)})


def chain_pairs(rng: Rng, count: int) -> Batch:
    """Two rewards of a chain."""
    mdp = chain(rng)
    return Batch(mdp, {"rewards": rewards_of(rng, mdp, count), "changes": changes_of(rng, mdp, count)})


def constants(rng: Rng, count: int) -> Batch:
    """Two rewards of a chain that differ by a number, at least a hundredth of their span."""
    mdp = chain(rng)
    rewards = rewards_of(rng, mdp, count)
    shifts = rng.choice([-1, 1], size=count) * np.ptp(rewards, axis=(1, 2)) * 10 ** rng.uniform(-2, 0, size=count)
    return Batch(mdp, {"rewards": rewards, "changes": np.broadcast_to(shifts[:, None, None], rewards.shape)})


def outcomes(rng: Rng, count: int) -> Batch:
    """Two rewards of a tree that differ in what is paid at the end."""
    mdp = tree(rng)
    paid = np.asarray(mdp.decisions) & (leaves(mdp) > 0)
    return Batch(mdp, {"rewards": rewards_of(rng, mdp, count), "changes": _changes(rng, paid, count)})


def leaves(mdp: MDP) -> np.ndarray:
    """1 for every action that ends an episode of a tree, [S, 1]."""
    starts = mdp.transitions.level_starts
    return (np.arange(mdp.num_states) >= starts[-2])[:, None].astype(float)


def raised_leaves(rng: Rng, count: int) -> Batch:
    """Outcomes that all rise by the same."""
    mdp = tree(rng)
    sizes = rng.uniform(0.1, 1, size=(count, 1, 1))
    return Batch(mdp, {"rewards": rewards_of(rng, mdp, count), "changes": sizes * leaves(mdp) * np.ones((1, 1, 3))})


def ties(rng: Rng, count: int) -> Batch:
    """A chain whose action values are chosen: m actions tie in the first state, all others are .1 behind; and a bump.

    An instance is a size ε and which of the tied actions is raised.
    """
    mdp = chain(rng)
    m = int(rng.integers(2, ACTIONS + 1))
    q = rng.uniform(0.0, 0.8, size=(STATES, ACTIONS))
    q[np.arange(STATES), rng.integers(ACTIONS, size=STATES)] = 1.0
    tied = rng.permutation(ACTIONS)[:m]
    q[0] = rng.uniform(0.0, 0.8, size=ACTIONS)
    q[0, tied] = 1.0
    raised = rng.choice(tied, size=count)
    sizes = 10 ** rng.uniform(-6, -1.5, size=count)
    names = {"q": np.broadcast_to(q, (count, *q.shape)), "tied": np.full(count, m), "raised": raised, "size": sizes}
    return Batch(mdp, names)


def bumps_into(probability: float | None) -> Any:
    """Tied chains in which the raised action comes back to its own state so often, or (None) as it happens."""

    def drawn(rng: Rng, count: int) -> Batch:
        _, arrays = ties(rng, count)
        discount = float(rng.choice([0.5, 0.9, 0.99]))
        rows = rng.dirichlet(np.ones(STATES), size=(STATES, ACTIONS))
        if probability is not None:
            away = rng.dirichlet(np.ones(STATES - 1), size=ACTIONS)
            rows[0, :, 0], rows[0, :, 1:] = probability, (1 - probability) * away
        return Batch(MDP(Dense(rows), np.zeros((STATES, ACTIONS)), discount), arrays)

    return drawn


def forks(rng: Rng, count: int) -> Batch:
    """One choice between two futures that never meet, changed towards the cliff."""
    mdp = problems.fork(1.0, discount=float(rng.choice([0.5, 0.9, 0.99]))).astype(jnp.float64)
    gaps, sizes = rng.uniform(0.1, 2, size=count), 10 ** rng.uniform(-2, 0.5, size=count)
    gains = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    towards = np.array([[-1.0, 1.0], [-1.0, 0.0], [1.0, 0.0]])
    strength = rng.uniform(0.1, 2, size=count)
    names = {"rewards": gaps[:, None, None] * gains, "changes": sizes[:, None, None] * towards, "strength": strength}
    return Batch(mdp, names)

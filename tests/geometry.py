"""Problems for the tests of geometry: the kinds of `cases`, in float64, with rewards that have one optimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests.cases import KINDS, put

F64 = jnp.dtype(jnp.float64)
FIRST = ("garnet", "proper", "ending_tree", "contexts")  # one of every arithmetic; the others are slow tests


def kinds(names):
    """Names of kinds as parameters, those that differ in numbers only marked slow."""
    return [name if name in FIRST else pytest.param(name, marks=pytest.mark.slow) for name in names]


def draw(name, rng, discount=None):
    """A problem of one kind, with a reward drawn for it: of span about 1, everywhere."""
    mdp = KINDS[name].draw(rng, F64)
    if discount is not None and mdp.transitions is not None:
        mdp = mdp.replace(discount=put(discount, F64))
    reward = rng.normal(size=mdp.reward.shape)
    return mdp.replace(reward=put(np.where(mdp.decisions, reward, 0), F64))


def decide(mdp, rewards):
    """(certainly optimal, certainly suboptimal) by `solve`, as numpy arrays."""
    acts = jc.optimal_actions(jc.solve(mdp, put(rewards, F64)))
    return np.asarray(acts.optimal), np.asarray(acts.suboptimal)


def contradictions(sets, optimal, suboptimal):
    """How many certain decisions say otherwise than these sets of optimal actions, [..., S, A]."""
    return int((sets & suboptimal).sum() + (~sets & optimal).sum())


def families(mdp, rng):
    """One family of every sort, by name."""
    states, actions = mdp.reward.shape
    weights = rng.dirichlet(np.ones(3), size=states).T
    rewards = rng.normal(size=(3, states, actions))
    some = rng.random((states, actions)) < 0.7
    some |= ~np.asarray(mdp.decisions)[some].any()
    return {
        "identity": jc.family.identity(mdp),
        "mask": jc.family.mask(some),
        "components": jc.family.components(weights, actions),
        "component": jc.family.component(weights, 1, actions),
        "features": jc.family.features(rewards),
        "weights": jc.family.weights(rewards),
        "ray": jc.family.features(rewards[:1]),
    }


def bandit(*values):
    return jc.problems.bandit(put(values, F64))


def by_set(plan):
    """The areas of a map of a bandit by the set of optimal actions."""
    return {tuple(np.flatnonzero(s[0]).tolist()): a for s, a in zip(plan.optimal, plan.areas(), strict=True)}


def legal_sets(mdp, actions):
    """Sets with one action per state, [..., S, A]."""
    return np.eye(mdp.num_actions, dtype=bool)[actions]


def key(rng):
    return jax.random.key(int(rng.integers(2**31)))

"""One table of problem kinds; every contract meets every kind."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import jaxcliff as jc

LANES, STATES, ACTIONS = 4, 8, 3  # one shape nearly everywhere, so that few programs are compiled
GARNET = {"states": STATES, "actions": ACTIONS, "branching": 3}
ITERATIVE = ("value_iteration", "policy_iteration")
SEARCHES = (*ITERATIVE, "shared")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A family of random problems of one shape: draw(rng, dtype) -> MDP."""

    draw: Callable[[np.random.Generator, Any], jc.MDP]
    methods: tuple[str, ...] = ITERATIVE


def put(numbers, dtype):
    """An array on the device, cast by numpy: `jnp.asarray` compiles two programs for every shape."""
    return jax.device_put(np.asarray(numbers).astype(dtype))


def _key(rng):
    return jax.random.key(int(rng.integers(2**31)))


def _gamma(rng, dtype):
    return put(rng.choice([0.0, 0.5, 0.9, 0.95, 0.99, 0.999]), dtype)


def _cast(mdp, dtype):
    return mdp.astype(dtype)


def garnet(rng, dtype):
    return _cast(jc.problems.garnet(_key(rng), **GARNET, discount=_gamma(rng, dtype)), dtype)


def dense(rng, dtype):
    return jc.MDP(_rows(rng, dtype), _normal(rng, (STATES, ACTIONS), dtype), _gamma(rng, dtype))


def masked(rng, dtype):
    legal = rng.random((STATES, ACTIONS)) < 0.6
    legal[np.arange(STATES), rng.integers(ACTIONS, size=STATES)] = True
    legal[0, 0] = False
    legal[0, 1] = True
    return dense(rng, dtype).replace(legal=legal)


def stopping(rng, dtype, discount=None):
    """Every action ends the episode with probability at least .02; two terminal states."""
    states, actions, branching = STATES, ACTIONS, 3
    nxt = rng.integers(2, states, size=(states, actions, branching))
    stop = rng.integers(0, 2, size=(states, actions, 1))
    ends = rng.uniform(0.02, 0.3, size=(states, actions, 1))
    p = np.concatenate([ends, rng.dirichlet(np.ones(branching), (states, actions)) * (1 - ends)], axis=-1)
    terminal = np.arange(states) < 2
    reward = rng.normal(size=(states, actions)) * ~terminal[:, None]
    model = jc.Successors(np.concatenate([stop, nxt], axis=-1), put(p, dtype))
    gamma = _gamma(rng, dtype) if discount is None else put(discount, dtype)
    return jc.MDP(model, put(reward, dtype), gamma, terminal=terminal)


def proper(rng, dtype):
    return stopping(rng, dtype, 1.0)


def river(rng, dtype):
    return _cast(jc.problems.river_swim(STATES, discount=_gamma(rng, dtype)), dtype)


def grid(rng, dtype):
    return _cast(jc.problems.gridworld(("..G", ".#P", "..."), discount=_gamma(rng, dtype)), dtype)


def tied(rng, dtype):
    gap = float(rng.choice([0.0, 1e-3, 1e-6, 1e-9]))
    mdp, _ = jc.problems.tie_planted(_key(rng), **GARNET, near_gap=gap, discount=_gamma(rng, dtype))
    return _cast(mdp, dtype)


def fork(rng, dtype):
    return _cast(jc.problems.fork(float(rng.uniform(0, 2)), discount=_gamma(rng, dtype)), dtype)


def self_return(rng, dtype):
    return _cast(jc.problems.self_return(float(rng.random()), discount=_gamma(rng, dtype)), dtype)


def tree(rng, dtype):
    return _cast(jc.problems.token_tree(_key(rng), vocabulary=3, depth=3), dtype)


def ending_tree(rng, dtype):
    correct = None if rng.random() < 0.5 else 0.3
    discount = put(rng.choice([0.5, 0.95, 1.0]), dtype)
    mdp = jc.problems.token_tree(_key(rng), vocabulary=2, depth=4, correct=correct, discount=discount, end_token=True)
    return _cast(mdp, dtype)


def bandit(rng, dtype):
    return jc.problems.bandit(_normal(rng, (ACTIONS,), dtype))


def contexts(rng, dtype):
    legal = rng.random((STATES, ACTIONS)) < 0.7
    legal[:, 0] = True
    return jc.problems.contextual_bandit(_normal(rng, (STATES, ACTIONS), dtype), legal=legal)


def _rows(rng, dtype):
    rows = rng.dirichlet(np.full(STATES, 0.5), size=(STATES, ACTIONS))
    return jc.Dense(put(rows, dtype))


def _normal(rng, shape, dtype):
    return put(rng.normal(size=shape), dtype)


KINDS = {
    "garnet": Kind(garnet, SEARCHES),
    "dense": Kind(dense),
    "masked": Kind(masked, SEARCHES),
    "stopping": Kind(stopping),
    "proper": Kind(proper, SEARCHES),
    "river": Kind(river),
    "grid": Kind(grid),
    "tied": Kind(tied),
    "fork": Kind(fork),
    "self_return": Kind(self_return),
    "tree": Kind(tree, (*ITERATIVE, "backward")),
    "ending_tree": Kind(ending_tree, (*ITERATIVE, "backward")),
    "bandit": Kind(bandit, ("value_iteration", "bandit")),
    "contexts": Kind(contexts, ("value_iteration", "bandit")),
}
COMBINATIONS = [(name, method) for name, kind in KINDS.items() for method in kind.methods]

# Every structure that code can see (sparse, dense and masked, terminal states at γ = 1, tree, no transitions); the
# other kinds differ from these in numbers only.
STRUCTURES = ("garnet", "masked", "proper", "ending_tree", "contexts")
STRUCTURE_METHODS = [(name, method) for name, method in COMBINATIONS if name in STRUCTURES]


def lanes(rng, mdp, count=LANES, scales=(0.0, 1e-3, 1.0)):
    """Rewards around the problem's own: itself, small and large perturbations; NaN where an entry is illegal."""
    size = rng.choice(scales, size=(count, 1, 1))
    size[0] = 0
    noise = size * rng.normal(size=(count, *mdp.reward.shape))
    rewards = np.asarray(mdp.reward) + noise
    rewards = np.where(np.asarray(mdp.decisions), rewards, np.nan)
    return put(rewards, mdp.dtype)

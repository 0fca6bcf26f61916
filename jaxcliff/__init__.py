"""jaxcliff: where the optimal policy of a finite decision problem jumps when its reward changes a little.

    problem → rewards → solve → policy → metrics / cliffs → study → figure

These are all the public names. Most rooms are opened when first used.
"""

import importlib
from typing import Any

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors, Tree
from jaxcliff.operators.regularizers import KL, Entropy, FDivergence, Sparsemax
from jaxcliff.policies import ActionSets, optimal_actions
from jaxcliff.solvers.batch import Status
from jaxcliff.solvers.evaluate import evaluate, occupancy, reachable
from jaxcliff.solvers.jacobian import SoftJacobian, soft_jacobian
from jaxcliff.solvers.methods.factorize import Factorization
from jaxcliff.solvers.solution import Solution
from jaxcliff.solvers.solve import factorize, solve

# Rooms, and names from rooms, that are opened when first used.
_LAZY = {
    "aggregate": "jaxcliff.rewards.aggregate",
    "best_tiebreaker": "jaxcliff.cliffs.repair:best_tiebreaker",
    "census": "jaxcliff.cliffs.census:census",
    "cliffs_along": "jaxcliff.cliffs.ray:cliffs_along",
    "family": "jaxcliff.geometry.family",
    "figures": "jaxcliff.figures",
    "flip_probability": "jaxcliff.cliffs.noise:flip_probability",
    "inverse_bellman": "jaxcliff.rewards.inverse:inverse_bellman",
    "metrics": "jaxcliff.metrics",
    "models": "jaxcliff.rewards.models",
    "nearest_cliff": "jaxcliff.cliffs.radius:nearest_cliff",
    "perturb": "jaxcliff.rewards.perturb",
    "policies": "jaxcliff.policies",
    "policy_map": "jaxcliff.cliffs.plane:policy_map",
    "problems": "jaxcliff.problems",
    "repair": "jaxcliff.cliffs.repair:repair",
    "studies": "jaxcliff.studies",
    "theory": "jaxcliff.theory",
    "walls": "jaxcliff.cliffs.walls:walls",
    "weight_map": "jaxcliff.cliffs.weights:weight_map",
}

__all__ = [
    "KL",
    "MDP",
    "ActionSets",
    "Dense",
    "Entropy",
    "FDivergence",
    "Factorization",
    "Labels",
    "SoftJacobian",
    "Solution",
    "Sparsemax",
    "Status",
    "Successors",
    "Tree",
    "aggregate",
    "best_tiebreaker",
    "census",
    "cliffs_along",
    "evaluate",
    "factorize",
    "family",
    "figures",
    "flip_probability",
    "inverse_bellman",
    "metrics",
    "models",
    "nearest_cliff",
    "occupancy",
    "optimal_actions",
    "perturb",
    "policies",
    "policy_map",
    "problems",
    "reachable",
    "repair",
    "soft_jacobian",
    "solve",
    "studies",
    "theory",
    "walls",
    "weight_map",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        room, _, member = _LAZY[name].partition(":")
        opened = importlib.import_module(room)
        return getattr(opened, member) if member else opened
    raise AttributeError(f"jaxcliff has no {name!r}; public names: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return list(__all__)

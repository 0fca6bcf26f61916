"""jaxcliff: where the optimal policy of a finite decision problem jumps when its reward changes a little.

    problem → rewards → solve → policy → cliffs / metrics → study → figure

These are all the public names. Rooms that need heavy packages are opened when first used.
"""

import importlib
from typing import Any

from jaxcliff.labels import Labels
from jaxcliff.mdp import MDP, inverse_bellman
from jaxcliff.policies import ActionSets, optimal_actions
from jaxcliff.solvers.batch import Status
from jaxcliff.solvers.evaluate import evaluate, occupancy, reachable
from jaxcliff.solvers.factorize import Factorization
from jaxcliff.solvers.jacobian import SoftJacobian, soft_jacobian
from jaxcliff.solvers.regularizers import KL, Entropy, FDivergence, Sparsemax
from jaxcliff.solvers.solution import Solution
from jaxcliff.solvers.solve import factorize, solve
from jaxcliff.transitions import Dense, Successors, Tree

_ROOMS = {
    "aggregate": "jaxcliff.rewards.aggregate",
    "figures": "jaxcliff.figures",
    "metrics": "jaxcliff.metrics",
    "models": "jaxcliff.rewards.models",
    "perturb": "jaxcliff.rewards.perturb",
    "policies": "jaxcliff.policies",
    "problems": "jaxcliff.problems",
    "studies": "jaxcliff.studies",
    "theory": "jaxcliff.theory",
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
    "evaluate",
    "factorize",
    "figures",
    "inverse_bellman",
    "metrics",
    "models",
    "occupancy",
    "optimal_actions",
    "perturb",
    "policies",
    "problems",
    "reachable",
    "soft_jacobian",
    "solve",
    "studies",
    "theory",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(_ROOMS[name])
    raise AttributeError(f"jaxcliff has no {name!r}; public names: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return list(__all__)

"""jaxcliff: where the optimal policy of a finite decision problem jumps when its reward changes a little.

    problem → rewards → solve → policy → metrics / cliffs → study → figure

These are all the public names. Most rooms are opened when first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxcliff.core.labels import Labels
from jaxcliff.core.version import __version__
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors, Tree
from jaxcliff.operators.regularizers import KL, Entropy, FDivergence, Sparsemax
from jaxcliff.policies import ActionSets, optimal_actions
from jaxcliff.solvers.batch import Status
from jaxcliff.solvers.evaluate import evaluate, occupancy, reachable
from jaxcliff.solvers.jacobian import Bracket, SoftJacobian, soft_jacobian
from jaxcliff.solvers.methods.factorize import Factorization
from jaxcliff.solvers.solution import Solution
from jaxcliff.solvers.solve import factorize, solve

if TYPE_CHECKING:
    from jaxcliff import claims, figures, learners, metrics, policies, problems, scenarios, studies, sweep, theory
    from jaxcliff.auditing import audit
    from jaxcliff.cliffs.calibrate import Calibration, calibrate
    from jaxcliff.cliffs.census import Census, census
    from jaxcliff.cliffs.noise import FlipProbability, flip_probability
    from jaxcliff.cliffs.plane import PolicyMap, policy_map
    from jaxcliff.cliffs.radius import Margin, NearestCliff, nearest_cliff
    from jaxcliff.cliffs.ray import Path, cliffs_along, cliffs_along_each
    from jaxcliff.cliffs.repair import Repair, TieBreaker, best_tiebreaker, repair
    from jaxcliff.cliffs.walls import Walls, walls
    from jaxcliff.cliffs.weights import WeightMap, weight_map
    from jaxcliff.geometry import family
    from jaxcliff.rewards import aggregate, models, perturb
    from jaxcliff.rewards.inverse import inverse_bellman

# What is opened when it is first used: rooms, and names from rooms.
_ROOMS = {"aggregate": "rewards", "family": "geometry", "models": "rewards", "perturb": "rewards"}
_ROOMS |= dict.fromkeys(
    ("claims", "figures", "learners", "metrics", "policies", "problems", "scenarios", "studies", "sweep", "theory"), ""
)
_PLACES = {
    "auditing": ("audit",),
    "cliffs.calibrate": ("Calibration", "calibrate"),
    "cliffs.census": ("Census", "census"),
    "cliffs.noise": ("FlipProbability", "flip_probability"),
    "cliffs.plane": ("PolicyMap", "policy_map"),
    "cliffs.radius": ("Margin", "NearestCliff", "nearest_cliff"),
    "cliffs.ray": ("Path", "cliffs_along", "cliffs_along_each"),
    "cliffs.repair": ("Repair", "TieBreaker", "best_tiebreaker", "repair"),
    "cliffs.walls": ("Walls", "walls"),
    "cliffs.weights": ("WeightMap", "weight_map"),
    "rewards.inverse": ("inverse_bellman",),
}
_LAZY = {name: place for place, names in _PLACES.items() for name in names}

# fmt: off
__all__ = [
    "KL", "MDP", "ActionSets", "Bracket", "Calibration", "Census", "Dense", "Entropy", "FDivergence",
    "Factorization", "FlipProbability", "Labels", "Margin", "NearestCliff", "Path", "PolicyMap", "Repair",
    "SoftJacobian", "Solution", "Sparsemax", "Status", "Successors", "TieBreaker", "Tree", "Walls", "WeightMap",
    "__version__", "aggregate", "audit", "best_tiebreaker", "calibrate", "census", "claims", "cliffs_along",
    "cliffs_along_each", "evaluate", "factorize", "family", "figures", "flip_probability", "inverse_bellman",
    "learners", "metrics", "models", "nearest_cliff", "occupancy", "optimal_actions", "perturb", "policies",
    "policy_map", "problems", "reachable", "repair", "scenarios", "soft_jacobian", "solve", "studies", "sweep",
    "theory", "walls", "weight_map",
]
# fmt: on


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(".".join(filter(None, ("jaxcliff", _ROOMS[name], name))))
    if name in _LAZY:
        return getattr(importlib.import_module(f"jaxcliff.{_LAZY[name]}"), name)
    shown = ", ".join(n for n in __all__ if n[0] != "_")
    raise AttributeError(f"jaxcliff has no {name!r}; public names: {shown}")


def __dir__() -> list[str]:
    return list(__all__)

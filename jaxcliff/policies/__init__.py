"""Values → action sets → a policy: what is optimal, and which of it is taken."""

from jaxcliff.policies.best_of import best_of
from jaxcliff.policies.limits import entropy_limit, kl_limit
from jaxcliff.policies.selections import closest_to, first, preferred, random, uniform
from jaxcliff.policies.sets import ActionSets, ambiguous, optimal_actions

__all__ = [
    "ActionSets",
    "ambiguous",
    "best_of",
    "closest_to",
    "entropy_limit",
    "first",
    "kl_limit",
    "optimal_actions",
    "preferred",
    "random",
    "uniform",
]


def __dir__() -> list[str]:
    return list(__all__)

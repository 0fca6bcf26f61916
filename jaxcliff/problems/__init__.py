"""Named problems. Each says what is known about its answer, and the tests hold it to that."""

from jaxcliff.problems.arrays import from_arrays
from jaxcliff.problems.bandits import bandit, contextual_bandit
from jaxcliff.problems.chains import chain, gambler, river_swim
from jaxcliff.problems.extremal import fork, self_return
from jaxcliff.problems.files import load, save
from jaxcliff.problems.grids import cliff_walking, gridworld
from jaxcliff.problems.gymnasium import from_gymnasium
from jaxcliff.problems.random import garnet, tie_planted
from jaxcliff.problems.scores import Scores, from_ragged_scores, from_scores
from jaxcliff.problems.trees import token_tree

__all__ = [
    "Scores",
    "bandit",
    "chain",
    "cliff_walking",
    "contextual_bandit",
    "fork",
    "from_arrays",
    "from_gymnasium",
    "from_ragged_scores",
    "from_scores",
    "gambler",
    "garnet",
    "gridworld",
    "load",
    "river_swim",
    "save",
    "self_return",
    "tie_planted",
    "token_tree",
]


def __dir__() -> list[str]:
    return list(__all__)

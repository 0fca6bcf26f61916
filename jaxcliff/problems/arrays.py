"""A problem from arrays that somebody already has."""

from typing import Any

from jaxcliff.mdp import MDP
from jaxcliff.transitions import Dense


def from_arrays(
    probabilities: Any,
    reward: Any,
    discount: Any,
    *,
    legal: Any = None,
    terminal: Any = None,
    initial: Any = None,
) -> MDP:
    """The problem with transitions P(s'|s, a) as [S, A, S] and rewards [S, A].

    Rows must sum to 1 within 1e-5 and are divided by their sums. Zeros in the row of an illegal action, or of a
    terminal state, are fine; terminal states are declared by `terminal`, never inferred.

        >>> import jaxcliff as jc
        >>> jc.problems.from_arrays([[[0.5, 0.5]], [[0.0, 1.0]]], [[1.0], [0.0]], discount=0.9)
        MDP(1 action, 2 states, Dense, discount 0.9, float32)
    """
    return MDP(Dense(probabilities), reward, discount, initial=initial, legal=legal, terminal=terminal)

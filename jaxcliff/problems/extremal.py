"""Problems that attain a bound, so that no bound can be called loose without looking here."""

import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.labels import Labels
from jaxcliff.core.types import Number
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors
from jaxcliff.rewards.inverse import inverse_bellman


def fork(gap: Number = 1.0, *, discount: Number = 0.9) -> MDP:
    """One choice between two futures that never meet; the first is better by `gap`.

    Known: the nearest cliff in the sup norm is at exactly gap·(1 − γ)/2, the smallest that any problem with that gap
    can have (raise one future by ρ, lower the other by ρ); the entropy-regularised policy attains the tanh bound. The
    futures x and y loop for ever with one legal action each; their rewards may vary, so they are not terminal.
    """
    gap = checks.number(gap, "gap")
    nxt = np.array([[1, 2], [1, 1], [2, 2]])
    legal = np.array([[True, True], [True, False], [True, False]])
    labels = Labels(("s0", "x", "y"), ("to x", "to y"), name="fork")
    reward = np.array([[gap, 0.0], [0.0, 0.0], [0.0, 0.0]])
    return MDP(Successors(nxt[..., None]), reward, discount, legal=legal, labels=labels)


def self_return(probability: Number = 0.0, *, discount: Number = 0.9) -> MDP:
    """Two tied actions; the second returns to its own state with a probability, nothing else ever does.

    Known: at state 0 both actions have Q = 1, and the bump that makes the second best by ε has norm ε(1 − γp): all of ε
    for p = 0, only ε(1 − γ) for p = 1.
    """
    probability = checks.number(probability, "probability")
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie between 0 and 1, not {probability:g}")
    p = np.zeros((2, 2, 2))
    p[0, 0] = (0, 1)
    p[0, 1] = (probability, 1 - probability)
    p[1, :] = (0, 1)
    legal = np.array([[True, True], [True, False]])
    blank = MDP(Dense(p), np.zeros((2, 2)), discount, legal=legal)
    q = jnp.asarray([[1.0, 1.0], [0.0, 0.0]]).astype(blank.dtype)
    return MDP(
        blank.transitions, inverse_bellman(blank, q), blank.discount, legal=legal, labels=Labels(name="self-return")
    )

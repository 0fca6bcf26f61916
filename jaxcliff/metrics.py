"""How far apart two policies, or two sets of optimal actions, are."""

import jax.numpy as jnp

from jaxcliff._types import Policies, StateFlags, Values
from jaxcliff.policies import ActionSets


def total_variation(policy: Policies, other: Policies) -> Values:
    """TV(s) = ½ Σ_a |π(a|s) − π'(a|s)| for every state, [*B, S]."""
    return 0.5 * jnp.sum(jnp.abs(policy - other), axis=-1)


def flips(before: ActionSets, after: ActionSets) -> tuple[StateFlags, StateFlags]:
    """Where the set of optimal actions certainly changed, and where that is not decided, [*B, S] each.

    A state flips if some action is certainly optimal on one side and certainly suboptimal on the other.
    """
    changed = (before.optimal & after.suboptimal) | (before.suboptimal & after.optimal)
    flipped = jnp.any(changed, axis=-1)
    unsure = jnp.any(before.undecided | after.undecided, axis=-1)
    return flipped, unsure & ~flipped

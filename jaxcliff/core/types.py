"""Axis names and array aliases, each written once.

S states, A actions, K successors of one state-action pair, *B any leading lane axes (a *lane* is one
reward of a batch). Under jaxtyping the aliases check shapes and kinds; without it they are `jax.Array`. Numpy's arrays
pass too: host geometry hands them to what computes with either.
"""

from typing import TYPE_CHECKING, TypeAlias

import jax

if TYPE_CHECKING:
    Expected: TypeAlias = jax.Array
    LaneFlags: TypeAlias = jax.Array
    LaneScalars: TypeAlias = jax.Array
    LaneStatus: TypeAlias = jax.Array
    Policies: TypeAlias = jax.Array
    Rewards: TypeAlias = jax.Array
    ActionFlags: TypeAlias = jax.Array
    Columns: TypeAlias = jax.Array
    StateFlags: TypeAlias = jax.Array
    Values: TypeAlias = jax.Array
else:
    try:
        import numpy as np
        from jaxtyping import Bool, Float, Int
    except ImportError:
        Expected = LaneFlags = LaneScalars = LaneStatus = jax.Array
        Columns = Policies = Rewards = ActionFlags = StateFlags = Values = jax.Array
    else:
        Array = jax.Array | np.ndarray
        Columns = Float[Array, "S B"]  # values with their lanes last, as sweeps go through them
        Expected = Float[Array, "*B S A"]  # E[V(next state)] for every state and action
        LaneFlags = Bool[Array, "*B"]
        LaneScalars = Float[Array, "*B"]
        LaneStatus = Int[Array, "*B"]
        Policies = Float[Array, "*B S A"]  # rows are distributions over actions
        Rewards = Float[Array, "*B S A"]
        ActionFlags = Bool[Array, "*B S A"]
        StateFlags = Bool[Array, "*B S"]
        Values = Float[Array, "*B S"]

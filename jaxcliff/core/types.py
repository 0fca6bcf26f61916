"""Axis names and array aliases, each written once.

S states, A actions, K successors of one state-action pair, *B any leading lane axes (a *lane* is one
reward of a batch). Under jaxtyping the aliases check shapes and kinds; without it they are `jax.Array`. Numpy's arrays
pass too: host geometry hands them to what computes with either.

What users type has names of its own, such as `RewardLike`: whatever makes such an array. A type checker holds callers
to them; at run time they say what is meant and check nothing, as every function answers what it cannot use with a
sentence.

| name | what it is |
|---|---|
| `NumbersLike` | numbers of any shape |
| `RewardLike` | one reward, [S, A] |
| `RewardsLike` | rewards, [..., S, A] |
| `PolicyLike` | policies, [..., S, A]: rows are distributions over actions |
| `WeightsLike` | of N rewards: [N], [N, 1] or [N, S] |
| `Number` | one real number |
| `Whole` | one whole number |
| `Flag` | True or False |
| `Key` | a JAX random key |
| `Norm` | "inf", "2" or "1" |
| `Where` | "all", "reachable" or "visited" |
| `Rule` | a selection: action sets → policies |
| `FamilyLike` | of `jc.family` |
| `RegularizerLike` | Entropy, KL, Sparsemax or FDivergence |
| `Names` | one per thing |
| `Word` | one of a few |
| `GridLike` | rows of a map, a character per cell |
| `LabelsLike` | jc.Labels |
| `AroundLike` | jc.factorize(mdp) |
| `Environment` | of Gymnasium |
| `Numbers` | of the kind that went in |
| `AxesLike` | axes of matplotlib |
| `PathLike` | of a file |
| `TableLike` | a file, rows, columns by name, or a data frame |
| `Dataset` | of xarray |
| `DataFrame` | of pandas |
| `ProblemsLike` | a jc.MDP, a list of them, or lists of them by name |
| `PointLike` | a function of one point of a sweep: (key, **coordinates) → results by name |
| `CoordinatesLike` | the axes of a sweep: names → values |
| `ExecutorLike` | of `concurrent.futures`, or one that does the same |
| `DevicesLike` | a list of JAX devices |
| `ShardLike` | (i, n): a part, and how many there are |
| `SettingsLike` | words → what JSON holds |
| `CaseLike` | a scenario, or its name |
| `KnobsLike` | knobs of a scenario → numbers |
"""

from typing import TYPE_CHECKING, Any, NewType, TypeAlias

import jax
import numpy as np

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

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    import xarray as xr

    NumbersLike: TypeAlias = jax.Array | np.ndarray | float | Sequence[Any]
    RewardLike: TypeAlias = NumbersLike
    RewardsLike: TypeAlias = NumbersLike
    PolicyLike: TypeAlias = NumbersLike
    WeightsLike: TypeAlias = NumbersLike
    Number: TypeAlias = float | np.ndarray | jax.Array
    Whole: TypeAlias = int | np.integer
    Flag: TypeAlias = bool | np.bool_
    Key: TypeAlias = jax.Array
    Norm: TypeAlias = str
    Where: TypeAlias = str
    Rule: TypeAlias = Callable[..., Any]
    FamilyLike: TypeAlias = Any
    RegularizerLike: TypeAlias = Any
    Names: TypeAlias = Sequence[Any]
    Word: TypeAlias = str
    GridLike: TypeAlias = Sequence[str]
    LabelsLike: TypeAlias = Any
    AroundLike: TypeAlias = Any
    Environment: TypeAlias = Any
    Numbers: TypeAlias = Any
    AxesLike: TypeAlias = Any
    PathLike: TypeAlias = str | os.PathLike[str]
    TableLike: TypeAlias = Any
    Dataset: TypeAlias = xr.Dataset
    DataFrame: TypeAlias = pd.DataFrame
    ProblemsLike: TypeAlias = Any
    PointLike: TypeAlias = Callable[..., Any]
    CoordinatesLike: TypeAlias = Mapping[str, Any] | Sequence[tuple[str, Any]]
    ExecutorLike: TypeAlias = Any
    DevicesLike: TypeAlias = Sequence[jax.Device]
    ShardLike: TypeAlias = Sequence[int]
    SettingsLike: TypeAlias = Mapping[str, Any]
    CaseLike: TypeAlias = Any
    KnobsLike: TypeAlias = Mapping[str, Number]
else:
    NumbersLike = NewType("NumbersLike", object)
    RewardLike = NewType("RewardLike", object)
    RewardsLike = NewType("RewardsLike", object)
    PolicyLike = NewType("PolicyLike", object)
    WeightsLike = NewType("WeightsLike", object)
    Number = NewType("Number", object)
    Whole = NewType("Whole", object)
    Flag = NewType("Flag", object)
    Key = NewType("Key", object)
    Norm = NewType("Norm", object)
    Where = NewType("Where", object)
    Rule = NewType("Rule", object)
    FamilyLike = NewType("FamilyLike", object)
    RegularizerLike = NewType("RegularizerLike", object)
    Names = NewType("Names", object)
    Word = NewType("Word", object)
    GridLike = NewType("GridLike", object)
    LabelsLike = NewType("LabelsLike", object)
    AroundLike = NewType("AroundLike", object)
    Environment = NewType("Environment", object)
    Numbers = NewType("Numbers", object)
    AxesLike = NewType("AxesLike", object)
    PathLike = NewType("PathLike", object)
    TableLike = NewType("TableLike", object)
    Dataset = NewType("Dataset", object)
    DataFrame = NewType("DataFrame", object)
    ProblemsLike = NewType("ProblemsLike", object)
    PointLike = NewType("PointLike", object)
    CoordinatesLike = NewType("CoordinatesLike", object)
    ExecutorLike = NewType("ExecutorLike", object)
    DevicesLike = NewType("DevicesLike", object)
    ShardLike = NewType("ShardLike", object)
    SettingsLike = NewType("SettingsLike", object)
    CaseLike = NewType("CaseLike", object)
    KnobsLike = NewType("KnobsLike", object)

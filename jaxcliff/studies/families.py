"""The problems of a sweep: one, several of one shape, or families of them by name; and axes of positive numbers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxcliff import sweep
from jaxcliff.core import checks
from jaxcliff.model.mdp import MDP, check_one


def families_of(mdp: Any) -> dict[str, list[MDP]]:
    """Families of problems by name; the only one has none."""
    several = dict(mdp) if isinstance(mdp, Mapping) else {"": [mdp] if isinstance(mdp, MDP) else mdp}
    families = {}
    for name, given in several.items():
        problems = [given] if isinstance(given, MDP) else checks.listed(given, "mdp")
        if not isinstance(name, str) or not problems or not all(isinstance(each, MDP) for each in problems):
            raise ValueError("mdp must be a jc.MDP, a list of them, or lists of them by name")
        for each in problems:
            check_one(each)
        families[name] = problems
    if not families or len({len(problems) for problems in families.values()}) > 1:
        sizes = ", ".join(f"{name}: {len(problems)}" for name, problems in families.items())
        raise ValueError(f"families must have as many problems each ({sizes or 'there are none'})")
    return families


def stacked(name: str, problems: list[MDP]) -> MDP:
    """Problems of one shape as one record."""
    shapes = {jax.tree.structure(each) for each in problems}
    shapes |= {tuple((x.shape, x.dtype) for x in jax.tree.leaves(each)) for each in problems}
    if len(shapes) > 2:
        of = f" of the family {name!r}" * bool(name)
        raise ValueError(f"the problems{of} have different shapes or layouts: build them alike, with one layout=")
    return jax.tree.map(lambda *x: np.stack([np.asarray(each) for each in x]), *problems)


def positive(name: str, values: Any) -> sweep.Axis:
    """An axis of positive numbers, in units of reward."""
    given = values if isinstance(values, sweep.Axis) else sweep.Axis(checks.numbers(values, name), np.size(values))
    numbers = given.values
    listed = isinstance(numbers, np.ndarray) and numbers.ndim == 1 and len(numbers) > 0
    if not listed or not (np.isfinite(numbers) & (numbers > 0)).all():
        raise ValueError(f"{name} must be a list of positive numbers, not {checks.shown(values)}")
    return dataclasses.replace(given, units="reward")

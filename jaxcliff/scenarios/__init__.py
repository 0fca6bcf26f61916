"""The paper's case studies as small problems, each with a knob, its threshold in closed form, and what the charts show.

case = jc.scenarios.get("lcpo")
case.threshold(target=1024), jc.solve(case.mdp(target=1024))
"""

import builtins

from jaxcliff.core import checks
from jaxcliff.core.types import Word
from jaxcliff.scenarios import (
    data_mixture,
    format_bonus,
    grader,
    lcpo,
    mismatch,
    near_tie,
    obedience,
    obfuscation,
    perturbation,
    shortcut,
    soft_policy,
    sophistry,
    training,
)
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, Readings, RewardParts, Scenario

__all__ = ["Heights", "Knob", "Laws", "Readings", "RewardParts", "Scenario", "get", "list"]

_FILES = (
    grader,
    obfuscation,
    obedience,
    lcpo,
    sophistry,
    data_mixture,
    perturbation,
    soft_policy,
    training,
    shortcut,
    format_bonus,
    mismatch,
    near_tie,
)
_ALL = {each.SCENARIO.name: each.SCENARIO for each in _FILES}


def list() -> builtins.list[str]:  # noqa: A001
    """The names of all scenarios, in the order of the paper.

    >>> import jaxcliff as jc
    >>> jc.scenarios.list()[:4]
    ['grader', 'obfuscation', 'obedience', 'lcpo']
    """
    return [*_ALL]


def get(name: Word) -> Scenario:
    """The scenario of that name.

    >>> import jaxcliff as jc
    >>> case = jc.scenarios.get("sophistry")
    >>> round(case.threshold(), 3), case.axis
    (0.838, 'audit')
    """
    if name not in _ALL:
        raise ValueError(f"there is no scenario {checks.shown(name)}; there are {', '.join(_ALL)}")
    return _ALL[name]


def __dir__() -> builtins.list[str]:
    return [*__all__]

"""Ready files for every study: each argument that it takes, with a value and what it is."""

import inspect
import json
from typing import Any

from jaxcliff import studies
from jaxcliff.config import held
from jaxcliff.config.file import FAMILIES, has_problem, tables_of
from jaxcliff.core import types

WIDTH = 110  # of a line with its comment
PROBLEM = """
[problem]  # or file = "problem.npz", or another builder
builder = "garnet"
states = 16
actions = 3
branching = 4
discount = 0.9
"""
LISTS = {
    "actions": "[2, 10, 100]",
    "strength": '{ start = 0.01, stop = 10, count = 7, spacing = "geometric" }',
    "sizes": '{ start = 0.001, stop = 1, count = 13, spacing = "geometric" }',
    "positions": "{ start = -1, stop = 1, count = 41 }",
    "discount": "{ start = 0.5, stop = 0.9, count = 21 }",
    "gaps": "[0.0, 0.01, 0.02, 0.05, 0.1, 0.2]",
    "noise": "[0.5, 1.0]",
    "groups": "[4, 8, 16]",
    "rates": "[0.4, 0.8, 1.6]",
    "feedback": '{ start = 0.03, stop = 30, count = 13, spacing = "geometric" }',
    "weights": "[0.1, 0.3, 0.9]",
    "extent": "[-1.0, 1.0, -1.0, 1.0]",
}
VALUES = {
    "kinds": '["entropy", "sparsemax"]',
    "count": "64",
    "resolution": "64",
    "weights": "[0.5, 0.3, 0.2]",
    "case": '"grader"',
    "quantities": '["cheating"]',
    "axis": '"penalty"',
    "knobs": "{ honest = 0.5 }",
    "names": '["helpful", "honest", "harmless"]',
    "chunk": "{ strength = 4 }",
    "batch": "4096",
    "tie_tolerance": "1e-6",
    "confidence": "0.95",
    "bases": '["flat", "peaked", "against"]',
    "models": '["tabular", "low_rank", "aggregated", "escort"]',
    "optimisers": '["ascent", "adam"]',
    "rank": "8",
    "state": "0",
}
KINDS = {
    types.Number: "0.1",
    types.RewardLike: "{ entry = [0, 1] }",
    types.PolicyLike: '{ file = "base.npy" }',
    types.RewardsLike: "[{ seed = 1 }, { seed = 2 }, { seed = 3 }]",
    types.Rule: '"uniform"',
}
DIRECTIONS = ("x", "y", "direction")
# What a study's file says, beyond what it must; the rest is there as a comment.
USED = {
    "response": ("kind", "count", "strength", "sizes"),
    "phase_diagram": ("extent", "resolution"),
    "phase_scan": ("positions", "strength"),
    "frontier": ("kinds", "actions", "strength"),
    "soft_against_hard": ("strength",),
    "temperature_curve": ("count",),
    "flip_frequency": ("count",),
    "aggregation_stability": ("count",),
    "constants": ("strength", "sizes", "count"),
    "learned_weights": ("rewards", "feedback", "strength"),
    "base_models": ("strength",),
    "case_study": ("count",),
    "survival_floor": ("count",),
    "perturbed_models": ("count",),
    "learner_noise": ("gaps", "noise", "groups", "rates", "count"),
}


def example(name: str) -> str:
    """A file for a study."""
    if name not in studies.__all__:
        raise ValueError(f"there is no study {name!r}; choose one of {', '.join(studies.__all__)}")
    function = getattr(studies, name)
    comments, several = held.described(function), held.arguments(function)
    first = (inspect.getdoc(function) or "").splitlines()[0]
    lines = [f"# {first}", f'study = "{name}"', f'store = "{name}.zarr"', "seed = 0", "float64 = true"]
    if has_problem(name):
        lines += [*PROBLEM.splitlines(), "seeds = 2" if name in FAMILIES else "seed = 0"]
    for table, model in tables_of(name).items():
        lines += ["", f"[{table}]"]
        for field, info in model.model_fields.items():
            kind, default = several[field]
            needed = info.is_required() or field in (*USED.get(name, ()), *DIRECTIONS)
            text = f"{'' if needed else '# '}{field} = {_value(field, kind, default)}"
            lines.append(_with_comment(text, comments.get(field, "")))
    return "\n".join(lines) + "\n"


def _value(field: str, kind: Any, default: Any) -> str:
    if field in DIRECTIONS:
        return f"{{ seed = {1 + (field == 'y')} }}"
    if kind is types.NumbersLike and field in LISTS:
        return LISTS[field]
    if field in VALUES:
        return VALUES[field]
    if isinstance(default, bool | int | float | str) and default is not None:
        return json.dumps(default)
    return KINDS.get(kind, '"…"')


def _with_comment(text: str, comment: str) -> str:
    """One line, however much there is to say."""
    room = WIDTH - max(len(text), 36) - 4
    if not comment or room < 20:
        return text
    short = comment if len(comment) <= room else comment[: room - 2].rsplit(" ", 1)[0] + " …"
    return f"{text:<36}  # {short}"

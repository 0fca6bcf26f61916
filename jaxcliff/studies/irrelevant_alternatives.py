"""Pressure on the chain of thought, as one context or as a mixture: can a tilt move what the monitor never sees?

In one context a policy ∝ b·exp(r/β), which entropy, KL and natural gradients make, has odds of hidden cheating against
honest work that know nothing of a penalty on what is caught: the alternative that is punished is irrelevant to them.
The paper's chart moves them a hundredfold.
"""

from typing import Any

import jax
import numpy as np
import xarray as xr

from jaxcliff import scenarios
from jaxcliff.core import checks
from jaxcliff.core.types import Dataset, Number, NumbersLike, Whole
from jaxcliff.learners import Learner
from jaxcliff.operators.regularizers import KL, Entropy
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.case_maps import Problem, filled, problem_of

NAMES = (
    "KL, one context",
    "entropy, one context",
    "natural gradient, one context",
    "gradient, one context",
    "KL, a mixture of contexts",
)
HONEST, HIDDEN = 0, 2


def irrelevant_alternatives(
    *, positions: NumbersLike | None = None, strength: Number | None = None, steps: Whole = 4000, rate: Number = 1.0
) -> Dataset:
    """Odds of hidden cheating against honest work over the penalty of the scenario "obfuscation".

    Args:
        positions: penalties, increasing; 25 from 0 to .6 if not given.
        strength: of KL and entropy; the scenario's own if not given.
        steps: of the two gradients; the natural one has the strength 1/(rate × steps) at its end, and takes as many as
            give that of KL.
        rate: of the other one, the exact gradient of the return over logits.

    Returns:
        A dataset over `position` and `setting`: `odds`, P(hidden)/P(honest) over all contexts. In a `tilt`'s one
        context they are those of any penalty (of entropy, which knows no base, others). Over `reading`: `reading_at`
        and `reading_value`, the odds in the chart, and `reading_low`, `reading_high` for the accuracy of its numbers.
    """
    case = scenarios.get("obfuscation")
    at = np.linspace(0, 0.6, 25) if positions is None else checks.numbers(positions, "positions")
    if at.ndim != 1 or not len(at):
        raise ValueError(f"positions must be a list of penalties, not {checks.shown(positions)}")
    strength = case.strength if strength is None else checks.number(strength, "strength")
    steps, rate = checks.whole(steps, "steps", 1), checks.number(rate, "rate")
    alone, mixture = (_problem(case, at, hackable) for hackable in (1.0, case.setting().hackable))
    natural = Learner(rate=1 / (strength * 50), steps=50, gradient="natural", base=alone.base)
    plain = Learner(rate=rate, steps=steps, gradient="exact", base=alone.base)
    key = jax.random.key(0)  # exact gradients draw nothing
    table = [
        solve(alone.mdp, alone.rewards, regularizer=KL(strength, alone.base)).policy,
        solve(alone.mdp, alone.rewards, regularizer=Entropy(strength)).policy,
        *(learner(alone.mdp, alone.rewards, key) for learner in (natural, plain)),
        solve(mixture.mdp, mixture.rewards, regularizer=KL(strength, mixture.base)).policy,
    ]
    often = [np.asarray(each.mdp.initial, float) for each in (*[alone] * 4, mixture)]
    odds = [_odds(np.asarray(policy, float)[: len(at)], x) for policy, x in zip(table, often, strict=True)]
    return xr.Dataset(
        {"odds": (("setting", "position"), np.stack(odds)), "tilt": ("setting", np.arange(len(NAMES)) < 3)}
        | _chart(case),
        {"setting": np.array(NAMES, object), "position": ("position", at, {"long_name": case.knob("penalty").meaning})},
        {"study": "irrelevant alternatives", "strength": float(strength), "threshold": case.threshold()},
    )


def _problem(case: scenarios.Scenario, at: np.ndarray, hackable: float) -> Problem:
    """The scenario with so many contexts in which cheating is possible."""
    rewards = case.along(filled(at), "penalty", hackable=hackable)
    return problem_of(case.mdp(hackable=hackable), rewards, case.base(hackable=hackable))


def _odds(policy: np.ndarray, often: np.ndarray) -> np.ndarray:
    share = np.einsum("s,...sa->...a", often, policy)
    return share[..., HIDDEN] / share[..., HONEST]


def _chart(case: Any) -> dict[str, Any]:
    """Not caught against what is neither caught nor uncaught cheating."""
    hidden, caught = (
        next(x for x in case.observed if x.what == f"cheating {what}" and x.axis == "penalty")
        for what in ("not caught", "caught")
    )
    a, b, error = np.array(hidden.values), np.array(caught.values), hidden.error
    odds = {"reading_value": a / (1 - a - b)}
    odds["reading_low"] = np.maximum(a - error, 1e-4) / (1 - a - b + 2 * error)
    odds["reading_high"] = (a + error) / (1 - a - b - 2 * error)
    return {name: ("reading", x) for name, x in odds.items()} | {"reading_at": ("reading", np.array(hidden.at))}

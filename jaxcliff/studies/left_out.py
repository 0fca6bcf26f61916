"""Leaving out one of five data sets: Out-Scores over its share in the mixture, of optima and of soft policies.

The full mixture is the average of the five that leave one out. A function that is quasi-concave in the mixture would be
at least as large there as at the worst of the five.
"""

from typing import Any

import numpy as np
import xarray as xr

from jaxcliff import policies, scenarios
from jaxcliff.core import checks
from jaxcliff.core.types import Dataset, NumbersLike
from jaxcliff.operators.regularizers import Entropy
from jaxcliff.scenarios import data_mixture
from jaxcliff.solvers.solution import tie_tolerance_of
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.case_maps import filled, problem_of

EQUAL = 1 / data_mixture.N


def left_out(*, positions: NumbersLike | None = None, strength: NumbersLike = (0.02, 0.1)) -> Dataset:
    """The Out-Score over the share of each data set, of the scenario "data_mixture".

    Args:
        positions: shares, increasing from 0 to that of equal parts, .2; 61 of them if not given.
        strength: of entropy, several.

    Returns:
        A dataset over `domain` and `position`: the `hard` Out-Score, shared on ties, and the `soft` one at each
        `strength`; per domain its `chart`, which is put in as the score of the specialist, the `threshold` of its
        share, and its own score in the model (`own`) and in the chart (`own_chart`, NaN if it has no column there).
        `below_all` is by how much the full mixture's score is less than the least of the five: above 0 it is not
        quasi-concave.
    """
    case = scenarios.get("data_mixture")
    at = np.linspace(0, EQUAL, 61) if positions is None else checks.numbers(positions, "positions")
    if at.ndim != 1 or not len(at) or (np.diff(at) <= 0).any():
        raise ValueError(f"positions must be increasing shares, not {checks.shown(positions)}")
    several = np.atleast_1d(checks.numbers(strength, "strength"))
    if several.ndim != 1 or not (np.isfinite(several) & (several > 0)).all():
        raise ValueError(f"strength must be a list of positive numbers, not {checks.shown(strength)}")
    ends = np.concatenate([at, [0, EQUAL]])
    size = len(data_mixture.DOMAINS)
    hard, soft = [], []
    for domain in range(size):
        problem = problem_of(case.mdp(), case.along(filled(ends), domain=domain), case.base())
        mdp, rewards, _ = problem
        acts = policies.optimal_actions(solve(mdp, rewards), tie_tolerance_of(mdp.dtype, None), absolute=True)
        hard.append(_cut(policies.uniform(acts), len(ends)))
        soft.append([_cut(solve(mdp, rewards, regularizer=Entropy(s)).policy, len(ends)) for s in several])
    scores, softer = case.quantity(np.stack(hard)), case.quantity(np.array(soft))
    columns = data_mixture.COLUMNS
    own_chart = [data_mixture.BENEFITS[x][columns.index(x)] if x in columns else np.nan for x in data_mixture.DOMAINS]
    own = [case.quantity(hard[i][-2], "own score", domain=i, share=0.0) for i in range(size)]
    return xr.Dataset(
        {
            "hard": (("domain", "position"), scores[:, :-2]),
            "soft": (("domain", "strength", "position"), softer[..., :-2]),
            "chart": ("domain", np.array(data_mixture.OUT)),
            "hard_without": ("domain", scores[:, -2]),
            "soft_without": (("domain", "strength"), softer[..., -2]),
            "own": ("domain", np.array(own)),
            "own_chart": ("domain", np.array(own_chart)),
            "threshold": ("domain", np.array([case.threshold(domain=i) for i in range(size)])),
        },
        {
            "domain": np.array(data_mixture.DOMAINS, object),
            "position": ("position", at, {"long_name": "share of the data set"}),
            "strength": ("strength", several, {"units": "reward"}),
        },
        {
            "study": "left out",
            "full": float(scores[:, -1].max()),
            "below_all": float(scores[:, -2].min() - scores[:, -1].max()),
        },
    )


def _cut(policy: Any, count: int) -> np.ndarray:
    """Without what the problem and its rewards were filled up with."""
    return np.asarray(policy, float)[:count, :1, : data_mixture.N + 1]

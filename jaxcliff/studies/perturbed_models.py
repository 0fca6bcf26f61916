"""One reward model wrong, or 200 prompts gone: how far from a cliff a mixture is, and what its benchmarks show of it.

A mistake of one model counts as much as its weight: what flips the mixture is its gap over that weight, or over twice
the weight where two entries may be moved against each other. And a change of a benchmark is none unless it is larger
than that between two runs of the same training, which the paper has not.
"""

import numpy as np
import xarray as xr

from jaxcliff import policies, scenarios
from jaxcliff.cliffs.radius import nearest_cliff
from jaxcliff.core import checks
from jaxcliff.core.types import Dataset, Key, NumbersLike, Whole
from jaxcliff.geometry import family
from jaxcliff.scenarios import perturbation
from jaxcliff.solvers.solution import tie_tolerance_of
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.case_maps import learner_of, problem_of
from jaxcliff.studies.learner import Learner, asked, ready

MODELS = ("model 1", "model 2", "model 3")
KNOBS: tuple[dict[str, float], ...] = ({}, {"shift": 0.1}, {"removed": 200.0})
WEIGHTS = np.geomspace(0.05, 0.95, 9)
GAP = 0.05  # of the mixture, at every weight


def perturbed_models(
    *, key: Key, weights: NumbersLike | None = None, learner: Learner | None = None, count: Whole = 26
) -> Dataset:
    """What amplifies a mistake of one model, and the changes of benchmarks from model 1 to models 2 and 3.

    Args:
        key: a JAX random key, of the learner.
        weights: of the model that is wrong, between 0 and 1; nine if not given.
        learner: (mdp, rewards [B, S, A], key) → policies; if not given, GRPO on groups of eight from the base.
        count: how often each model is trained, with other randomness; at least 2.

    Returns:
        A dataset. Over `weight`: the certified distances `one_entry` and `both_entries` to the cliff of a mixture whose
        gap is `gap`, and gap/w and gap/2w, `one_law` and `both_law`. Over `benchmark` and `change` (2 − 1 and 3 − 1):
        the `chart`'s, that of the `optimum` (NaN for benchmarks that the scenario does not model), the mean of what is
        `learned`, and whether the sign `agrees`; per benchmark the `floor`, the mean distance between two trainings of
        model 1. `moved` is the total variation from model 1 averaged over cues, `moved_floor` that between its twins.
    """
    ready(learner, key)
    count = checks.whole(count, "count", 2)
    at = WEIGHTS if weights is None else np.atleast_1d(checks.numbers(weights, "weights"))
    if at.ndim != 1 or not ((at > 0) & (at < 1)).all():
        raise ValueError(f"weights must be a list of numbers between 0 and 1, not {checks.shown(weights)}")
    one, both = _distances(at)
    case = scenarios.get("perturbation")
    mdp, base = case.mdp(), case.base()
    rewards = np.stack([case.rewards(**knobs).trained for knobs in KNOBS])
    acts = policies.optimal_actions(solve(mdp, rewards), tie_tolerance_of(mdp.dtype, None), absolute=True)
    hard = np.asarray(policies.uniform(acts), float)
    several = np.repeat(rewards, count, axis=0)
    problem = problem_of(mdp, several, base)
    if learner is None:
        runs = asked(learner_of(case, {}, problem), problem.mdp, problem.rewards, key)
    else:
        runs = asked(learner, mdp, several, key)
    runs = np.asarray(runs, float)[:, : len(base), : base.shape[1]].reshape(len(rewards), count, *base.shape)
    twins = [(i, j) for i in range(count) for j in range(i)]
    names = [*perturbation.CHART]
    chart = np.array([perturbation.CHART[name] for name in names]) / 100
    scores, learned = (np.stack([_scores(x, name) for name in names]) for x in (hard, runs))
    optimum, mean = scores[:, 1:] - scores[:, :1], learned.mean(axis=-1)
    changes = chart[:, 1:] - chart[:, :1]
    floor = np.mean([np.abs(learned[:, 0, i] - learned[:, 0, j]) for i, j in twins], axis=0)
    dims = ("benchmark", "change")
    return xr.Dataset(
        {
            "one_entry": ("weight", one),
            "both_entries": ("weight", both),
            "one_law": ("weight", GAP / at),
            "both_law": ("weight", GAP / (2 * at)),
            "chart": (dims, changes),
            "optimum": (dims, optimum),
            "learned": (dims, mean[:, 1:] - mean[:, :1]),
            "agrees": (dims, np.sign(optimum) == np.sign(changes)),
            "modelled": ("benchmark", np.array([name in perturbation.BENCHMARKS for name in names])),
            "floor": ("benchmark", floor),
            "moved": ("change", np.array([_apart(runs[m], runs[0]) for m in (1, 2)])),
            "moved_floor": np.mean([_apart(runs[0, i], runs[0, j]) for i, j in twins]),
        },
        {
            "weight": at,
            "benchmark": np.array(names, object),
            "change": np.array([f"{name} − {MODELS[0]}" for name in MODELS[1:]], object),
        },
        {"study": "perturbed models", "gap": GAP, "count": count},
    )


def _distances(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far one model of a mixture of two may be off, in one entry and in both, for a gap of `GAP` at each weight.

    The refusal gains (GAP + 1 − w)/w from the first model, and 1 is what complying has from the second.
    """
    one, both = [], []
    for w in weights:
        parts = np.array([[[(GAP + 1 - w) / w, 0.0]], [[0.0, 1.0]]])
        mixture = np.array([w, 1 - w])
        mdp = scenarios.get("sophistry").mdp().replace(reward=np.tensordot(mixture, parts, 1))
        wrong = family.component(mixture, 0, 2)
        one.append(float(nearest_cliff(mdp, norm="1", family=wrong).radius))
        both.append(float(nearest_cliff(mdp, family=wrong).radius))
    return np.array(one), np.array(both)


def _scores(policy: np.ndarray, name: str) -> np.ndarray:
    """Of a benchmark that is modelled; NaN of the others."""
    if name in perturbation.BENCHMARKS:
        return np.asarray(perturbation.score(policy, name))
    return np.full(policy.shape[:-2], np.nan)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Total variation, averaged over cues (and runs)."""
    return float(np.mean(np.abs(one - other).sum(axis=-1) / 2))

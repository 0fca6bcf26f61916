"""A case study of the paper as its policy maps have it: over its knob, what each map makes of the number on its y axis.

The hard optimum jumps at the scenario's cliffs. Beside it are shares of ties, KL from the base and entropy of one
strength, the best of N answers, as many as have a strength's price in KL, and a learner.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from jaxcliff import policies, scenarios
from jaxcliff.core import checks
from jaxcliff.core.types import CaseLike, Dataset, Key, KnobsLike, Names, Number, NumbersLike, Whole, Word
from jaxcliff.policies.sets import ActionSets
from jaxcliff.scenarios import Scenario
from jaxcliff.solvers.solution import tie_tolerance_of
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.case_maps import MAPS, STEPS, Problem, filled, learner_of, maps_of, prices_of, problem_of
from jaxcliff.studies.learner import Learner, asked, ready

SIDES = ("below", "on", "above")
GRID, TRIALS = 57, 13  # positions, and those of the learner
CLIFFS = 2  # of which both sides are looked at
BESIDE = 1e-6  # of the knob's range: how far from a cliff its two sides are


class _Asked(NamedTuple):
    """What is asked, checked; `values` are the positions, three for each cliff, and what fills them up."""

    case: Scenario
    axis: str
    knobs: dict[str, Any]
    quantities: tuple[str, ...]
    strength: float
    positions: np.ndarray
    cliffs: np.ndarray
    values: np.ndarray

    def problem(self, values: np.ndarray) -> Problem:
        """The scenario under rewards at values of the knob."""
        rewards = self.case.along(values, self.axis, **self.knobs)
        return problem_of(self.case.mdp(**self.knobs), rewards, self.case.base(**self.knobs))

    def measured(self, several: Any, values: Any) -> np.ndarray:
        """The quantities of policies [..., B, S, A] at values of the knob, [Q, ..., B]."""
        states, actions = self.case.base(**self.knobs).shape
        table = np.asarray(several, float)[..., :states, :actions]
        found = [
            np.stack(
                [
                    self.case.quantity(table[..., i, :, :], what, **(self.knobs | {self.axis: x}))
                    for i, x in enumerate(values)
                ],
                axis=-1,
            )
            for what in self.quantities
        ]
        return np.stack(found)


def case_study(
    case: CaseLike,
    *,
    key: Key,
    axis: Word | None = None,
    quantities: Names | None = None,
    knobs: KnobsLike | None = None,
    positions: NumbersLike | None = None,
    strength: Number | None = None,
    best_of: Whole = 4,
    learner: Learner | None = None,
    trials: Whole = TRIALS,
    count: Whole = 6,
    tie_tolerance: Number | None = None,
) -> Dataset:
    """What every policy map makes of a scenario, over a knob.

    Args:
        case: a scenario, or its name.
        key: a JAX random key, of the learner.
        axis: the knob; the scenario's first if not given.
        quantities: what is measured; the first, and those of which the paper has readings over this knob, if not given.
        knobs: values of the others.
        positions: of the knob, increasing; if not given, around its threshold, so far that the default, the readings
            and the slope of KL are in view.
        strength: of KL and entropy; the scenario's own if not given.
        best_of: N, of the best of N answers.
        learner: (mdp, rewards [B, S, A], key) → policies; if not given, GRPO on groups of eight from the scenario's
            base, with the paper's k3 leash of .001, and groups, rate and noise of the scenario where it has them.
        trials: at how many positions it learns.
        count: how often at each, with other randomness; 0 for no learner.
        tie_tolerance: gaps up to this are ties; of the largest reward, if that is above 1.

    Returns:
        A dataset over `position` and `quantity`: `measured` of every `map`; `hard_low` and `hard_high`, the least and
        the most of those optimal policies that prefer one action wherever it is optimal (they differ on ties), and
        whether anything is `undecided` there; what each map has `lost` of the trained return, and its `kl` to the base.
        Over `cliff`: the `threshold`, and whether it is the `first` one; `beside`, what each map measures `below`, `on`
        and `above` it. Over `trial` and `run`: what the learner `learned`. Over `reading`: those of the paper.
    """
    ready(learner, key)
    found = _asked(case, axis, quantities, knobs, positions, strength)
    count = checks.whole(count, "count", 0)
    problem = found.problem(found.values)
    scale = max(1.0, float(np.abs(problem.rewards).max()))
    tolerance = float(tie_tolerance_of(problem.mdp.dtype, tie_tolerance)) * scale
    acts = policies.optimal_actions(solve(problem.mdp, problem.rewards), tolerance, absolute=True)
    several, said = maps_of(problem, acts, found.strength, checks.whole(best_of, "best_of", 1), len(found.positions))
    lost, kl = prices_of(problem, several)
    unsure = np.asarray(acts.undecided).any(axis=(-2, -1))
    measured = found.measured(several, found.values)
    low, high = _extremes(acts, found)
    size, edges = len(found.positions), len(found.cliffs)
    grid, rest = slice(0, size), slice(size, size + 3 * edges)
    dims, names = ("quantity", "position"), list(MAPS[: len(several)])
    beside = measured[..., rest].reshape(len(found.quantities), len(several), edges, 3)
    variables: dict[str, Any] = {
        "measured": (("quantity", "map", "position"), measured[..., grid]),
        "hard_low": (dims, low[:, grid]),
        "hard_high": (dims, high[:, grid]),
        "undecided": ("position", np.reshape(unsure, -1)[grid]),
        "lost": (("map", "position"), lost[:, grid], {"units": "reward"}),
        "kl": (("map", "position"), kl[:, grid], {"units": "nats"}),
        "beside": (("quantity", "map", "cliff", "side"), beside),
        "first": ("cliff", np.asarray(found.cliffs == found.case.threshold(found.axis, **found.knobs))),
    }
    coords: dict[str, Any] = {
        "position": ("position", found.positions, {"long_name": found.case.knob(found.axis).meaning}),
        "quantity": np.array(found.quantities, object),
        "map": np.array(names, object),
        "side": np.array(SIDES, object),
        "threshold": ("cliff", found.cliffs),
    }
    attributes = _attributes(found) | said | {"tie_tolerance": tolerance}
    ds = xr.Dataset(variables | _readings(found), coords, attributes)
    return ds if count == 0 else ds.merge(_learned(learner, found, key, trials, count), combine_attrs="no_conflicts")


def _asked(case: Any, axis: Any, quantities: Any, knobs: Any, positions: Any, strength: Any) -> _Asked:
    scenario = case if isinstance(case, Scenario) else scenarios.get(case)
    axis = scenario.axis if axis is None else axis
    scenario.threshold(axis)
    if knobs is not None and not isinstance(knobs, Mapping):
        raise ValueError(f"knobs are values by name, not {checks.shown(knobs)}")
    others = dict(knobs or {})
    if axis in others:
        raise ValueError(f"{axis} is the knob of the x axis: leave it out of knobs")
    scenario.setting(**others)
    strength = scenario.strength if strength is None else checks.number(strength, "strength")
    if not 0 < strength < np.inf:
        raise ValueError(f"strength must be positive, not {strength:g}")
    first = scenario.measured[0]
    if quantities is None:
        read = [x.what for x in scenario.observed if x.axis == axis and _as_observed(scenario, others)]
        chosen = tuple(dict.fromkeys([first, *(what for what in read if what in scenario.measured)]))
    else:
        chosen = tuple([quantities] if isinstance(quantities, str) else checks.listed(quantities, "quantities"))
    if not chosen:
        raise ValueError(f"quantities must name some of {', '.join(scenario.measured)}")
    for what in chosen:
        scenario.quantity(scenario.base(**others), what, **others)
    if positions is None:
        low, high = _in_view(scenario, axis, others, strength)
        grid = np.linspace(low, high, GRID)
    else:
        grid = checks.numbers(positions, "positions")
        if grid.ndim != 1 or len(grid) < 2 or not (np.diff(grid) > 0).all():
            raise ValueError(f"positions must be increasing numbers, at least two, not {checks.shown(positions)}")
    at, seen = scenario.threshold(axis, **others), np.array(scenario.cliffs(axis, **others))
    seen = seen[(seen >= grid[0]) & (seen <= grid[-1])]
    cliffs = np.sort(seen[np.argsort(np.abs(seen - at), kind="stable")][:CLIFFS])
    values = np.concatenate([grid, _sides(scenario, axis, cliffs)])
    return _Asked(scenario, axis, others, chosen, strength, grid, cliffs, filled(values))


def _as_observed(case: Scenario, knobs: Mapping[str, Any]) -> bool:
    """Whether the knobs are those of the paper's chart."""
    return case.setting(**knobs) == case.setting()


def _sides(case: Scenario, axis: str, cliffs: np.ndarray) -> np.ndarray:
    """For each cliff a value below it, itself, and one above; nearer than a third of the way to its neighbours."""
    knob = case.knob(axis)
    step = BESIDE * (knob.high - knob.low)
    near = np.diff(cliffs).min() / 3 if len(cliffs) > 1 else step
    away = min(step, near) * np.array([-1, 0, 1])
    return np.clip(cliffs[:, None] + away, knob.low, knob.high).ravel()


def _in_view(case: Scenario, axis: str, knobs: dict[str, Any], strength: float) -> tuple[float, float]:
    """Around the threshold: the default, the readings, and five strengths of KL."""
    knob, at = case.knob(axis), case.threshold(axis, **knobs)
    if not knob.low <= at <= knob.high:
        return knob.low, knob.high
    step = (knob.high - knob.low) / 1000
    ends = case.along([max(at - step, knob.low), min(at + step, knob.high)], axis, **knobs)
    moved = (ends[1] - ends[0]) / (min(at + step, knob.high) - max(at - step, knob.low))
    slope = float(np.ptp(moved, axis=-1).max())
    read = [x for each in case.observed if each.axis == axis for x in each.at]
    reach = max(2 * abs(knob.default - at), *(1.5 * abs(x - at) for x in read), 5 * strength / max(slope, 1e-300), step)
    return max(knob.low, at - reach), min(knob.high, at + reach)


def _extremes(acts: ActionSets, found: _Asked) -> tuple[np.ndarray, np.ndarray]:
    """The least and the most of each quantity, [Q, B], over optimal policies that prefer one action."""
    may = np.asarray(acts.optimal | acts.undecided)
    eye = np.eye(may.shape[-1])
    otherwise = eye[may.argmax(axis=-1)]
    chosen = np.flatnonzero(may.any(axis=tuple(range(may.ndim - 1))))
    each = [found.measured(np.where(may[..., a, None], eye[a], otherwise), found.values) for a in chosen]
    return np.min(each, axis=0), np.max(each, axis=0)


def _learned(learner: Any, found: _Asked, key: Any, trials: Any, count: int) -> xr.Dataset:
    """What a learner makes of some positions, several times each."""
    some = checks.whole(trials, "trials", 2)
    at = np.linspace(found.positions[0], found.positions[-1], some)
    problem = found.problem(np.repeat(at, count))
    if learner is None:
        policy = asked(learner_of(found.case, found.knobs, problem), problem.mdp, problem.rewards, key)
    else:
        rewards = np.repeat(found.case.along(at, found.axis, **found.knobs), count, axis=0)
        policy = asked(learner, found.case.mdp(**found.knobs), rewards, key)
    table = found.measured(np.moveaxis(policy.reshape(some, count, *policy.shape[1:]), 1, 0), at)
    words = {"learner": "a learner of one's own" if learner is not None else f"GRPO, {STEPS} steps"}
    return xr.Dataset({"learned": (("quantity", "run", "trial"), table)}, {"trial": at}, words)


def _readings(found: _Asked) -> dict[str, Any]:
    """What the paper's charts show over this knob."""
    rows = [
        (list(found.quantities).index(each.what), at, value, each.error, each.source)
        for each in found.case.observed
        if each.axis == found.axis and each.what in found.quantities and _as_observed(found.case, found.knobs)
        for at, value in zip(each.at, each.values, strict=True)
    ]
    which, at, value, error, source = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return {
        "reading_of": ("reading", np.array(which, int)),
        "reading_at": ("reading", np.array(at, float)),
        "reading_value": ("reading", np.array(value, float)),
        "reading_error": ("reading", np.array(error, float)),
        "reading_source": ("reading", np.array(source, object)),
    }


def _attributes(found: _Asked) -> dict[str, Any]:
    case = found.case
    return {
        "study": "case study",
        "case": case.name,
        "title": case.title,
        "claim": case.claim,
        "source": case.source,
        "axis": found.axis,
        "strength": float(found.strength),
    }

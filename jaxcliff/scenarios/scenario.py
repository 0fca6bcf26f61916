"""A scenario: a case study of the paper as a small decision problem, with a knob that moves its policy over a cliff.

A file holds one. It says in plain functions of the knobs what the problem is, what is rewarded, and where, in closed
form, the optimum switches; and in numbers what the paper's chart shows. What every figure and every test of a scenario
asks is asked here, once.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.types import Number, NumbersLike, PolicyLike, Word
from jaxcliff.model.mdp import MDP

Setting = SimpleNamespace  # the value of every knob, by name


@dataclasses.dataclass(frozen=True)
class Knob:
    """What can be turned: its default, its range, what it means, and whether it is a whole number."""

    name: str
    default: float
    low: float
    high: float
    meaning: str
    whole: bool = False

    def checked(self, value: Number, scenario: Word) -> float | int:
        """The value, if it lies in the range."""
        what = f"{self.name} of {scenario}"
        if self.whole:
            return checks.whole(value, what, int(self.low), int(self.high))
        found = checks.number(value, what)
        if not self.low <= found <= self.high:
            raise ValueError(f"{what} must lie between {self.low:g} and {self.high:g}, not {found:g}")
        return found


@dataclasses.dataclass(frozen=True)
class Readings:
    """What a chart or table of the paper shows.

    Attributes:
        what: the name of a measured quantity of the scenario, or in words.
        axis: the knob at whose values it was read, or in words.
        at, values: the readings.
        error: how far off each may be.
        source: figure, table or section.
    """

    what: str
    axis: str
    at: tuple[float, ...]
    values: tuple[float, ...]
    error: float
    source: str


@dataclasses.dataclass(frozen=True)
class RewardParts:
    """Named parts of a reward, and what training makes of them.

    Attributes:
        names, parts: N of them, [N, S, A].
        weights: with which each enters training, [N], or [N, S] where they differ by state; 0 if it is not trained on.
        true: the reward that was wanted, [S, A].
        directions: by knob, how fast `scale` times the trained reward moves along it, [S, A]; of linear knobs.
        scale: a positive factor, [S, 1]: 1, or the number of prompts where the trained reward is their mean.
    """

    names: tuple[str, ...]
    parts: Any
    weights: Any
    true: Any
    directions: Mapping[str, Any]
    scale: Any = 1.0

    @property
    def trained(self) -> Any:
        """Σ_k w_k R_k, [S, A]."""
        weights = np.asarray(self.weights, float)
        weights = weights[:, None] if weights.ndim == 1 else weights
        return np.sum(weights[..., None] * np.asarray(self.parts, float), axis=0)

    @property
    def missing(self) -> Any:
        """What the trained reward leaves out: true − trained, [S, A]."""
        return np.asarray(self.true, float) - self.trained


class Heights(NamedTuple):
    """The measured quantity of the optimum just below a threshold, on it (ties shared equally), and just above."""

    below: float
    tied: float
    above: float


@dataclasses.dataclass(frozen=True)
class Laws:
    """What a scenario is, as functions of a setting.

    Attributes:
        problem: (setting, trained reward) → the MDP.
        parts: → `RewardParts`.
        base: → the policy before training, [S, A].
        thresholds: by knob, the first of which is drawn on the x axis: where along it the optimum switches. The
            docstring is the derivation.
        heights: → `Heights` at the first threshold.
        measured: by name, (policy [..., S, A], setting) → numbers; the first is drawn on the y axis.
        soft: (setting, strength) → the first of them for the policy that KL from the base makes, in closed form.
        others: by knob, further switches along it.
    """

    problem: Callable[[Setting, Any], MDP]
    parts: Callable[[Setting], RewardParts]
    base: Callable[[Setting], Any]
    thresholds: Mapping[str, Callable[[Setting], float]]
    heights: Callable[[Setting], Heights]
    measured: Mapping[str, Callable[[Any, Setting], Any]]
    soft: Callable[[Setting, float], float]
    others: Mapping[str, Callable[[Setting], tuple[float, ...]]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A case study. Every method takes knobs by name; those left out have their defaults.

    Attributes:
        name: under which `jc.scenarios.get` finds it.
        title: what it is about.
        claim: what the paper says, in one sentence.
        source: where.
        knobs: what can be turned.
        laws: the problem itself, and what is known of it.
        strength: of KL, in its figure: that of a fit to the chart where there is one (see `doubts`).
        observed: what the paper's charts show.
        doubts: what cannot be met, what was put in and is no prediction, and what the paper does not say.
    """

    name: str
    title: str
    claim: str
    source: str
    knobs: tuple[Knob, ...]
    laws: Laws
    strength: float
    observed: tuple[Readings, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def axis(self) -> str:
        """The knob on the x axis."""
        return next(iter(self.laws.thresholds))

    @property
    def axes(self) -> tuple[str, ...]:
        """All knobs along which a threshold is known."""
        return tuple(self.laws.thresholds)

    @property
    def measured(self) -> tuple[str, ...]:
        """The quantities that are measured; the first is on the y axis."""
        return tuple(self.laws.measured)

    def knob(self, name: Word) -> Knob:
        """The knob of that name."""
        for each in self.knobs:
            if each.name == name:
                return each
        there = ", ".join(f"{each.name} ({each.low:g} to {each.high:g})" for each in self.knobs)
        raise ValueError(f"{self.name} has no knob {checks.shown(name)}; there are {there}")

    def setting(self, **knobs: Number) -> Setting:
        """The value of every knob."""
        found: dict[str, float | int] = {}
        for each in self.knobs:
            found[each.name] = int(each.default) if each.whole else each.default
        for name, value in knobs.items():
            found[name] = self.knob(name).checked(value, self.name)
        return Setting(**found)

    def rewards(self, **knobs: Number) -> RewardParts:
        """The parts of the reward."""
        return self.laws.parts(self.setting(**knobs))

    def mdp(self, **knobs: Number) -> MDP:
        """The problem; its reward is what is trained on."""
        setting = self.setting(**knobs)
        return self.laws.problem(setting, self.laws.parts(setting).trained)

    def base(self, **knobs: Number) -> Any:
        """The policy before training, [S, A]."""
        return np.asarray(self.laws.base(self.setting(**knobs)), float)

    def threshold(self, axis: Word | None = None, /, **knobs: Number) -> float:
        """Where the optimum switches along a knob (that of the x axis if none is named), in closed form."""
        return float(self._law(self.laws.thresholds, axis)(self.setting(**knobs)))

    def derivation(self, axis: Word | None = None, /) -> str:
        """How the threshold comes about."""
        return inspect.getdoc(self._law(self.laws.thresholds, axis)) or ""

    def cliffs(self, axis: Word | None = None, /, **knobs: Number) -> tuple[float, ...]:
        """All switches along a knob that are known, inside its range, in order."""
        knob, setting = self.knob(axis or self.axis), self.setting(**knobs)
        found = [self.threshold(knob.name, **knobs)]
        found += self.laws.others.get(knob.name, lambda _: ())(setting)
        return tuple(float(x) for x in np.unique([x for x in found if knob.low < x < knob.high]))

    def heights(self, **knobs: Number) -> Heights:
        """How high the cliff at the first threshold is."""
        return Heights(*map(float, self.laws.heights(self.setting(**knobs))))

    def ray(self, axis: Word | None = None, /, **knobs: Number) -> tuple[Any, Any]:
        """(R, D), [S, A] each: at the value t of the knob, R + tD has the optima of the trained reward.

        It is the trained reward, up to `RewardParts.scale`; what `jc.cliffs_along` follows.
        """
        axis = self.axis if axis is None else axis
        at, parts = getattr(self.setting(**knobs), self.knob(axis).name), self.rewards(**knobs)
        if axis not in parts.directions:
            linear = ", ".join(parts.directions) or "none"
            raise ValueError(f"the reward of {self.name} is not linear in {axis}; it is in {linear}")
        direction = np.asarray(parts.directions[axis], float)
        return parts.scale * parts.trained - at * direction, direction

    def along(self, values: NumbersLike, axis: Word | None = None, /, **knobs: Number) -> Any:
        """The trained reward at several values of a knob, [B, S, A]."""
        name = self.axis if axis is None else axis
        return np.stack([self.rewards(**(knobs | {name: x})).trained for x in np.ravel(np.asarray(values))])

    def quantity(self, policy: PolicyLike, what: Word | None = None, /, **knobs: Number) -> Any:
        """What is measured of policies [..., S, A]: the number on the y axis, or another by its name."""
        law = self._law(self.laws.measured, what, "measures")
        return np.asarray(law(np.asarray(policy, float), self.setting(**knobs)))

    def share(self, strength: Number | None = None, /, **knobs: Number) -> float:
        """The number on the y axis under KL of this strength from the base, in closed form."""
        strength = self.strength if strength is None else checks.number(strength, "strength")
        if not strength > 0:
            raise ValueError(
                f"strength must be positive, not {strength:g}: the hard optimum is heights() and threshold()"
            )
        return float(self.laws.soft(self.setting(**knobs), strength))

    def _law(self, laws: Mapping[str, Any], name: str | None, does: str = "knows a threshold along") -> Any:
        if name is None:
            return next(iter(laws.values()))
        if name not in laws:
            raise ValueError(f"{self.name} {does} {', '.join(laws)}, not {checks.shown(name)}")
        return laws[name]

    def summary(self) -> str:
        """The case in a few lines."""
        knobs = [
            f"  {each.name} = {each.default:g} ({each.low:g} to {each.high:g}): {each.meaning}" for each in self.knobs
        ]
        low, tied, high = self.heights()
        there = f"At {self.axis} = {self.threshold():.6g} {self.measured[0]} goes from {low:.3g} to {high:.3g}"
        lines = [f"{self.title} ({self.source})", self.claim, *knobs, f"{there}, and is {tied:.3g} on the threshold."]
        return "\n".join([*lines, *self.doubts])


def logit(p: Any) -> Any:
    """Log p/(1 − p)."""
    return np.log(p) - np.log1p(-p)


def sigmoid(x: Any) -> Any:
    """1/(1 + e^{−x}), without overflow."""
    return np.exp(-np.logaddexp(0, -np.asarray(x, float)))


def tilted(base: Any, reward: Any, strength: float) -> Any:
    """Rows ∝ b·exp(r/β): the optimum under KL from the base in a problem of one decision."""
    reward = np.where(base > 0, reward, -np.inf)
    weight = base * np.exp((reward - reward.max(axis=-1, keepdims=True)) / strength)
    return weight / weight.sum(axis=-1, keepdims=True)

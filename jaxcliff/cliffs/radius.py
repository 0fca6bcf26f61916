"""The nearest cliff: the distance at which the optimal policy first jumps, what jumps there, and how to get there."""

from typing import Any, NamedTuple

import numpy as np

from jaxcliff import policies, theory
from jaxcliff.cliffs.walls import Walls, looked_at, walls
from jaxcliff.core import checks, datasets
from jaxcliff.core.labels import Labels, labelled
from jaxcliff.core.records import by_hand, record
from jaxcliff.core.types import (
    DataFrame,
    Dataset,
    FamilyLike,
    Norm,
    Number,
    NumbersLike,
    RewardsLike,
    Rule,
    Where,
    Whole,
)
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import recorded

BEYOND = 1e-6
SHOWN = 5  # ties that a summary lists


class Margin(NamedTuple):
    """The nearest wall of one state, and an interval for the distance at which the state really flips.

    The margin is true as a distance only if nothing else switches first; if something does, the state can flip sooner,
    but never nearer than the nearest cliff of all.
    """

    state: int
    leaves: int
    enters: int
    margin: float
    lower: float
    upper: float


@record
class NearestCliff:
    """The nearest cliff of one or many rewards.

    Attributes:
        radius: the distance ρ at which the policy first changes, [...]; 0 where actions tie, +inf if it never does.
        lower, upper: an interval that holds ρ, from the certified errors of the gaps and of the norms (for
            `where="visited"`, `lower` is that of all reachable states).
        state, leaves, enters: at that wall, in this state, the policy leaves one action and enters another; −1 if
            there is no wall. Several walls can be as near: this is one of them.
        direction: the change of reward of norm 1 that reaches it, [..., S, A]; `parameters` the same as θ.
        tied: whether actions tie already; then `margin` is the smallest gap/‖n‖ of the walls that are not ties, for
            the policy that the rule selects (without ties it is ρ again).
        undecided: whether the arithmetic cannot tell if actions tie somewhere: then ρ may be 0, and `lower` is.
        margin: see `tied`; walls that may be ties are left out too. True as a distance only if nothing else switches
            first.
        guarantee: g/(2L), what the smallest gap (of a wall that is no tie) promises without any normal (Theorem 2.7);
            0 where a tie is undecided.
        walls: all walls, from which these are chosen.
    """

    radius: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    state: np.ndarray
    leaves: np.ndarray
    enters: np.ndarray
    direction: np.ndarray
    parameters: np.ndarray
    tied: np.ndarray
    undecided: np.ndarray
    margin: np.ndarray
    guarantee: np.ndarray
    walls: Walls
    labels: Labels = labelled()
    made: Any = by_hand(default=None)

    def beyond(self, factor: NumbersLike = 1 + BEYOND) -> np.ndarray:
        """The rewards just beyond: R + factor·ρ·direction, [..., S, A]; several factors come first, [F, ..., S, A].

        Where there is no cliff, the reward stays.
        """
        factor = checks.numbers(factor, "factor")
        if not np.isfinite(factor).all():
            raise ValueError(f"factor must be finite, not {factor}")
        length = np.multiply.outer(factor, np.where(np.isfinite(self.radius), self.radius, 0))
        return self.walls.rewards + length[..., None, None] * self.direction

    def tied_actions(self) -> list[str]:
        """The ties of one reward, in words."""
        return self._pairs(self.walls.tied, "=")

    def undecided_actions(self) -> list[str]:
        """The pairs of one reward of which the arithmetic cannot tell whether they tie, in words."""
        return self._pairs(self.walls.undecided, "≈")

    def _pairs(self, marked: np.ndarray, sign: str) -> list[str]:
        if self.radius.shape:
            raise ValueError("several rewards: take one of them, near.walls.tied and .undecided say which")
        labels, own = self.labels, self.walls.actions
        pairs = np.argwhere(marked & self.walls.looked_at[..., None])
        return [f"{labels.state(s)}: {labels.action(own[s], s)} {sign} {labels.action(a, s)}" for s, a in pairs]

    def ranking(self, count: Whole = 10) -> list[Margin]:
        """The states of one reward by their margins, the smallest first; states that never switch are left out."""
        if self.radius.shape:
            raise ValueError("several rewards: rank one at a time")
        count = checks.whole(count, "count")
        own, walls = self.walls.actions, self.walls
        upper = walls.upper()
        nearest = walls.margin.min(axis=-1)
        enters = walls.margin.argmin(axis=-1)
        order = [int(s) for s in np.argsort(nearest, kind="stable") if np.isfinite(nearest[s])]
        return [
            Margin(s, int(own[s]), int(enters[s]), float(nearest[s]), float(self.lower), float(upper[s, enters[s]]))
            for s in order[:count]
        ]

    def to_dataframe(self) -> DataFrame:
        """A pandas table: of one reward its states by their margins, of many a row per reward."""
        import pandas as pd

        if self.radius.ndim:
            return self.to_dataset().drop_vars("direction").drop_dims(["state", "action"]).to_dataframe()
        names = self.labels
        rows = [
            {
                "state": names.state(m.state),
                "leaves": names.action(m.leaves, m.state),
                "enters": names.action(m.enters, m.state),
                "margin": m.margin,
                "lower": m.lower,
                "upper": m.upper,
            }
            for m in self.ranking(len(self.walls.gap))
        ]
        return pd.DataFrame(rows, columns=["state", "leaves", "enters", "margin", "lower", "upper"])

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset, without the walls."""
        one, table = ("...",), ("...", "state", "action")
        names = ("radius", "lower", "upper", "leaves", "enters", "tied", "undecided", "margin", "guarantee")
        variables = {name: (one, getattr(self, name)) for name in names} | {"at_state": (one, self.state)}
        walls, size = self.walls, self.direction.shape[-2:]
        settings = {"norm": walls.norm_name, "where": walls.where, "tie_tolerance": walls.tie_tolerance}
        variables |= {"direction": (table, self.direction)}
        return datasets.build("NearestCliff", variables, settings, labels=self.labels, size=size, made=self.made)

    def summary(self) -> str:
        """One sentence about one reward, or about how many of them are near."""
        norm, kind = self.walls.norm_name, {"all": "", "reachable": " of a reachable state"}.get(self.walls.where)
        if self.radius.shape:
            finite = self.radius[np.isfinite(self.radius)]
            middle = f"; median distance {np.median(finite):.3g} ({norm} norm)" if finite.size else ""
            unsure = f", {int(self.undecided.sum())} undecided" if self.undecided.any() else ""
            return f"{self.radius.size} rewards, {int(self.tied.sum())} of them on a cliff{unsure}{middle}"
        if self.tied or self.undecided:
            parts = [f"on a cliff: actions tie in {_some(self.tied_actions())}"] if self.tied else []
            if self.undecided:
                parts.append(f"undecided whether actions tie in {_some(self.undecided_actions())}")
            if np.isfinite(self.margin):
                parts.append(f"the nearest other wall is at {self.margin:.4g}")
            return "; ".join(parts)
        if self.state < 0:
            return "no change of this family changes the policy"
        s = int(self.state)
        switch = f"{self.labels.state(s)} goes from {self.labels.action(self.leaves, s)} to "
        bound = "at most " if kind is None else ""
        return (
            f"nearest cliff{kind or ''} at {bound}{self.radius:.4g} ({norm} norm): {switch}"
            f"{self.labels.action(self.enters, s)}; the smallest gap alone guarantees {self.guarantee:.4g}"
        )


def _some(things: list[str]) -> str:
    rest = f" and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
    return f"{', '.join(things[:SHOWN])}{rest}"


@checks.host_geometry
@recorded
def nearest_cliff(
    mdp: MDP,
    rewards: RewardsLike | None = None,
    *,
    norm: Norm = "inf",
    family: FamilyLike | None = None,
    where: Where = "all",
    rule: Rule = policies.first,
    tie_tolerance: Number | None = None,
) -> NearestCliff:
    """How far the nearest cliff is, exactly: ρ(R) = min over walls of gap(s, a) / ‖Fᵀn_{s,a}‖*.

    For any change of the reward smaller than ρ the optimal policy stays what it is; along `direction`, just beyond ρ,
    it does not.

    Args:
        mdp: the problem.
        rewards: [..., S, A]; the problem's own if not given.
        norm: of the change, "inf", "2" or "1".
        family: which changes are allowed (`jc.family`): all entries if not given.
        where: "all", "reachable" or "visited" (an upper bound); see `cliffs.walls`.
        rule: which policy is taken where actions tie, one of `jc.policies` that chooses a single action.
        tie_tolerance: gaps up to this are ties, in units of the span; 1e-11, or 1e-4 for a problem that came in
            float32, if not given. 0 asks for exact ties.

    >>> import jaxcliff as jc
    >>> near = jc.nearest_cliff(jc.problems.bandit([1.0, 0.5, 0.0]))
    >>> float(near.radius), int(near.leaves), int(near.enters)
    (0.25, 0, 1)
    """
    found = walls(mdp, rewards, norm=norm, family=family, where=where, rule=rule, tie_tolerance=tie_tolerance)
    lead = found.rewards.shape[:-2]

    def nearest(numbers: np.ndarray) -> np.ndarray:
        return np.asarray(numbers.reshape(*lead, -1).min(axis=-1))

    margin = found.margin
    reachable = np.isfinite(margin)
    ties = found.tied & reachable
    tied = np.asarray(ties.any(axis=(-2, -1)))
    flat = np.where(tied, 0, margin.reshape(*lead, -1).argmin(axis=-1))
    flat = np.where(tied, ties.reshape(*lead, -1).argmax(axis=-1), flat)
    radius = np.where(tied, 0.0, nearest(margin))
    exists = np.isfinite(radius)
    state, enters = np.divmod(flat, margin.shape[-1])
    leaves = np.take_along_axis(found.actions, state[..., None], axis=-1)[..., 0]
    # A state that is not visited, but could be, may switch first: its walls bound from below all the same.
    certain = looked_at(found.cones, "reachable", found.actions) if where == "visited" else found.looked_at
    lower, upper = found.lower(certain), found.upper()
    unsure = found.undecided & np.isfinite(lower)
    clear = reachable & ~found.tied & ~found.undecided
    no_tie = np.isfinite(found.gap) & ~found.tied & found.looked_at[..., None]
    smallest = nearest(np.where(no_tie, np.where(found.undecided, 0, found.gap), np.inf))

    pulled = found.family.pull(found.normals(state, enters))
    parameters = found.family.steepest(pulled, norm)
    direction = found.family.apply(parameters)
    reach = found.family.reach(norm)
    return NearestCliff(
        radius=radius,
        lower=np.where(tied, 0.0, nearest(lower)),
        upper=np.where(tied, 0.0, nearest(upper)),
        state=np.where(exists, state, -1),
        leaves=np.where(exists, leaves, -1),
        enters=np.where(exists, enters, -1),
        direction=np.where(exists[..., None, None], direction, 0.0),
        parameters=parameters,
        tied=tied,
        undecided=np.asarray(unsure.any(axis=(-2, -1))),
        margin=nearest(np.where(clear, margin, np.inf)),
        guarantee=np.asarray(theory.safe_radius(smallest, found.cones.steps) / reach)
        if reach
        else np.full(lead, np.inf),
        walls=found,
        labels=mdp.labels,
    )

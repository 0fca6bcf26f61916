"""Along a ray of rewards R + tD: every place where the optimal policy jumps, exactly.

The optimal value is convex and piecewise linear in t; how the ray is followed is told in `geometry.trails`.
"""

from typing import Any

import numpy as np

from jaxcliff import policies
from jaxcliff.cliffs.walls import optimal_policy
from jaxcliff.core import checks, datasets
from jaxcliff.core.labels import Labels, labelled
from jaxcliff.core.records import by_hand, record
from jaxcliff.core.types import DataFrame, Dataset, Number, RewardLike, RewardsLike, Rule, Whole
from jaxcliff.geometry import jumps
from jaxcliff.geometry.beside import Ties
from jaxcliff.geometry.cones import Array, Cones
from jaxcliff.geometry.trails import follow, middles
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import Read, recorded
from jaxcliff.solvers.solution import tie_tolerance_of

DIMS: dict[str, tuple[str, ...]] = {
    "breakpoints": ("breakpoint",),
    "actions": ("segment", "state"),
    "optimal": ("segment", "state", "action"),
    "undecided": ("segment", "state", "action"),
    "tv": ("breakpoint",),
    "visited_tv": ("breakpoint",),
    "return_jump": ("breakpoint",),
    "true_return": ("segment",),
    "value_jump": ("breakpoint",),
}


@record
class Path:
    """The cliffs on one ray, t from `start` to `stop`: M breakpoints between M + 1 segments.

    Attributes:
        breakpoints: t of every cliff, increasing, [M].
        actions: one optimal policy per segment, [M + 1, S].
        optimal: the optimal actions on each segment, [M + 1, S, A]: several in a state where they tie all along it,
            which is where the ray runs inside a wall.
        undecided: those of them of which the arithmetic cannot tell whether they tie, [M + 1, S, A].
        tv, visited_tv: how far the policy jumps at each breakpoint, [M]: the largest total variation over states, and
            its mean over the states visited before; ties by the rule that was asked for.
        return_jump: the change of the true return there, [M]; true_return: the true return of each segment; or None.
        value_jump: a bound on the jump of the optimal value at each breakpoint, [M]: 0 up to rounding, a certificate.
        tied_start: whether actions tie at the start that do not tie along the ray; undecided_start: whether the
            arithmetic cannot tell that of some; start_tv: how far the policy then jumps from the start itself to the
            first segment, the largest total variation over states.
        tie_tolerance: gaps up to this are ties, in units of the span of the reward.
        complete: False if the limit on breakpoints stopped the walk; then `stop` is how far it came.
    """

    start: float
    stop: float
    breakpoints: Array
    actions: Array
    optimal: Array
    undecided: Array
    tv: Array
    visited_tv: Array
    return_jump: Any
    true_return: Any
    value_jump: Array
    tied_start: bool
    undecided_start: bool
    start_tv: float
    tie_tolerance: float
    complete: bool
    labels: Labels = labelled()
    made: Any = by_hand(default=None)

    @property
    def first(self) -> float:
        """The first breakpoint; infinite if there is none."""
        return float(self.breakpoints[0]) if len(self.breakpoints) else np.inf

    @property
    def middles(self) -> Array:
        """A t inside every segment: the middle, or one more than the last breakpoint where the ray has no end."""
        return middles(self.start, self.breakpoints, self.stop)

    def switches(self, index: Whole) -> list[tuple[int, list[int], list[int]]]:
        """What switches at a breakpoint (−1 is the last): (state, its optimal actions before, and after)."""
        index = checks.place(index, len(self.breakpoints), "breakpoint")
        return jumps.switches(self.optimal[index], self.optimal[index + 1])

    def summary(self) -> str:
        """One line per breakpoint, after one for a start on a cliff, and before one for ties that last."""
        lines = ["actions tie at the start"] if self.tied_start else []
        lines += ["undecided whether actions tie at the start"] if self.undecided_start else []
        for i, t in enumerate(self.breakpoints):
            parts = [
                f"{self.labels.state(s)} goes from {self._names(s, a)} to {self._names(s, b)}"
                for s, a, b in self.switches(i)
            ]
            lines.append(f"t = {t:.6g}: {'; '.join(parts)}")
        if not len(self.breakpoints):
            lines.append(f"no cliff between t = {self.start:g} and t = {self.stop:g}")
        unsure = self.undecided.any(axis=-1)
        certain = (self.optimal.sum(axis=-1) > 1) & ~unsure
        for words, states in (
            ("inside a wall: actions tie all along a segment in", certain.any(axis=0)),
            ("undecided whether actions tie all along a segment in", unsure.any(axis=0)),
        ):
            if states.any():
                lines.append(f"{words} {', '.join(self.labels.state(int(s)) for s in np.flatnonzero(states))}")
        return "\n".join(lines if self.complete else [*lines, "stopped at the limit on breakpoints"])

    def _names(self, state: int, actions: list[int]) -> str:
        return " or ".join(self.labels.action(a, state) for a in actions)

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset."""
        return datasets.to_dataset(self, DIMS, size=self.optimal.shape[1:])

    def to_dataframe(self) -> DataFrame:
        """A pandas table with a row for every state that switches at a breakpoint."""
        import pandas as pd

        names = self.labels
        rows = [
            {
                "t": self.breakpoints[i],
                "state": names.state(s),
                "leaves": self._names(s, before),
                "enters": self._names(s, after),
                "tv": self.tv[i],
                "visited_tv": self.visited_tv[i],
            }
            for i in range(len(self.breakpoints))
            for s, before, after in self.switches(i)
        ]
        return pd.DataFrame(rows, columns=["t", "state", "leaves", "enters", "tv", "visited_tv"])

    @classmethod
    def from_dataset(cls, ds: Dataset) -> "Path":
        """Back from a dataset."""
        return datasets.from_dataset(cls, ds, DIMS, Read(ds.attrs))


@checks.host_geometry
@recorded
def cliffs_along(
    mdp: MDP,
    reward: RewardLike | None = None,
    direction: RewardLike | None = None,
    *,
    start: Number = 0.0,
    stop: Number = np.inf,
    true_reward: RewardLike | None = None,
    rule: Rule = policies.uniform,
    tie_tolerance: Number | None = None,
    max_breakpoints: Whole = 10_000,
) -> Path:
    """Every cliff on the ray R + tD for t in (start, stop), in order.

    With a second reward as the direction, the first breakpoint from 0 on is the largest weight at which the second only
    breaks ties of the first: the threshold of their lexicographic order.

    Args:
        mdp: the problem.
        reward: R, [S, A]; the problem's own if None.
        direction: D, [S, A]; for several at a time, `cliffs_along_each`.
        start, stop: the range of t.
        true_reward: another reward, [S, A], whose return is reported.
        rule: how ties are broken where heights of jumps are measured: `jc.policies.uniform`, `first`, or a function of
            action sets.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        max_breakpoints: a longer path stops there and says so.

    >>> import jaxcliff as jc
    >>> path = jc.cliffs_along(jc.problems.bandit([1.0, 0.5, 0.0]), None, [[0.0, 1.0, 3.0]])
    >>> path.breakpoints.tolist(), path.actions.tolist()
    ([0.3333333333333333], [[0], [2]])
    """
    if direction is not None and np.ndim(checks.numbers(direction, "a direction")) == 3:
        raise ValueError("a ray has one direction, [S, A]; for several take jc.cliffs_along_each")
    directions = [direction]
    return _paths(mdp, reward, directions, start, stop, true_reward, rule, tie_tolerance, max_breakpoints)[0]


@checks.host_geometry
@recorded
def cliffs_along_each(
    mdp: MDP,
    reward: RewardLike | None = None,
    directions: RewardsLike | None = None,
    *,
    start: Number = 0.0,
    stop: Number = np.inf,
    true_reward: RewardLike | None = None,
    rule: Rule = policies.uniform,
    tie_tolerance: Number | None = None,
    max_breakpoints: Whole = 10_000,
) -> list[Path]:
    """The cliffs on several rays R + tDᵢ, directions [B, S, A], which are followed at a time; as in `cliffs_along`."""
    if directions is not None:
        directions = checks.numbers(directions, "the directions")
        if directions.ndim != 3 or not len(directions):
            raise ValueError(f"directions have shape [B, S, A], one or more, not {list(directions.shape)}")
    each = [None] if directions is None else list(directions)
    return _paths(mdp, reward, each, start, stop, true_reward, rule, tie_tolerance, max_breakpoints)


def _paths(
    mdp: MDP,
    reward: Any,
    directions: list[Any],
    start: Any,
    stop: Any,
    true_reward: Any,
    rule: Any,
    tie_tolerance: Any,
    max_breakpoints: Any,
) -> list[Path]:
    cones = Cones.of(mdp)
    base = cones.reward(reward)
    start, stop = checks.number(start, "start"), checks.number(stop, "stop")
    max_breakpoints = checks.whole(max_breakpoints, "max_breakpoints", 1)
    along = np.stack([cones.reward(d, "a direction") for d in directions])
    true = None if true_reward is None else cones.reward(true_reward, "the true reward")
    if not start < stop or not np.isfinite(start):
        raise ValueError(f"the range of t must be increasing and have a finite start, not {start} to {stop}")
    ties = Ties(cones, tie_tolerance_of(cones.dtype, tie_tolerance, reward))
    begin = optimal_policy(cones, base)
    found = follow(ties, base, along, float(start), float(stop), max_breakpoints, begin)

    optimal = np.concatenate([f.optimal for f in found])
    firsts = np.cumsum([0, *(len(f.optimal) for f in found)])
    before = np.concatenate([first + np.arange(len(f.breakpoints)) for first, f in zip(firsts, found, strict=False)])
    # Every segment in its middle, and every start, with all their gaps: what a rule may look at.
    rows = np.concatenate([np.repeat(np.arange(len(found)), np.diff(firsts)), np.arange(len(found))])
    parts = np.stack([np.broadcast_to(base, along.shape), along], axis=1)
    places = np.concatenate([*(f.middles(float(start)) for f in found), np.full(len(found), float(start))])
    acts = ties.verdict(
        np.concatenate([*(np.array(f.actions) for f in found), np.stack([f.actions[0] for f in found])]),
        np.concatenate([optimal, np.stack([f.start for f in found])]),
        parts[rows] if len(along) > 1 else parts,
        np.stack([np.ones_like(places), places], axis=-1),
    )
    undecided, policy = np.asarray(acts.undecided), jumps.policies_of(acts, rule)
    chosen, starts = policy[: firsts[-1]], policy[firsts[-1] :]
    start_tv = np.abs(starts - chosen[firsts[:-1]]).sum(axis=-1).max(axis=-1) / 2
    height = jumps.heights(cones.in_blocks(cones.visits, chosen), chosen, before, before + 1, true)
    ends = np.cumsum([0, *(len(f.breakpoints) for f in found)])

    paths = []
    for i, own in enumerate(found):
        jump = slice(ends[i], ends[i + 1])
        paths.append(
            Path(
                start=float(start),
                stop=own.reached,
                breakpoints=np.array(own.breakpoints),
                actions=np.array(own.actions),
                optimal=np.array(own.optimal),
                undecided=undecided[firsts[i] : firsts[i + 1]],
                tv=height["tv"][jump],
                visited_tv=height["visited_tv"][jump],
                return_jump=None if true is None else height["return_jump"][jump],
                true_return=None if true is None else height["true_return"][firsts[i] : firsts[i + 1]],
                value_jump=np.array(own.value_jump),
                tied_start=bool((own.start & ~own.optimal[0] & ~undecided[firsts[-1] + i]).any()),
                undecided_start=bool((own.start & ~own.optimal[0] & undecided[firsts[-1] + i]).any()),
                start_tv=float(start_tv[i]),
                tie_tolerance=ties.tolerance,
                complete=own.complete,
                labels=mdp.labels,
            )
        )
    return paths

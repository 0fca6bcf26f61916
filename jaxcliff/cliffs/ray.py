"""Along a ray of rewards R + tD: every place where the optimal policy jumps, exactly.

Between two breakpoints one policy is optimal and every gap is linear in t, so that the next breakpoint is a ratio; the
policy behind it is the lexicographic optimum of `beside`. The optimal value is convex and piecewise linear in t.
"""

from typing import Any

import numpy as np

from jaxcliff import policies
from jaxcliff.cliffs import datasets
from jaxcliff.cliffs.walls import optimal_policy
from jaxcliff.core import checks
from jaxcliff.core.labels import Labels, labelled
from jaxcliff.core.records import record
from jaxcliff.geometry import jumps
from jaxcliff.geometry.beside import Ties
from jaxcliff.geometry.cones import Array, Cones, U
from jaxcliff.model.mdp import MDP
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

    @property
    def first(self) -> float:
        """The first breakpoint; infinite if there is none."""
        return float(self.breakpoints[0]) if len(self.breakpoints) else np.inf

    @property
    def middles(self) -> Array:
        """A t inside every segment: the middle, or one more than the last breakpoint where the ray has no end."""
        return _middles(self.start, self.breakpoints, self.stop)

    def switches(self, index: Any) -> list[tuple[int, list[int], list[int]]]:
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

    def to_dataset(self) -> Any:
        """The same as a labelled xarray dataset."""
        return datasets.to_dataset(self, DIMS, {}, self.optimal.shape[1:])

    @classmethod
    def from_dataset(cls, ds: Any) -> "Path":
        """Back from a dataset."""
        return datasets.from_dataset(cls, ds, DIMS)


@checks.host_geometry
def cliffs_along(
    mdp: MDP,
    reward: Any,
    direction: Any,
    *,
    start: Any = 0.0,
    stop: Any = np.inf,
    true_reward: Any = None,
    rule: Any = policies.uniform,
    tie_tolerance: Any = None,
    max_breakpoints: Any = 10_000,
) -> Any:
    """Every cliff on the ray R + tD for t in (start, stop), in order.

    With a second reward as the direction, the first breakpoint from 0 on is the largest weight at which the second only
    breaks ties of the first: the threshold of their lexicographic order.

    Args:
        mdp: the problem.
        reward: R, [S, A]; the problem's own if None.
        direction: D, [S, A], or several, [B, S, A], which are followed at a time.
        start, stop: the range of t.
        true_reward: another reward, [S, A], whose return is reported.
        rule: how ties are broken where heights of jumps are measured: `jc.policies.uniform`, `first`, or a function of
            action sets.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        max_breakpoints: of one ray; a longer path stops there and says so.

    Returns:
        A `Path`, or a list of one per direction.

    >>> import jaxcliff as jc
    >>> path = jc.cliffs_along(jc.problems.bandit([1.0, 0.5, 0.0]), None, [[0.0, 1.0, 3.0]])
    >>> path.breakpoints.tolist(), path.actions.tolist()
    ([0.3333333333333333], [[0], [2]])
    """
    cones = Cones.of(mdp)
    base = cones.reward(reward)
    start, stop = checks.number(start, "start"), checks.number(stop, "stop")
    max_breakpoints = checks.whole(max_breakpoints, "max_breakpoints", 1)
    direction = direction if direction is None else checks.numbers(direction, "a direction")
    several = np.ndim(direction) == 3
    if several and not len(direction):
        raise ValueError("there are no directions to follow")
    directions = np.stack([cones.reward(d, "a direction") for d in (direction if several else [direction])])
    true = None if true_reward is None else cones.reward(true_reward, "the true reward")
    if not start < stop or not np.isfinite(start):
        raise ValueError(f"the range of t must be increasing and have a finite start, not {start} to {stop}")
    ties = Ties(cones, tie_tolerance_of(cones.dtype, tie_tolerance, reward))
    begin = optimal_policy(cones, base)
    found = _follow(ties, base, directions, float(start), float(stop), max_breakpoints, begin)

    optimal = np.concatenate([f.optimal for f in found])
    firsts = np.cumsum([0, *(len(f.optimal) for f in found)])
    before = np.concatenate([first + np.arange(len(f.breakpoints)) for first, f in zip(firsts, found, strict=False)])
    # Every segment in its middle, and every start, with all their gaps: what a rule may look at.
    rows = np.concatenate([np.repeat(np.arange(len(found)), np.diff(firsts)), np.arange(len(found))])
    parts = np.stack([np.broadcast_to(base, directions.shape), directions], axis=1)
    places = np.concatenate([*(f.middles(float(start)) for f in found), np.full(len(found), float(start))])
    acts = ties.verdict(
        np.concatenate([*(np.array(f.actions) for f in found), np.stack([f.actions[0] for f in found])]),
        np.concatenate([optimal, np.stack([f.start for f in found])]),
        parts[rows] if several else parts,
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
    return paths if several else paths[0]


class _Trail:
    """What is known of one ray so far."""

    def __init__(self) -> None:
        self.start: Array = np.zeros(0)  # the optimal actions at the start itself
        self.breakpoints: list[float] = []
        self.actions: list[Array] = []
        self.optimal: list[Array] = []
        self.value_jump: list[float] = []
        self.complete = True
        self.reached = np.inf

    def middles(self, start: float) -> Array:
        return _middles(start, self.breakpoints, self.reached)


def _middles(start: float, breakpoints: Any, stop: float) -> Array:
    ends = np.array([start, *breakpoints, stop])
    last = np.isinf(ends[1:])
    return np.where(last, ends[:-1] + 1, (ends[:-1] + np.where(last, 0, ends[1:])) / 2)


def _follow(
    ties: Ties, base: Array, directions: Array, start: float, stop: float, limit: int, actions: Array
) -> list[_Trail]:
    """All rays at a time, each to its next breakpoint, until every one is done."""
    cones, size = ties.cones, ties.cones.at_a_time
    if len(directions) > size:
        blocks = (directions[i : i + size] for i in range(0, len(directions), size))
        return [trail for block in blocks for trail in _follow(ties, base, block, start, stop, limit, actions)]
    lanes = len(directions)
    parts = np.stack([np.broadcast_to(base, directions.shape), directions], axis=1)
    t = np.full(lanes, start)
    onward = np.tile([0.0, 1.0], (lanes, 1))

    def point(t: Array) -> Array:
        return np.stack([np.ones_like(t), t], axis=-1)

    actions = ties.beside(np.broadcast_to(actions, (lanes, cones.num_states)), parts, point(t), onward)
    trails = [_Trail() for _ in range(lanes)]
    live = np.arange(lanes)
    while live.size:
        own, some, now = actions[live], parts[live], t[live]
        gaps, error = cones.gaps(own, some)
        value, slope = gaps[:, 0], gaps[:, 1]
        walls = cones.walls(own)
        # Twice what `beside` calls a tie: a wall that is met for certain switches there for certain.
        flat = 2 * ties.limits(some, onward[live], error)[:, None, None]
        falls = walls & (slope < -flat)
        hits = np.where(falls, value / np.where(falls, -slope, 1), np.inf)
        following = np.maximum(hits.min(axis=(-2, -1)), now)
        end = np.minimum(following, stop)
        middle = np.where(end < np.inf, (now + end) / 2, now + 1)

        def level(t: Array, walls: Array, some: Array = some, gaps: Array = gaps, error: Array = error) -> Array:
            here = gaps[:, 0] + t[:, None, None] * gaps[:, 1]
            return walls & (here <= ties.limits(some, point(t), error)[:, None, None])

        along = level(middle, walls & (np.abs(slope) <= flat))
        at_start = level(now, walls)
        begins = np.abs(value + now[:, None, None] * slope)
        chosen = np.arange(cones.num_actions) == own[..., None]
        ends = following >= stop
        for i, lane in enumerate(live):
            trail = trails[lane]
            if trail.actions:
                # The old policy is optimal too if its actions are, and no worse than L times their gaps.
                old = begins[i, np.arange(cones.num_states), trail.actions[-1]].max()
                trail.value_jump.append(float(cones.steps * old))
            else:
                trail.start = chosen[i] | at_start[i]
            trail.actions.append(own[i])
            trail.optimal.append(along[i] | chosen[i])
            if ends[i]:
                trail.reached = stop
            elif len(trail.breakpoints) >= limit:
                ends[i], trail.complete, trail.reached = True, False, float(following[i])
            else:
                trail.breakpoints.append(float(following[i]))
        going = live[~ends]
        if going.size:
            t[going] = following[~ends]
            # A breakpoint is where a gap is 0: walls as near to it as it is uncertain are crossed with it.
            first = hits.reshape(len(live), -1).argmin(axis=1)
            steepness = np.abs(slope.reshape(len(live), -1)[np.arange(len(live)), first])
            wrong = error[:, 0] + np.where(ends, 0, np.abs(following)) * error[:, 1]
            blur = (wrong / np.where(steepness > 0, steepness, 1) + 4 * U * np.where(ends, 0, np.abs(following)))[~ends]
            actions[going] = ties.beside(actions[going], parts[going], point(t[going]), onward[going], blur)
        live = going
    return trails

"""Rays of rewards R + tD followed from breakpoint to breakpoint, many at a time.

Between two breakpoints one policy is optimal and every gap is linear in t, so that the next breakpoint is a ratio; the
policy behind it is the lexicographic optimum of `beside`.
"""

from typing import Any

import numpy as np

from jaxcliff.geometry.beside import Ties
from jaxcliff.geometry.cones import Array, U


class Trail:
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
        """A t inside every segment."""
        return middles(start, self.breakpoints, self.reached)


def middles(start: float, breakpoints: Any, stop: float) -> Array:
    """The middles between breakpoints; one more than the last where the ray has no end."""
    ends = np.array([start, *breakpoints, stop])
    last = np.isinf(ends[1:])
    return np.where(last, ends[:-1] + 1, (ends[:-1] + np.where(last, 0, ends[1:])) / 2)


def follow(
    ties: Ties, base: Array, directions: Array, start: float, stop: float, limit: int, actions: Array
) -> list[Trail]:
    """All rays at a time, each to its next breakpoint, until every one is done."""
    cones, size = ties.cones, ties.cones.at_a_time
    if len(directions) > size:
        blocks = (directions[i : i + size] for i in range(0, len(directions), size))
        return [trail for block in blocks for trail in follow(ties, base, block, start, stop, limit, actions)]
    lanes = len(directions)
    parts = np.stack([np.broadcast_to(base, directions.shape), directions], axis=1)
    t = np.full(lanes, start)
    onward = np.tile([0.0, 1.0], (lanes, 1))

    def point(t: Array) -> Array:
        return np.stack([np.ones_like(t), t], axis=-1)

    actions = ties.beside(np.broadcast_to(actions, (lanes, cones.num_states)), parts, point(t), onward)
    trails = [Trail() for _ in range(lanes)]
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

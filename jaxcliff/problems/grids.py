"""Problems on a grid: gridworlds drawn as text, and the cliff walk."""

import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.labels import Labels
from jaxcliff.core.types import GridLike, Number
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Successors

CLASSIC = ("...G", ".#.P", "S...")
MOVES = {"up": (-1, 0), "right": (0, 1), "down": (1, 0), "left": (0, -1)}


def gridworld(
    layout: GridLike = CLASSIC,
    *,
    slip: Number = 0.2,
    discount: Number = 0.99,
    step: Number = -0.04,
    goal: Number = 1.0,
    pit: Number = -1.0,
) -> MDP:
    """Walk to a goal and keep out of pits; the ground is slippery.

    Each row of `layout` is a string of '.' free, '#' wall, 'G' goal, 'P' pit, 'S' free and a place to start (everywhere
    if there is none). A move goes where it should with probability 1 − slip, to either side with slip/2 each, and
    stays where a wall is. Every move pays `step`, entering a goal or a pit `goal` or `pit` on top; both are terminal.
    States are the cells that are no walls, row by row.

    Known: with the default layout (Russell and Norvig's) the value of the start tends to 0.705 as γ → 1; at 1 itself a
    policy could walk into a corner for ever, which is refused.

        >>> import jaxcliff as jc
        >>> jc.problems.gridworld(("..G", "..P")).num_states
        6
    """
    given = "one string: split it, layout.split()" if isinstance(layout, str) else checks.shown(layout)
    if isinstance(layout, str) or not all(isinstance(row, str) for row in checks.listed(layout, "the layout")):
        raise ValueError(f"the layout is a sequence of rows, not {given}")
    slip, step = checks.number(slip, "slip"), checks.number(step, "step")
    goal, pit = checks.number(goal, "goal"), checks.number(pit, "pit")
    rows = [str(row) for row in layout]
    if not rows or len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ValueError("the layout must have rows, all of one length")
    for r, row in enumerate(rows):
        for c, mark in enumerate(row):
            if mark not in ".#GPS":
                raise ValueError(f"row {r}, column {c} of the layout is {mark!r}; it may hold . # G P S")
    if not 0 <= slip <= 1:
        raise ValueError(f"slip must lie between 0 and 1, not {slip:g}")
    cells = [(r, c) for r, row in enumerate(rows) for c, mark in enumerate(row) if mark != "#"]
    if not cells:
        raise ValueError("the layout has no free cell")
    index = {cell: s for s, cell in enumerate(cells)}
    marks = np.array([rows[r][c] for r, c in cells])
    terminal = (marks == "G") | (marks == "P")
    bonus = goal * (marks == "G") + pit * (marks == "P")

    target = np.array([[index.get((r + dr, c + dc), s) for dr, dc in MOVES.values()] for s, (r, c) in enumerate(cells)])
    nxt = np.stack([target, np.roll(target, -1, axis=1), np.roll(target, 1, axis=1)], axis=-1)
    p = np.broadcast_to(np.array([1 - slip, slip / 2, slip / 2]), nxt.shape)
    reward = np.where(terminal[:, None], 0.0, step + (p * bonus[nxt]).sum(-1))
    start = marks == "S" if (marks == "S").any() else ~terminal
    labels = Labels([f"row {r}, column {c}" for r, c in cells], tuple(MOVES), cells, "gridworld")
    return MDP(
        Successors(nxt, p),
        reward,
        discount,
        initial=start / start.sum() if start.any() else None,
        terminal=terminal if terminal.any() else None,
        labels=labels,
    )


def cliff_walking(*, discount: Number = 0.99) -> MDP:
    """Sutton and Barto's cliff walk: 4 × 12, −1 per step, −100 and back to the start for stepping off the cliff.

    Known: the best way from the start (state 36) hugs the cliff and takes 13 steps, V = −(1 − γ^13)/(1 − γ). The goal
    (state 47) is terminal; the cliff's own cells are never entered, and loop on themselves with one legal action.
    """
    height, width = 4, 12
    r, c = np.divmod(np.arange(height * width), width)
    start, goal = 36, 47
    cliff = (r == height - 1) & (c > 0) & (c < width - 1)
    moved = [np.clip(r + dr, 0, height - 1) * width + np.clip(c + dc, 0, width - 1) for dr, dc in MOVES.values()]
    target = np.stack(moved, axis=1)
    fall = cliff[target]
    reward = np.where(fall, -100.0, -1.0)
    target = np.where(fall, start, target)
    target[cliff], reward[cliff] = np.flatnonzero(cliff)[:, None], -1.0
    terminal = np.arange(height * width) == goal
    reward[goal] = 0
    cells = list(zip(r.tolist(), c.tolist(), strict=True))
    labels = Labels([f"row {i}, column {j}" for i, j in cells], tuple(MOVES), cells, "cliff walking")
    legal = ~(cliff | terminal)[:, None] | (np.arange(4) == 0)
    return MDP(
        Successors(target[..., None]),
        reward,
        discount,
        legal=legal,
        initial=np.arange(height * width) == start,
        terminal=terminal,
        labels=labels,
    )

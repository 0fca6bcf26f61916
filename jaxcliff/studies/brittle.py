"""What the nearest cliffs of a reward suggest to look at: which directions, how far, and which contexts."""

from typing import Any

import numpy as np

from jaxcliff.cliffs.radius import NearestCliff

BRITTLE = 8  # states whose margins set the scale of the maps
CONTEXTS = 24  # of a table of scores that the map of weights shows


def scale(near: NearestCliff) -> float:
    """A change of reward at which several states have flipped."""
    walls = near.walls
    margins = np.sort(np.where(walls.tied | walls.undecided, np.inf, walls.margin).min(axis=-1))
    return float(margins[np.isfinite(margins)][:BRITTLE].max())


def directions(near: NearestCliff) -> tuple[Any, Any]:
    """The steepest changes towards the two nearest walls that are no ties and do not share a state."""
    margin = np.where(near.walls.tied | near.walls.undecided, np.inf, near.walls.margin)
    found: list[tuple[int, int]] = []
    for flat in np.argsort(margin, axis=None):
        s, a = np.unravel_index(flat, margin.shape)
        if len(found) < 2 and np.isfinite(margin[s, a]) and s not in [state for state, _ in found]:
            found.append((int(s), int(a)))
    if len(found) < 2:  # one state decides: a second action, or the same once more
        state, action = found[0]
        others = [int(a) for a in np.argsort(margin[state]) if a != action and np.isfinite(margin[state, a])]
        found.append((state, others[0] if others else action))
    return tuple(-np.sign(np.round(near.walls.normals(s, a), 12)) for s, a in found)  # type: ignore[return-value]

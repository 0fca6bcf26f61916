"""Which policy is optimal just beside a reward: at R + tD for every small t > 0.

Optimal at R, and among those policies optimal for D: a lexicographic optimum, found by policy iteration on one reward
after the other. It settles every kind of coincidence at once (several walls crossed at a time, a start on a wall, a
ray that runs inside one), because it asks for the answer and not for the wall.
"""

import numpy as np

from jaxcliff.cliffs.cones import Array, Cones

ROUNDS = 1000


def beside(cones: Cones, actions: Array, rewards: Array, directions: Array, tie_tolerance: float) -> Array:
    """Actions [F, S] that are optimal at R + 0⁺D, starting from any; clean rewards and directions, [F, S, A]."""
    actions = _improved(cones, actions, rewards, np.broadcast_to(cones.counts, rewards.shape), tie_tolerance)
    gaps, error = cones.gaps(actions, rewards[:, None])
    tied = gaps[:, 0] <= threshold(cones, rewards, error[:, 0], tie_tolerance)
    return _improved(cones, actions, directions, tied & cones.counts, tie_tolerance)


def threshold(cones: Cones, rewards: Array, error: Array, tie_tolerance: float) -> Array:
    """The largest gap that is a tie, [..., 1, 1]: the tolerance in units of the span, and the error of the gap."""
    return (tie_tolerance * span(cones, rewards) + error)[..., None, None]


def span(cones: Cones, rewards: Array) -> Array:
    """Largest minus smallest of the entries that count, and the 0 of an ended episode."""
    high = np.where(cones.counts, rewards, -np.inf).max(axis=(-2, -1))
    low = np.where(cones.counts, rewards, np.inf).min(axis=(-2, -1))
    if cones.mdp.pinned:
        high, low = np.maximum(high, 0), np.minimum(low, 0)
    return high - low


def _improved(cones: Cones, actions: Array, rewards: Array, allowed: Array, tie_tolerance: float) -> Array:
    """Policy iteration within the allowed actions; a gap within the tolerance is no reason to switch."""
    actions = actions.copy()
    open_ = np.arange(len(actions))
    for _ in range(ROUNDS):
        if not open_.size:
            return actions
        own, reward = actions[open_], rewards[open_]
        gaps, error = cones.gaps(own, reward[:, None])
        gaps = np.where(allowed[open_], gaps[:, 0], 0.0)
        best = gaps.min(axis=-1)
        better = best < -threshold(cones, reward, error[:, 0], tie_tolerance)[..., 0]
        actions[open_] = np.where(better, gaps.argmin(axis=-1), own)
        open_ = open_[better.any(axis=-1)]
    raise RuntimeError(
        f"policy iteration did not end within {ROUNDS} rounds; this is a defect, please report the problem"
    )

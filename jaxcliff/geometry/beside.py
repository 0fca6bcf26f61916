"""Which policy is optimal just beside a reward: at R(p + εd) for every small ε > 0, where R(p) = Σ p_k R_k.

Optimal at R(p), and among those policies optimal for R(d): a lexicographic optimum, found by policy iteration on one
after the other. It settles every kind of coincidence at once (several walls crossed at a time, a start on a wall, a ray
that runs inside one), because it asks for the answer and not for the wall.

Gaps are linear, so those at a point are sums of the gaps of the parts R_k. The reward of a point is never formed: where
parts nearly cancel, its rounding would decide.
"""

from typing import Any

import numpy as np

from jaxcliff.core import checks
from jaxcliff.geometry.cones import Array, Cones
from jaxcliff.model import exact
from jaxcliff.policies import ActionSets

ROUNDS = 1000


class Ties:
    """What can be a tie: gaps up to a fraction of the span of the reward, and whatever the arithmetic cannot tell.

    The way across a plane or along a ray takes whatever can be a tie for one, and is right either way; `verdict` says
    which of them are certain.
    """

    def __init__(self, cones: Cones, tolerance: Any):
        tolerance = checks.number(tolerance, "tie_tolerance")
        if not 0 <= tolerance < 1:
            raise ValueError(
                f"tie_tolerance must be one fraction of the span, not negative or NaN, but it is {tolerance}"
            )
        self.cones, self.tolerance = cones, float(tolerance)

    def limits(self, parts: Array, points: Array, error: Array) -> Array:
        """The largest gap that can be a tie at R(p), [F]: parts [F or 1, K, S, A], points and errors of gaps [F, K]."""
        return self.tolerance * self.spans(parts, points) + (np.abs(points) * error).sum(axis=1)

    def spans(self, parts: Array, points: Array) -> Array:
        """Of the rewards R(p), [F]."""
        rewards = np.einsum("fk,fksa->fsa", points, np.broadcast_to(parts, (len(points), *parts.shape[1:])))
        high = np.where(self.cones.counts, rewards, -np.inf).max(axis=(-2, -1))
        low = np.where(self.cones.counts, rewards, np.inf).min(axis=(-2, -1))
        if self.cones.mdp.pinned:
            high, low = np.maximum(high, 0), np.minimum(low, 0)
        return high - low

    def verdict(self, actions: Array, sets: Array, parts: Array, points: Array) -> ActionSets:
        """The three-way answer at R(p) for policies that are optimal there; `sets` are what can tie, [F, S, A].

        Parts are [F or 1, K, S, A], points [F, K].
        """
        cones = self.cones

        def at_points(actions: Array, points: Array, own: Array) -> tuple[Array, Array, Array]:
            some = parts[own] if len(parts) > 1 else parts
            gaps, error = cones.gaps(actions, some)
            return _at(points, gaps), (np.abs(points) * error).sum(axis=1), self.spans(some, points)

        gap, bound, span = cones.in_blocks(at_points, actions, points, np.arange(len(actions)))
        gap, bound, threshold = np.where(sets, np.maximum(gap, 0), gap), bound[:, None, None], self.tolerance * span
        alone = sets.sum(axis=-1, keepdims=True) == 1
        optimal = sets & (alone | (gap + bound <= threshold[:, None, None]))
        settled = exact.settle(optimal, sets & ~optimal, parts, cones.mdp)
        return ActionSets(
            optimal=optimal | settled,
            suboptimal=cones.legal & ~sets,
            undecided=sets & ~optimal & ~settled,
            gap=np.where(cones.legal, np.where(cones.counts, gap, 0.0), np.inf),  # type: ignore[arg-type]
            gap_bound=np.broadcast_to(bound, gap.shape),  # type: ignore[arg-type]
            threshold=threshold,
        )

    def beside(self, actions: Array, parts: Array, points: Array, directions: Array, blur: Any = 0.0) -> Array:
        """Actions [F, S] that are optimal at R(p + 0⁺d), starting from any; points and directions are [F, K].

        `blur` says how wrong the coordinates of a point can be, [F]: walls as near as that to a point meet in it.
        """
        everything = np.broadcast_to(self.cones.counts, (len(actions), *self.cones.counts.shape))
        blur = np.broadcast_to(blur, len(actions))
        actions = self.improved(actions, parts, points, everything, blur)
        gaps, error = self.cones.gaps(actions, parts)
        error = blurred(gaps, error, blur)
        tied = _at(points, gaps) <= self.limits(parts, points, error)[:, None, None]
        return self.improved(actions, parts, directions, tied & everything, 0 * blur)

    def improved(self, actions: Array, parts: Array, points: Array, allowed: Array, blur: Any = 0.0) -> Array:
        """Policy iteration for R(p) within the allowed actions; a gap that may be a tie is no reason to switch."""
        actions = np.array(actions)
        parts = np.broadcast_to(parts, (len(actions), *parts.shape[1:]))
        blur = np.broadcast_to(blur, len(actions))
        going = np.arange(len(actions))
        for _ in range(ROUNDS):
            if not going.size:
                return actions
            own, some = actions[going], points[going]
            gaps, error = self.cones.gaps(own, parts[going])
            error = blurred(gaps, error, blur[going])
            gaps = np.where(allowed[going], _at(some, gaps), 0.0)
            better = gaps.min(axis=-1) < -self.limits(parts[going], some, error)[:, None]
            actions[going] = np.where(better, gaps.argmin(axis=-1), own)
            going = going[better.any(axis=-1)]
        raise RuntimeError(
            f"policy iteration did not end in {ROUNDS} rounds; this is a defect, please report the problem"
        )


def blurred(gaps: Array, error: Array, blur: Array) -> Array:
    """Errors of the gaps of parts with the blur in that of the first part, which every point has once."""
    away = blur * np.abs(gaps[:, 1:]).max(axis=(-2, -1)).sum(axis=-1)
    return error + away[:, None] * (np.arange(error.shape[1]) == 0)


def _at(points: Array, gaps: Array) -> Array:
    """Gaps at points: Σ_k p_k gaps_k, [F, S, A]."""
    return np.einsum("fk,fksa->fsa", points, gaps)

"""The gaps of policies of trees and bandits: every choice leads to one child, or ends the episode."""

import numpy as np

from jaxcliff.geometry.cones import Array, Cones, U
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Tree


class Episodes(Cones):
    """Trees, and bandits as trees of one level."""

    def __init__(self, mdp: MDP):
        super().__init__(mdp)
        t = self.mdp.transitions
        child = np.full(self.counts.shape, self.num_states)  # past the last state: the end
        self.levels = [slice(0, self.num_states)]
        if isinstance(t, Tree):
            self.levels = [slice(*ends) for ends in zip(t.level_starts[:-1], t.level_starts[1:], strict=True)]
            parents = np.arange(t.level_starts[-2])[:, None]
            child[: len(parents), : t.vocabulary] = t.vocabulary * parents + 1 + np.arange(t.vocabulary)
        self.child = child

    @property
    def work(self) -> float:
        return float(self.counts.size)

    def swept(self, rewards: Array) -> Array:
        return np.where(self.counts, self._values(rewards[:, None], None)[1][:, 0], -np.inf).argmax(axis=-1)

    def reachable(self) -> Array:
        seen = np.append(self.initial > 0, False)
        for level in self.levels[:-1]:
            seen[self.child[level][seen[:-1][level, None] & self.counts[level]]] = True
        return seen[:-1]

    def _values(self, rewards: Array, actions: Array | None) -> tuple[Array, Array]:
        """Values [F, K, S + 1], and q, of some policies, or of the best."""
        q = np.array(rewards)
        v = np.zeros((*q.shape[:2], self.num_states + 1))
        for level in reversed(self.levels):
            q[:, :, level] += self.discount * v[:, :, self.child[level]]
            if actions is None:
                v[:, :, level] = np.where(self.counts[level], q[:, :, level], -np.inf).max(axis=-1)
            else:
                v[:, :, level] = np.take_along_axis(q[:, :, level], actions[:, None, level, None], axis=-1)[..., 0]
        return v, q

    def optimal_gaps(self, actions: Array, rewards: Array) -> tuple[Array, Array]:
        v, q = self._values(rewards[:, None], None)
        gaps = np.where(self.counts, v[:, 0, :-1, None] - q[:, 0], 0.0)
        # The last level is its rewards; every other rounds once more (see `solvers.passes`).
        wrong, peak = np.zeros(len(rewards)), np.abs(rewards).max(axis=(-2, -1))
        error = np.zeros(gaps.shape[:2])
        for level, below in zip(self.levels[-2::-1], self.levels[:0:-1], strict=True):
            largest = self.discount * np.abs(v[:, 0, below]).max(axis=-1)
            wrong = (self.discount * wrong + U * (peak + 2 * largest)) * (1 + 4 * U)
            error[:, level] = 2 * wrong[:, None]
        return gaps, error[..., None] + U * gaps

    def gaps(self, actions: Array, rewards: Array) -> tuple[Array, Array]:
        v, q = self._values(np.broadcast_to(rewards, (len(actions), *rewards.shape[1:])), actions)
        gaps = np.where(self.counts, v[..., :-1, None] - q, 0.0)
        # No value exceeds the depth times the largest reward, and every level rounds twice.
        depth = len(self.levels)
        peak = np.abs(rewards).max(axis=(-2, -1))
        error = (4 * U * depth**2 * peak if depth > 1 else 0 * peak) + U * np.abs(gaps).max(axis=(-2, -1))
        return gaps, error

    def visits(self, policies: Array) -> Array:
        d = np.zeros((len(policies), self.num_states + 1))
        d[:, :-1] = self.initial
        for level in self.levels[:-1]:
            flow = self.discount * d[:, level, None] * policies[:, level]
            going = self.child[level] < self.num_states
            d[:, self.child[level][going]] += flow[:, going]
        return d[:, :-1]

    def coefficients(self, actions: Array, states: Array, others: Array) -> Array:
        lanes = np.arange(len(states))
        x = np.zeros((len(states), self.num_states + 1))
        for start, sign, weight in ((self.child[states, others], 1.0, self.discount), (states, -1.0, 1.0)):
            now, going = start, start < self.num_states
            while going.any():
                x[lanes, now] += np.where(going, sign * weight, 0)
                at = np.minimum(now, self.num_states - 1)
                now = np.where(going, self.child[at, actions[lanes, at]], self.num_states)
                going, weight = now < self.num_states, weight * self.discount
        return x[:, :-1]

    def entry_norms(self, actions: Array, weight: Array, norm: float) -> tuple[Array, Array]:
        power = 2 if norm == 2 else 1
        size, gamma = weight**power, self.discount**power
        join = np.maximum if norm == np.inf else np.add
        own = np.take_along_axis(size[None], actions[..., None], axis=-1)[..., 0]
        below = np.zeros((len(actions), self.num_states + 1))
        for level in reversed(self.levels):
            child = np.take_along_axis(self.child[None, level], actions[:, level, None], axis=-1)[..., 0]
            below[:, level] = join(own[:, level], gamma * np.take_along_axis(below, child, axis=-1))
        out = join(join(size, gamma * below[:, self.child]), below[:, :-1, None])
        out = np.where(self.walls(actions), np.sqrt(out) if power == 2 else out, 0.0)
        return out, (4 * len(self.levels) + 8) * U * out.max(axis=(-2, -1))

"""Gaps as linear functions of the reward, for many policies at once: the arithmetic under all geometry.

For a fixed policy π, one action per state, every gap is linear in the reward,

    gap(s, a) = V_π(s) − Q_π(s, a) = ⟨n_{s,a}, R⟩,      n_{s,a} = d_(s,π) − d_(s,a),

with d the discounted visits of π after that choice. The rewards for which π is optimal are the cone gap ≥ 0, and each
inequality is a *wall*. n_{s,a} is −1 at (s, a) and elsewhere lives on the pairs (t, π(t)): a vector [S] tells it.

Everything here is numpy in float64, with the certificate of `solvers.bounds` for the gaps. Chains factor I − γP_π
(deflated where no level is pinned); a tree or a bandit is walked level by level and never makes a matrix.
"""

import abc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.devices import float64, host
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.transitions import Dense, Successors
from jaxcliff.solvers.bounds import enclosed
from jaxcliff.solvers.methods.factorize import check_factorable

Array = np.ndarray
U = 2.0**-53
SETTLED = 2.0**-30  # of the rewards: sweeps that change less than this, up to a constant, are enough to begin with
POLISH = 2  # sweeps after a linear solve, whose rounding they take away where a chain mixes
ENTRIES = 2**22  # of the matrices of policies that are held at a time


def on_host(mdp: MDP) -> MDP:
    """The problem in float64 on the host; its numbers are those it was given."""
    with float64():
        there = all(leaf.devices() == {host()} for leaf in jax.tree.leaves(mdp))
        moved = mdp if there else jax.device_put(mdp, host())
        return moved.astype(jnp.dtype("float64"))


class Cones(abc.ABC):
    """The gaps of one problem's policies. Policies are actions [F, S]; what comes out has the same first axis.

    Attributes:
        mdp: the problem, in float64 on the host.
        dtype: in which it came; the default tie tolerance is that of this dtype.
        counts: the entries of a reward that count, [S, A].
        steps: L, the largest discounted number of steps.
    """

    def __init__(self, mdp: MDP):
        self.dtype = mdp.dtype
        self.mdp = on_host(mdp)
        with float64():
            self.counts = np.asarray(self.mdp.decisions)
            self.steps = float(self.mdp.steps)
        self.discount = float(self.mdp.discount)
        self.initial = np.asarray(self.mdp.initial)
        self.num_states, self.num_actions = self.counts.shape
        self.legal = np.ones(self.counts.shape, bool) if self.mdp.legal is None else np.asarray(self.mdp.legal)
        if not np.isfinite(self.steps):
            raise ValueError("this problem has no finite horizon at its discount: no gap is bounded")

    @staticmethod
    def of(mdp: MDP) -> "Cones":
        """The arithmetic that fits a problem."""
        from jaxcliff.geometry.episodes import Episodes

        check_one(mdp)
        return (Chains if isinstance(mdp.transitions, Dense | Successors) else Episodes)(mdp)

    @property
    def at_a_time(self) -> int:
        """How many policies' matrices fit."""
        return max(1, ENTRIES // max(self.num_states**2, 4 * self.counts.size))

    def clean(self, rewards: Any) -> Array:
        """Rewards as float64 with 0 where an entry does not count."""
        return np.where(self.counts, np.asarray(rewards, np.float64), 0.0)

    def reward(self, reward: Any, name: str = "the reward") -> Array:
        """One reward of a caller's, [S, A], clean and finite; the problem's own if None, where no other is named."""
        if reward is None and name != "the reward":
            raise ValueError(f"{name} is missing: a reward of shape {list(self.counts.shape)}")
        reward = checks.numbers(self.mdp.reward if reward is None else reward, name)
        if reward.shape != self.counts.shape:
            raise ValueError(f"{name} must have shape {list(self.counts.shape)}, not {list(reward.shape)}")
        reward = self.clean(reward)
        for s, a in np.argwhere(~np.isfinite(reward))[:1]:
            place = f"{self.mdp.labels.state(s)}, {self.mdp.labels.action(a, s)}"
            raise ValueError(f"{name} is {reward[s, a]} at {place}; it must be finite on legal actions")
        return reward

    def walls(self, actions: Array) -> Array:
        """Which pairs are walls of these policies, [F, S, A]: legal alternatives in states that decide."""
        return self.counts & (np.arange(self.num_actions) != actions[..., None])

    @abc.abstractmethod
    def gaps(self, actions: Array, rewards: Array) -> tuple[Array, Array]:
        """Gaps [F, K, S, A] under clean rewards [F or 1, K, S, A], 0 where nothing counts; and their errors [F, K]."""

    @abc.abstractmethod
    def optimal_gaps(self, actions: Array, rewards: Array) -> tuple[Array, Array]:
        """Gaps V* − Q* under clean rewards, and their errors, all [F, S, A]; small errors if the policies are good."""

    @abc.abstractmethod
    def swept(self, rewards: Array) -> Array:
        """Actions [F, S] that are good under clean rewards [F, S, A], by value iteration that costs a few solves."""

    @property
    @abc.abstractmethod
    def work(self) -> float:
        """Multiplications it takes to evaluate a policy."""

    @abc.abstractmethod
    def reachable(self) -> Array:
        """The states that some policy reaches from `initial`, [S]."""

    @abc.abstractmethod
    def visits(self, policies: Array) -> Array:
        """Discounted visits of every state from `initial`, [F, S], of policies [F, S, A]."""

    @abc.abstractmethod
    def coefficients(self, actions: Array, states: Array, others: Array) -> Array:
        """One pair (s, a) of every policy: x [F, S] with −gap(s, a) = R(s, a) + Σ_t x(t) R(t, π(t))."""

    @abc.abstractmethod
    def entry_norms(self, actions: Array, weight: Array, norm: float) -> tuple[Array, Array]:
        """‖weight · n_{s,a}‖ for every wall, [F, S, A], and its error [F]; norm 1, 2 or ∞, weight [S, A]."""

    def normals(self, actions: Array, states: Array, others: Array) -> Array:
        """n_{s,a} as a reward-shaped array, [F, S, A], for one pair of every policy."""
        lanes = np.arange(len(actions))
        out = np.zeros((len(actions), *self.counts.shape))
        out[lanes[:, None], np.arange(self.num_states), actions] = -self.coefficients(actions, states, others)
        out[lanes, states, others] -= 1
        return np.where(self.counts, out, 0.0)

    def in_blocks(self, function: Callable[..., Any], *arrays: Array) -> Any:
        """A function of many policies, applied to as many at a time as matrices fit."""
        size = self.at_a_time
        starts = range(0, max(len(arrays[0]), 1), size)
        parts = [function(*(x[i : i + size] for x in arrays)) for i in starts]
        if isinstance(parts[0], tuple):
            return tuple(np.concatenate(each) for each in zip(*parts, strict=True))
        return np.concatenate(parts)


class Chains(Cones):
    """Problems with a transition matrix."""

    def __init__(self, mdp: MDP):
        check_factorable(mdp)
        super().__init__(mdp)
        t = self.mdp.transitions
        rows = t.to_scipy().toarray().reshape(self.num_states, self.num_actions, self.num_states)
        self.rows = np.where(self.counts[..., None], rows, 0.0)
        k, defect = int(t.support), float(t.defect)
        self.drift = self.discount * (k * U / (1 - k * U) + defect + U)
        self.underflow = (k + 8) * np.finfo(np.float64).tiny
        self.pinned = self.mdp.pinned
        self.decides = np.asarray(self.counts.any(axis=1))
        self.level = 0.0 if self.pinned else self.discount / self.num_states

    def _systems(self, chains: Array) -> Array:
        return np.eye(self.num_states) - self.discount * chains + self.level

    def _of(self, actions: Array) -> Array:
        return self.rows[np.arange(self.num_states), actions]

    @property
    def work(self) -> float:
        return float(self.num_states) ** 3

    def _centred(self, rewards: Array) -> Array:
        if self.pinned:
            return rewards
        high = np.where(self.counts, rewards, -np.inf).max(axis=(-2, -1))
        low = np.where(self.counts, rewards, np.inf).min(axis=(-2, -1))
        return np.where(self.counts, rewards - ((high + low) / 2)[..., None, None], 0.0)

    def swept(self, rewards: Array) -> Array:
        r = np.moveaxis(self._centred(rewards), 0, -1)
        rows, q = self.rows.reshape(-1, self.num_states), r
        enough = SETTLED * np.abs(r).max(initial=0.0)
        h = np.zeros((self.num_states, len(rewards)))
        for _ in range(self.num_states):
            before, h = h, np.where(self.counts[..., None], q, -np.inf).max(axis=1)
            h[~self.decides] = 0.0
            change = h - before
            if (change.max(axis=0) - change.min(axis=0) <= enough).all():
                break
            q = r + self.discount * (rows @ h).reshape(r.shape)
        return np.where(self.counts[..., None], q, -np.inf).argmax(axis=1).T

    def reachable(self) -> Array:
        after = np.asarray((self.rows > 0).any(axis=1))
        seen: Array = self.initial > 0
        while True:
            more = seen | after[seen].any(axis=0)
            if (more == seen).all():
                return seen
            seen = more

    def gaps(self, actions: Array, rewards: Array) -> tuple[Array, Array]:
        r, h, q = self._backed_up(actions, rewards)
        gaps, error = self._certified(r, h, q, np.take_along_axis(q, actions[:, None, :, None], axis=-1))
        return gaps, error + U * np.abs(gaps).max(axis=(-2, -1))

    def optimal_gaps(self, actions: Array, rewards: Array) -> tuple[Array, Array]:
        r, h, q = self._backed_up(actions, rewards[:, None])
        best = np.where(self.counts, q, -np.inf).max(axis=-1, keepdims=True)
        gaps, error = self._certified(r, h, q, np.where(self.decides[:, None], best, 0.0))
        return gaps[:, 0], error[..., None] + U * gaps[:, 0]

    def _backed_up(self, actions: Array, rewards: Array) -> tuple[Array, Array, Array]:
        """Centred rewards r, the values h of the policies under them up to a constant, and q = r + γPh."""
        r, own = self._centred(rewards), actions[:, None, :, None]
        received = np.take_along_axis(np.broadcast_to(r, (len(actions), *r.shape[1:])), own, axis=-1)[..., 0]
        chains, received = self._of(actions), np.moveaxis(received, 1, -1)
        h = np.linalg.solve(self._systems(chains), received)
        for _ in range(POLISH):
            h = received + self.discount * (chains @ h)
            if not self.pinned:
                h = h - (h.max(axis=1, keepdims=True) + h.min(axis=1, keepdims=True)) / 2
        after = self.rows.reshape(-1, self.num_states) @ h
        return r, h, r + self.discount * np.moveaxis(after, -1, 1).reshape(len(actions), -1, *self.counts.shape)

    def _certified(self, r: Array, h: Array, q: Array, v: Array) -> tuple[Array, Array]:
        """Gaps v − q and how wrong they can be, unrounded: v is that of a policy's actions, or the best."""
        gaps = np.where(self.counts, v - q, 0.0)
        g = v[..., 0] - np.moveaxis(h, 1, -1)
        lowest, highest = g.min(axis=-1), g.max(axis=-1)
        if self.pinned:
            lowest, highest = np.minimum(lowest, 0), np.maximum(highest, 0)
        size, peak = np.abs(h).max(axis=1), np.abs(r).max(axis=(-2, -1))
        rho = self.drift * size + U * (2 * peak + size) + np.where(peak + size > 0, self.underflow, 0)
        return gaps, enclosed(U, self.discount * self.steps, lowest, highest, rho)[2]

    def visits(self, policies: Array) -> Array:
        chains = np.einsum("fsa,sat->fst", policies, self.rows, optimize=True)
        systems = np.eye(self.num_states) - self.discount * chains
        start = np.broadcast_to(self.initial[:, None], (len(policies), self.num_states, 1))
        return np.maximum(np.linalg.solve(np.swapaxes(systems, -1, -2), start)[..., 0], 0)

    def coefficients(self, actions: Array, states: Array, others: Array) -> Array:
        start = self.discount * self.rows[states, others] - self.level
        start[np.arange(len(states)), states] -= 1
        systems = np.swapaxes(self._systems(self._of(actions)), -1, -2)
        return np.linalg.solve(systems, start[..., None])[..., 0]

    def entry_norms(self, actions: Array, weight: Array, norm: float) -> tuple[Array, Array]:
        systems = self._systems(self._of(actions))
        inverse = np.linalg.inv(systems)
        # M − M̂ = M(I − AM̂): what is wrong with the inverse shows in a product, and bounds x − x̂ in the norm 1.
        size = np.abs(inverse).sum(axis=-1).max(axis=-1)
        rounding = (self.num_states + 4) * U
        residual = np.abs(np.eye(self.num_states) - systems @ inverse).sum(axis=-1).max(axis=-1)
        residual = residual + rounding * np.abs(systems).sum(axis=-1).max(axis=-1) * size
        wrong = np.where(residual < 0.5, residual / (1 - np.minimum(residual, 0.5)), np.inf)
        error = 3 * weight.max() * size * (wrong + rounding)
        mean = self.level * inverse.sum(axis=1)
        own = np.take_along_axis(weight[None], actions[..., None], axis=-1)[..., 0]
        out = np.empty((len(actions), *self.counts.shape))
        for a in range(self.num_actions):
            x = (self.discount * self.rows[:, a] @ inverse - inverse - mean[:, None]) * own[:, None]
            out[..., a] = _norm(np.abs(x), weight[:, a], norm)
        error = error + rounding * out.max(axis=(-2, -1))
        return np.where(self.walls(actions) & (out > error[:, None, None]), out, 0.0), error


def _norm(x: Array, own: Array, norm: float) -> Array:
    """The norm over the last axis of x ≥ 0 together with one more number."""
    if norm == 1:
        return own + x.sum(axis=-1)
    if norm == 2:
        return np.sqrt(own**2 + np.einsum("...t,...t->...", x, x))
    return np.maximum(own, x.max(axis=-1))

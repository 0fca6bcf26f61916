"""Independent references: exact rational policy iteration, float64 policy iteration, scipy's LP.

They read only the stored floats of a problem and share no code with the solvers. Every transition row is
divided by its exact sum.
"""

import flint
import numpy as np
from scipy.optimize import linprog


def rational(x):
    return flint.fmpq(*float(x).as_integer_ratio())


class Problem:
    """The stored numbers of a problem and one reward, on the host."""

    def __init__(self, mdp, reward):
        self.states, self.actions = mdp.reward.shape
        shape = (self.states, self.actions)
        self.legal = np.ones(shape, bool) if mdp.legal is None else np.asarray(mdp.legal)
        self.terminal = np.zeros(self.states, bool) if mdp.terminal is None else np.asarray(mdp.terminal)
        self.counts = self.legal & ~self.terminal[:, None]
        self.discount = float(mdp.discount)
        self.reward = np.where(self.counts, np.asarray(reward, np.float64), 0.0)
        rows = np.zeros((self.states * self.actions, self.states))
        if mdp.transitions is not None:
            rows = np.asarray(mdp.transitions.to_scipy().toarray(), np.float64)
        self.p = np.where(self.counts[..., None], rows.reshape(*shape, self.states), 0.0)
        self.free = np.flatnonzero(~self.terminal)

    def span(self, pinned):
        r = self.reward[self.counts]
        zero = [0.0] if pinned else []
        return max([*r, *zero]) - min([*r, *zero])

    def float_rows(self):
        total = self.p.sum(-1, keepdims=True)
        return self.p / np.where(total > 0, total, 1)

    def solve_float(self):
        """Q by policy iteration in float64 with one step of iterative refinement: a reference for float32."""
        p = self.float_rows()
        choice = np.where(self.counts, self.reward, -np.inf).argmax(1)
        s = np.arange(self.states)
        for _ in range(1000):
            system = np.eye(self.states) - self.discount * p[s, choice]
            b = self.reward[s, choice]
            v = np.linalg.solve(system, b)
            v += np.linalg.solve(system, b - system @ v)
            q = np.where(self.counts, self.reward + self.discount * p @ v, -np.inf)
            own = np.where(self.terminal, 0.0, q[s, choice])
            better = q.max(1) > own + 1e-11 * (1 + np.abs(v).max())
            if not better.any():
                break
            choice = np.where(better, q.argmax(1), choice)
        return q, v

    def solve_exact(self):
        """(Q, V) as rationals, {(s, a): Q} and [V]: policy iteration that ends only when no action is better."""
        f = self.free
        gamma = rational(self.discount)
        rows, reward = {}, {}
        for s, a in np.argwhere(self.counts):
            entries = {int(t): rational(self.p[s, a, t]) for t in np.flatnonzero(self.p[s, a])}
            total = sum(entries.values(), flint.fmpq(0))
            rows[s, a] = {t: x / total for t, x in entries.items() if not self.terminal[t]}
            reward[s, a] = rational(self.reward[s, a])
        place = {int(s): i for i, s in enumerate(f)}
        q_float, _ = self.solve_float()
        choice = {int(s): int(q_float[s].argmax()) for s in f}
        while True:
            n = len(f)
            system = [[flint.fmpq(int(i == j)) for j in range(n)] for i in range(n)]
            for s in place:
                for t, x in rows[s, choice[s]].items():
                    system[place[s]][place[t]] -= gamma * x
            b = flint.fmpq_mat(n, 1, [reward[s, choice[s]] for s in place])
            v = flint.fmpq_mat(system).solve(b)
            value = {s: v[place[s], 0] for s in place}
            q = {
                (s, a): reward[s, a] + gamma * sum((x * value[t] for t, x in row.items()), flint.fmpq(0))
                for (s, a), row in rows.items()
            }
            changed = False
            for s in place:
                best = max((a for a in range(self.actions) if (s, a) in q), key=lambda a: q[s, a])
                if q[s, best] > q[s, choice[s]]:
                    choice[s], changed = best, True
            if not changed:
                return q, value

    def solve_linear_programme(self):
        """V by scipy's LP: minimise ΣV subject to V ≥ R + γPV."""
        p, index = self.float_rows(), np.argwhere(self.counts)
        rows = self.discount * p[index[:, 0], index[:, 1]]
        rows[np.arange(len(index)), index[:, 0]] -= 1
        result = linprog(
            np.ones(len(self.free)),
            A_ub=rows[:, self.free],
            b_ub=-self.reward[index[:, 0], index[:, 1]],
            bounds=(None, None),
            method="highs",
        )
        assert result.status == 0, result.message
        values = np.zeros(self.states)
        values[self.free] = result.x
        return values

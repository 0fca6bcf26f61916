"""Changes of reward found by a linear programme: the least that makes a policy optimal, the most that a budget buys.

The unknowns are θ, the values V of the policy, and one number, for the norm or for a gap:

    V(s) = R(s, π(s)) + (Fθ)(s, π(s)) + γ P(s, π(s)) V                           (V are the values of π)
    V(s) − R(s, a) − (Fθ)(s, a) − γ P(s, a) V ≥ margin(s, a)                      (every wall)

Rows stay as sparse as the transitions are. (Inverse reinforcement learning as in Ng and Russell, 2000, with a distance
to a given reward for an objective.)
"""

from typing import Any

import numpy as np

from jaxcliff.core import checks
from jaxcliff.geometry.cones import Array, Cones

FEASIBLE = 1e-10  # the finest tolerance that HiGHS offers


class Programme:
    """The constraints of one policy, one family of changes and one norm ("inf" or "1")."""

    def __init__(self, cones: Cones, actions: Array, reward: Array, family: Any, norm: Any, looked_at: Array):
        from scipy import sparse

        if not isinstance(norm, str) or norm not in ("inf", "1"):
            raise ValueError(f"a linear programme has the norm 'inf' or '1', not {checks.shown(norm)}")
        self.norm, self.family, self.num_states = norm, family, cones.num_states
        self.walls = np.argwhere(cones.walls(actions) & looked_at[:, None])
        # HiGHS has absolute tolerances: rewards are centred where that changes nothing, and the larger of them and what
        # is asked for is of size 1 (see `_solve`).
        shown = reward[cones.counts]
        level = 0.0 if cones.mdp.pinned else (shown.max() + shown.min()) / 2
        reward = np.where(cones.counts, reward - level, 0.0)
        self.size = float(np.abs(reward).max())
        effect, self.free = family.matrix()
        self.unit = float(np.abs(effect).max()) or 1.0
        effect = effect / self.unit
        rows = cones.discount * cones.mdp.transitions.to_scipy() if cones.discount else None
        state, action = self.walls.T
        decides = np.flatnonzero(cones.counts.any(axis=1))
        eye = sparse.csr_array(sparse.eye_array(cones.num_states))

        def without(states: Array, others: Array) -> tuple[Any, Any, Array]:
            """V(s) − γP(s, a)V, (Fθ)(s, a) and R(s, a) of some pairs."""
            index = states * cones.num_actions + others
            values = eye[states] if rows is None else eye[states] - rows[index]
            return values, effect[index], reward[states, others]

        values, own, known = without(decides, actions[decides])
        self.equal, self.equal_right = sparse.hstack([-own, values]), known
        values, own, known = without(state, action)
        self.wall, self.wall_right = sparse.hstack([own, -values]), -known
        self.ends = np.flatnonzero(~cones.counts.any(axis=1))
        self.count = effect.shape[1]

    def smallest_change(self, margins: Array) -> tuple[Array | None, list[tuple[int, int]]]:
        """θ of the smallest norm with gap ≥ margin at every wall; or None, and walls that cannot hold together.

        The latter support the programme of the largest amount by which all walls can hold, here less than 0. A family
        of d dimensions needs at most d + 1 of them.
        """
        found, theta = self._solve(margins, np.zeros(len(self.walls)), np.inf)
        if found.status == 0:
            return theta, []
        if found.status != 2:
            raise RuntimeError(f"the linear programme could not be solved: {found.message}")
        found, _ = self._solve(margins, np.ones(len(self.walls)), np.inf)
        holds = np.abs(found.ineqlin.marginals[: len(self.walls)]) > 1e-9
        return None, [(int(s), int(a)) for s, a in self.walls[holds]]

    def largest_gap(self, margins: Array, at: Array, budget: float) -> Array:
        """θ within the budget that makes the smallest gap of the walls marked in `at` largest, the others ≥ margin."""
        found, theta = self._solve(margins, at.astype(float), budget)
        if found.status == 2:
            raise ValueError("no change within the budget keeps the policy optimal; raise the budget")
        if found.status != 0:
            raise RuntimeError(f"the linear programme could not be solved: {found.message}")
        return theta

    def _solve(self, margins: Array, marked: Array, budget: float) -> tuple[Any, Array]:
        """Unknowns: θ⁺, θ⁻ ≥ 0, V, and one number: the gap of the marked walls, or without any the norm of θ."""
        from scipy import sparse
        from scipy.optimize import linprog

        n, states = self.count, self.num_states
        allowed = budget * self.unit if budget < np.inf else 0.0
        scale = max(self.size, float(margins.max(initial=0)), allowed) or 1.0
        if not np.isfinite(scale):
            raise ValueError("the budget times the family is larger than float64 can hold")
        least_norm = not marked.any()
        both = sparse.csr_array(np.array([[1.0, -1.0]]))

        def split(matrix: Any, last: Array) -> Any:
            matrix = sparse.csr_array(matrix)
            return sparse.hstack([sparse.kron(both, matrix[:, :n]), matrix[:, n:], last.reshape(-1, 1)])

        upper, right = [split(self.wall, marked)], [(self.wall_right - margins) / scale]
        if least_norm or budget < np.inf:
            size = sparse.csr_array(sparse.eye_array(n) if self.norm == "inf" else np.ones((1, n)))
            rows = size.shape[0]
            last = np.full((rows, 1), -1.0 if least_norm else 0.0)
            upper.append(sparse.hstack([size, size, sparse.csr_array((rows, states)), last]))
            right.append(np.full(rows, 0.0 if least_norm else allowed / scale))
        equal, equal_right = [split(self.equal, np.zeros(len(self.equal_right)))], [self.equal_right / scale]
        if self.family.balanced:
            equal.append(split(np.concatenate([np.ones(n), np.zeros(states)])[None], np.zeros(1)))
            equal_right.append(np.zeros(1))
        cost = np.zeros(2 * n + states + 1)
        cost[-1] = 1.0 if least_norm else -1.0
        bounds = np.array([[0.0, np.inf]] * (2 * n) + [[-np.inf, np.inf]] * (states + 1))
        bounds[2 * n + self.ends] = 0.0
        found = linprog(
            cost,
            A_ub=sparse.vstack(upper).tocsr(),
            b_ub=np.concatenate(right),
            A_eq=sparse.vstack(equal).tocsr(),
            b_eq=np.concatenate(equal_right),
            bounds=bounds,
            method="highs",
            options={"primal_feasibility_tolerance": FEASIBLE, "dual_feasibility_tolerance": FEASIBLE},
        )
        theta = np.full(self.family.shape, np.nan)
        if found.status == 0:
            theta = np.zeros(self.family.shape)
            theta.ravel()[self.free] = (found.x[:n] - found.x[n : 2 * n]) * (scale / self.unit)
        return found, theta

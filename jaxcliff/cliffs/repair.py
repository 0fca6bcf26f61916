"""Mending a reward: the smallest change that makes a policy optimal with room to spare, and the best tie-breaker."""

from typing import Any

import numpy as np

from jaxcliff._records import record, static
from jaxcliff.cliffs.beside import Ties
from jaxcliff.cliffs.cones import Array, Cones
from jaxcliff.cliffs.programme import Programme
from jaxcliff.cliffs.walls import looked_at, optimal_policy
from jaxcliff.labels import Labels
from jaxcliff.mdp import MDP
from jaxcliff.rewards import family as families
from jaxcliff.solvers.solution import tie_tolerance_of

ROUNDS = 5  # of asking for as much more as the last answer fell short by


@record
class Repair:
    """The smallest change of a reward that makes a policy optimal with the margin asked for.

    Attributes:
        feasible: whether there is one in the family.
        reward: the mended reward, [S, A]; `change` what was added, `parameters` the same as θ; NaN if there is none.
        size: the norm of θ.
        smallest_gap, smallest_radius: what the mended reward has: the smallest gap, and gap/‖n‖ (its distance to the
            nearest cliff), as evaluated afterwards and not as the programme says.
        tied: whether that smallest gap is still a tie, or cannot be told from one.
        conflict: if there is none, walls (state, action) that cannot all hold.
    """

    feasible: bool
    reward: Array
    change: Array
    parameters: Array
    size: float
    smallest_gap: float
    smallest_radius: float
    tied: bool = static(default=False)
    conflict: tuple = static(default=())
    labels: Labels = static(default=Labels())

    def summary(self) -> str:
        """One sentence."""
        if self.feasible:
            tied = "; it is still a tie, or cannot be told from one" if self.tied else ""
            return (
                f"a change of {self.size:.4g} makes the policy optimal, with a smallest gap of {self.smallest_gap:.4g} "
                f"and the nearest cliff at {self.smallest_radius:.4g}{tied}"
            )
        walls = ", ".join(f"{self.labels.state(s)} against {self.labels.action(a, s)}" for s, a in self.conflict)
        return f"no change of this family does it: these cannot all hold: {walls}"


def repair(
    mdp: MDP,
    policy: Any,
    reward: Any = None,
    *,
    gap: float | None = None,
    radius: float | None = None,
    norm: str = "inf",
    family: Any = None,
    states: str = "all",
    tie_tolerance: float | None = None,
) -> Repair:
    """The smallest change of a reward that makes a policy optimal, with every gap at least `gap` or `radius`·‖n‖.

    Args:
        mdp: the problem.
        policy: one action per state, [S], or [S, A] with a single 1 in every row.
        reward: R, [S, A]; the problem's own if None.
        gap: the smallest gap wanted; or
        radius: the distance wanted to the nearest cliff, in the same norm and family.
        norm: of the change, "inf" or "1".
        family: which changes are allowed (`jc.family`): all entries if not given.
        states: where the policy must be optimal: "all", or "reachable" from `initial`.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.

    >>> import jaxcliff as jc
    >>> mended = jc.repair(jc.problems.bandit([1.0, 0.0]), [1], gap=0.5)
    >>> round(mended.size, 9), mended.reward.round(9).tolist()
    (0.75, [[0.25, 0.75]])
    """
    if (gap is None) == (radius is None):
        raise ValueError("say either gap=… or radius=…, what the mended reward shall have")
    wanted, name = (gap, "gap") if radius is None else (radius, "radius")
    if wanted is None or np.ndim(wanted) != 0 or not 0 <= float(wanted) < np.inf:
        raise ValueError(f"the {name} must be a finite number, not negative; it is {wanted}")
    if states == "visited":
        raise ValueError("a policy that is best where it goes need not be optimal: take states='all' or 'reachable'")
    cones = Cones.of(mdp)
    base = cones.reward(reward)
    actions = as_actions(cones, policy)
    family = (families.identity(mdp) if family is None else family).fit(mdp)
    seen = looked_at(cones, states, actions[None])[0]
    programme = Programme(cones, actions, base, family, norm, seen)
    walls = tuple(programme.walls.T)
    ties = Ties(cones, tie_tolerance_of(cones.dtype, tie_tolerance, reward))
    norms = family.dual_norms(cones, actions[None], norm)[0][0]
    margins = np.full(len(programme.walls), float(wanted)) * (1 if radius is None else norms[walls])
    theta, conflict = programme.smallest_change(margins)
    if theta is None:
        nan, none = np.full(base.shape, np.nan), np.full(family.shape, np.nan)
        return Repair(False, nan, nan, none, np.inf, np.nan, np.nan, False, tuple(conflict), mdp.labels)
    asked = margins
    for _ in range(ROUNDS):
        mended = base + family.apply(theta)
        gaps, error = cones.gaps(actions[None], mended[None, None])
        own = gaps[0, 0][walls]
        short = margins + error[0, 0] - own
        nearer = programme.smallest_change(asked + np.maximum(2 * short, 0))[0] if (short > 0).any() else None
        if nearer is None:
            break
        theta, asked = nearer, asked + np.maximum(2 * short, 0)
    if (margins - own > 2 * error[0, 0]).any():
        raise ValueError(f"the arithmetic cannot tell gaps of {wanted:g} in a reward of this size: ask for more")
    size = np.abs(theta).max(initial=0) if norm == "inf" else np.abs(theta).sum()
    met = norms[walls] > 0
    return Repair(
        feasible=True,
        reward=mended,
        change=mended - base,
        parameters=theta,
        size=float(size),
        smallest_gap=float(own.min(initial=np.inf)),
        tied=bool((own <= ties.limits(mended[None, None], np.ones((1, 1)), error)).any()),
        smallest_radius=float((own[met] / norms[walls][met]).min(initial=np.inf)),
        labels=mdp.labels,
    )


@record
class TieBreaker:
    """The change of reward within a budget that makes one action best by the largest gap.

    Attributes:
        reward, change: R + Fθ and Fθ, [S, A]; parameters: θ.
        gap: by how much the action is ahead of its best rival.
        upper: no change within the budget that leaves the other states alone can do better: the smallest, over rivals,
            of gap(R) + ε‖Fᵀn‖*. Where the two agree the gap is the largest possible.
    """

    reward: Array
    change: Array
    parameters: Array
    gap: float
    upper: float


def best_tiebreaker(
    mdp: MDP,
    state: int,
    action: int,
    budget: float,
    *,
    reward: Any = None,
    norm: str = "inf",
    family: Any = None,
    tie_tolerance: float | None = None,
) -> TieBreaker:
    """How far an action can be put ahead of its rivals by a change of the reward of at most `budget`.

    Where two actions tie and nothing else is near, the gap is exactly ε‖n‖₁, of the difference n of the two normals; it
    never exceeds 2ε/(1 − γ). An action that is behind is put ahead if the budget suffices; the policy elsewhere is the
    best one with this action, and stays so.

    >>> import jaxcliff as jc
    >>> best = jc.best_tiebreaker(jc.problems.bandit([1.0, 1.0]), 0, 1, 0.1)
    >>> round(best.gap, 9), best.change.round(9).tolist()
    (0.2, [[-0.1, 0.1]])
    """
    cones = Cones.of(mdp)
    base = cones.reward(reward)
    inside = 0 <= state < cones.num_states and 0 <= action < cones.num_actions
    if not inside or not cones.counts[state, action]:
        raise ValueError(f"state {state}, action {action} is no decision of this problem")
    if not 0 < budget < np.inf:
        raise ValueError(f"the budget must be a positive number, not {budget}")
    family = (families.identity(mdp) if family is None else family).fit(mdp)
    ties = Ties(cones, tie_tolerance_of(cones.dtype, tie_tolerance, reward))
    actions = optimal_elsewhere(ties, base, state, action)
    programme = Programme(cones, actions, base, family, norm, np.ones(cones.num_states, bool))
    here = programme.walls[:, 0] == state
    if not here.any():
        raise ValueError(f"{mdp.labels.state(state)} has one action only: there is nothing to break")
    gaps, _ = cones.gaps(actions[None], base[None, None])
    norms = family.dual_norms(cones, actions[None], norm)[0][0]
    rivals = programme.walls[here]
    upper = (gaps[0, 0][tuple(rivals.T)] + budget * norms[tuple(rivals.T)]).min()
    theta = programme.largest_gap(np.zeros(len(here)), here, float(budget))
    changed = base + family.apply(theta)
    gaps, _ = cones.gaps(actions[None], changed[None, None])
    return TieBreaker(
        reward=changed,
        change=changed - base,
        parameters=theta,
        gap=float(gaps[0, 0][tuple(rivals.T)].min()),
        upper=float(upper),
    )


def optimal_elsewhere(ties: Ties, reward: Array, state: int, action: int) -> Array:
    """The best of the policies that take this action here, [S]."""
    cones = ties.cones
    actions = optimal_policy(cones, reward)
    actions[state] = action
    allowed = cones.counts.copy()
    allowed[state] = np.arange(cones.num_actions) == action
    return ties.improved(actions[None], reward[None, None], np.ones((1, 1)), allowed[None])[0]


def as_actions(cones: Cones, policy: Any) -> Array:
    """One legal action per state, [S], from actions or a deterministic policy."""
    policy = np.asarray(policy)
    if policy.shape == cones.counts.shape:
        if not (((policy == 0) | (policy == 1)).all() and (policy.sum(axis=-1) == 1).all()):
            raise ValueError("the policy must choose one action in every state")
        policy = policy.argmax(axis=-1)
    if policy.shape != (cones.num_states,) or not np.issubdtype(policy.dtype, np.integer):
        raise ValueError(f"a policy is one action per state, [{cones.num_states}], not {policy.dtype} {policy.shape}")
    states = np.arange(cones.num_states)
    inside = (policy >= 0) & (policy < cones.num_actions)
    legal = inside & cones.legal[states, np.where(inside, policy, 0)]
    for s in np.flatnonzero(~legal)[:1]:
        raise ValueError(f"action {policy[s]} is not legal in {cones.mdp.labels.state(s)}")
    return policy.astype(np.int64)

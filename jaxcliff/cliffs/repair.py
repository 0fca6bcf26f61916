"""Mending a reward: the smallest change that makes a policy optimal with room to spare, and the best tie-breaker."""

from typing import Any

import numpy as np

from jaxcliff.cliffs.walls import looked_at, optimal_policy
from jaxcliff.core import checks, datasets
from jaxcliff.core.labels import Labels, labelled
from jaxcliff.core.records import by_hand, record, static
from jaxcliff.core.types import Dataset, FamilyLike, Norm, Number, PolicyLike, RewardLike, Where, Whole
from jaxcliff.geometry import family as families
from jaxcliff.geometry.beside import Ties
from jaxcliff.geometry.cones import Array, Cones
from jaxcliff.geometry.programme import Programme
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import recorded
from jaxcliff.solvers.solution import tie_tolerance_of

TABLE = ("state", "action")
LITTLE = 1e-3  # of a gap that is asked for
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
    labels: Labels = labelled()
    made: Any = by_hand(default=None)

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset."""
        variables = {name: (TABLE, getattr(self, name)) for name in ("reward", "change")}
        names = ("feasible", "size", "smallest_gap", "smallest_radius", "tied")
        settings = {name: getattr(self, name) for name in names} | {"conflict": str([list(c) for c in self.conflict])}
        size = self.reward.shape
        return datasets.build("Repair", variables, settings, labels=self.labels, size=size, made=self.made)

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


@checks.host_geometry
@recorded
def repair(
    mdp: MDP,
    policy: PolicyLike,
    reward: RewardLike | None = None,
    *,
    gap: Number | None = None,
    radius: Number | None = None,
    norm: Norm = "inf",
    family: FamilyLike | None = None,
    where: Where = "all",
    tie_tolerance: Number | None = None,
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
        where: where the policy must be optimal: "all", or "reachable" from `initial`.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.

    >>> import jaxcliff as jc
    >>> mended = jc.repair(jc.problems.bandit([1.0, 0.0]), [1], gap=0.5)
    >>> round(mended.size, 9), mended.reward.round(9).tolist()
    (0.75, [[0.25, 0.75]])
    """
    if (gap is None) == (radius is None):
        raise ValueError("say either gap=… or radius=…, what the mended reward shall have")
    wanted = checks.number(gap, "the gap") if radius is None else checks.number(radius, "the radius")
    if not 0 <= wanted < np.inf:
        name = "gap" if radius is None else "radius"
        raise ValueError(f"the {name} must be a finite number, not negative; it is {wanted}")
    if isinstance(where, str) and where == "visited":
        raise ValueError("a policy that is best where it goes need not be optimal: take where='all' or 'reachable'")
    cones = Cones.of(mdp)
    base = cones.reward(reward)
    actions = as_actions(cones, policy)
    family = families.fitted(mdp, family)
    seen = looked_at(cones, where, actions[None])[0]
    programme = Programme(cones, actions, base, family, norm, seen)
    walls = tuple(programme.walls.T)
    ties = Ties(cones, tie_tolerance_of(cones.dtype, tie_tolerance, reward))
    norms = family.dual_norms(cones, actions[None], norm)[0][0]
    margins = np.full(len(programme.walls), wanted) * (1 if radius is None else norms[walls])
    if not np.isfinite(margins).all():
        raise ValueError(f"a radius of {wanted:g} asks for gaps larger than float64 can hold")
    theta, conflict = programme.smallest_change(margins)
    if theta is None:
        nan, none = np.full(base.shape, np.nan), np.full(family.shape, np.nan)
        return Repair(False, nan, nan, none, np.inf, np.nan, np.nan, False, tuple(conflict), mdp.labels)
    asked = margins
    for _ in range(ROUNDS):
        mended = base + family.apply(theta)
        with np.errstate(over="ignore", invalid="ignore"):
            gaps, error = cones.gaps(actions[None], mended[None, None])
        if not (np.isfinite(mended).all() and np.isfinite(gaps).all() and np.isfinite(error).all()):
            raise ValueError(f"the reward that has what is asked for, {wanted:g}, is larger than float64 can hold")
        own = gaps[0, 0][walls]
        short = margins + error[0, 0] - own
        # The sum R + Fθ is rounded too, anew for every answer: as much as that may cost a gap, where it is little.
        rounding = 2 * cones.steps * np.spacing(np.abs(mended).max())
        more = asked + np.maximum(2 * short, 0) + np.minimum(rounding, LITTLE * margins)
        nearer = programme.smallest_change(more)[0] if (short > 0).any() else None
        if nearer is None:
            break
        theta, asked = nearer, more
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
    labels: Labels = labelled()
    made: Any = by_hand(default=None)

    def summary(self) -> str:
        """One sentence."""
        best = (
            "the largest possible"
            if np.isclose(self.gap, self.upper, rtol=1e-6, atol=0)
            else f"at most {self.upper:.4g}"
        )
        if self.gap <= 0:
            return f"the budget does not put the action ahead: it stays {-self.gap:.4g} behind"
        return f"the action is put ahead by {self.gap:.4g} ({best}), where the reward changes most: {self._most()}"

    def _most(self) -> str:
        s, a = np.unravel_index(np.abs(self.change).argmax(), self.change.shape)
        return f"{self.labels.state(s)}, {self.labels.action(a, s)}, by {self.change[s, a]:.4g}"

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset."""
        variables = {name: (TABLE, getattr(self, name)) for name in ("reward", "change")}
        settings, size = {"gap": self.gap, "upper": self.upper}, self.reward.shape
        return datasets.build("TieBreaker", variables, settings, labels=self.labels, size=size, made=self.made)


@checks.host_geometry
@recorded
def best_tiebreaker(
    mdp: MDP,
    reward: RewardLike | None = None,
    *,
    state: Whole,
    action: Whole,
    budget: Number,
    norm: Norm = "inf",
    family: FamilyLike | None = None,
    tie_tolerance: Number | None = None,
) -> TieBreaker:
    """How far an action can be put ahead of its rivals by a change of the reward of at most `budget`.

    Where two actions tie and nothing else is near, the gap is exactly ε‖n‖₁, of the difference n of the two normals; it
    never exceeds 2ε/(1 − γ). An action that is behind is put ahead if the budget suffices; the policy elsewhere is the
    best one with this action, and stays so.

    >>> import jaxcliff as jc
    >>> best = jc.best_tiebreaker(jc.problems.bandit([1.0, 1.0]), state=0, action=1, budget=0.1)
    >>> round(best.gap, 9), best.change.round(9).tolist()
    (0.2, [[-0.1, 0.1]])
    """
    cones = Cones.of(mdp)
    base = cones.reward(reward)
    state, action = checks.whole(state, "the state"), checks.whole(action, "the action")
    budget = checks.number(budget, "the budget")
    inside = state < cones.num_states and action < cones.num_actions
    if not inside or not cones.counts[state, action]:
        raise ValueError(f"state {state}, action {action} is no decision of this problem")
    if not 0 < budget < np.inf:
        raise ValueError(f"the budget must be a positive number, not {budget}")
    family = families.fitted(mdp, family)
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
    theta = programme.largest_gap(np.zeros(len(here)), here, budget)
    changed = base + family.apply(theta)
    with np.errstate(over="ignore", invalid="ignore"):
        gaps, _ = cones.gaps(actions[None], changed[None, None])
    if not (np.isfinite(changed).all() and np.isfinite(gaps).all()):
        raise ValueError(f"what a budget of {budget:g} buys is larger than float64 can hold")
    return TieBreaker(
        reward=changed,
        change=changed - base,
        parameters=theta,
        gap=float(gaps[0, 0][tuple(rivals.T)].min()),
        upper=float(upper),
        labels=mdp.labels,
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
    policy = checks.real(policy, "the policy")
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

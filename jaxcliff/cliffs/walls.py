"""The walls of a solved reward: what every (state, action) is worth of distance, and which walls are looked at.

`where` says which: "all"; "reachable", from `initial` under any policy, still a certificate for what can be seen from
there; or "visited", under the optimal policy: then a switch at a state that is not visited may come first and make the
found one wrong, so that the nearest such wall is only an upper bound of the distance.
"""

from typing import Any

import numpy as np

from jaxcliff import policies
from jaxcliff.core import checks, datasets, devices
from jaxcliff.core.devices import float64
from jaxcliff.core.records import by_hand, record, static
from jaxcliff.core.types import DataFrame, Dataset, FamilyLike, Norm, Number, NumbersLike, RewardsLike, Rule, Where
from jaxcliff.geometry import family as families
from jaxcliff.geometry.cones import Cones
from jaxcliff.geometry.optimum import optimal_sets
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import recorded
from jaxcliff.policies import ActionSets
from jaxcliff.solvers.solution import tie_tolerance_of

PLACES = ("all", "reachable", "visited")


@record
class Walls:
    """Every wall of one or many rewards: gap(s, a) = ⟨n_{s,a}, R⟩ for the policy that `rule` selects.

    Attributes:
        gap: V(s) − Q(s, a), [..., S, A]; +inf where there is no wall (an illegal action, or the policy's own).
        gap_bound: how wrong a gap can be, [..., S, A].
        norm: ‖Fᵀn_{s,a}‖ in the dual norm; 0 where the family cannot move the gap.
        norm_bound: how wrong a norm can be, [..., 1, 1].
        margin: gap / norm: how far the family moves until this wall is met, if nothing else switches first.
        actions: the policy, [..., S].
        tied, undecided: walls whose gap is a tie, or cannot be told from one, [..., S, A].
        looked_at: the states whose walls count, [..., S].
        tie_tolerance: gaps up to this are ties, in units of the span; what was asked for, or the default of the dtype
            in which the problem came.
    """

    cones: Any = static()
    family: Any = static()
    norm_name: str = static()
    where: str = static()
    rewards: np.ndarray
    gap: np.ndarray
    gap_bound: np.ndarray
    norm: np.ndarray
    norm_bound: np.ndarray
    actions: np.ndarray
    tied: np.ndarray
    undecided: np.ndarray
    looked_at: np.ndarray
    tie_tolerance: Any
    made: Any = by_hand(default=None)

    @property
    def margin(self) -> np.ndarray:
        """How far the family moves until each wall is met, [..., S, A]; +inf where none is."""
        return self.over_norm(np.maximum(self.gap, 0), self.norm)

    def lower(self, looked_at: np.ndarray | None = None) -> np.ndarray:
        """The margin is at least this, [..., S, A], with the errors of gap and norm; 0 where a tie is undecided."""
        sure = np.where(self.undecided, 0, np.maximum(self.gap - self.gap_bound, 0))
        return self.over_norm(sure, self.norm + self.norm_bound, looked_at)

    def upper(self) -> np.ndarray:
        """And at most this."""
        return self.over_norm(np.maximum(self.gap, 0) + self.gap_bound, self.norm - self.norm_bound)

    def over_norm(self, numbers: np.ndarray, norm: np.ndarray, looked_at: np.ndarray | None = None) -> np.ndarray:
        """Numbers divided by norms; +inf where there is no wall, or none that can be met."""
        seen = self.looked_at if looked_at is None else looked_at
        met = np.isfinite(self.gap) & (norm > 0) & seen[..., None]
        return np.where(met, np.where(met, numbers, 0) / np.where(met, norm, 1), np.inf)

    def summary(self) -> str:
        """One sentence."""
        count, norm = int(np.isfinite(self.margin).sum()), self.norm_name
        ties, unsure = int(self.tied.sum()), int(self.undecided.sum())
        undecided = f", {unsure} of which it is undecided" if unsure else ""
        return f"{count} walls that can be met ({norm} norm), {ties} of them ties{undecided}"

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset."""
        own, states = ("...", "state", "action"), ("...", "state")
        names = ("gap", "gap_bound", "norm", "margin", "tied", "undecided")
        variables: Any = {name: (own, getattr(self, name)) for name in names}
        variables |= {"norm_bound": (("...",), self.norm_bound[..., 0, 0])}
        variables |= {"policy": (states, self.actions), "looked_at": (states, self.looked_at)}
        settings = {"norm_name": self.norm_name, "where": self.where, "tie_tolerance": self.tie_tolerance}
        labels, size = self.cones.mdp.labels, self.cones.counts.shape
        return datasets.build("Walls", variables, settings, labels=labels, size=size, made=self.made)

    def to_dataframe(self) -> DataFrame:
        """The walls that can be met as a pandas table, the nearest first."""
        table = self.to_dataset()[["margin", "gap", "norm", "tied", "undecided"]].to_dataframe().reset_index()
        return table[np.isfinite(table["margin"])].sort_values("margin", ignore_index=True)

    def normals(self, states: NumbersLike, actions: NumbersLike) -> np.ndarray:
        """n_{s,a} for one pair per reward, or for several pairs of one reward, [..., S, A]."""
        states = checks.places(states, self.actions.shape[-1], "state")
        actions = checks.places(actions, self.gap.shape[-1], "action")
        states, others, own = np.broadcast_arrays(states, actions, self.actions[..., 0])
        policies = np.broadcast_to(self.actions, (*own.shape, self.actions.shape[-1]))
        flat = (policies.reshape(-1, policies.shape[-1]), states.ravel(), others.ravel())
        return self.cones.in_blocks(self.cones.normals, *flat).reshape(*own.shape, *self.cones.counts.shape)


@checks.host_geometry
@recorded
def walls(
    mdp: MDP,
    rewards: RewardsLike | None = None,
    *,
    norm: Norm = "inf",
    family: FamilyLike | None = None,
    where: Where = "all",
    rule: Rule = policies.first,
    tie_tolerance: Number | None = None,
) -> Walls:
    """The walls around rewards [..., S, A]; see `nearest_cliff` for the arguments."""
    families.check_norm(norm)
    cones = Cones.of(mdp)
    family = families.fitted(mdp, family)
    tie_tolerance = tie_tolerance_of(cones.dtype, tie_tolerance, rewards)
    rewards, acts = solved(cones, rewards, tie_tolerance)
    lead = rewards.shape[:-2]
    actions = selected(acts, rule)
    flat = actions.reshape(-1, cones.num_states)
    distinct, index = np.unique(flat, axis=0, return_inverse=True)
    norms, wrong = cones.in_blocks(lambda a: family.dual_norms(cones, a, norm), distinct)
    is_wall = cones.walls(actions)
    seen = looked_at(cones, where, distinct)[index.ravel()]
    return Walls(
        cones=cones,
        family=family,
        norm_name=norm,
        where=where,
        rewards=rewards,
        gap=np.where(is_wall, acts.gap, np.inf),
        gap_bound=np.where(is_wall, acts.gap_bound, 0),
        norm=norms[index.ravel()].reshape(is_wall.shape),
        norm_bound=wrong[index.ravel()].reshape(*lead, 1, 1),
        actions=actions,
        tied=is_wall & acts.optimal,
        undecided=is_wall & acts.undecided,
        looked_at=seen.reshape(*lead, cones.num_states),
        tie_tolerance=tie_tolerance,
    )


def solved(cones: Cones, rewards: Any, tie_tolerance: Any) -> tuple[np.ndarray, ActionSets]:
    """Rewards, cleaned, and their optimal actions; a reward that cannot be solved is refused."""
    mdp = cones.mdp
    rewards = np.asarray(mdp.reward) if rewards is None else checks.numbers(rewards, "rewards")
    if rewards.size == 0:
        raise ValueError(f"there are no rewards to look at: they have shape {list(rewards.shape)}")
    if rewards.ndim < 2 or rewards.shape[-2:] != mdp.reward.shape:
        raise ValueError(
            f"rewards must have shape [..., {mdp.num_states}, {mdp.num_actions}], not {list(rewards.shape)}"
        )
    needed = 4.0 * rewards.nbytes  # action values, their gaps and bounds, and what is optimal
    devices.require(needed, f"{rewards.size // mdp.reward.size:,} rewards", "look at fewer at a time")
    return cones.clean(rewards), optimal_sets(cones, rewards, tie_tolerance)


def optimal_policy(cones: Cones, reward: np.ndarray) -> np.ndarray:
    """An optimal policy of one clean reward, [S]: the first best actions."""
    _, acts = solved(cones, reward, tie_tolerance_of(cones.dtype, None))
    return selected(acts, policies.first)


def looked_at(cones: Cones, where: Any, actions: np.ndarray) -> np.ndarray:
    """Which states' walls count, for each of some policies, [F, S]."""
    if not isinstance(where, str) or where not in PLACES:
        raise ValueError(f"where must be one of {', '.join(map(repr, PLACES))}, not {checks.shown(where)}")
    seen = np.ones(cones.num_states, bool)
    if where == "visited":
        return cones.in_blocks(lambda a: cones.visits(np.eye(cones.num_actions)[a]) > 0, actions)
    if where == "reachable":
        seen = cones.reachable()
    return np.broadcast_to(seen, actions.shape)


def selected(acts: ActionSets, rule: Any) -> np.ndarray:
    """The one action per state that a selection rule takes, [..., S]."""
    with float64():
        policy = checks.selected(rule, acts)
    if not (policy.max(axis=-1) == 1).all():
        raise ValueError("the rule must choose one action per state (policies.first, preferred or random)")
    return policy.argmax(axis=-1)

"""The walls of a solved reward: what every (state, action) is worth of distance, and which walls are looked at.

`states` says which: "all"; "reachable", from `initial` under any policy, still a certificate for what can be seen from
there; or "visited", under the optimal policy: then a switch at a state that is not visited may come first and make the
found one wrong, so that the nearest such wall is only an upper bound of the distance.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff import policies
from jaxcliff._numerics import host
from jaxcliff._records import record, static
from jaxcliff.cliffs.cones import Cones, float64
from jaxcliff.mdp import MDP
from jaxcliff.policies import ActionSets, optimal_actions
from jaxcliff.rewards import family as families
from jaxcliff.solvers.evaluate import reachable
from jaxcliff.solvers.solve import solve

Rule = Callable[..., Any]
STATES = ("all", "reachable", "visited")


@record
class Walls:
    """Every wall of one or many rewards: gap(s, a) = ⟨n_{s,a}, R⟩ for the policy that `rule` selects.

    Attributes:
        gap: V(s) − Q(s, a), [..., S, A]; +inf where there is no wall (an illegal action, or the policy's own).
        gap_bound: how wrong a gap can be, [..., S, A].
        norm: ‖Fᵀn_{s,a}‖ in the dual norm; 0 where the family cannot move the gap.
        margin: gap / norm: how far the family moves until this wall is met, if nothing else switches first.
        actions: the policy, [..., S].
        tied, undecided: walls whose gap is a tie, or cannot be told from one, [..., S, A].
        looked_at: the states whose walls count, [..., S].
    """

    cones: Any = static()
    family: Any = static()
    norm_name: str = static()
    states: str = static()
    rewards: np.ndarray
    gap: np.ndarray
    gap_bound: np.ndarray
    norm: np.ndarray
    actions: np.ndarray
    tied: np.ndarray
    undecided: np.ndarray
    looked_at: np.ndarray

    @property
    def margin(self) -> np.ndarray:
        return self.over_norm(np.maximum(self.gap, 0))

    def over_norm(self, numbers: np.ndarray, looked_at: Any = None) -> np.ndarray:
        """Numbers divided by the norms of the walls; +inf where there is no wall, or none that can be met."""
        seen = self.looked_at if looked_at is None else looked_at
        met = np.isfinite(self.gap) & (self.norm > 0) & seen[..., None]
        return np.where(met, np.where(met, numbers, 0) / np.where(met, self.norm, 1), np.inf)

    def normals(self, states: Any, actions: Any) -> np.ndarray:
        """n_{s,a} for one pair per reward, or for several pairs of one reward, [..., S, A]."""
        states, others, own = np.broadcast_arrays(states, actions, self.actions[..., 0])
        policies = np.broadcast_to(self.actions, (*own.shape, self.actions.shape[-1]))
        flat = (policies.reshape(-1, policies.shape[-1]), states.ravel(), others.ravel())
        return self.cones.in_blocks(self.cones.normals, *flat).reshape(*own.shape, *self.cones.counts.shape)


def walls(
    mdp: MDP,
    rewards: Any = None,
    *,
    norm: str = "inf",
    family: Any = None,
    states: str = "all",
    rule: Rule = policies.first,
    tie_tolerance: Any = None,
) -> Walls:
    """The walls around rewards [..., S, A]; see `nearest_cliff` for the arguments."""
    families.check_norm(norm)
    cones = Cones.of(mdp)
    family = (families.identity(mdp) if family is None else family).fit(mdp)
    rewards, acts = solved(cones, rewards, tie_tolerance)
    lead = rewards.shape[:-2]
    actions = selected(acts, rule)
    acts = jax.tree.map(np.asarray, acts)
    flat = actions.reshape(-1, cones.num_states)
    distinct, index = np.unique(flat, axis=0, return_inverse=True)
    norms = cones.in_blocks(lambda a: family.dual_norms(cones, a, norm), distinct)[index.ravel()]
    is_wall = cones.walls(actions)
    seen = looked_at(cones, states, distinct)[index.ravel()]
    return Walls(
        cones=cones,
        family=family,
        norm_name=norm,
        states=states,
        rewards=rewards,
        gap=np.where(is_wall, acts.gap, np.inf),
        gap_bound=np.where(is_wall, acts.gap_bound, 0),
        norm=norms.reshape(is_wall.shape),
        actions=actions,
        tied=is_wall & acts.optimal,
        undecided=is_wall & acts.undecided,
        looked_at=seen.reshape(*lead, cones.num_states),
    )


def solved(cones: Cones, rewards: Any, tie_tolerance: Any = None) -> tuple[np.ndarray, ActionSets]:
    """Rewards, cleaned, and their optimal actions; a reward that cannot be solved is refused."""
    mdp = cones.mdp
    rewards = np.asarray(mdp.reward) if rewards is None else host(rewards, "rewards")
    if rewards.size == 0:
        raise ValueError(f"there are no rewards to look at: they have shape {list(rewards.shape)}")
    if rewards.ndim < 2 or rewards.shape[-2:] != mdp.reward.shape:
        raise ValueError(
            f"rewards must have shape [..., {mdp.num_states}, {mdp.num_actions}], not {list(rewards.shape)}"
        )
    with float64():
        sol = solve(mdp, jnp.asarray(rewards))
        ok = np.asarray(sol.ok)
        if not ok.all():
            lane = tuple(int(i) for i in np.argwhere(~ok)[0])
            raise ValueError(f"reward {lane} could not be solved: {sol[lane].summary() if lane else sol.summary()}")
        acts = optimal_actions(sol, tie_tolerance)
    return cones.clean(rewards), acts


def optimal_policy(cones: Cones, reward: np.ndarray) -> np.ndarray:
    """An optimal policy of one clean reward, [S]: the first best actions."""
    _, acts = solved(cones, reward)
    return selected(acts, policies.first)


def looked_at(cones: Cones, states: str, actions: np.ndarray) -> np.ndarray:
    """Which states' walls count, for each of some policies, [F, S]."""
    if states not in STATES:
        raise ValueError(f"states must be one of {', '.join(map(repr, STATES))}, not {states!r}")
    seen = np.ones(cones.num_states, bool)
    if states == "visited":
        return cones.in_blocks(lambda a: cones.visits(np.eye(cones.num_actions)[a]) > 0, actions)
    if states == "reachable":
        with float64():
            seen = np.asarray(reachable(cones.mdp))
    return np.broadcast_to(seen, actions.shape)


def selected(acts: ActionSets, rule: Rule) -> np.ndarray:
    """The one action per state that a selection rule takes, [..., S]."""
    with float64():
        policy = np.asarray(rule(acts))
    if not (policy.max(axis=-1) == 1).all():
        raise ValueError("the rule must choose one action per state (policies.first, preferred or random)")
    return policy.argmax(axis=-1)

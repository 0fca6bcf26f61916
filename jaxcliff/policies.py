"""Values → action sets → a policy.

Whether an action is optimal has three answers. Let e bound the error of its gap and τ be the tie tolerance:

    optimal      gap + e ≤ τ,  or every legal rival is suboptimal
    suboptimal   gap − e > τ
    undecided    otherwise: the arithmetic cannot tell, and says so

(Of a solution that has not been through a JAX transformation, exact ties are also looked up in the problem itself:
equal rows and rewards, symmetries; see `exact`.)

A *selection* turns the optimal set into one policy. Selections differ exactly where actions tie, and that is
where policies jump; so each has a name, and none is a default. All return distributions [*B, S, A]. Actions
that are undecided take part (`undecided="include"`) or not ("exclude"; a state without a certainly optimal
action is then NaN); `ambiguous` says where that mattered. The policy of a failed lane is NaN.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff import exact
from jaxcliff._records import is_concrete, record
from jaxcliff._types import ActionFlags, LaneScalars, Policies, Rewards, StateFlags
from jaxcliff.mdp import MDP
from jaxcliff.solvers.operators import mask_illegal
from jaxcliff.solvers.regularizers import KL
from jaxcliff.solvers.solution import Solution, default_tie_tolerance
from jaxcliff.solvers.solve import solve


@record
class ActionSets:
    """Which actions are optimal: for certain, for certain not, or not decided. Illegal actions are in no set.

    `threshold` is the tie tolerance as an absolute gap, one per lane; `legal` marks actions that exist.
    """

    optimal: ActionFlags
    suboptimal: ActionFlags
    undecided: ActionFlags
    gap: Rewards
    gap_bound: Rewards
    threshold: LaneScalars

    @property
    def legal(self) -> ActionFlags:
        return self.optimal | self.suboptimal | self.undecided

    def gaps(self) -> Rewards:
        """V(s) − Q(s, a), [*B, S, A]; +inf where an action is illegal."""
        return self.gap

    def candidates(self, undecided: str) -> ActionFlags:
        """The actions a selection may take."""
        if undecided not in ("include", "exclude"):
            raise ValueError(f"undecided must be 'include' or 'exclude', not {undecided!r}")
        return self.optimal | self.undecided if undecided == "include" else self.optimal


def optimal_actions(solution: Solution, tie_tolerance: Any = None, *, absolute: bool = False) -> ActionSets:
    """Sorts every legal action into optimal, suboptimal or undecided; see the module.

    Args:
        solution: an optimum; an evaluation of a given policy has no optimal actions and raises.
        tie_tolerance: gaps up to this are ties, in units of the span of the lane's reward; 1e-11 (float64) or
            1e-4 (float32) if not given. 0 asks for exact ties.
        absolute: the tolerance is a gap, not a fraction of the span.

        >>> import jaxcliff as jc
        >>> sets = jc.optimal_actions(jc.solve(jc.problems.bandit([1.0, 0.0, 1.0])))
        >>> sets.optimal.tolist(), sets.suboptimal.tolist()
        ([[True, False, True]], [[False, True, False]])
    """
    if solution.kind != "optimum":
        raise ValueError(
            f"optimal_actions needs a solution of kind 'optimum', not {solution.kind!r}: solve(mdp, rewards) first"
        )
    dtype = solution.centred_q.dtype
    if is_concrete(tie_tolerance) and tie_tolerance is not None and not np.all(np.asarray(tie_tolerance) >= 0):
        raise ValueError(f"tie_tolerance must not be negative or NaN, but it is {tie_tolerance}")
    lanes = solution.status.shape
    if np.shape(tie_tolerance) not in ((), lanes):
        raise ValueError(f"tie_tolerance is one number or one per lane, {lanes}, not {np.shape(tie_tolerance)}")
    tolerance = jnp.asarray(default_tie_tolerance(dtype) if tie_tolerance is None else tie_tolerance)
    acts = _sort(solution, tolerance.astype(dtype), absolute)
    return acts if solution.origin is None or not is_concrete(acts) else _settled(acts, *solution.origin)


@functools.partial(jax.jit, static_argnames="absolute")
def _sort(solution: Solution, tolerance: jax.Array, absolute: bool) -> ActionSets:
    threshold = tolerance * (jnp.ones_like(solution.span) if absolute else solution.span)
    gap, bound = solution.gaps, solution.gap_bound
    legal = ~jnp.isneginf(solution.centred_q)
    limit = threshold[..., None, None]
    # Failed lanes have NaN gaps and infinite bounds: both comparisons are False, every action is undecided.
    suboptimal = legal & (gap - bound > limit)
    rivals = legal & ~suboptimal
    sole = rivals & (jnp.sum(rivals, axis=-1, keepdims=True) == 1) & jnp.isfinite(bound)
    optimal = (legal & (gap + bound <= limit)) | sole
    return ActionSets(
        optimal=optimal,
        suboptimal=suboptimal,
        undecided=legal & ~optimal & ~suboptimal,
        gap=gap,
        gap_bound=bound,
        threshold=threshold,
    )


def _settled(acts: ActionSets, mdp: MDP, rewards: Rewards) -> ActionSets:
    """The same with exact ties decided that no error bound can show."""
    undecided = np.asarray(acts.undecided & jnp.isfinite(acts.gap_bound))
    if not undecided.any():
        return acts
    lanes, shape = (-1, *mdp.reward.shape), undecided.shape
    optimal, unsure, given = (np.asarray(x).reshape(lanes) for x in (acts.optimal, undecided, rewards))
    found = jnp.asarray(exact.settle(optimal, unsure, given, mdp).reshape(shape))
    return acts.replace(optimal=acts.optimal | found, undecided=acts.undecided & ~found)  # type: ignore[attr-defined]


def ambiguous(acts: ActionSets) -> StateFlags:
    """States whose choice rests on an undecided action, [*B, S]."""
    return jnp.any(acts.undecided, axis=-1)


def uniform(acts: ActionSets, *, undecided: str = "include") -> Policies:
    """Every optimal action with the same probability."""
    return _normalized(acts, acts.candidates(undecided).astype(acts.gap.dtype))


def first(acts: ActionSets, *, undecided: str = "include") -> Policies:
    """The optimal action with the lowest index: what argmax does, said aloud."""
    return preferred(acts, jnp.arange(acts.gap.shape[-1]), undecided=undecided)


def preferred(acts: ActionSets, order: Any, *, undecided: str = "include") -> Policies:
    """The first optimal action in a given order of preference: a permutation of the actions, [A] or [S, A]."""
    actions = acts.gap.shape[-1]
    order = jnp.asarray(order)
    if order.shape[-1:] != (actions,):
        raise ValueError(f"order must list all {actions} actions, [A] or [S, A], not shape {list(order.shape)}")
    if is_concrete(order) and not (np.sort(np.asarray(order), axis=-1) == np.arange(actions)).all():
        raise ValueError(f"order must list every action from 0 to {actions - 1} once")
    rank = jnp.argsort(order, axis=-1)
    chosen = jnp.argmin(jnp.where(acts.candidates(undecided), rank, actions), axis=-1)
    return _normalized(acts, _one_hot(chosen, acts) * acts.candidates(undecided).astype(acts.gap.dtype))


def closest_to(acts: ActionSets, base: Any, *, undecided: str = "include") -> Policies:
    """The base policy restricted to the optimal actions and renormalised: per state, the closest in KL.

    Where the base gives every optimal action probability 0, no optimal policy is closer than another, and the
    choice is uniform.
    """
    candidates = acts.candidates(undecided)
    weight = jnp.where(candidates, jnp.asarray(base).astype(acts.gap.dtype), 0)
    covered = jnp.sum(weight, axis=-1, keepdims=True) > 0
    return _normalized(acts, jnp.where(covered, weight, candidates.astype(weight.dtype)))


def random(acts: ActionSets, *, key: jax.Array, undecided: str = "include") -> Policies:
    """One optimal action per state and lane, drawn uniformly."""
    candidates = acts.candidates(undecided)
    draw = jax.random.uniform(key, candidates.shape, acts.gap.dtype)
    chosen = jnp.argmax(mask_illegal(draw, candidates), axis=-1)
    return _normalized(acts, _one_hot(chosen, acts) * candidates.astype(acts.gap.dtype))


def entropy_limit(acts: ActionSets, mdp: MDP, *, undecided: str = "include") -> Policies:
    """The limit α → 0 of the entropy-regularised policy: optimal actions, weighed by what is optimal after them.

        π(a|s) ∝ 1{a optimal} e^{γ(PH)(s,a)},   H(s) = log Σ_{a optimal} e^{γ(PH)(s,a)}

    At discount 1 with deterministic transitions it is uniform over optimal *trajectories*. It equals `uniform` in
    bandits, not in general. A choice within a state depends on the states after it; a lane in which one has no
    candidate is NaN.
    """
    return _trajectory_limit(acts, mdp, jnp.ones_like(acts.gap), undecided)


def kl_limit(acts: ActionSets, mdp: MDP, base: Any, *, undecided: str = "include") -> Policies:
    """The limit β → 0 of the KL-regularised policy: the optimal policy whose *trajectories* are closest to the base's.

        π(a|s) ∝ 1{a optimal} b(a|s) e^{−γ(PK)(s,a)},   K(s) = −log Σ_{a optimal} b(a|s) e^{−γ(PK)(s,a)}

    On a tree at discount 1 it is the base conditioned on an optimal outcome, and K the price in nats. It equals
    `closest_to` in bandits, not in general. The action sets must be those of the problem without the actions of base
    mass 0; a lane in which a state has no candidate with mass, or
    whose base is no distribution over legal actions, is NaN.
    """
    base = jnp.asarray(base)
    if base.ndim < 2 or base.shape[-2:] != acts.gap.shape[-2:]:
        raise ValueError(
            f"the base policy must have shape [..., {', '.join(map(str, acts.gap.shape[-2:]))}], not {list(base.shape)}"
        )
    base = jnp.where(mdp.decisions, base, 0).astype(acts.gap.dtype)
    proper = (jnp.abs(jnp.sum(base, axis=-1) - 1) <= 1e-5) & jnp.all(base >= 0, axis=-1)
    if mdp.terminal is not None:
        proper |= mdp.terminal
    sound = jnp.all(proper, axis=-1)[..., None, None]
    return jnp.where(sound, _trajectory_limit(acts, mdp, base, undecided), jnp.nan)


def _trajectory_limit(acts: ActionSets, mdp: MDP, weight: jax.Array, undecided: str) -> Policies:
    """Restricted to optimal actions the reward no longer matters, and the bonus of the regulariser decides alone.

    H is the value of KL regularisation of strength 1 towards the restricted weights, with their lost mass as reward.
    """
    mass = jnp.where(acts.candidates(undecided), weight, 0)
    total = jnp.sum(mass, axis=-1, keepdims=True)
    covered = total > 0
    reward = jnp.broadcast_to(jnp.log(jnp.where(covered, total, 1)), mass.shape)
    base = mass / jnp.where(covered, total, 1)  # a row of zeros is no distribution: its lane ends as NaN
    limit = solve(mdp, reward, regularizer=KL(jnp.ones((), mass.dtype), base)).policy
    solved = jnp.any(jnp.isfinite(acts.gap_bound), axis=-1, keepdims=True)
    return jnp.where(solved, limit, jnp.nan)


def _one_hot(actions: jax.Array, acts: ActionSets) -> Policies:
    return jax.nn.one_hot(actions, acts.gap.shape[-1], dtype=acts.gap.dtype)


def _normalized(acts: ActionSets, weight: Policies) -> Policies:
    """Rows divided by their sums: 0/0 = NaN where there is nothing to choose from, and in failed lanes."""
    weight = weight.astype(acts.gap.dtype)
    total = jnp.sum(weight, axis=-1, keepdims=True)
    solved = jnp.any(jnp.isfinite(acts.gap_bound), axis=-1, keepdims=True)
    return jnp.where((total > 0) & solved, weight / jnp.where(total > 0, total, 1), jnp.nan)

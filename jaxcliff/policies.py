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
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.numerics import cast, namespace, one_program, placed
from jaxcliff.core.records import is_concrete, record
from jaxcliff.core.types import ActionFlags, LaneScalars, Policies, Rewards, StateFlags
from jaxcliff.model import exact
from jaxcliff.model.mdp import MDP
from jaxcliff.operators.regularizers import KL
from jaxcliff.operators.selection import mask_illegal
from jaxcliff.solvers.solution import Solution, tie_tolerance_of
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

    def candidates(self, undecided: Any) -> ActionFlags:
        """The actions a selection may take."""
        return _either(self.parts(undecided))

    def parts(self, undecided: Any) -> tuple[ActionFlags, ...]:
        """The sets which they are in."""
        if not isinstance(undecided, str) or undecided not in ("include", "exclude"):
            raise ValueError(f"undecided must be 'include' or 'exclude', not {checks.shown(undecided)}")
        return (self.optimal, self.undecided) if undecided == "include" else (self.optimal,)


@checks.public
def optimal_actions(solution: Solution, tie_tolerance: Any = None, *, absolute: Any = False) -> ActionSets:
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
    dtype, absolute = solution.centred_q.dtype, checks.flag(absolute, "absolute")
    tolerance = tie_tolerance if not is_concrete(tie_tolerance) else tie_tolerance_of(dtype, tie_tolerance)
    lanes = solution.status.shape
    if np.shape(tie_tolerance) not in ((), lanes):
        raise ValueError(f"tie_tolerance is one number or one per lane, {lanes}, not {np.shape(tie_tolerance)}")
    tolerance = cast(checks.array(tolerance, "tie_tolerance"), dtype)
    acts = _sort(solution, tolerance if namespace(solution) is jnp else np.asarray(tolerance), absolute)
    return acts if solution.origin is None or not is_concrete(acts) else settled(acts, *solution.origin)


def _sort(solution: Solution, tolerance: Any, absolute: bool) -> ActionSets:
    unit = np.ones(solution.span.shape, solution.span.dtype) if absolute else solution.span
    return _by_tolerance(solution, tolerance, unit)


@one_program
def _by_tolerance(solution: Solution, tolerance: Any, unit: Any) -> ActionSets:
    legal = ~namespace(solution).isneginf(solution.centred_q)
    return decided(solution.gaps, solution.gap_bound, legal, tolerance * unit)


def decided(gap: Any, bound: Any, legal: Any, threshold: Any) -> ActionSets:
    """The three answers, of gaps that are wrong by a bound at most."""
    xp = namespace(gap, bound, legal, threshold)
    threshold = xp.asarray(threshold)  # a number of numpy's is no array
    limit = threshold[..., None, None]
    # Failed lanes have NaN gaps and infinite bounds: both comparisons are False, every action is undecided.
    suboptimal = legal & (gap - bound > limit)
    rivals = legal & ~suboptimal
    sole = rivals & (xp.sum(rivals, axis=-1, keepdims=True) == 1) & xp.isfinite(bound)
    optimal = (legal & (gap + bound <= limit)) | sole
    return ActionSets(
        optimal=optimal,
        suboptimal=suboptimal,
        undecided=legal & ~optimal & ~suboptimal,
        gap=gap,
        gap_bound=bound,
        threshold=threshold,
    )


def settled(acts: ActionSets, mdp: MDP, rewards: Any) -> ActionSets:
    """The same with exact ties decided that no error bound can show."""
    undecided = np.asarray(acts.undecided)
    if not undecided.any():
        return acts
    lanes, shape = (-1, *mdp.reward.shape), undecided.shape
    optimal, unsure = np.asarray(acts.optimal), undecided & np.isfinite(np.asarray(acts.gap_bound))
    given = np.asarray(rewards).reshape(lanes)[:, None]
    found = exact.settle(optimal.reshape(lanes), unsure.reshape(lanes), given, mdp).reshape(shape)
    if not found.any():
        return acts
    own = placed if namespace(acts) is jnp else np.asarray
    return acts.replace(optimal=own(optimal | found), undecided=own(undecided & ~found))  # type: ignore[attr-defined]


@checks.public
def ambiguous(acts: ActionSets) -> StateFlags:
    """States whose choice rests on an undecided action, [*B, S]."""
    return namespace(acts.undecided).any(acts.undecided, axis=-1)


@checks.public
@checks.takes_numpy
def uniform(acts: ActionSets, *, undecided: Any = "include") -> Policies:
    """Every optimal action with the same probability."""
    return _uniform(acts.parts(undecided), acts.gap_bound)


@checks.public
@checks.takes_numpy
def first(acts: ActionSets, *, undecided: Any = "include") -> Policies:
    """The optimal action with the lowest index: what argmax does, said aloud."""
    return _foremost(acts.parts(undecided), acts.gap_bound, np.arange(acts.gap.shape[-1]))


@checks.public
def preferred(acts: ActionSets, order: Any, *, undecided: Any = "include") -> Policies:
    """The first optimal action in a given order of preference: a permutation of the actions, [A] or [S, A]."""
    actions = acts.gap.shape[-1]
    order = checks.array(order, "order")
    if order.shape[-1:] != (actions,):
        raise ValueError(f"order must list all {actions} actions, [A] or [S, A], not shape {list(order.shape)}")
    if is_concrete(order) and not (np.sort(np.asarray(order), axis=-1) == np.arange(actions)).all():
        raise ValueError(f"order must list every action from 0 to {actions - 1} once")
    return _foremost(acts.parts(undecided), acts.gap_bound, order)


@checks.public
def closest_to(acts: ActionSets, base: Any, *, undecided: Any = "include") -> Policies:
    """The base policy restricted to the optimal actions and renormalised: per state, the closest in KL.

    Where the base gives every optimal action probability 0, no optimal policy is closer than another, and the
    choice is uniform.
    """
    parts, base = acts.parts(undecided), cast(checks.array(base, "the base policy"), acts.gap.dtype)
    states, actions = acts.gap.shape[-2:]
    if not base.ndim or base.shape[-1] != actions or base.shape[-2:-1] not in ((), (1,), (states,)):
        raise ValueError(f"the base policy must have shape [..., {states}, {actions}], not {list(base.shape)}")
    return _nearest(parts, acts.gap_bound, base)


@checks.public
def random(acts: ActionSets, *, key: Any, undecided: Any = "include") -> Policies:
    """One optimal action per state and lane, drawn uniformly."""
    return _drawn(acts.parts(undecided), acts.gap_bound, checks.random_key(key))


@checks.public
def entropy_limit(acts: ActionSets, mdp: MDP, *, undecided: Any = "include") -> Policies:
    """The limit α → 0 of the entropy-regularised policy: optimal actions, weighed by what is optimal after them.

        π(a|s) ∝ 1{a optimal} e^{γ(PH)(s,a)},   H(s) = log Σ_{a optimal} e^{γ(PH)(s,a)}

    At discount 1 with deterministic transitions it is uniform over optimal *trajectories*. It equals `uniform` in
    bandits, not in general. A choice within a state depends on the states after it; a lane in which one has no
    candidate is NaN.
    """
    return _trajectory_limit(acts, mdp, np.ones(acts.gap.shape, acts.gap.dtype), undecided)


@checks.public
def kl_limit(acts: ActionSets, mdp: MDP, base: Any, *, undecided: Any = "include") -> Policies:
    """The limit β → 0 of the KL-regularised policy: the optimal policy whose *trajectories* are closest to the base's.

        π(a|s) ∝ 1{a optimal} b(a|s) e^{−γ(PK)(s,a)},   K(s) = −log Σ_{a optimal} b(a|s) e^{−γ(PK)(s,a)}

    On a tree at discount 1 it is the base conditioned on an optimal outcome, and K the price in nats. It equals
    `closest_to` in bandits, not in general. The action sets must be those of the problem without the actions of base
    mass 0; a lane in which a state has no candidate with mass, or
    whose base is no distribution over legal actions, is NaN.
    """
    base = checks.array(base, "the base policy")
    if base.ndim < 2 or base.shape[-2:] != acts.gap.shape[-2:]:
        raise ValueError(
            f"the base policy must have shape [..., {', '.join(map(str, acts.gap.shape[-2:]))}], not {list(base.shape)}"
        )
    _check_same(acts, mdp)
    base = jnp.where(mdp.decisions, base, 0).astype(acts.gap.dtype)
    proper = (jnp.abs(jnp.sum(base, axis=-1) - 1) <= 1e-5) & jnp.all(base >= 0, axis=-1)
    if mdp.terminal is not None:
        proper |= mdp.terminal
    sound = jnp.all(proper, axis=-1)[..., None, None]
    return jnp.where(sound, _trajectory_limit(acts, mdp, base, undecided), jnp.nan)


def _trajectory_limit(acts: ActionSets, mdp: MDP, weight: Any, undecided: str) -> Policies:
    """Restricted to optimal actions the reward no longer matters, and the bonus of the regulariser decides alone.

    H is the value of KL regularisation of strength 1 towards the restricted weights, with their lost mass as reward.
    """
    _check_same(acts, mdp)
    reward, base = _restricted(acts.parts(undecided), weight)
    limit = solve(mdp, reward, regularizer=KL(np.ones((), reward.dtype), base)).policy
    return _where_solved(acts.gap_bound, limit)


@one_program
def _restricted(parts: Any, weight: Any) -> tuple[Any, Any]:
    """The log of what the candidates weigh together, and their shares."""
    mass = jnp.where(_either(parts), weight, 0)
    total = jnp.sum(mass, axis=-1, keepdims=True)
    covered = total > 0
    reward = jnp.broadcast_to(jnp.log(jnp.where(covered, total, 1)), mass.shape)
    return reward, mass / jnp.where(covered, total, 1)  # a row of zeros is no distribution: its lane ends as NaN


def _check_same(acts: ActionSets, mdp: MDP) -> None:
    if acts.gap.shape[-2:] != mdp.reward.shape:
        raise ValueError(f"these action sets are of another problem: they have shape {list(acts.gap.shape)}")


def _either(parts: tuple[Any, ...]) -> Any:
    return functools.reduce(operator.or_, parts)


@one_program
def _uniform(parts: Any, bound: Any) -> Any:
    return _normalized(_either(parts).astype(bound.dtype), bound)


@one_program
def _foremost(parts: Any, bound: Any, order: Any) -> Any:
    """The first candidate in an order of preference."""
    xp, candidates = namespace(parts, bound, order), _either(parts)
    actions = candidates.shape[-1]
    chosen = xp.argmin(xp.where(candidates, xp.argsort(order, axis=-1), actions), axis=-1)
    return _one(chosen, candidates, bound)


@one_program
def _nearest(parts: Any, bound: Any, base: Any) -> Any:
    candidates = _either(parts)
    weight = jnp.where(candidates, base, 0)
    covered = ~(jnp.sum(weight, axis=-1, keepdims=True) <= 0)  # NaN stays NaN
    return _normalized(jnp.where(covered, weight, candidates.astype(weight.dtype)), bound)


@one_program
def _drawn(parts: Any, bound: Any, key: Any) -> Any:
    candidates = _either(parts)
    draw = jax.random.uniform(key, candidates.shape, bound.dtype)
    return _one(jnp.argmax(mask_illegal(draw, candidates), axis=-1), candidates, bound)


def _one(chosen: Any, candidates: Any, bound: Any) -> Any:
    """One action per state with certainty, if it is a candidate."""
    own = namespace(chosen).arange(candidates.shape[-1]) == chosen[..., None]
    return _normalized((own & candidates).astype(bound.dtype), bound)


def _normalized(weight: Any, bound: Any) -> Any:
    """Rows divided by their sums: 0/0 = NaN where there is nothing to choose from, and in failed lanes."""
    xp = namespace(weight, bound)
    total = xp.sum(weight, axis=-1, keepdims=True)
    return _where_solved(bound, xp.where(total > 0, weight / xp.where(total > 0, total, 1), xp.nan))


def _where_solved(bound: Any, policy: Any) -> Any:
    """NaN in lanes whose gaps have no bound."""
    xp = namespace(bound, policy)
    return xp.where(xp.any(xp.isfinite(bound), axis=-1, keepdims=True), policy, xp.nan)

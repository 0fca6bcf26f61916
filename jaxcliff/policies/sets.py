"""Values → action sets.

Whether an action is optimal has three answers. Let e bound the error of its gap and τ be the tie tolerance:

    optimal      gap + e ≤ τ,  or every legal rival is suboptimal
    suboptimal   gap − e > τ
    undecided    otherwise: the arithmetic cannot tell, and says so

(Of a solution that has not been through a JAX transformation, exact ties are also looked up in the problem itself:
equal rows and rewards, symmetries; see `model.exact`.)
"""

import functools
import operator
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks, datasets
from jaxcliff.core.labels import Labels, labelled
from jaxcliff.core.numerics import cast, namespace, one_program, placed, unit_roundoff
from jaxcliff.core.records import by_hand, is_concrete, record
from jaxcliff.core.types import ActionFlags, Dataset, Flag, LaneScalars, NumbersLike, Rewards, StateFlags, Word
from jaxcliff.model import exact
from jaxcliff.model.mdp import MDP
from jaxcliff.solvers.solution import Solution, tie_tolerance_of


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
    labels: Labels = labelled()
    made: Any = by_hand(default=None)

    @property
    def legal(self) -> ActionFlags:
        return self.optimal | self.suboptimal | self.undecided

    def gaps(self) -> Rewards:
        """V(s) − Q(s, a), [*B, S, A]; +inf where an action is illegal."""
        return self.gap

    def summary(self) -> str:
        """One sentence about one reward, or about how many of them have ties."""
        tied, unsure = (np.asarray(x.sum(axis=-1)) for x in (self.optimal, self.undecided))
        several, open_ = (tied > 1) & (unsure == 0), unsure > 0
        if self.threshold.ndim:
            tie, doubt = several.any(axis=-1).sum(), open_.any(axis=-1).sum()
            return f"{self.threshold.size} rewards: ties in {tie}, something undecided in {doubt}"
        tie, doubt = several.sum(), open_.sum()
        return f"{tied.shape[-1]} states: actions tie in {tie}, and in {doubt} it is undecided whether they do"

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset."""
        names = ("optimal", "suboptimal", "undecided", "gap", "gap_bound")
        variables: Any = {name: (("...", "state", "action"), getattr(self, name)) for name in names}
        variables |= {"threshold": (("...",), self.threshold)}
        size = self.gap.shape[-2:]
        return datasets.build("ActionSets", variables, {}, labels=self.labels, size=size, made=self.made)

    def candidates(self, undecided: Word) -> ActionFlags:
        """The actions a selection may take."""
        return either(self.parts(undecided))

    def parts(self, undecided: Word) -> tuple[ActionFlags, ...]:
        """The sets which they are in."""
        if not isinstance(undecided, str) or undecided not in ("include", "exclude"):
            raise ValueError(f"undecided must be 'include' or 'exclude', not {checks.shown(undecided)}")
        return (self.optimal, self.undecided) if undecided == "include" else (self.optimal,)


@checks.public
def optimal_actions(
    solution: Solution, tie_tolerance: NumbersLike | None = None, *, absolute: Flag = False
) -> ActionSets:
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
    tolerance: Any = tie_tolerance if not is_concrete(tie_tolerance) else tie_tolerance_of(dtype, tie_tolerance)
    lanes = solution.status.shape
    if np.shape(tolerance) not in ((), lanes):
        raise ValueError(f"tie_tolerance is one number or one per lane, {lanes}, not {np.shape(tolerance)}")
    tolerance = cast(checks.array(tolerance, "tie_tolerance"), dtype)
    acts = _sort(solution, tolerance if namespace(solution) is jnp else np.asarray(tolerance), absolute)
    if solution.origin is None or not is_concrete(acts):
        return acts
    found = settled(acts, *solution.origin)
    made = None if solution.made is None else solution.made.also(tie_tolerance=tie_tolerance, absolute=absolute)
    return found.replace(labels=solution.origin[0].labels, made=made)  # type: ignore[attr-defined]


def most_probable(soft: Solution, tie_tolerance: Any = None) -> ActionSets:
    """The same three answers for the most probable actions of a soft optimum, which are those of the largest Q.

    Only for policies that order actions as Q does, such as those of `Entropy`.
    """
    q = soft.centred_q
    gap = jnp.max(q, axis=-1)[..., None] - q
    bound = 2 * soft.gap_error[..., None] + 3 * unit_roundoff(q.dtype) * jnp.where(jnp.isposinf(gap), 0, jnp.abs(gap))
    tolerance = cast(checks.array(tie_tolerance_of(q.dtype, tie_tolerance), "tie_tolerance"), q.dtype)
    return decided(gap, bound, ~jnp.isneginf(q), tolerance * soft.span)


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


def either(parts: tuple[Any, ...]) -> Any:
    """The actions that are in one of some sets."""
    return functools.reduce(operator.or_, parts)

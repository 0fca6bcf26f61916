"""Action sets → a policy. Selections differ exactly where actions tie, and that is where policies jump.

So each has a name, and none is a default. All return distributions [*B, S, A]. Actions that are undecided take part
(`undecided="include"`) or not ("exclude"; a state without a certainly optimal action is then NaN); `ambiguous` says
where that mattered. The policy of a failed lane is NaN.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.numerics import cast, namespace, one_program
from jaxcliff.core.records import is_concrete
from jaxcliff.core.types import Key, NumbersLike, Policies, PolicyLike, Word
from jaxcliff.operators.selection import mask_illegal
from jaxcliff.policies.sets import ActionSets, either


@checks.public
@checks.takes_numpy
def uniform(acts: ActionSets, *, undecided: Word = "include") -> Policies:
    """Every optimal action with the same probability."""
    return _uniform(acts.parts(undecided), acts.gap_bound)


@checks.public
@checks.takes_numpy
def first(acts: ActionSets, *, undecided: Word = "include") -> Policies:
    """The optimal action with the lowest index: what argmax does, said aloud."""
    return _foremost(acts.parts(undecided), acts.gap_bound, np.arange(acts.gap.shape[-1]))


@checks.public
def preferred(acts: ActionSets, order: NumbersLike, *, undecided: Word = "include") -> Policies:
    """The first optimal action in a given order of preference: a permutation of the actions, [A] or [S, A]."""
    actions = acts.gap.shape[-1]
    order = checks.array(order, "order")
    if order.shape[-1:] != (actions,):
        raise ValueError(f"order must list all {actions} actions, [A] or [S, A], not shape {list(order.shape)}")
    if is_concrete(order) and not (np.sort(np.asarray(order), axis=-1) == np.arange(actions)).all():
        raise ValueError(f"order must list every action from 0 to {actions - 1} once")
    return _foremost(acts.parts(undecided), acts.gap_bound, order)


@checks.public
def closest_to(acts: ActionSets, base: PolicyLike, *, undecided: Word = "include") -> Policies:
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
def random(acts: ActionSets, *, key: Key, undecided: Word = "include") -> Policies:
    """One optimal action per state and lane, drawn uniformly."""
    return _drawn(acts.parts(undecided), acts.gap_bound, checks.random_key(key))


@one_program
def _uniform(parts: Any, bound: Any) -> Any:
    return _normalized(either(parts).astype(bound.dtype), bound)


@one_program
def _foremost(parts: Any, bound: Any, order: Any) -> Any:
    """The first candidate in an order of preference."""
    xp, candidates = namespace(parts, bound, order), either(parts)
    actions = candidates.shape[-1]
    chosen = xp.argmin(xp.where(candidates, xp.argsort(order, axis=-1), actions), axis=-1)
    return _one(chosen, candidates, bound)


@one_program
def _nearest(parts: Any, bound: Any, base: Any) -> Any:
    candidates = either(parts)
    weight = jnp.where(candidates, base, 0)
    covered = ~(jnp.sum(weight, axis=-1, keepdims=True) <= 0)  # NaN stays NaN
    return _normalized(jnp.where(covered, weight, candidates.astype(weight.dtype)), bound)


@one_program
def _drawn(parts: Any, bound: Any, key: Any) -> Any:
    candidates = either(parts)
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
    return where_solved(bound, xp.where(total > 0, weight / xp.where(total > 0, total, 1), xp.nan))


def where_solved(bound: Any, policy: Any) -> Any:
    """NaN in lanes whose gaps have no bound."""
    xp = namespace(bound, policy)
    return xp.where(xp.any(xp.isfinite(bound), axis=-1, keepdims=True), policy, xp.nan)

"""One sweep over all states and actions for many lanes at once, in the layout in which that costs least.

Lanes come last in here: values are [S, B], rewards [A, S, B] (`Batch.columns`). A sweep goes from action to
action, reads memory in order, and what it keeps of an action (the best value so far, which action that was) is folded
in at once, so that no table of action values is ever held.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core.types import Columns
from jaxcliff.operators.selection import Greedy, mask_illegal
from jaxcliff.solvers.batch import Batch


def fold(
    batch: Batch, visit: Callable[[Any, Columns, Any], Any], carry: Any, values: Columns, per_action: Any
) -> tuple[Any, Any]:
    """(carry, out_a) ← visit(carry, E[values(s') | ·, a], per_action[a]) for one action after another; outs stacked."""
    t = batch.mdp.transitions

    def one(carry: Any, x: Any) -> tuple[Any, Any]:
        rows, own = x
        return visit(carry, jnp.zeros_like(values) if t is None else t.after(rows, values), own)

    return jax.lax.scan(one, carry, (batch.rows, per_action))


def backup(batch: Batch) -> Callable[[Columns], tuple[Columns, Any]]:
    """The map from h to op(r̃ + γPh) and the error measured in it, [S, B] each."""
    if not isinstance(batch.operator, Greedy):
        return lambda h: action_values(batch, h)[1:]
    legal = _legal(batch)

    def better(best: Columns, after: Columns, own: Any) -> tuple[Columns, None]:
        reward, legal = own
        return jnp.maximum(best, mask_illegal(reward + batch.discount * after, legal)), None

    def hard(h: Columns) -> tuple[Columns, Any]:
        lowest = jnp.full_like(h, jnp.finfo(h.dtype).min)
        best, _ = fold(batch, better, lowest, h, (batch.columns, legal))
        return batch.pin(best, axis=0), None

    return hard


def action_values(batch: Batch, h: Columns) -> tuple[jax.Array, Columns, Any]:
    """Q = r̃ + γPh, [A, S, B], the operator of it, and the error measured in that, [S, B] each."""
    _, q = fold(batch, lambda _, after, own: (None, own + batch.discount * after), None, h, batch.columns)
    if isinstance(batch.operator, Greedy):
        return q, batch.pin(jnp.max(mask_illegal(q, _legal(batch)), axis=0), axis=0), None
    operator = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), batch.operator)
    shared = None if batch.mdp.legal is None else batch.mdp.legal[:, None]
    v, measured = operator.value(jnp.moveaxis(q, 0, -1), shared)
    return q, batch.pin(v, axis=0), measured


def improvement(batch: Batch) -> Callable[[Columns, jax.Array], tuple[Columns, jax.Array, Columns]]:
    """The map from h and current actions, [S, B], to the best Q, the first action that attains it, and the own Q."""
    legal = _legal(batch)

    def improve(h: Columns, actions: jax.Array) -> tuple[Columns, jax.Array, Columns]:
        _, q = fold(batch, lambda _, after, own: (None, own + batch.discount * after), None, h, batch.columns)
        shown = mask_illegal(q, legal)
        first = jnp.argmax(shown, axis=0).astype(jnp.int32)
        current = jnp.take_along_axis(q, actions[None], axis=0)[0]
        return batch.pin(jnp.max(shown, axis=0), axis=0), first, batch.pin(current, axis=0)

    return improve


def _legal(batch: Batch) -> Any:
    """The legal mask [A, S, 1], or None."""
    legal = batch.mdp.legal
    return None if legal is None else legal.T[..., None]

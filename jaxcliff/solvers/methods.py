"""The methods by name, and the one way from what a method finds to a `Solution`."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff._records import record
from jaxcliff._types import LaneFlags, LaneScalars, Rewards, Values
from jaxcliff.mdp import MDP
from jaxcliff.solvers import bounds, passes
from jaxcliff.solvers.batch import Batch, Status
from jaxcliff.solvers.factorize import base_values
from jaxcliff.solvers.loop import Clock
from jaxcliff.solvers.newton import newton
from jaxcliff.solvers.policy_iteration import evaluation, policy_iteration
from jaxcliff.solvers.shared import shared
from jaxcliff.solvers.solution import Solution
from jaxcliff.solvers.value_iteration import value_iteration
from jaxcliff.transitions import Dense, Successors, Tree


def _policy_iteration(batch: Batch, h: Values, tolerance: LaneScalars, limit: int, clock: Clock | None = None) -> Any:
    """Actions are switched, or a smooth operator's derivative is followed, or a given policy is evaluated."""
    search = {"optimum": policy_iteration, "regularized": newton, "evaluation": evaluation}[batch.operator.kind]
    return search(batch, h, tolerance, limit, clock)


SEARCHES: dict[str, Callable[..., Any]] = {
    "value_iteration": value_iteration,
    "policy_iteration": _policy_iteration,
}
SHARED = "shared"  # a search that needs a factorisation besides
PASSES: dict[str, Callable[..., Any]] = {"backward": passes.backward, "bandit": passes.bandit}
DIRECT_STATES = 64
DEFAULT_LIMIT = {
    "value_iteration": 1_000_000,
    "policy_iteration": 1_000,
    SHARED: 1_000_000,
    "backward": 1,
    "bandit": 1,
}


def choose_method(mdp: MDP) -> str:
    """The method of `auto`; see `solve`."""
    if mdp.transitions is None:
        return "bandit"
    if isinstance(mdp.transitions, Tree):
        return "backward"
    return "policy_iteration" if mdp.num_states <= DIRECT_STATES else "value_iteration"


def check_method(mdp: MDP, method: str) -> str:
    """The method, if this problem can be solved by it."""
    if method not in DEFAULT_LIMIT:
        raise ValueError(f"method must be 'auto' or one of {', '.join(DEFAULT_LIMIT)}, not {method!r}")
    suits = {
        "bandit": mdp.transitions is None,
        "backward": isinstance(mdp.transitions, Tree),
        "policy_iteration": mdp.transitions is not None,
        SHARED: isinstance(mdp.transitions, Dense | Successors),
    }
    if not suits.get(method, True):
        kind = "no transitions" if mdp.transitions is None else type(mdp.transitions).__name__
        raise ValueError(
            f"method {method!r} does not fit a problem with {kind}; 'auto' would take {choose_method(mdp)!r}"
        )
    return method


@record
class _Found:
    """What a method found: Q and V up to the offset, how wrong they can be, and which lanes ended by themselves."""

    q: Rewards
    v: Values
    offset: LaneScalars
    error_bound: LaneScalars
    gap_error: jax.Array
    finished: LaneFlags
    count: jax.Array


def apply(
    method: str, limit: int, batch: Batch, base: Any, tolerance: LaneScalars, init: Any, clock: Clock | None = None
) -> Solution:
    """Solves a prepared batch by one method; with a clock, as far as its work reaches."""
    if method in PASSES:
        return _assemble(method, batch, tolerance, _pass(method, batch))
    search = SEARCHES[method] if base is None else functools.partial(shared, base)
    start = base_values(base, batch) if init is None and base is not None else init
    found = _search(search, limit, batch, tolerance, start, clock)
    return _assemble(method, batch, tolerance, found)


def _search(
    search: Callable[..., Any], limit: int, batch: Batch, tolerance: LaneScalars, init: Any, clock: Clock | None
) -> _Found:
    """Searches for values, then certifies them by one backup of their own."""
    start, _ = batch.value(batch.reward)
    if init is not None:
        # No values lie farther out than L·(span + bonus); a start that does only costs precision (NaN compares false).
        size = jnp.max(jnp.abs(batch.centred(init)), axis=-1)
        reach = 2 * batch.steps * (batch.span + batch.rounding.bonus)
        start = jnp.where((size <= reach)[:, None], init, start)
    h, finished, count = search(batch, start, tolerance, limit, clock)
    q = batch.backup(h)
    v, measured = batch.value(q)
    bound = bounds.certify(batch, h, v, measured)
    return _Found(q, v, bound.offset, bound.error_bound, bound.gap_error[:, None], finished, count)


def _pass(method: str, batch: Batch) -> _Found:
    """One pass, exact up to the rounding that it counts itself."""
    q, v, error_bound, gap_error = PASSES[method](batch)
    done = ~batch.failed
    return _Found(q, v, jnp.zeros_like(batch.span), error_bound, gap_error, done, done.astype(jnp.int32))


def _once(x: LaneScalars) -> LaneScalars:
    """One array in memory: what is computed twice can round in two ways, and XLA fuses across its barriers.

    Nothing is fused across a loop. This one is not entered, or once and to no effect where a lane is NaN.
    """

    def again(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        more, x = carry
        return more & False, jnp.where(jnp.isnan(x), jnp.nan, x)

    return jax.lax.while_loop(lambda carry: carry[0], again, (jnp.any(jnp.isnan(x)), x))[1]


def _assemble(method: str, batch: Batch, tolerance: LaneScalars, found: _Found) -> Solution:
    """Status, terminal states, illegal actions and failed lanes, the same way for every method."""
    mdp, q, v = batch.mdp, found.q, found.v
    offset = _once(found.offset)
    finite = jnp.isfinite(found.error_bound) & jnp.all(jnp.isfinite(v + offset[:, None]), axis=-1)
    failure = jnp.where(batch.failed | finite, batch.status, int(Status.OUT_OF_RANGE))
    failed = failure > int(Status.ROUNDING_FLOOR)
    if mdp.terminal is not None:
        # −offset + offset is exactly 0, the value of a terminal state.
        q = jnp.where(mdp.terminal[:, None], -offset[:, None, None], q)
        v = jnp.where(mdp.terminal, -offset[:, None], v)
    nan = jnp.asarray(jnp.nan, q.dtype)
    q = jnp.where(failed[:, None, None], nan, q)
    if batch.support is not None:
        q = jnp.where(batch.support, q, -jnp.inf)
    stopped = jnp.where(found.finished, int(Status.ROUNDING_FLOOR), int(Status.ITERATION_LIMIT))
    status = jnp.where(found.error_bound <= tolerance * batch.span, int(Status.CONVERGED), stopped)
    return Solution(
        centred_q=q,
        centred_values=jnp.where(failed[:, None], nan, v),
        offset=jnp.where(failed, 0, offset),
        error_bound=jnp.where(failed, jnp.inf, found.error_bound),
        gap_error=jnp.where(failed[:, None], jnp.inf, found.gap_error),
        span=jnp.where(failed, nan, batch.span),
        status=jnp.where(failed, failure, status).astype(jnp.int8),
        iterations=found.count,
        method=method,
        kind=batch.operator.kind,
    )

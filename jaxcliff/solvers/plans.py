"""The methods by name, and the one way from what a method finds to a `Solution`."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core import checks
from jaxcliff.core.loop import Clock
from jaxcliff.core.records import record
from jaxcliff.core.types import Columns, LaneFlags, LaneScalars, Values
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors, Tree
from jaxcliff.solvers import bounds
from jaxcliff.solvers.batch import Batch, Status
from jaxcliff.solvers.methods import passes, sweeps
from jaxcliff.solvers.methods.factorize import base_values
from jaxcliff.solvers.methods.newton import newton
from jaxcliff.solvers.methods.policy_iteration import evaluation, policy_iteration, sweeps_first
from jaxcliff.solvers.methods.shared import shared
from jaxcliff.solvers.methods.value_iteration import value_iteration
from jaxcliff.solvers.solution import Solution

Stages = tuple[str, ...]  # one after the other
Plan = tuple[tuple[str, int], ...]

SHARED = "shared"  # a method that needs a factorisation besides
PASSES: dict[str, Callable[..., Any]] = {"backward": passes.backward, "bandit": passes.bandit}
DIRECT_STATES = 64
LANES_FOR_A_BASE = 256
SMALL_SYSTEMS = 128  # sweeps; of a lane that goes round a base
EXPONENTIAL = 20  # multiplications
FEWEST_SWEEPS = 16  # fewer before a base are not worth a program
DEFAULT_LIMIT = {
    "value_iteration": 1_000_000,
    "policy_iteration": 1_000,
    SHARED: 1_000_000,
    "backward": 1,
    "bandit": 1,
}


def _sweeps(base: Any, *batch: Any, search: bool) -> Any:
    return value_iteration(*batch, search=search)


def _nearby(base: Any, *batch: Any, search: bool) -> Any:
    return shared(base, *batch)


def _solves(base: Any, batch: Batch, *rest: Any, search: bool) -> Any:
    """Actions are switched, or a smooth operator's derivative is followed, or a given policy is evaluated."""
    solve = {"optimum": policy_iteration, "regularized": newton, "evaluation": evaluation}[batch.operator.kind]
    return solve(batch, *rest)


# A stage takes (base, batch, values, finished lanes, tolerance, limit, clock) and leaves finished lanes as they are; it
# returns values, the lanes that finished, and steps per lane.
STAGES: dict[str, Callable[..., tuple[Values, LaneFlags, jax.Array]]] = {
    "sweeps": _sweeps,
    "nearby": _nearby,
    "solves": _solves,
}
NAMES = {"sweeps": "value_iteration", "nearby": SHARED, "solves": "policy_iteration"}


def counts(method: str, stage: str) -> bool:
    """Whether the steps of a stage are among those of a method: sweeps that prepare for linear solves are not."""
    return method != "policy_iteration" or stage != "sweeps"


def plan(method: str, kind: str, mdp: MDP, limit: int) -> Plan:
    """The stages of a method, each with its limit of steps. What one has not finished is left to the next."""
    if method in PASSES:
        return ()
    if method == "value_iteration":
        return (("sweeps", limit),)
    if method == "policy_iteration" and kind == "evaluation":
        return (("solves", limit),)
    if method == SHARED and kind == "regularized":
        return (("nearby", limit), ("sweeps", limit))
    around: Plan = (("nearby", limit),) if method == SHARED else ()
    return (*around, ("sweeps", sweeps_first(mdp.num_states)), ("solves", limit))


def adaptive_plan(kind: str, mdp: MDP) -> Plan:
    """That of many rewards in hand: lanes that mix slowly are left over, and go round the problem's own solution."""
    last = choose_method(mdp)
    rest = ("solves" if last == "policy_iteration" else "sweeps", DEFAULT_LIMIT[last])
    sweeps = sweeps_before_a_base(kind, mdp)
    first: Plan = (("sweeps", sweeps),) if sweeps >= FEWEST_SWEEPS else ()
    return (*first, ("nearby", DEFAULT_LIMIT[SHARED]), rest)


def sweeps_before_a_base(kind: str, mdp: MDP) -> int:
    """As many sweeps of a lane as a few products with S × S matrices cost, and its share of a base for the fewest.

    Hard lanes have small systems to solve as well; a soft sweep takes an exponential per action.
    """
    width = mdp.transitions.states.shape[-1] if isinstance(mdp.transitions, Successors) else mdp.num_states
    own, share = 4 * mdp.num_states, 3 * mdp.num_states**2 // LANES_FOR_A_BASE
    if kind == "regularized":
        return (own + share) // (mdp.num_actions * (width + EXPONENTIAL))
    return SMALL_SYSTEMS + (own + share) // (mdp.num_actions * width)


def choose_method(mdp: MDP) -> str:
    """The method of `auto`; see `solve`."""
    if mdp.transitions is None:
        return "bandit"
    if isinstance(mdp.transitions, Tree):
        return "backward"
    return "policy_iteration" if mdp.num_states <= DIRECT_STATES else "value_iteration"


def check_method(mdp: MDP, method: Any) -> str:
    """The method, if this problem can be solved by it."""
    if not isinstance(method, str) or method not in DEFAULT_LIMIT:
        raise ValueError(f"method must be 'auto' or one of {', '.join(DEFAULT_LIMIT)}, not {checks.shown(method)}")
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
    """What a method found: Q and V up to the offset, how wrong they can be, and which lanes ended by themselves.

    Q has its lanes first if it was found in one pass, [B, S, A], and last if by sweeps, [A, S, B].
    """

    q: jax.Array
    v: Values
    offset: LaneScalars
    error_bound: LaneScalars
    gap_error: jax.Array
    finished: LaneFlags
    count: jax.Array


def apply(
    method: str,
    stages: Stages,
    batch: Batch,
    base: Any,
    tolerance: LaneScalars,
    init: Any,
    limits: Any,
    clock: Clock | None = None,
    search: bool = False,
) -> tuple[Solution, LaneFlags]:
    """Solves a prepared batch; with a clock, as far as its work reaches. And which lanes finished by themselves."""
    if method in PASSES:
        found = _pass(method, batch)
        return _assemble(method, batch, tolerance, found), found.finished
    h, done = start_values(batch, base, init), batch.failed
    total = done.astype(jnp.int32) * 0
    for i, (name, limit) in enumerate(zip(stages, limits, strict=True)):
        first = search and init is None and i == 0
        h, now, count = STAGES[name](base, batch, h, done, tolerance, limit, clock, search=first)
        done, total = done | now, total + (count if counts(method, name) else 0)
    return certified(method, batch, h.T, done, total, tolerance), done


def start_values(batch: Batch, base: Any, init: Any) -> Values:
    """Where a search begins: the values given, those of the base policy, or those of one step."""
    counts = batch.mdp.decisions.T[..., None]
    start = batch.pin(jnp.max(jnp.where(counts, batch.columns, jnp.finfo(batch.columns.dtype).min), axis=0).T)
    if base is not None and init is None:
        init = base_values(base, batch)
    if init is not None:
        # No values lie farther out than L·(span + bonus); a start that does only costs precision (NaN compares false).
        size = jnp.max(jnp.abs(batch.centred(init)), axis=-1)
        reach = 2 * batch.steps * (batch.span + batch.rounding.bonus)
        start = jnp.where((size <= reach)[:, None], init, start)
    return start


def certified(
    method: str, batch: Batch, h: Columns, done: LaneFlags, count: jax.Array, tolerance: LaneScalars
) -> Solution:
    """The solution that values [S, B] lead to, certified by one backup of their own."""
    q, v, measured = sweeps.action_values(batch, h)
    bound = bounds.certify(batch, h, v, measured, axis=0)
    found = _Found(q, v.T, bound.offset, bound.error_bound, bound.gap_error[:, None], done, count)
    return _assemble(method, batch, tolerance, found)


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
    mdp, v = batch.mdp, found.v
    offset = _once(found.offset)
    finite = jnp.isfinite(found.error_bound) & jnp.all(jnp.isfinite(v + offset[:, None]), axis=-1)
    failure = jnp.where(batch.failed | finite, batch.status, int(Status.OUT_OF_RANGE))
    failed = failure > int(Status.ROUNDING_FLOOR)
    nan = jnp.asarray(jnp.nan, v.dtype)
    support = batch.support

    def shown(q: jax.Array, states: Any, lanes: Any, support: Any) -> jax.Array:
        """Numbers as they are handed out; `states` and `lanes` give an array of theirs its place among the axes."""
        if mdp.terminal is not None:
            # −offset + offset is exactly 0, the value of a terminal state.
            q = jnp.where(states(mdp.terminal), -lanes(offset), q)
        q = jnp.where(lanes(failed), nan, q)
        return q if support is None else jnp.where(support, q, -jnp.inf)

    if batch.columns is None:
        q = shown(found.q, lambda x: x[:, None], lambda x: x[:, None, None], support)
    else:  # action by action, then one transpose and nothing else: fused, it is several times slower
        own = None
        if support is not None:
            own = support.T[..., None] if support.ndim == 2 else jnp.transpose(support, (2, 1, 0))
        q = jax.lax.map(lambda x: shown(x[0], lambda x: x[:, None], lambda x: x, x[1]), (found.q, own))
        q = jnp.transpose(q, (2, 1, 0))
    if mdp.terminal is not None:
        v = jnp.where(mdp.terminal, -offset[:, None], v)
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

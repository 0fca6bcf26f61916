"""The one call: a decision problem and any number of rewards in, certified optimal values out."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks, devices
from jaxcliff.core.numerics import promoted
from jaxcliff.core.records import in_hand, is_concrete
from jaxcliff.core.types import AroundLike, NumbersLike, RegularizerLike, RewardsLike, Whole, Word
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import recorded
from jaxcliff.model.transitions import Dense, Successors
from jaxcliff.operators.regularizers import Regularizer
from jaxcliff.operators.selection import Greedy, Operator, first_best
from jaxcliff.solvers.blocks import solve_lanes
from jaxcliff.solvers.derivatives import attach
from jaxcliff.solvers.lanes import compiled
from jaxcliff.solvers.methods.factorize import Factorization, check_factorable, factor
from jaxcliff.solvers.plans import (
    DEFAULT_LIMIT,
    LANES_FOR_A_BASE,
    NAMES,
    SHARED,
    adaptive_plan,
    check_method,
    choose_method,
    plan,
)
from jaxcliff.solvers.solution import Solution, default_tie_tolerance

ENTRIES_FOR_A_BASE = 2**24  # of its largest array


@checks.public
@recorded
def solve(
    mdp: MDP,
    rewards: RewardsLike | None = None,
    *,
    regularizer: RegularizerLike | None = None,
    method: Word = "auto",
    tolerance: NumbersLike | None = None,
    init: NumbersLike | None = None,
    around: AroundLike | None = None,
    max_iterations: Whole | None = None,
) -> Solution:
    """Optimal values of one problem under one reward or thousands, each with its own error bound.

        ‖Q − Q*‖ ≤ error_bound,   and where a lane converged,   error_bound ≤ tolerance · span(R)

    `auto` begins by shapes and structure:

    | the problem has            | method           | because                                              |
    |----------------------------|------------------|------------------------------------------------------|
    | no transitions             | bandit           | its action values are its rewards                    |
    | a `Tree`                   | backward         | one pass from the leaves is exact up to rounding     |
    | at most 64 states          | policy_iteration | sweeps first; linear solves where chains mix slowly  |
    | more                       | value_iteration  | no S × S matrix per lane; span bounds stop it early  |
    | `around` a factorisation   | shared           | policies near its own cost a few matrix products     |

    With numbers in hand it goes on by how lanes converge, each by itself: of 256 rewards or more (under one
    regularizer), those that sweeps do not finish in time are solved around the problem's own solution, as if that had
    been given as `around`; soft ones at once, where matrices are small. `sol.method` says what was taken.

    The function may be jitted, vmapped (a mapped reward axis becomes a lane axis, at the price of one jitted call) and
    run under `jax.shard_map`. With numbers in hand it uses all cores of a processor, and Ctrl-C ends it. Another batch
    of about the same size compiles nothing.

    Args:
        mdp: the problem.
        rewards: [..., S, A], any leading axes; the problem's own reward if not given. Illegal entries and
            terminal states are ignored. Numbers of higher precision than the problem's raise its precision.
        regularizer: `Entropy`, `KL`, `Sparsemax` or `FDivergence`; None is the hard optimum. Then `sol.policy` is the
            one optimal policy, and the values include the regulariser's bonus.
        method: one of the above. With a regularizer, policy iteration is Newton's method.
        tolerance: relative to the span of each lane's reward, a number or one per lane; a quarter of the
            default tie tolerance (2.5e-12 in float64, 2.5e-5 in float32), so that ties are decided wherever
            the arithmetic can.
        init: values to start from, [..., S]; a start that is not finite, or that no reward of this span could have, is
            not used. Changes speed, not the answer.
        around: `jc.factorize(mdp)`, a policy factored once, for thousands of rewards near the one it is optimal for.
            Changes speed, not the answer.
        max_iterations: sweeps of value iteration (a million) or policy improvements (a thousand).

    Returns:
        A `Solution`. A lane that could not be solved says why in `status`, holds NaN, and disturbs no other.

        >>> import jax, jaxcliff as jc
        >>> mdp = jc.problems.river_swim(states=6, discount=0.95)
        >>> sol = jc.solve(mdp)
        >>> bool(sol.ok), sol.method
        (True, 'value_iteration')
    """
    if not (regularizer is None or isinstance(regularizer, Regularizer)):
        raise TypeError(
            "regularizer must be jc.Entropy, jc.KL, jc.Sparsemax, jc.FDivergence or None, "
            f"not {type(regularizer).__name__}"
        )
    operator = Greedy() if regularizer is None else regularizer
    return run(mdp, operator, rewards, method, tolerance, init, max_iterations, around)


@checks.public
def factorize(mdp: MDP, *, regularizer: RegularizerLike | None = None, capacity: Whole = 32) -> Factorization:
    """Solves the problem for its own reward and factors the optimal policy, for a batch of rewards nearby.

    Takes two arrays of S × S and S × A × S numbers, once; what it is good for is said in `Factorization`. Most useful
    where chains mix slowly (a discount near 1), where every sweep of value iteration gains little.

    Args:
        mdp: the problem; its reward decides the base policy.
        regularizer: for soft solves, the same as theirs (one strength for all rewards); None for hard ones.
        capacity: the most states in which a lane may leave the base policy; one that leaves it in more is solved by
            value iteration and policy iteration. Takes capacity² numbers per lane.

    >>> import jax, jaxcliff as jc
    >>> mdp = jc.problems.river_swim(states=6, discount=0.95)
    >>> near = jc.perturb.ball(jax.random.key(0), mdp, size=0.01, count=100).rewards
    >>> jc.solve(mdp, near, around=jc.factorize(mdp))
    Solution(optimum [100, 6, 2], shared, float32, all ok)
    """
    check_factorable(mdp)
    capacity = checks.whole(capacity, "capacity", 1)
    sol = solve(mdp, regularizer=regularizer)
    if sol.status.ndim:
        raise ValueError("a base has one policy: give the regularizer one strength, not one per lane")
    if is_concrete(sol.status) and not bool(sol.ok):
        raise ValueError(f"the problem itself could not be solved: {sol.summary()}")
    policy = first_best(sol.centred_q, None) if regularizer is None else sol.policy
    found = jax.jit(factor, static_argnums=2)(mdp, policy, capacity)
    return found.replace(mdp=mdp)  # with its labels, which do not go through jit


def run(
    mdp: MDP,
    operator: Operator,
    rewards: Any,
    method: Any,
    tolerance: Any,
    init: Any,
    max_iterations: Any,
    base: Any = None,
) -> Solution:
    """`solve` for any operator: checks shapes, chooses the method, gives every argument its lane axes."""
    check_one(mdp)
    reward = mdp.reward if rewards is None else checks.array(rewards, "rewards")
    if reward.ndim < 2 or reward.shape[-2:] != mdp.reward.shape:
        s, a = mdp.reward.shape
        raise ValueError(f"rewards must have shape [..., {s}, {a}] (states, actions), not {list(reward.shape)}")
    tables = [getattr(operator, name) for name, axes in operator.trailing.items() if axes == 2]
    dtype = promoted(mdp.dtype, *_dtypes(reward, *tables))
    mdp, reward = mdp.astype(dtype), reward.astype(dtype)
    if base is not None:
        base = _fitting(mdp, method, base).astype(dtype)
        method = SHARED
    adaptive = isinstance(method, str) and method == "auto"
    method = choose_method(mdp) if adaptive else check_method(mdp, method)
    limit = DEFAULT_LIMIT[method] if max_iterations is None else checks.whole(max_iterations, "max_iterations", 1)
    limit = min(limit, 2**31 - 1)
    if method == "policy_iteration" and is_concrete(mdp):
        needed = 2.0 * mdp.num_states**2 * dtype.itemsize  # a matrix, and its factors
        devices.require(needed, f"policy_iteration on {mdp.num_states} states", "take method='value_iteration'")
    if tolerance is None:
        tolerance = default_tie_tolerance(dtype) / 4
    elif is_concrete(tolerance) and not np.all(checks.numbers(tolerance, "tolerance") >= 0):
        raise ValueError(f"tolerance must not be negative or NaN, but it is {tolerance}")
    tolerance = jnp.asarray(tolerance).astype(dtype)
    init = None if init is None else checks.array(init, "init").astype(dtype)
    if init is not None and init.shape[-1:] != (mdp.num_states,):
        raise ValueError(f"init must have shape [..., {mdp.num_states}], not {list(init.shape)}")

    operator = single = jax.tree.map(lambda x: jnp.asarray(x).astype(dtype), operator)
    fields = {name: _aligned(mdp, name, getattr(operator, name), n) for name, n in operator.trailing.items()}
    shapes = {name: x.shape[: x.ndim - operator.trailing[name]] for name, x in fields.items()}
    shapes |= {
        "rewards": reward.shape[:-2],
        "tolerance": tolerance.shape,
        "init": () if init is None else init.shape[:-1],
    }
    try:
        lanes = jnp.broadcast_shapes(*shapes.values())
    except ValueError:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise ValueError(f"these lane axes do not align from the right: {found}") from None
    if fields:
        full = {k: jnp.broadcast_to(x, lanes + x.shape[x.ndim - operator.trailing[k] :]) for k, x in fields.items()}
        operator = operator.replace(**full)  # type: ignore[attr-defined]
    for name in fields:
        n = mdp.num_states
        if n > 1 and getattr(single, name).shape == lanes[-1:] == (n,):
            raise ValueError(
                f"{name} of shape [{n}] could be one per state or one per lane, as there are {n} of both: "
                f"write [1, {n}] (one per state) or [{n}, 1] (one per lane)"
            )
    reward = jnp.broadcast_to(reward, lanes + reward.shape[-2:])
    tolerance = jnp.broadcast_to(tolerance, lanes)
    init = None if init is None else jnp.broadcast_to(init, lanes + init.shape[-1:])
    if method == SHARED and base is None:
        if any(shapes[name] for name in fields):
            raise ValueError(
                "method 'shared' needs around=jc.factorize(mdp, regularizer=…) where strengths differ by lane"
            )
        base = factorize(mdp, regularizer=single if operator.kind == "regularized" else None)
    given = ((mdp, base), operator, reward, tolerance, init)
    now, search = in_hand(given), max_iterations is None
    (constant, around), *per_lane = given if now else jax.lax.stop_gradient(given)
    steps = plan(method, operator.kind, mdp, limit)
    if now and adaptive and search and _worth_a_base(mdp, operator, single, tolerance.size):
        steps, around = adaptive_plan(operator.kind, mdp), functools.partial(_own_base, mdp, single)
    stages = tuple(name for name, _ in steps)
    problem = (constant, around, tuple(np.int32(n) for _, n in steps))
    if now:
        solution, used = solve_lanes("auto" if adaptive and stages else method, stages, search, problem, *per_lane)
        taken = ", ".join(dict.fromkeys(NAMES[name] for name in used)) if adaptive and used else method
        solution = solution.replace(method=taken)  # type: ignore[attr-defined]
    else:
        solution = compiled(method, stages, search)(problem, *per_lane)
    q, v = attach(mdp, operator, reward, solution)
    regularizer = operator if operator.kind == "regularized" else None
    return solution.replace(  # type: ignore[attr-defined]
        centred_q=q, centred_values=v, regularizer=regularizer, origin=(mdp, reward) if now else None
    )


def _worth_a_base(mdp: MDP, operator: Operator, single: Operator, lanes: int) -> bool:
    """Whether a base may pay: many rewards, one policy for all of them, and matrices that a processor holds."""
    per_lane = any(getattr(single, name).ndim > axes for name, axes in operator.trailing.items())
    return (
        operator.kind != "evaluation"
        and lanes >= LANES_FOR_A_BASE
        and not per_lane
        and isinstance(mdp.transitions, Dense | Successors)
        and mdp.reward.size * mdp.num_states <= ENTRIES_FOR_A_BASE
        and jax.default_backend() == "cpu"
    )


def _own_base(mdp: MDP, operator: Operator) -> Factorization | None:
    """The base of the problem's own reward; None if that cannot be solved."""
    try:
        return factorize(mdp, regularizer=operator if operator.kind == "regularized" else None)
    except ValueError:
        return None


def _fitting(mdp: MDP, method: Any, base: Any) -> Factorization:
    """The base, if it is one of this problem. That it belongs to the same transitions only decides how fast it is."""
    if not isinstance(base, Factorization):
        raise TypeError(f"around must be jc.factorize(mdp), not {type(base).__name__}")
    if method not in ("auto", SHARED):
        raise ValueError(f"method {method!r} goes around no factorisation: leave out one of them")
    if base.mdp.reward.shape != mdp.reward.shape or base.mdp.pinned != mdp.pinned:
        raise ValueError(f"around belongs to another problem: {base.mdp}, not {mdp}")
    return base


def _dtypes(*values: Any) -> list[Any]:
    """The floating dtypes of rewards, policies and bases; strengths, tolerances and starts raise no precision."""
    arrays = [jnp.asarray(x) for x in values]
    return [x.dtype for x in arrays if jnp.issubdtype(x.dtype, jnp.floating)]


def _aligned(mdp: MDP, name: str, value: jax.Array, trailing: int) -> jax.Array:
    """A field of an operator with its axes (states) or (states, actions) written out."""
    s, a = mdp.reward.shape
    if trailing == 2:
        if value.shape[-2:] != (s, a):
            raise ValueError(f"{name} must have shape [..., {s}, {a}] (states, actions), not {list(value.shape)}")
        return value
    if value.shape[-1:] not in ((), (1,), (s,)):
        raise ValueError(
            f"{name} must be a number, [{s}] (one per state) or [B, 1] (one per lane), not of shape {list(value.shape)}"
        )
    return jnp.broadcast_to(value, (*value.shape[:-1], s))

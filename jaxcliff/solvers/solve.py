"""The one call: a decision problem and any number of rewards in, certified optimal values out."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff._numerics import promoted
from jaxcliff._records import is_concrete
from jaxcliff._types import LaneScalars, Rewards
from jaxcliff.mdp import MDP
from jaxcliff.solvers import methods
from jaxcliff.solvers.batch import prepare
from jaxcliff.solvers.operators import Greedy
from jaxcliff.solvers.policy_iteration import block_size
from jaxcliff.solvers.solution import Solution
from jaxcliff.transitions import Tree

DIRECT_STATES = 64


def default_tie_tolerance(dtype: Any) -> float:
    """Gaps up to this, in units of the reward's span, are ties: 1e-11 in float64, 1e-4 in float32."""
    return 1e-11 if dtype == jnp.float64 else 1e-4


def solve(
    mdp: MDP,
    rewards: Any = None,
    *,
    method: str = "auto",
    tolerance: Any = None,
    init: Any = None,
    max_iterations: Any = None,
) -> Solution:
    """Optimal values of one problem under one reward or thousands, each with its own error bound.

        ‖Q − Q*‖ ≤ error_bound,   and where a lane converged,   error_bound ≤ tolerance · span(R)

    `auto` decides from shapes and structure alone, never from numbers:

    | the problem has            | method           | because                                              |
    |----------------------------|------------------|------------------------------------------------------|
    | no transitions             | bandit           | its action values are its rewards                    |
    | a `Tree`                   | backward         | one pass from the leaves is exact up to rounding     |
    | at most 64 states          | policy_iteration | few small linear solves, however slowly it mixes     |
    | more                       | value_iteration  | no S × S matrix per lane; span bounds stop it early  |

    The function may be jitted, vmapped (a mapped reward axis becomes a lane axis, at the price of one call)
    and run under `jax.shard_map`. A second batch of the same shape compiles nothing.

    Args:
        mdp: the problem.
        rewards: [..., S, A], any leading axes; the problem's own reward if not given. Illegal entries and
            terminal states are ignored. Numbers of higher precision than the problem's raise its precision.
        method: one of the above.
        tolerance: relative to the span of each lane's reward, a number or one per lane; a quarter of the
            default tie tolerance (2.5e-12 in float64, 2.5e-5 in float32), so that ties are decided wherever
            the arithmetic can.
        init: values to start from, [..., S]; a start that is not finite, or that no reward of this span could have, is
            not used. Changes speed, not the answer.
        max_iterations: sweeps of value iteration (a million) or policy improvements (a thousand).

    Returns:
        A `Solution`. A lane that could not be solved says why in `status`, holds NaN, and disturbs no other.

        >>> import jax, jaxcliff as jc
        >>> mdp = jc.problems.river_swim(states=6, discount=0.95)
        >>> sol = jc.solve(mdp)
        >>> bool(sol.ok), sol.method
        (True, 'policy_iteration')
    """
    return run(mdp, Greedy(), rewards, method, tolerance, init, max_iterations)


def run(mdp: MDP, operator: Any, rewards: Any, method: str, tolerance: Any, init: Any, max_iterations: Any) -> Solution:
    """`solve` for any operator: checks shapes, chooses the method, gives every argument its lane axes."""
    if mdp.reward.ndim != 2:
        raise ValueError("this is a stack of problems: map over it with jax.vmap(jc.solve)(stack)")
    reward = mdp.reward if rewards is None else jnp.asarray(rewards)
    if jnp.issubdtype(reward.dtype, jnp.complexfloating):
        raise ValueError(f"rewards must be real, not {reward.dtype}")
    if reward.ndim < 2 or reward.shape[-2:] != mdp.reward.shape:
        s, a = mdp.reward.shape
        raise ValueError(f"rewards must have shape [..., {s}, {a}] (states, actions), not {list(reward.shape)}")
    dtype = promoted(mdp.dtype, *(x.dtype for x in (reward, *jax.tree.leaves(operator)) if _is_float(x)))
    mdp, reward = mdp.astype(dtype), reward.astype(dtype)
    method = choose_method(mdp) if method == "auto" else check_method(mdp, method)
    limit = methods.DEFAULT_LIMIT[method] if max_iterations is None else max_iterations
    if not isinstance(limit, int) or limit < 1:
        raise ValueError(f"max_iterations must be a whole number of at least 1, not {limit}")
    if is_concrete(tolerance) and not np.all(np.asarray(0 if tolerance is None else tolerance) >= 0):
        raise ValueError(f"tolerance must not be negative or NaN, but it is {tolerance}")
    tolerance = jnp.asarray(default_tie_tolerance(dtype) / 4 if tolerance is None else tolerance).astype(dtype)
    init = None if init is None else jnp.asarray(init).astype(dtype)
    operator = jax.tree.map(lambda x: x.astype(dtype), operator)

    trailing = [x.shape[:-2] for x in jax.tree.leaves(operator)]
    trailing += [tolerance.shape, () if init is None else init.shape[:-1]]
    if init is not None and init.shape[-1:] != (mdp.num_states,):
        raise ValueError(f"init must have shape [..., {mdp.num_states}], not {list(init.shape)}")
    try:
        lanes = jnp.broadcast_shapes(reward.shape[:-2], *trailing)
    except ValueError:
        raise ValueError(
            f"the lane axes of rewards {reward.shape[:-2]}, tolerance {tolerance.shape} and init or policy "
            f"{trailing} do not align from the right"
        ) from None
    return _solver(method, limit)(
        mdp,
        jax.tree.map(lambda x: jnp.broadcast_to(x, lanes + x.shape[-2:]), operator),
        jnp.broadcast_to(reward, lanes + reward.shape[-2:]),
        jnp.broadcast_to(tolerance, lanes),
        None if init is None else jnp.broadcast_to(init, lanes + init.shape[-1:]),
    )


def _is_float(x: jax.Array) -> bool:
    return bool(jnp.issubdtype(x.dtype, jnp.floating))


def choose_method(mdp: MDP) -> str:
    """The method of `auto`; see `solve`."""
    if mdp.transitions is None:
        return "bandit"
    if isinstance(mdp.transitions, Tree):
        return "backward"
    return "policy_iteration" if mdp.num_states <= DIRECT_STATES else "value_iteration"


def check_method(mdp: MDP, method: str) -> str:
    """The method, if this problem can be solved by it."""
    if method not in methods.DEFAULT_LIMIT:
        raise ValueError(f"method must be 'auto' or one of {', '.join(methods.DEFAULT_LIMIT)}, not {method!r}")
    suits = {
        "bandit": mdp.transitions is None,
        "backward": isinstance(mdp.transitions, Tree),
        "policy_iteration": mdp.transitions is not None,
    }
    if not suits.get(method, True):
        kind = "no transitions" if mdp.transitions is None else type(mdp.transitions).__name__
        raise ValueError(
            f"method {method!r} does not fit a problem with {kind}; 'auto' would take {choose_method(mdp)!r}"
        )
    return method


@functools.cache
def _solver(method: str, limit: int) -> Callable[..., Solution]:
    """The compiled solver of one method, with its own rule for vmap.

    A mapped axis of rewards (or tolerances, starts, policies) is folded into the lane axes, so that transitions
    stay shared and a backup stays one matrix product. Only a mapped problem is mapped over as such.
    """

    def plain(mdp: MDP, operator: Any, rewards: Rewards, tolerance: LaneScalars, init: Any) -> Solution:
        return _solve_lanes(method, limit, mdp, operator, rewards, tolerance, init)

    folded = jax.custom_batching.custom_vmap(plain)

    @folded.def_vmap
    def rule(axis_size: int, mapped: Any, *args: Any) -> tuple[Solution, Any]:
        leaves, structure = jax.tree.flatten(args)
        flags = jax.tree.leaves(mapped)
        if any(jax.tree.leaves(mapped[0])):
            axes = [0 if flag else None for flag in flags]
            out = jax.vmap(lambda *xs: plain(*jax.tree.unflatten(structure, xs)), axes)(*leaves)
        else:
            shared = len(jax.tree.leaves(args[0]))
            for i in range(shared, len(leaves)):
                if not flags[i]:
                    leaves[i] = jnp.broadcast_to(leaves[i], (axis_size, *leaves[i].shape))
            out = folded(*jax.tree.unflatten(structure, leaves))
        return out, jax.tree.map(lambda _: True, out)

    return jax.jit(folded)


def _solve_lanes(
    method: str, limit: int, mdp: MDP, operator: Any, rewards: Rewards, tolerance: LaneScalars, init: Any
) -> Solution:
    """Flattens the lane axes, solves (in blocks where lanes need matrices), and gives them their shape back."""
    lead = rewards.shape[:-2]
    lanes = tolerance.size
    per_lane = jax.tree.map(lambda x: x.reshape(lanes, *x.shape[len(lead) :]), (operator, rewards, tolerance, init))

    def one_block(args: Any) -> Solution:
        operator, rewards, tolerance, init = args
        return methods.apply(method, limit, prepare(mdp, operator, rewards), tolerance, init)

    size = block_size(mdp.num_states) if method == "policy_iteration" else lanes
    if lanes <= size:
        out = one_block(per_lane)
    else:
        blocks = -(-lanes // size)
        padded = jax.tree.map(
            lambda x: jnp.pad(x, [(0, blocks * size - lanes)] + [(0, 0)] * (x.ndim - 1)).reshape(
                blocks, size, *x.shape[1:]
            ),
            per_lane,
        )
        out = jax.lax.map(one_block, padded)
        out = jax.tree.map(lambda x: x.reshape(blocks * size, *x.shape[2:])[:lanes], out)
    return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), out)

"""Lane axes: compiled solvers that fold mapped axes of rewards into one batch, and cut large batches into blocks."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core.types import LaneScalars, Rewards
from jaxcliff.model.mdp import MDP
from jaxcliff.solvers import plans
from jaxcliff.solvers.batch import prepare
from jaxcliff.solvers.methods.policy_iteration import lanes_at_a_time
from jaxcliff.solvers.solution import Solution

Problem = tuple[MDP, Any, Any]  # what all lanes share: the problem, a base or None, the limits of the stages

CACHED_ENTRIES = 2**17  # of the rewards that a processor sweeps over again and again
LEAST_LANES = 64  # enough to fill a vector unit, and to let one slow lane go unnoticed
PROBLEMS = 32  # of a mapped stack that a processor solves at a time: each group stops when its own are done
DEVICE_ENTRIES = 2**28  # of the rewards that an accelerator works on at a time


def block_size(stages: plans.Stages, kind: str, mdp: MDP) -> int:
    """How many lanes are solved at a time."""
    if "solves" in stages and kind != "optimum":
        return lanes_at_a_time(mdp.num_states)
    if jax.default_backend() != "cpu":
        return max(LEAST_LANES, DEVICE_ENTRIES // mdp.reward.size)
    return max(LEAST_LANES, CACHED_ENTRIES // mdp.reward.size)


@functools.cache
def compiled(method: str, stages: plans.Stages, search: bool = False) -> Callable[..., Solution]:
    """The compiled solver of one method, with its own rule for vmap: (problem, operator, rewards, tolerance, init).

    A mapped axis of rewards (or tolerances, starts, policies) is folded into the lane axes, so that transitions
    stay shared and a backup stays one matrix product. Only a mapped problem (or base) is mapped over as such.
    """

    def plain(problem: Problem, operator: Any, rewards: Rewards, tolerance: LaneScalars, init: Any) -> Solution:
        return _solve_lanes(method, stages, search, problem, operator, rewards, tolerance, init)

    folded = jax.custom_batching.custom_vmap(plain)

    @folded.def_vmap
    def rule(axis_size: int, mapped: Any, *args: Any) -> tuple[Solution, Any]:
        leaves, structure = jax.tree.flatten(args)
        flags = jax.tree.leaves(mapped)
        if any(jax.tree.leaves(mapped[0])):

            def one(own: list[jax.Array]) -> Solution:
                rest = iter(own)
                return plain(
                    *jax.tree.unflatten(structure, [next(rest) if f else x for x, f in zip(leaves, flags, strict=True)])
                )

            own = [x for x, f in zip(leaves, flags, strict=True) if f]
            several = axis_size > PROBLEMS and jax.default_backend() == "cpu"
            out = jax.lax.map(one, own, batch_size=PROBLEMS) if several else jax.vmap(one)(own)
        else:
            shared = len(jax.tree.leaves(args[0]))
            for i in range(shared, len(leaves)):
                if not flags[i]:
                    leaves[i] = jnp.broadcast_to(leaves[i], (axis_size, *leaves[i].shape))
            out = folded(*jax.tree.unflatten(structure, leaves))
        return out, jax.tree.map(lambda _: True, out)

    return jax.jit(folded)


def _solve_lanes(
    method: str,
    stages: plans.Stages,
    search: bool,
    problem: Problem,
    operator: Any,
    rewards: Rewards,
    tolerance: LaneScalars,
    init: Any,
) -> Solution:
    """Flattens the lane axes, solves (in blocks where lanes need matrices), and gives them their shape back."""
    mdp, base, limits = problem
    lead = rewards.shape[:-2]
    lanes = tolerance.size
    per_lane = jax.tree.map(lambda x: x.reshape(lanes, *x.shape[len(lead) :]), (operator, rewards, tolerance, init))

    def one_block(args: Any) -> Solution:
        operator, rewards, tolerance, init = args
        batch = prepare(mdp, operator, rewards, one_pass=method in plans.PASSES)
        return plans.apply(method, stages, batch, base, tolerance, init, limits, search=search)[0]

    size = min(lanes, block_size(stages, operator.kind, mdp)) if stages else lanes
    if lanes <= size:
        out = one_block(per_lane)
    else:
        blocks = -(-lanes // size)
        size = -(-lanes // blocks)
        padded = jax.tree.map(
            lambda x: jnp.pad(x, [(0, blocks * size - lanes)] + [(0, 0)] * (x.ndim - 1)).reshape(
                blocks, size, *x.shape[1:]
            ),
            per_lane,
        )
        out = jax.lax.map(one_block, padded)
        out = jax.tree.map(lambda x: x.reshape(blocks * size, *x.shape[2:])[:lanes], out)
    return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), out)

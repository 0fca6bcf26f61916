"""The cases: a problem, a batch of rewards, and the methods that solve it. Each yields one record per method."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc
from benchmarks.measure import floor, seconds, worst_residual

Record = dict[str, Any]


def perturbed(mdp: jc.MDP, lanes: int, sigma: float = 0.01) -> jax.Array:
    """The problem's reward plus N(0, σ²) on every entry that counts."""
    noise = jax.random.normal(jax.random.key(7), (lanes, *mdp.reward.shape), mdp.dtype)
    return mdp.reward + sigma * jnp.where(mdp.decisions, noise, 0)


def garnet() -> Iterator[Record]:
    """S=256, A=8, branching 8, γ=.99, B=2048, σ=.01."""
    mdp = jc.problems.garnet(jax.random.key(0), states=256, actions=8, branching=8, discount=0.99, dense=True)
    yield from compare("garnet", mdp, perturbed(mdp, 2048), ("value_iteration", "policy_iteration"))


def river_swim() -> Iterator[Record]:
    """S=64, γ=.999, B=4096: slow mixing."""
    mdp = jc.problems.river_swim(64, discount=0.999)
    yield from compare("river_swim", mdp, perturbed(mdp, 4096), ("policy_iteration", "value_iteration"))


def tiny() -> Iterator[Record]:
    """S=16, A=3, B=100,000."""
    mdp = jc.problems.garnet(jax.random.key(0), states=16, actions=3, branching=4, discount=0.99)
    yield from compare("tiny", mdp, perturbed(mdp, 100_000), ("value_iteration", "policy_iteration"))


def token_tree() -> Iterator[Record]:
    """Vocabulary 4, depth 6 (1,365 states), B=1024."""
    mdp = jc.problems.token_tree(jax.random.key(0))
    yield from compare("token_tree", mdp, perturbed(mdp, 1024), ("backward",))


def naive_value_iteration(mdp: jc.MDP, rewards: jax.Array, tolerance: float) -> Callable[[], jax.Array]:
    """What one would write first: vmap of value iteration with a residual rule."""

    def one(reward: jax.Array) -> jax.Array:
        def backup(v: jax.Array) -> jax.Array:
            return jnp.max(reward + mdp.discount * mdp.expect(v), axis=-1)

        def unfinished(carry: tuple[jax.Array, jax.Array]) -> jax.Array:
            return jnp.max(jnp.abs(carry[0] - carry[1])) > tolerance * (1 - mdp.discount)

        start = jnp.max(reward, axis=-1)
        return jax.lax.while_loop(unfinished, lambda c: (backup(c[0]), c[0]), (backup(start), start))[0]

    run = jax.jit(jax.vmap(one))
    return lambda: run(rewards)


def compare(case: str, mdp: jc.MDP, rewards: jax.Array, methods: tuple[str, ...]) -> Iterator[Record]:
    """Each method on the whole batch; naive value iteration on as many lanes as finish soon, scaled up."""
    lanes = len(rewards)
    unit = floor(mdp, rewards) if mdp.num_states <= 512 else None
    share = min(lanes, 64)
    accuracy = 1e-6
    baseline = None
    if "value_iteration" in methods:
        run = naive_value_iteration(mdp, rewards[:share], accuracy)
        _, times = seconds(run, repeats=1)
        baseline = float(np.median(times)) * lanes / share
        yield record(case, mdp, lanes, f"naive (from {share} lanes)", [baseline], 0.0, unit, baseline, True)
    for method in methods:
        compiled, times = seconds(lambda m=method: jc.solve(mdp, rewards, method=m), repeats=3)
        sol = jc.solve(mdp, rewards, method=method)
        if mdp.pinned:
            right = bool(sol.ok.all()) and float(sol.error_bound.max()) <= accuracy
        else:
            right = worst_residual(mdp, rewards, sol.values) <= accuracy
        yield record(case, mdp, lanes, method, times, compiled, unit, baseline, right)


def record(
    case: str,
    mdp: jc.MDP,
    lanes: int,
    method: str,
    times: list[float],
    compiled: float,
    unit: float | None,
    baseline: float | None,
    right: bool,
) -> Record:
    """One row of the table."""
    median = float(np.median(times))
    return {
        "case": case,
        "method": method,
        "dtype": str(mdp.dtype),
        "states": mdp.num_states,
        "actions": mdp.num_actions,
        "discount": float(mdp.discount),
        "lanes": lanes,
        "seconds": times,
        "compile_seconds": compiled,
        "floors": median / unit if unit else None,
        "times_naive": baseline / median if baseline else None,
        "correct": right,
    }


CASES = {"garnet": garnet, "river_swim": river_swim, "tiny": tiny, "token_tree": token_tree}

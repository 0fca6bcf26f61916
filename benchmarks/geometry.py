"""Exact geometry against solving: a map of regions against a grid of solves, radii against the solves they need anyway.

`times_solve` is the time of this record divided by that of solving the same rewards with the batch solver, in one run:
the 1024² pixels of a map, or the rewards whose radii are asked for. Below 1 the geometry is faster than the picture.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc
from benchmarks import measure
from benchmarks.cases import Record, perturbed

STATES, ACTIONS, BRANCHING, DISCOUNT = 64, 4, 5, 0.95
PIXELS = 1024
LANES = 10_000
ROWS = 16  # of pixels that are solved at a time
SIZES = (0.06, 0.2, 0.6, 1.6, 5.0)  # of the axes of a map: from about ten regions to ten thousand
SIGMAS = {"radius_0.01": 0.01, "radius_0.1": 0.1, "radius_unrelated": None}


def problem() -> tuple[jc.MDP, np.ndarray]:
    """A Garnet and two directions."""
    mdp = jc.problems.garnet(jax.random.key(0), states=STATES, actions=ACTIONS, branching=BRANCHING, discount=DISCOUNT)
    return mdp, np.random.default_rng(0).normal(size=(2, STATES, ACTIONS))


def _record(
    case: str, method: str, times: list[float], compiled: float, lanes: int, correct: bool, **more: Any
) -> Record:
    none = ("floors", "memory_floors", "times_best_peer", "times_naive", "peak_bytes", "process_bytes")
    common = {"case": case, "method": method, "dtype": "float64", "states": STATES, "actions": ACTIONS}
    return (
        common
        | dict.fromkeys(none)
        | {
            "discount": DISCOUNT,
            "lanes": lanes,
            "error": None,
            "seconds": [float(t) for t in times],
            "compile_seconds": compiled,
            "correct": bool(correct),
        }
        | more
    )


def _timed(run: Callable[[], Any], repeats: int = 3) -> tuple[Any, float, list[float]]:
    first, times = measure.seconds(run, repeats=repeats)
    return run(), first, times


def mapped(name: str) -> Iterator[Record]:
    """The exact map and its raster, the same pixels solved one by one, and what they say of each other."""
    mdp, axes = problem()
    plan, compiled, times = _timed(lambda: jc.policy_map(mdp, None, *axes, (-0.7, 0.7, -0.7, 0.7)))
    raster, _, drawing = _timed(lambda: plan.rasterize(PIXELS))
    steps = 0.7 * (2 * (np.arange(PIXELS) + 0.5) / PIXELS - 1)
    solve = jax.jit(lambda rewards: jc.optimal_actions(jc.solve(mdp, rewards)))

    def grid() -> list[Any]:
        rows = []
        for start in range(0, PIXELS, ROWS):
            some = steps[start : start + ROWS]
            rewards = mdp.reward + jnp.asarray(
                some[:, None, None, None] * axes[1] + steps[None, :, None, None] * axes[0]
            )
            acts = solve(rewards)
            rows.append((np.asarray(acts.optimal), np.asarray(acts.suboptimal)))
        return rows

    rows, first, solving = _timed(grid, repeats=1)
    seconds = float(np.median(solving))
    wrong = 0
    for i, (optimal, suboptimal) in enumerate(rows):
        sets = plan.optimal[raster[i * ROWS : (i + 1) * ROWS]]
        wrong += int((sets & suboptimal).sum() + (~sets & optimal).sum())
    pixels = PIXELS**2
    whole = [a + b for a, b in zip(times, drawing, strict=True)]
    right = plan.complete and wrong == 0
    yield _record(name, "solving the grid", solving, first, pixels, True, times_solve=1.0)
    share = float(np.median(whole)) / seconds
    yield _record(name, "exact map, rasterised", whole, compiled, pixels, right, times_solve=share, regions=len(plan))
    for resolution in (256, 4096):
        picture = jc.policy_map(mdp, None, *axes, (-0.7, 0.7, -0.7, 0.7))
        _, _, times = _timed(lambda n=resolution, plan=picture: plan.rasterize(n))
        yield _record(name, f"raster alone, {resolution}²", times, 0.0, resolution**2, True, regions=len(picture))


def regions(name: str) -> Iterator[Record]:
    """How the cost of a map grows with its regions."""
    mdp, axes = problem()
    for size in SIZES:
        plan, compiled, times = _timed(lambda s=size: jc.policy_map(mdp, None, *axes, (-s, s, -s, s)))
        yield _record(name, "exact map", times, compiled, len(plan), plan.complete, axis="regions", at=float(len(plan)))


def radii(name: str) -> Iterator[Record]:
    """Radii of ten thousand rewards, against solving them."""
    mdp, _ = problem()
    rewards = perturbed(mdp, LANES, SIGMAS[name])
    _, first, solving = _timed(lambda: jc.solve(mdp, rewards).values)
    near, compiled, times = _timed(lambda: jc.nearest_cliff(mdp, rewards))
    seconds = float(np.median(solving))
    policies = len(np.unique(near.walls.actions, axis=0))
    right = bool((near.lower <= near.radius).all() and (near.radius <= near.upper).all())
    yield _record(name, "solving them", solving, first, LANES, True, times_solve=1.0)
    share = float(np.median(times)) / seconds
    yield _record(name, "radius", times, compiled, LANES, right, times_solve=share, policies=policies)


CASES: dict[str, Callable[[str], Iterator[Record]]] = {
    "map": mapped,
    "growth_regions": regions,
} | dict.fromkeys(SIGMAS, radii)

"""How the cost grows: with the number of rewards and of states, the discount, and the size of the perturbation."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import jaxcliff as jc
from benchmarks import measure
from benchmarks.cases import Record, auto, garnet, perturbed, shared, swept, tiny

METHODS = {"auto": auto, "value_iteration": swept, "shared": shared}
CHECKED = 1000  # rewards whose error is measured


@dataclasses.dataclass(frozen=True)
class Growth:
    """One axis: make(x) -> (mdp, rewards) for each of some values; up to which value each method goes."""

    symbol: str
    values: tuple[float, ...]
    make: Callable[[Any], Any]
    largest: dict[str, float] = dataclasses.field(default_factory=dict)


def sparse(states: int) -> Any:
    """A Garnet of any size: successors drawn with replacement, 8 actions, branching 8, 64 rewards."""
    rng = np.random.default_rng(0)
    model = jc.Successors(rng.integers(states, size=(states, 8, 8)), rng.dirichlet(np.ones(8), (states, 8)))
    mdp = jc.MDP(model, rng.normal(size=(states, 8)), 0.99)
    return mdp, perturbed(mdp, 64)


AXES = {
    "lanes_small": Growth("B", (1, 10, 100, 1000, 10_000, 100_000, 1_000_000), lambda b: tiny(int(b))),
    "lanes": Growth("B", (1, 10, 100, 1000, 10_000), lambda b: garnet(int(b))),
    "states": Growth("S", (16, 64, 256, 1024, 4096), lambda s: sparse(int(s)), {"shared": 1024}),
    "discount": Growth("γ", (0.9, 0.99, 0.999, 0.9999), lambda g: garnet(512, discount=g)),
    "sigma": Growth("σ", (0.0, 0.01, 0.03, 0.1, 0.3, 1.0), lambda s: garnet(512, sigma=s)),
}


def measured(name: str) -> Iterator[Record]:
    """The records of one axis."""
    axis = AXES[name.removeprefix("growth_")]
    for x in axis.values:
        mdp, rewards = axis.make(x)
        unit = measure.floor(mdp, rewards) if mdp.num_states <= 1024 else None
        reference = measure.Reference(mdp, rewards[:CHECKED])
        for method, make in METHODS.items():
            if x > axis.largest.get(method, np.inf):
                continue
            run = make(mdp)
            compiled, times = measure.seconds(lambda run=run, rewards=rewards: run(rewards), repeats=3)
            yield {
                "case": name,
                "method": method,
                "dtype": str(mdp.dtype),
                "states": mdp.num_states,
                "actions": mdp.num_actions,
                "discount": float(mdp.discount),
                "lanes": len(rewards),
                "axis": axis.symbol,
                "at": float(x),
                "seconds": times,
                "compile_seconds": compiled,
                "floors": float(np.median(times)) / unit if unit else None,
                "memory_floors": None,
                "times_best_peer": None,
                "times_naive": None,
                "error": reference.error(run(rewards[:CHECKED])[0]),
                "peak_bytes": measure.compiled_bytes(run, rewards),
                "process_bytes": None,
            }

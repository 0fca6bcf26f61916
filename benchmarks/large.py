"""One problem of a million states, from nothing: a gridworld 1000 × 1000, certified to the accuracy asked of all."""

from collections.abc import Iterator

import numpy as np

import jaxcliff as jc
from benchmarks import measure
from benchmarks.cases import Record
from benchmarks.measure import ACCURACY

SIDE, SLIP, DISCOUNT = 1000, 0.1, 0.99


def measured(name: str = "million") -> Iterator[Record]:
    """The records of the libraries that can hold such a problem, and our own."""
    mdp = jc.problems.gridworld(["." * SIDE] * (SIDE - 1) + ["." * (SIDE - 1) + "G"], slip=SLIP, discount=DISCOUNT)
    rewards = mdp.reward[None]
    reference = measure.Reference(mdp, rewards, tolerance=ACCURACY / 1000)
    common = {
        "case": name,
        "dtype": str(mdp.dtype),
        "states": mdp.num_states,
        "actions": mdp.num_actions,
        "discount": DISCOUNT,
        "lanes": 1,
        "peak_bytes": None,
        "process_bytes": None,
    } | dict.fromkeys(("floors", "memory_floors", "times_naive", "times_best_peer"))
    best = None
    for peer, found in sorted(measure.peers(mdp, rewards, None).items()):
        record = common | {"method": peer, "compile_seconds": 0.0}
        if isinstance(found, str):
            yield record | {"seconds": [], "error": None, "missing": found}
            continue
        record |= {"seconds": [float(t) for t in found[0]], "error": reference.error(found[1])}
        yield record
        if measure.right(record):
            best = min(best or np.inf, float(np.median(found[0])))
    tight = 0.99 * ACCURACY / float(mdp.reward.max() - min(mdp.reward.min(), 0))
    tolerances = {"auto": None, "auto, 1e-6": tight}
    runs = {name: (lambda own=own: jc.solve(mdp, tolerance=own).values) for name, own in tolerances.items()}
    for method, (compiled, times) in measure.in_turns(runs, 2).items():
        yield common | {
            "method": method,
            "seconds": times,
            "compile_seconds": compiled,
            "error": reference.error(runs[method]()[None]),
            "times_best_peer": best / float(np.median(times)) if best else None,
        }

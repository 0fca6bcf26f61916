"""`python -m benchmarks.first QUESTION`: one question in a fresh process, for `benchmarks.cold`.

Prints its seconds and those of the imports, how many programs XLA compiled for it and how long that took, as JSON.
"""

import contextlib
import importlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STATES, ACTIONS, BRANCHING, DISCOUNT = 24, 3, 4, 0.95
SHAPES = 20  # problems of as many different shapes, one after the other
IMPORT = "import jaxcliff"


def problem(states: int = STATES) -> Any:
    """A problem from numpy's arrays."""
    import numpy as np

    import jaxcliff as jc

    rng, shape = np.random.default_rng(0), (states, ACTIONS, BRANCHING)
    chances = rng.dirichlet(np.ones(BRANCHING), shape[:2])
    return jc.MDP(jc.Successors(rng.integers(states, size=shape), chances), rng.normal(size=shape[:2]), DISCOUNT)


def atlas() -> None:
    """The default atlas, from the command line."""
    from jaxcliff.cli.main import main

    quiet = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        if main(["atlas", "--out", str(Path(folder) / "atlas")]):
            raise RuntimeError(quiet.getvalue())


def questions() -> dict[str, Callable[[], Any]]:
    """By the name that a record gets."""
    import jax
    import numpy as np

    import jaxcliff as jc

    mdp, rng = problem(), np.random.default_rng(1)
    x, y, z = rng.normal(size=(3, STATES, ACTIONS))
    rewards = np.asarray(mdp.reward) + 0.1 * rng.normal(size=(64, STATES, ACTIONS))
    return {
        IMPORT: lambda: None,
        "a problem": lambda: problem(STATES + 1),
        "solve": lambda: jc.solve(mdp).values,
        "optimal_actions": lambda: jc.optimal_actions(jc.solve(mdp)).optimal,
        "nearest_cliff": lambda: jc.nearest_cliff(mdp).radius,
        "policy_map": lambda: len(jc.policy_map(mdp, None, x, y)),
        "cliffs_along": lambda: jc.cliffs_along(mdp, None, x).breakpoints,
        "weight_map, 3 rewards": lambda: jc.weight_map(mdp, [x, y, z]).returns,
        "census, 64 rewards": lambda: jc.census(mdp, rewards).radius,
        "flip_probability": lambda: jc.flip_probability(mdp, sigma=0.02, key=jax.random.key(0)).estimate,
        "repair": lambda: jc.repair(mdp, np.zeros(STATES, int), radius=0.01).size,
        f"nearest_cliff, {SHAPES} shapes": lambda: [jc.nearest_cliff(problem(s)).radius for s in range(5, 5 + SHAPES)],
        "garnet": lambda: jc.problems.garnet(jax.random.key(0)),
        "atlas": atlas,
    }


def main(question: str) -> None:
    """Asks one question, and prints what it cost."""
    times = []
    for module in ("jax", "jaxcliff"):
        began = time.perf_counter()
        importlib.import_module(module)
        times.append(time.perf_counter() - began)
    import jax

    jax.config.update("jax_enable_x64", True)
    asked, compiled = questions()[question], list[float]()

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    began = time.perf_counter()
    jax.block_until_ready(asked())
    seconds = times[1] if question == IMPORT else time.perf_counter() - began
    cost = {"seconds": seconds, "compile": sum(compiled), "programs": len(compiled), "import_jax": times[0]}
    print(json.dumps(cost))


if __name__ == "__main__":
    main(sys.argv[1])

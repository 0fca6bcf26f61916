"""A hundred thousand small problems at once, each with transitions of its own: `jax.vmap` over problems."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

import jaxcliff as jc
from benchmarks import measure
from benchmarks.cases import Record
from benchmarks.measure import ACCURACY

STATES, ACTIONS, BRANCHING, DISCOUNT = 16, 3, 4, 0.99
COUNT = 100_000
SAMPLE = 512


def draw(key: jax.Array) -> jc.MDP:
    """One Garnet."""
    return jc.problems.garnet(key, states=STATES, actions=ACTIONS, branching=BRANCHING, discount=DISCOUNT)


def _tolerance(mdp: jc.MDP) -> jax.Array:
    return 0.99 * ACCURACY / (mdp.reward.max() - mdp.reward.min())


def auto(mdp: jc.MDP) -> jc.Solution:
    """What a user types."""
    return jc.solve(mdp)


def swept(mdp: jc.MDP) -> jc.Solution:
    """Value iteration, no tighter than the peers."""
    return jc.solve(mdp, method="value_iteration", tolerance=_tolerance(mdp))


def direct(mdp: jc.MDP) -> jc.Solution:
    """Policy iteration, no tighter than the peers."""
    return jc.solve(mdp, method="policy_iteration", tolerance=_tolerance(mdp))


METHODS = {"auto": auto, "value_iteration": swept, "policy_iteration": direct}


def measured(name: str = "models") -> Iterator[Record]:
    """S=16, A=3, γ=.99: the records of peers and of three ways to solve the stack."""
    stack = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), COUNT))
    common = {
        "case": name,
        "dtype": str(stack.reward.dtype),
        "states": STATES,
        "actions": ACTIONS,
        "discount": DISCOUNT,
        "lanes": COUNT,
        "floors": None,
        "memory_floors": None,
        "times_naive": None,
        "times_best_peer": None,
        "peak_bytes": None,
        "process_bytes": None,
        "compile_seconds": 0.0,
    }
    first = jax.tree.map(lambda x: x[:SAMPLE], stack)
    p = np.zeros((SAMPLE, STATES, ACTIONS, STATES))
    at = np.ix_(range(SAMPLE), range(STATES), range(ACTIONS), range(BRANCHING))
    np.add.at(p, (*at[:3], np.asarray(first.transitions.states)), np.asarray(first.transitions.probabilities))
    tight = jax.jit(jax.vmap(auto))(first)
    truth, bound = np.asarray(tight.values), float(tight.error_bound.max())
    best = None

    def error(values: Any) -> float:
        return float(np.abs(np.asarray(values) - truth[: len(values)]).max()) + bound

    question = {"models": p, "reward": np.asarray(first.reward), "gamma": DISCOUNT}
    for peer, found in sorted(measure.ask_peers(question, STATES).items()):
        if isinstance(found, str):
            yield common | {"method": peer, "seconds": [], "error": None, "missing": found}
            continue
        whole = float(np.mean(found[0])) * COUNT
        answer = {"method": peer, "seconds": [whole], "error": error(found[1]), "measured_lanes": len(found[0])}
        yield common | answer
        best = min(best or np.inf, whole) if measure.right(answer) else best
    runs = {method: jax.jit(jax.vmap(solve)) for method, solve in METHODS.items()}
    calls = {method: (lambda run=run: run(stack).values) for method, run in runs.items()}
    for method, (compiled, times) in measure.in_turns(calls, 3).items():
        answer = {"method": method, "seconds": times, "error": error(runs[method](first).values)}
        yield (
            common
            | answer
            | {
                "compile_seconds": compiled,
                "times_best_peer": best / float(np.median(times)) if best and measure.right(answer) else None,
                "peak_bytes": measure.compiled_bytes(runs[method], stack),
            }
        )

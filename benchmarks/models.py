"""A hundred thousand small problems at once, each with transitions of its own: `jax.vmap` over problems."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

import jaxcliff as jc
from benchmarks import measure
from benchmarks.cases import ACCURACY, Record

STATES, ACTIONS, BRANCHING, DISCOUNT = 16, 3, 4, 0.99
COUNT = 100_000
SAMPLE = 512


def draw(key: jax.Array) -> jc.MDP:
    """One Garnet."""
    return jc.problems.garnet(key, states=STATES, actions=ACTIONS, branching=BRANCHING, discount=DISCOUNT)


def _tolerance(mdp: jc.MDP) -> jax.Array:
    return ACCURACY / (mdp.reward.max() - mdp.reward.min())


def measured(name: str = "models") -> Iterator[Record]:
    """S=16, A=3, γ=.99: the records of peers and of two ways to solve the stack."""
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
        "peak_bytes": None,
        "process_bytes": None,
    }
    first = jax.tree.map(lambda x: x[:SAMPLE], stack)
    p = np.zeros((SAMPLE, STATES, ACTIONS, STATES))
    at = np.ix_(range(SAMPLE), range(STATES), range(ACTIONS), range(BRANCHING))
    np.add.at(p, (*at[:3], np.asarray(first.transitions.states)), np.asarray(first.transitions.probabilities))
    best = None

    def residual(values: Any) -> float:
        q = np.asarray(first.reward) + DISCOUNT * np.einsum("nsat,nt->nsa", p, np.asarray(values))
        return float(np.abs(q.max(-1) - np.asarray(values)).max() / (1 - DISCOUNT))

    question = {"models": p, "reward": np.asarray(first.reward), "gamma": DISCOUNT}
    for peer, found in sorted(measure.ask_peers(question, STATES).items()):
        if isinstance(found, str):
            yield common | {
                "method": peer,
                "seconds": [np.nan],
                "compile_seconds": 0.0,
                "correct": False,
                "times_best_peer": None,
                "missing": found,
            }
            continue
        whole = float(np.mean(found[0])) * COUNT
        right = residual(found[1]) <= 1.01 * ACCURACY
        best = min(best or np.inf, whole) if right else best
        yield common | {
            "method": peer,
            "seconds": [whole],
            "compile_seconds": 0.0,
            "correct": right,
            "times_best_peer": None,
            "measured_lanes": SAMPLE,
        }
    for method in ("value_iteration", "policy_iteration"):
        run = jax.jit(
            jax.vmap(lambda mdp, method=method: jc.solve(mdp, method=method, tolerance=_tolerance(mdp)).values)
        )
        compiled, times = measure.seconds(lambda run=run: run(stack), repeats=3)
        yield common | {
            "method": method,
            "seconds": times,
            "compile_seconds": compiled,
            "correct": residual(run(stack)[:SAMPLE]) <= 1.01 * ACCURACY,
            "times_best_peer": best / float(np.median(times)) if best else None,
            "peak_bytes": measure.compiled_bytes(run, stack),
        }

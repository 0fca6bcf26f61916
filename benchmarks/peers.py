"""Asks the other libraries, one reward at a time, or as many as they take. Runs in an environment of its own.

`python benchmarks/peers.py PROBLEM.npz ANSWERS.npz` reads sparse rows, rewards and a base value; every peer solves as
many rewards as fit into a few seconds, twice over, and its seconds in the faster pass and its values are written.
Terminal states have become states that return to themselves with reward 0.
"""

import sys
import time
import warnings

import numpy as np
import peer_tools
from scipy.sparse import csr_matrix

SECONDS = 1.5  # per peer and pass


def timed(solve, count, size=1):
    """(seconds per item, values) of solve(slice) over so many items, or as many as there is time for."""
    values, passes = [], []
    for _ in range(2):
        seconds, began = [], time.perf_counter()
        for i in range(0, count, size):
            part = slice(i, min(i + size, count))
            start = time.perf_counter()
            found = solve(part)
            seconds += [(time.perf_counter() - start) / (part.stop - i)] * (part.stop - i)
            if not passes:
                values.extend(found)
                if time.perf_counter() - began > SECONDS and len(seconds) >= 2:
                    count = part.stop
                    break
        passes.append(seconds)
    return np.array(min(passes, key=sum)), np.array(values)


def near(file):
    """One problem, many rewards: what can be made once is made once."""
    states, actions = file["reward"].shape[-2:]
    rows = csr_matrix((file["data"], file["indices"], file["indptr"]), shape=(states * actions, states))
    problem = peer_tools.Problem(rows, file["legal"], float(file["gamma"]), file["base"], file["base_reward"])
    rewards = file["reward"]
    for name, make in peer_tools.NEAR.items():

        def ask(make=make):
            solve = make(problem)
            size = getattr(solve, "batch", None)
            if size:
                solve(rewards[:size])  # compiles
                return timed(lambda part: solve(rewards[part]), len(rewards) // size * size or len(rewards), size)
            solve(rewards[0])  # compiles
            return timed(lambda part: [solve(rewards[part.start])], len(rewards))

        yield name, ask


def alone(file):
    """One problem, solved once from nothing; only making it does not count."""
    states, actions = file["reward"].shape[-2:]
    rows = csr_matrix((file["data"], file["indices"], file["indptr"]), shape=(states * actions, states))
    problem = peer_tools.Problem(rows, file["legal"], float(file["gamma"]), None, file["base_reward"])
    for name, make in peer_tools.ALONE.items():

        def ask(make=make):
            solve = make(problem)
            began = time.perf_counter()
            values = solve(file["reward"][0])
            return np.array([time.perf_counter() - began]), values[None]

        yield name, ask


def new(file):
    """A model for every reward: making it counts."""
    gamma, models, rewards = float(file["gamma"]), file["models"], file["reward"]
    count, states, actions = rewards.shape
    legal = np.ones((states, actions), bool)
    rows = [csr_matrix(dense.reshape(-1, states)) for dense in models]

    for name, make in peer_tools.NEW.items():

        def ask(make=make):
            def solve(i):
                problem = peer_tools.Problem(rows[i], legal, gamma, None, rewards[i])
                problem.dense = models[i]
                return make(problem)(rewards[i])

            solve(0)  # compiles
            return timed(lambda part: [solve(part.start)], count)

        yield name, ask

    def together():
        solve, size = peer_tools.jaxdp_models(gamma, (states, actions)), 256
        solve(models[:size], rewards[:size])  # compiles
        return timed(lambda part: solve(models[part], rewards[part]), count, size)

    yield "jaxdp", together


def main():
    """Asks every peer, and writes what it answered and how long it took, or why it did not."""
    warnings.simplefilter("ignore")
    file = dict(np.load(sys.argv[1]))
    answers = {}
    kind = new if "models" in file else near if "base" in file else alone
    for name, ask in kind(file):
        try:
            answers[f"{name}/seconds"], answers[f"{name}/values"] = ask()
        except Exception as error:
            answers[f"{name}/missing"] = np.array(f"{type(error).__name__}: {error}"[:200])
    np.savez(sys.argv[2], **answers)


if __name__ == "__main__":
    main()

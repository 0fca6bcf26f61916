"""Other libraries on the same problem, one reward at a time, as they are shipped. Runs in an environment of its own.

`python benchmarks/peers.py PROBLEM.npz ANSWERS.npz` reads sparse rows, rewards and a base value; for every peer it
solves as many rewards as fit into a few seconds (construction and solve) and writes the seconds of each and the values.
Terminal states have become states that return to themselves with reward 0.
"""

import sys
import time
import warnings

import numpy as np
from scipy.sparse import csr_matrix

SECONDS = 6.0  # per peer
ACCURACY = 1e-6  # of values


def quantecon_sparse(problem, warm):
    """Modified policy iteration on state-action pairs, from the base value or from scratch."""
    from quantecon.markov import DiscreteDP

    rows, pairs, gamma = problem["rows"], problem["pairs"], problem["gamma"]
    start = problem["base"] if warm else None

    def solve(reward):
        ddp = DiscreteDP(reward[pairs[:, 0], pairs[:, 1]], rows, gamma, pairs[:, 0], pairs[:, 1])
        epsilon = max(2 * ACCURACY * (1 - gamma), 1e-9)
        found = ddp.solve(method="modified_policy_iteration", epsilon=epsilon, v_init=start, max_iter=10**6)
        return found.v

    return solve


def quantecon_dense(problem):
    """Modified policy iteration on the dense array, from the base value."""
    from quantecon.markov import DiscreteDP

    dense, gamma = problem["dense"], problem["gamma"]

    def solve(reward):
        epsilon = max(2 * ACCURACY * (1 - gamma), 1e-9)
        ddp = DiscreteDP(reward, dense, gamma)
        return ddp.solve(method="modified_policy_iteration", epsilon=epsilon, v_init=problem["base"], max_iter=10**6).v

    return solve


def mdptoolbox(problem):
    """pymdptoolbox: modified policy iteration."""
    from mdptoolbox.mdp import PolicyIterationModified

    dense = np.ascontiguousarray(problem["dense"].transpose(1, 0, 2))

    def solve(reward):
        gamma = problem["gamma"]
        solver = PolicyIterationModified(dense, reward, gamma, epsilon=ACCURACY * (1 - gamma), max_iter=10**4)
        solver.run()
        return np.array(solver.V)

    return solve


def mdpsolver(problem):
    """mdpsolver: value iteration in C++; the lists of transitions are built once and not counted."""
    import mdpsolver as peer

    lists = problem["dense"].tolist()

    def solve(reward):
        model = peer.model()
        model.mdp(discount=problem["gamma"], rewards=reward.tolist(), tranMatWithZeros=lists)
        model.solve(algorithm="vi", tolerance=ACCURACY * (1 - problem["gamma"]))
        return np.array(model.getValueVector())

    return solve


def jaxdp(problem):
    """jaxdp: exact policy iteration under jit and vmap, sixteen rewards at a time, from the base policy."""
    import chex
    import jax
    import jax.numpy as jnp
    from jaxdp.mdp.mdp import MDP
    from jaxdp.planning import PolicyIteration

    jax.config.update("jax_enable_x64", True)
    dense, gamma = problem["dense"], problem["gamma"]
    states, actions, _ = dense.shape
    transition = jnp.asarray(dense.transpose(1, 2, 0))
    planner = PolicyIteration(gamma=gamma)

    def one(reward, start):
        table = jnp.broadcast_to(reward.T[:, :, None], (actions, states, states))
        mdp = MDP(transition=transition, reward=table, initial=jnp.ones(states) / states, terminal=jnp.zeros(states))
        first = planner.init(mdp, start)

        def unfinished(carry):
            return jnp.any(carry[0].policy != carry[1].policy) & (carry[2] < 1000)

        def step(carry):
            return planner.update(mdp, carry[0]), carry[0], carry[2] + 1

        return jax.lax.while_loop(unfinished, step, (planner.update(mdp, first), first, 0))[0].v_val

    advantage = problem["reward"] + gamma * dense @ problem["base"]
    start = jax.nn.one_hot(advantage.argmax(axis=1), actions, dtype=float).T
    chex.disable_asserts()  # they cannot be batched
    run = jax.jit(lambda rewards: jax.vmap(one, (0, None))(rewards, start))

    def solve(rewards):
        return np.asarray(run(jnp.asarray(rewards)))

    solve.batch = 16
    return solve


def many_models(file):
    """A new model for every reward: QuantEcon's dense and pymdptoolbox's modified policy iteration."""
    from mdptoolbox.mdp import PolicyIterationModified
    from quantecon.markov import DiscreteDP

    gamma = float(file["gamma"])
    epsilon = max(2 * ACCURACY * (1 - gamma), 1e-9)

    def quantecon(dense, reward):
        return DiscreteDP(reward, dense, gamma).solve("modified_policy_iteration", epsilon=epsilon, max_iter=10**6).v

    def toolbox(dense, reward):
        rows = np.ascontiguousarray(dense.transpose(1, 0, 2))
        solver = PolicyIterationModified(rows, reward, gamma, epsilon=ACCURACY * (1 - gamma), max_iter=10**4)
        solver.run()
        return np.array(solver.V)

    answers = {}
    for name, solve in (("quantecon dense", quantecon), ("pymdptoolbox", toolbox)):
        solve(file["models"][0], file["reward"][0])
        seconds, values = [], []
        for dense, reward in zip(file["models"], file["reward"], strict=True):
            start = time.perf_counter()
            values.append(solve(dense, reward))
            seconds.append(time.perf_counter() - start)
        answers |= {f"{name}/seconds": np.array(seconds), f"{name}/values": np.array(values)}
    np.savez(sys.argv[2], **answers)


def main():
    """Solves, and writes what every peer answered and how long it took."""
    warnings.simplefilter("ignore")
    file = np.load(sys.argv[1])
    if "models" in file.files:
        many_models(file)
        return
    states, actions = file["reward"].shape[-2:]
    rows = csr_matrix((file["data"], file["indices"], file["indptr"]), shape=(states * actions, states))
    legal = file["legal"]
    pairs = np.argwhere(legal)
    problem = {
        "rows": rows[np.flatnonzero(legal.ravel())],
        "pairs": pairs,
        "gamma": float(file["gamma"]),
        "base": file["base"],
        "reward": file["base_reward"],
    }
    peers = {
        "quantecon sparse, warm": lambda: quantecon_sparse(problem, True),
        "quantecon sparse, cold": lambda: quantecon_sparse(problem, False),
    }
    if legal.all() and states * states * actions <= 2**22:
        problem["dense"] = np.asarray(rows.todense()).reshape(states, actions, states)
        peers |= {
            "quantecon dense, warm": lambda: quantecon_dense(problem),
            "pymdptoolbox": lambda: mdptoolbox(problem),
            "mdpsolver": lambda: mdpsolver(problem),
            "jaxdp": lambda: jaxdp(problem),
        }
    answers = {}
    for name, make in peers.items():
        try:
            solve = make()
            size = getattr(solve, "batch", None)
            solve(file["reward"][0] if size is None else file["reward"][:size])  # compiles
        except Exception as error:
            answers[f"{name}/missing"] = np.array(f"{type(error).__name__}: {error}"[:200])
            continue
        seconds, values, began = [], [], time.perf_counter()
        for i in range(0, len(file["reward"]), size or 1):
            chunk = file["reward"][i] if size is None else file["reward"][i : i + size]
            start = time.perf_counter()
            found = solve(chunk)
            spent = time.perf_counter() - start
            values.extend([found] if size is None else found)
            seconds.extend([spent] if size is None else [spent / size] * size)
            if time.perf_counter() - began > SECONDS and len(seconds) >= 3:
                break
        answers |= {f"{name}/seconds": np.array(seconds), f"{name}/values": np.array(values)}
    np.savez(sys.argv[2], **answers)


if __name__ == "__main__":
    main()

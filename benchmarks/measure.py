"""How everything is timed: compiled first, blocked until ready, the median of several runs, in floors.

How exact an answer is, is measured too: its *achieved error* is the largest |v − v*| over all states and rewards, in
units of the reward, measured against values that are certified to be much closer; the certificate's bound is added.

One *floor* is the time of one backup V ← max_a(R + γPV) of all lanes with the transitions as one dense matrix product:
a tenth of ten such backups in one compiled loop, median of nine, in the same dtype and process. A *memory floor* is
the time to read all rewards and write one value per state once.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_matrix, diags_array

import jaxcliff as jc

ACCURACY = 1e-6  # the achieved error that everybody is allowed: absolute, in units of the reward
HERE = Path(__file__).parent
PEERS = Path(".venv-peers/bin/python")


def seconds(run: Callable[[], Any], repeats: int = 5) -> tuple[float, list[float]]:
    """(seconds of the first call beyond a warm one: compilation, seconds of each of `repeats` warm calls)."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - began)
    return max(times[0] - float(np.median(times[1:])), 0.0), times[1:]


def in_turns(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, tuple[float, list[float]]]:
    """As `seconds`, but the runs take turns, so that a slow minute of the machine is shared by all."""
    found = {name: seconds(run, repeats=1) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            began = time.perf_counter()
            jax.block_until_ready(run())
            times[name].append(time.perf_counter() - began)
    return {name: (found[name][0], times[name]) for name in runs}


def floor(mdp: jc.MDP, rewards: jax.Array) -> float:
    """Seconds of one floor for this problem and batch."""
    states, actions = mdp.reward.shape
    matrix = jnp.asarray(mdp.transitions.to_scipy().toarray()).astype(mdp.dtype)

    @jax.jit
    def ten(rewards: jax.Array, matrix: jax.Array) -> jax.Array:
        def backup(_: int, v: jax.Array) -> jax.Array:
            q = jnp.einsum("bt,nt->bn", v, matrix, precision="highest").reshape(-1, states, actions)
            return jnp.max(rewards + mdp.discount * q, axis=-1)

        return jax.lax.fori_loop(0, 10, backup, jnp.zeros(rewards.shape[:2], rewards.dtype))

    _, times = seconds(lambda: ten(rewards, matrix), repeats=9)
    return float(np.median(times)) / 10


def memory_floor(rewards: jax.Array) -> float:
    """Seconds to read the rewards and write one number per state."""
    read = jax.jit(lambda rewards: jnp.max(rewards, axis=-1))
    _, times = seconds(lambda: read(rewards), repeats=9)
    return float(np.median(times))


class Reference:
    """The values of these rewards, solved much tighter than is asked of anybody."""

    def __init__(self, mdp: jc.MDP, rewards: jax.Array, regularizer: Any = None, tolerance: Any = None):
        sol = jc.solve(mdp, rewards, regularizer=regularizer, tolerance=tolerance)
        self.values, self.bound = np.asarray(sol.values), float(jnp.max(sol.error_bound))
        if not self.bound <= ACCURACY / 100 and mdp.dtype == np.float64:
            raise ValueError(f"the reference itself is only accurate to {self.bound:.1e}")
        if regularizer is None and mdp.transitions is not None:  # once more, by what asks nothing of the solver
            rounding = 64 * np.finfo(self.values.dtype).eps * np.abs(self.values).max()
            if not residual(mdp, rewards, sol.values) <= 2 * self.bound + rounding:
                raise ValueError("the values of the reference contradict their own certificate")

    def error(self, values: Any) -> float:
        """The achieved error of the values of the first so many rewards is at most this."""
        values = np.asarray(values)
        return float(np.abs(values - self.values[: len(values)]).max()) + self.bound


def right(record: dict[str, Any]) -> bool:
    """Whether a method is accurate enough to take part in a ratio."""
    return record["error"] is not None and record["error"] <= ACCURACY


def residual(mdp: jc.MDP, rewards: jax.Array, values: jax.Array) -> float:
    """The largest ‖max_a(R + γPV) − V‖: at most twice the error of V."""
    legal = jnp.ones(mdp.reward.shape, bool) if mdp.legal is None else mdp.legal
    best = jnp.max(jnp.where(legal, rewards + mdp.discount * mdp.expect(values), -jnp.inf), axis=-1)
    if mdp.terminal is not None:
        best = jnp.where(mdp.terminal, 0, best)
    return float(jnp.max(jnp.abs(best - values)))


def peers(mdp: jc.MDP, rewards: jax.Array, base: jax.Array | None) -> dict[str, Any]:
    """What the other libraries answer: seconds per reward and values, or why one is missing.

    Without a base value they begin from nothing, and are asked once.
    """
    states, actions = mdp.reward.shape
    rows = mdp.transitions.to_scipy().tocsr()
    legal = np.array(mdp.decisions)
    reward = np.where(legal, np.asarray(rewards), 0.0)
    start = None if base is None else np.asarray(base)
    ends = np.flatnonzero(~legal.any(axis=1))
    if isinstance(mdp.transitions, jc.Tree):  # one state more, in which episodes end
        rows.resize(((states + 1) * actions, states + 1))
        empty = np.flatnonzero(np.diff(rows.indptr)[: states * actions] == 0)
        rows = rows + csr_matrix((np.ones(len(empty)), (empty, np.full(len(empty), states))), rows.shape)
        ends, legal = np.array([states]), np.vstack([legal, np.zeros(actions, bool)])
        reward = np.pad(reward, [(0, 0), (0, 1), (0, 0)])
        start = None if start is None else np.append(start, 0.0)
    stays = csr_matrix((np.ones(len(ends)), (ends * actions, ends)), rows.shape)
    goes = np.ones(rows.shape[0])
    goes[ends * actions] = 0.0
    rows = (diags_array(goes) @ rows + stays).tocsr()
    rows.eliminate_zeros()
    legal[ends, 0] = True
    question = {
        "data": rows.data,
        "indices": rows.indices,
        "indptr": rows.indptr,
        "reward": reward,
        "legal": legal,
        "gamma": float(mdp.discount),
        "base_reward": reward.mean(axis=0),
    }
    return ask_peers(question | ({} if start is None else {"base": start}), states)


def ask_peers(question: dict[str, Any], states: int) -> dict[str, Any]:
    """Runs the other libraries in their own environment."""
    if not PEERS.exists():
        return {"peers": "not installed: `make bench` makes their environment"}
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "problem.npz", Path(folder) / "answers.npz"
        np.savez(asked, **question)
        # Matrices this small are slower with several threads of BLAS, much slower on a busy machine.
        own = os.environ | {"OPENBLAS_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
        command = [PEERS, HERE / "peers.py", asked, answered]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=own)
        if run.returncode:
            return {"peers": run.stderr.strip().splitlines()[-1][:200]}
        with np.load(answered) as file:
            found: dict[str, Any] = {}
            for name in {key.rsplit("/", 1)[0] for key in file.files}:
                if f"{name}/missing" in file.files:
                    found[name] = str(file[f"{name}/missing"])
                else:
                    found[name] = (file[f"{name}/seconds"], file[f"{name}/values"][:, :states])
    return found


def compiled_bytes(run: Callable[[Any], Any], rewards: Any) -> int:
    """Peak bytes by the compiled memory analysis: arguments, results and what is held on the way."""
    memory = jax.jit(run).lower(rewards).compile().memory_analysis()
    return memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes


def process_bytes(case: str, method: str) -> int | None:
    """Peak resident bytes of a fresh process that does nothing else."""
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks", case, "--peak", method], capture_output=True, text=True, check=False
    )
    return int(found.stdout.split()[-1]) if found.returncode == 0 else None


def machine() -> dict[str, Any]:
    """What ran this: device, cores, versions."""
    return {
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "jaxcliff": jc.__version__,
    }

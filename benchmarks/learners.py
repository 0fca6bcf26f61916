"""Steps of learners per second, summed over lanes, against the same loop written straight in JAX."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc
from benchmarks.cases import Record
from benchmarks.measure import seconds
from jaxcliff.learners import training

LANES, GROUP, RATE = 4096, 8, 0.05
BANDIT = np.array([1.0, 0.9, 0.5, 0.2], np.float32)


def measured(name: str) -> Iterator[Record]:
    """GRPO in float32 on a bandit of four arms, and on a tree of four tokens and four levels."""
    with jax.enable_x64(False):
        bandit = jc.problems.bandit(jnp.asarray(BANDIT))
        tree = jc.problems.token_tree(jax.random.key(0), vocabulary=4, depth=4).astype(jnp.float32)
        rewards = jnp.broadcast_to(tree.reward, (LANES, *tree.reward.shape))
        naive = straight(500)
        keys = jax.random.split(jax.random.key(1), LANES)
        yield _record(name, "straight jit and vmap, bandit", 500, lambda: naive(keys), bandit)
        arms = jnp.broadcast_to(bandit.reward, (LANES, 1, 4))
        for mdp, several, steps in ((bandit, arms, 500), (tree, rewards, 100)):
            learner = jc.learners.grpo(rate=RATE, group=GROUP, steps=steps)
            told = "bandit" if mdp is bandit else "token tree"
            yield _record(name, f"GRPO, {told}", steps, lambda: learner(mdp, several, jax.random.key(1)), mdp)  # noqa: B023
        before = training.trained._cache_size()
        other = dataclasses.replace(jc.learners.grpo(), rate=0.1, clip=(0.1, 0.3), steps=7)
        other(bandit, 2 * arms, jax.random.key(2))
        assert training.trained._cache_size() == before, "numbers made it compile again"


def straight(steps: int) -> Any:
    """GRPO on that bandit as one would write it for it alone."""
    reward = jnp.asarray(BANDIT)

    def lane(key: jax.Array) -> jax.Array:
        def step(i: jax.Array, logits: jax.Array) -> jax.Array:
            taken = jax.random.categorical(jax.random.fold_in(key, i), logits, shape=(GROUP,))
            paid = reward[taken]
            gains = (paid - paid.mean()) / (paid.std(ddof=1) + 1e-4)

            def surrogate(z: jax.Array) -> jax.Array:
                return (gains * jax.nn.log_softmax(z)[taken]).mean()

            return logits + RATE * jax.grad(surrogate)(logits)

        return jax.nn.softmax(jax.lax.fori_loop(0, steps, step, jnp.zeros(4)))

    return jax.jit(jax.vmap(lane))


def _record(name: str, told: str, steps: int, run: Any, mdp: jc.MDP) -> Record:
    compiling, each = seconds(run, 3)
    rate = LANES * steps / float(np.median(each)) / 1e6
    none = dict.fromkeys(("floors", "memory_floors", "times_best_peer", "times_naive", "error", "peak_bytes"))
    return (
        {"case": name, "method": f"{told}: {rate:.2f} million steps a second", "seconds": each, "lanes": LANES}
        | none
        | {"dtype": "float32", "states": mdp.num_states, "actions": mdp.num_actions, "discount": float(mdp.discount)}
        | {"compile_seconds": compiling, "process_bytes": None}
    )

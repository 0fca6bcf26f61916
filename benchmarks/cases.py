"""The cases: a problem, a batch of rewards, and the ways to solve it. Each yields one record per way."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc
from benchmarks import measure
from benchmarks.measure import ACCURACY

Record = dict[str, Any]
Way = Callable[[jc.MDP], Any]  # mdp -> (rewards -> (values, bounds)); what it makes beforehand is not timed
NAIVE_LANES = 32
UNMEASURED = {"seconds": []} | dict.fromkeys(("floors", "memory_floors", "times_best_peer", "times_naive"))


@dataclasses.dataclass(frozen=True)
class Case:
    """One problem, its batch of rewards, and named ways to solve it."""

    make: Callable[[], tuple[jc.MDP, jax.Array]]
    methods: dict[str, Way]
    compare: bool = True  # with peers and with naive value iteration
    soft: Any = None
    one_pass: bool = False  # solved without iterating: the unit is the memory floor


def perturbed(mdp: jc.MDP, lanes: int, sigma: float | None = 0.01) -> jax.Array:
    """The problem's reward plus N(0, σ²) on every entry that counts; unrelated rewards N(0, 1) if σ is None."""
    noise = jax.random.normal(jax.random.key(7), (lanes, *mdp.reward.shape), mdp.dtype)
    noise = jnp.where(mdp.decisions, noise, 0)
    return noise if sigma is None else mdp.reward + sigma * noise


def garnet(lanes: int = 2048, sigma: float | None = 0.01, states: int = 256, discount: float = 0.99) -> Any:
    """S=256, A=8, branching 8."""
    mdp = jc.problems.garnet(jax.random.key(0), states=states, actions=8, branching=8, discount=discount)
    return mdp, perturbed(mdp, lanes, sigma)


def tiny(lanes: int = 100_000, sigma: float = 0.01) -> Any:
    """S=16, A=3."""
    mdp = jc.problems.garnet(jax.random.key(0), states=16, actions=3, branching=4, discount=0.99)
    return mdp, perturbed(mdp, lanes, sigma)


def middling() -> Any:
    """S=64, A=4, branching 5, γ=.95: 16,384 rewards."""
    mdp = jc.problems.garnet(jax.random.key(0), states=64, actions=4, branching=5, discount=0.95)
    return mdp, perturbed(mdp, 16_384)


def grid() -> Any:
    """32 × 32, slip .1, the goal in a corner."""
    mdp = jc.problems.gridworld(["." * 32] * 31 + ["." * 31 + "G"], slip=0.1, discount=0.99)
    return mdp, perturbed(mdp, 512)


def river() -> Any:
    """S=64, γ=.999: slow mixing."""
    mdp = jc.problems.river_swim(64, discount=0.999)
    return mdp, perturbed(mdp, 4096)


def tree() -> Any:
    """Vocabulary 4, depth 6: 1,365 decision states."""
    mdp = jc.problems.token_tree(jax.random.key(0), discount=0.99)
    return mdp, perturbed(mdp, 1024)


def bandit() -> Any:
    """10,000 contexts, 16 actions, float32."""
    mdp = jc.problems.contextual_bandit(jax.random.normal(jax.random.key(0), (10_000, 16), jnp.float32))
    return mdp, perturbed(mdp, 1024)


def swept(mdp: jc.MDP) -> Any:
    """Value iteration from the base value."""
    start = jc.solve(mdp).values
    return lambda r: _values(jc.solve(mdp, r, method="value_iteration", init=start, tolerance=_tolerance(mdp, r)))


def shared(mdp: jc.MDP) -> Any:
    """Around a factored base policy."""
    base = jc.factorize(mdp)
    return lambda r: _values(jc.solve(mdp, r, around=base, tolerance=_tolerance(mdp, r)))


def direct(mdp: jc.MDP) -> Any:
    """Policy iteration for every reward."""
    return lambda r: _values(jc.solve(mdp, r, method="policy_iteration", tolerance=_tolerance(mdp, r)))


def auto(mdp: jc.MDP) -> Any:
    """What a user gets who says nothing, at the default tolerance of 2.5e-12 of the span."""
    return lambda r: _values(jc.solve(mdp, r))


def loose(mdp: jc.MDP) -> Any:
    """The same, at the tolerance that the peers are asked for."""
    return lambda r: _values(jc.solve(mdp, r, tolerance=_tolerance(mdp, r)))


def jitted(mdp: jc.MDP) -> Any:
    """The same as one compiled program, which Ctrl-C cannot end."""
    run = jax.jit(lambda r: jc.solve(mdp, r))
    return lambda r: _values(run(r))


def mapped(mdp: jc.MDP) -> Any:
    """The same written as a map over single rewards."""
    return lambda r: _values(jax.vmap(lambda one: jc.solve(mdp, one))(r))


ENTROPY = jc.Entropy(0.1)


def soft_auto(mdp: jc.MDP) -> Any:
    """What a user gets who names a regularizer."""
    return lambda r: _values(jc.solve(mdp, r, regularizer=ENTROPY))


def soft_loose(mdp: jc.MDP) -> Any:
    """The same, at the tolerance that hard solves are compared at."""
    return lambda r: _values(jc.solve(mdp, r, regularizer=ENTROPY, tolerance=_tolerance(mdp, r)))


def soft_swept(mdp: jc.MDP) -> Any:
    """Soft value iteration from the base value."""
    start = jc.solve(mdp, regularizer=ENTROPY).values
    options = {"regularizer": ENTROPY, "method": "value_iteration", "init": start}
    return lambda r: _values(jc.solve(mdp, r, tolerance=_tolerance(mdp, r), **options))


def soft_shared(mdp: jc.MDP) -> Any:
    """Chord steps with the inverse of the base policy."""
    base = jc.factorize(mdp, regularizer=ENTROPY)
    return lambda r: _values(jc.solve(mdp, r, regularizer=ENTROPY, around=base, tolerance=_tolerance(mdp, r)))


def _values(sol: jc.Solution) -> tuple[jax.Array, jax.Array]:
    return sol.values, sol.error_bound


def _tolerance(mdp: jc.MDP, rewards: jax.Array) -> jax.Array:
    counts = mdp.decisions
    high = jnp.max(jnp.where(counts, rewards, -jnp.inf), axis=(-2, -1))
    low = jnp.min(jnp.where(counts, rewards, jnp.inf), axis=(-2, -1))
    if mdp.pinned:
        high, low = jnp.maximum(high, 0), jnp.minimum(low, 0)
    return 0.99 * ACCURACY / (high - low)  # the rest is for the error of the reference


def naive(mdp: jc.MDP, soft: Any) -> Callable[[jax.Array], jax.Array]:
    """What one would write first: vmap of value iteration with a residual rule, to the same accuracy."""

    def one(reward: jax.Array) -> jax.Array:
        def backup(v: jax.Array) -> jax.Array:
            q = jnp.where(legal, reward + mdp.discount * jnp.sum(p * v[states], axis=-1), -jnp.inf)
            v = jnp.max(q, axis=-1) if soft is None else soft.strength * jax.nn.logsumexp(q / soft.strength, axis=-1)
            return v if mdp.terminal is None else jnp.where(mdp.terminal, 0, v)

        def unfinished(carry: tuple[jax.Array, jax.Array]) -> jax.Array:
            return jnp.max(jnp.abs(carry[0] - carry[1])) > ACCURACY * (1 - mdp.discount)

        start = jnp.max(reward, axis=-1)
        return jax.lax.while_loop(unfinished, lambda c: (backup(c[0]), c[0]), (backup(start), start))[0]

    states, p = mdp.transitions.states, mdp.transitions.probabilities
    legal = jnp.ones(mdp.reward.shape, bool) if mdp.legal is None else mdp.legal
    return jax.jit(jax.vmap(one))


TYPED = {"auto": auto, "auto, jitted": jitted}
HARD = {"auto": auto, "auto, 1e-6": loose, "auto, jitted": jitted, "value_iteration": swept, "shared": shared}
DIRECT = HARD | {"policy_iteration": direct}
CASES: dict[str, Case] = {
    "garnet": Case(garnet, HARD),
    "garnet_0.05": Case(lambda: garnet(sigma=0.05), HARD),
    "garnet_0.5": Case(lambda: garnet(sigma=0.5), HARD),
    "garnet_unrelated": Case(lambda: garnet(sigma=None), HARD),
    "entropy": Case(
        garnet,
        {"auto": soft_auto, "auto, 1e-6": soft_loose, "value_iteration": soft_swept, "shared": soft_shared},
        soft=ENTROPY,
    ),
    "many": Case(middling, HARD, compare=False),
    "many_entropy": Case(
        middling, {"auto": soft_auto, "auto, 1e-6": soft_loose, "shared": soft_shared}, compare=False, soft=ENTROPY
    ),
    "grid": Case(grid, HARD),
    "river": Case(river, DIRECT),
    "tiny": Case(tiny, DIRECT),
    "tree": Case(tree, TYPED, one_pass=True),
    "bandit": Case(bandit, TYPED, compare=False, one_pass=True),
    "vmap": Case(garnet, {"auto": auto, "auto, as a map": mapped}, compare=False),
}


def measured(name: str) -> Iterator[Record]:
    """The records of one case: peers, naive value iteration, and our own ways."""
    case = CASES[name]
    mdp, rewards = case.make()
    lanes = len(rewards)
    common = {
        "case": name,
        "dtype": str(mdp.dtype),
        "states": mdp.num_states,
        "actions": mdp.num_actions,
        "discount": float(mdp.discount),
        "lanes": lanes,
    }
    small = mdp.transitions is not None and mdp.reward.size * mdp.num_states <= 2**26
    unit = measure.floor(mdp, rewards) if small and not case.one_pass else None
    reading = measure.memory_floor(rewards) if case.one_pass else None
    best_peer = slow = None
    on_host = jax.default_backend() == "cpu"

    reference = measure.Reference(mdp, rewards, case.soft)

    def record(method: str, times: Any, compiled: float, error: float | None, **more: Any) -> Record:
        median = float(np.median(times))
        return (
            common
            | {
                "method": method,
                "seconds": [float(t) for t in times],
                "compile_seconds": compiled,
                "floors": median / unit if unit else None,
                "memory_floors": median / reading if reading else None,
                "times_best_peer": best_peer / median if best_peer else None,
                "times_naive": slow / median if slow else None,
                "error": error,
                "peak_bytes": None,
                "process_bytes": None,
            }
            | more
        )

    if case.compare and case.soft is None:
        sample = rewards[:256]
        for peer, found in sorted(measure.peers(mdp, sample, jc.solve(mdp).values).items()):
            if isinstance(found, str):
                yield record(peer, [np.nan], 0.0, None, missing=found, **UNMEASURED)
                continue
            times, values = found
            whole = float(np.mean(times)) * lanes
            answer = record(
                peer, [whole], 0.0, reference.error(values), measured_lanes=len(times), times_best_peer=None
            )
            yield answer
            best_peer = min(best_peer or np.inf, whole) if measure.right(answer) else best_peer
    if case.compare and isinstance(mdp.transitions, jc.Successors):
        run = naive(mdp, case.soft)
        _, times = measure.seconds(lambda: run(rewards[:NAIVE_LANES]), repeats=1)
        slow = times[0] * lanes / NAIVE_LANES
        more = {"measured_lanes": NAIVE_LANES, "times_best_peer": None, "times_naive": None}
        yield record("naive", [slow], 0.0, reference.error(run(rewards[:NAIVE_LANES])), **more)
    runs = {method: make(mdp) for method, make in case.methods.items()}
    calls = {method: (lambda run=run: run(rewards)) for method, run in runs.items()}
    for method, (compiled, times) in measure.in_turns(calls, 5 if lanes < 10**5 else 3).items():
        error = reference.error(runs[method](rewards)[0])
        yield record(
            method,
            times,
            compiled,
            error,
            **({} if error <= ACCURACY else {"times_best_peer": None, "times_naive": None}),
            peak_bytes=measure.compiled_bytes(runs[method], rewards),
            process_bytes=measure.process_bytes(name, method) if method == "auto" and on_host else None,
        )


def peak(name: str, method: str) -> int:
    """Peak resident bytes of this process after one solve."""
    case = CASES[name]
    mdp, rewards = case.make()
    jax.block_until_ready(case.methods[method](mdp)(rewards))
    # Not getrusage, whose maximum a new process inherits from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

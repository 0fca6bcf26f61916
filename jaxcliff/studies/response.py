"""The response: what a policy map does with a perturbed reward, over its strength and the size of the perturbation."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from jaxcliff import metrics, policies, sweep, theory
from jaxcliff.core import checks
from jaxcliff.core.numerics import cast
from jaxcliff.core.types import (
    ExecutorLike,
    Flag,
    Key,
    Norm,
    Number,
    NumbersLike,
    PathLike,
    PolicyLike,
    ProblemsLike,
    RewardLike,
    Rule,
    SettingsLike,
    ShardLike,
    Whole,
    Word,
)
from jaxcliff.learners import Learner as Sampler
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import Made, fingerprint
from jaxcliff.operators.regularizers import KL, Entropy, Sparsemax
from jaxcliff.rewards import perturb
from jaxcliff.solvers.evaluate import occupancy
from jaxcliff.solvers.solution import Solution, tie_tolerance_of
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.families import families_of, positive, stacked
from jaxcliff.studies.learner import Learner, ready

KINDS = ("hard", "entropy", "kl", "sparsemax", "learner")
PERTURBATIONS = ("ball", "sphere", "gaussian", "signs", "constant", "shaping")
RUNGS, SIZES = 7, 13
EDGES = np.linspace(0, 1, 129)  # between which quantiles of a total variation are found
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def response(
    mdp: ProblemsLike,
    reward: RewardLike | None = None,
    *,
    key: Key,
    kind: Word = "entropy",
    strength: NumbersLike | None = None,
    sizes: NumbersLike | None = None,
    perturbation: Word = "ball",
    norm: Norm = "inf",
    count: Whole = 256,
    base: PolicyLike | None = None,
    rule: Rule = policies.uniform,
    true_reward: RewardLike | None = None,
    tie_tolerance: Number | None = None,
    learner: Learner | None = None,
    store: PathLike | None = None,
    executor: ExecutorLike | None = None,
    workers: Whole | None = None,
    shard: ShardLike | None = None,
    batch: Whole | None = None,
    chunk: SettingsLike | None = None,
    overwrite: Flag = False,
    progress: Flag = False,
) -> xr.Dataset:
    """How far a policy moves, and what it gives away, when its reward is perturbed: a sweep.

    Args:
        mdp: a problem; or several of one shape; or families of them by name, as many in each.
        reward: R, [S, A], of all problems; each problem's own if None.
        key: a JAX random key.
        kind: the map from rewards to policies: "hard" (the optimum, of which `rule` takes a policy), "entropy", "kl",
            "sparsemax", or "learner".
        strength: of the regulariser, in units of reward; 7 from .01 to 10 if not given. "hard" and "learner" have none.
        sizes: of the perturbations, in units of reward; 13 from .001 to 1 if not given.
        perturbation: "ball" (uniform in it), "sphere", "gaussian" (the size is its σ), "signs"; or those that should
            change no policy: "constant", "shaping" (by potentials of that size).
        norm: in which sizes are measured, of "ball" and "sphere".
        count: how many perturbations of each size; the same at every strength.
        base: of "kl", [S, A]; uniform over legal actions if not given.
        rule: of "hard": a selection from sets of optimal actions, such as `jc.policies.first`.
        true_reward: [S, A], under which returns are measured as well.
        tie_tolerance: of "hard", gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        learner: of "learner": (mdp, rewards [B, S, A], key) → policies [B, S, A], one that JAX can trace.
        store, executor, workers, shard, batch, chunk, overwrite, progress: as in `jc.sweep.run`.

    Returns:
        A dataset over `family` (if named), `problem`, `strength` (if any) and `size`. Over the draws it has mean,
        largest and, of total variations, quantiles (each between two edges): of `tv`, the largest total variation over
        states; `visited`, weighted by the visits before; `lost`, the return given away under R against its best policy
        (and `true_lost`, under the true reward); `entropy` of the policy where it goes; `norm`, as realised; and the
        ratio of `tv` to each bound of theory, at most 1: `linear`, `tanh` (entropy and kl; for sparsemax `linear` is
        its law). Of the hard map `flips`, how many states certainly flip, `undecided`, how many may, and `reach`, the
        norm over the certified safe radius: below 1 nothing flips. `status` is that of the solves.
    """
    families = families_of(mdp)
    first = next(iter(families.values()))[0]
    given: dict[str, Any] = {}
    for name, x in (("reward", reward), ("true_reward", true_reward), ("base", base)):
        if x is None:
            continue
        given[name] = cast(checks.array(x, name.replace("_", " ")), first.dtype)
        if any(given[name].shape != each[0].reward.shape for each in families.values()):
            raise ValueError(f"{name} has shape {list(given[name].shape)}, and the problems {list(first.reward.shape)}")
    for name, value, known in (("kind", kind, KINDS), ("perturbation", perturbation, PERTURBATIONS)):
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {checks.shown(value)}")
    if (kind == "learner") != (learner is not None):
        raise ValueError("kind='learner' and learner= go together: one names the map, the other is it")
    if kind != "kl" and base is not None:
        raise ValueError(f"base= is the base policy of kind='kl', not of {kind!r}")
    ready(learner, key)
    if isinstance(learner, Sampler):
        learner = learner.for_problems(*(mdp for several in families.values() for mdp in several))
    soft = kind in ("entropy", "kl", "sparsemax")
    if strength is not None and not soft:
        raise ValueError(f"kind={kind!r} has no strength")
    point = Point(
        kind=kind,
        perturbation=perturbation,
        norm=checks.norm(norm),
        rule=rule,
        learner=learner,
        tie_tolerance=tie_tolerance_of(first.dtype, tie_tolerance),
        problems={name: stacked(name, several) for name, several in families.items()},
        given=given,
    )
    axes: dict[str, Any] = {"family": list(families)} if isinstance(mdp, Mapping) else {}
    axes["problem"] = np.arange(len(next(iter(families.values()))))
    if soft:
        axes["strength"] = positive("strength", np.geomspace(1e-2, 10, RUNGS) if strength is None else strength)
    axes["size"] = positive("sizes", np.geomspace(1e-3, 1, SIZES) if sizes is None else sizes)
    axes["draw"] = sweep.draws(count, point.kept())
    settings = {"kind": kind, "perturbation": perturbation, "norm": norm, "tie_tolerance": point.tie_tolerance}
    settings |= {"rule": getattr(rule, "__name__", "")} if kind == "hard" else {}
    attributes = Made({"mdp": first, **given, **settings, "count": count}).attributes() | {
        "study": "response",
        "map": kind,
        "steps": [float(max(each.steps for each in several)) for several in families.values()],
        "problem_hash": fingerprint([point.problems[name] for name in families]),
    }
    return sweep.run(
        point,
        axes,
        store,
        seed=checks.random_key(key),
        static=["family"] if isinstance(mdp, Mapping) else [],
        executor=executor,
        workers=workers,
        shard=shard,
        batch=batch,
        chunk=chunk,
        overwrite=overwrite,
        settings=settings,
        attributes=attributes,
        progress=progress,
    )


@dataclasses.dataclass(frozen=True)
class Point:
    """One draw: a problem, a strength, a size, and what the policy map makes of them."""

    kind: str
    perturbation: str
    norm: str
    rule: Callable[..., Any]
    learner: Learner | None
    tie_tolerance: float
    problems: dict[str, MDP]
    given: dict[str, Any]

    def kept(self) -> dict[str, Any]:
        """Which statistics of each output."""
        both, whole = ("mean", "max"), sweep.statistics("mean", "max", "m2", edges=EDGES, quantiles=QUANTILES)
        found: dict[str, Any] = {
            "tv": whole,
            "visited": whole,
            "lost": both,
            "entropy": both,
            "norm": both,
            "status": both,
        }
        if "true_reward" in self.given:
            found["true_lost"] = both
        if self.kind == "hard":
            return found | {"flips": both, "undecided": both, "reach": both}
        bounds = {"entropy": ["linear", "tanh"], "kl": ["linear", "tanh"], "sparsemax": ["linear"]}
        return found | dict.fromkeys(bounds.get(self.kind, []), both)

    def __call__(
        self, key: Any, *, problem: Any, size: Any, draw: Any, strength: Any = None, family: str = ""
    ) -> dict[str, Any]:
        stack = self.problems[family]
        only = len(jax.tree.leaves(stack)[0]) == 1  # then nothing of it is mapped over
        mdp = jax.tree.map(lambda x: jnp.asarray(x)[0 if only else problem], stack)
        reward = self.given.get("reward", mdp.reward)
        there = _perturbed(self.perturbation, self.norm, mdp, reward, jnp.asarray(size, mdp.dtype), draw)
        best = solve(mdp, reward)
        before, _, _ = self._policy(mdp, reward, strength, key, best)
        after, status, sets = self._policy(mdp, there.rewards[0], strength, key, None)
        norm, tv = there.norms[0], metrics.largest_total_variation(after, before)
        taken = occupancy(mdp, after)  # all that a policy earns and pays are sums over it
        found = {
            "tv": tv,
            "visited": metrics.visited_total_variation(mdp, before, after),
            "lost": (_start(mdp, best) - _earned(mdp, taken, reward), "reward"),
            "entropy": (jnp.sum(jnp.sum(taken, axis=-1) * metrics.entropy(after)), "nats"),
            "norm": (norm, "reward"),
            "status": status,
        }
        if "true_reward" in self.given:
            true = self.given["true_reward"]
            found["true_lost"] = (_start(mdp, solve(mdp, true)) - _earned(mdp, taken, true), "reward")
        if self.kind == "hard":
            acts = policies.optimal_actions(best, self.tie_tolerance)
            flipped, unsure = metrics.flips(acts, sets)
            gap = jnp.min(jnp.where(acts.suboptimal, acts.gap - acts.gap_bound, jnp.inf))
            found |= {"flips": jnp.sum(flipped), "undecided": jnp.sum(unsure)}
            found["reach"] = norm / theory.safe_radius(gap, mdp.steps)
        elif self.kind == "sparsemax":
            found["linear"] = tv / theory.sparsemax_jump(norm * mdp.steps, strength, mdp.num_actions)
        elif self.kind != "learner":
            found["linear"] = tv / theory.soft_jump_linear(norm, strength, mdp.steps)
            found["tanh"] = tv / theory.soft_jump(norm, strength, mdp.steps)
        return {name: x if not isinstance(x, tuple) else ((), *x) for name, x in found.items()}

    def _policy(self, mdp: MDP, reward: Any, strength: Any, key: Any, hard: Any) -> tuple[Any, Any, Any]:
        """The policy of a reward, a status, and the sets of optimal actions of the hard map."""
        if self.kind == "learner":
            assert self.learner is not None
            return self.learner(mdp, reward[None], key)[0], jnp.int8(0), None
        if self.kind == "hard":
            solved = solve(mdp, reward) if hard is None else hard
            acts = policies.optimal_actions(solved, self.tie_tolerance)
            return self.rule(acts), solved.status, acts
        solved = solve(mdp, reward, regularizer=self._regularizer(mdp, jnp.asarray(strength, mdp.dtype)))
        return solved.policy, solved.status, None

    def _regularizer(self, mdp: MDP, strength: Any) -> Any:
        if self.kind != "kl":
            return Entropy(strength) if self.kind == "entropy" else Sparsemax(strength)
        legal = jnp.ones(mdp.reward.shape, bool) if mdp.legal is None else mdp.legal
        share = jnp.ones((), mdp.dtype) / jnp.sum(legal, axis=-1, keepdims=True).astype(mdp.dtype)
        return KL(strength, self.given.get("base", jnp.where(legal, share, 0)))


def _start(mdp: MDP, solved: Solution) -> jax.Array:
    """The best return."""
    return jnp.sum(mdp.initial * solved.values)


def _earned(mdp: MDP, taken: jax.Array, reward: Any) -> jax.Array:
    """The return of a policy that takes each action so often."""
    return jnp.sum(jnp.where(mdp.decisions, taken * reward, 0))


def _perturbed(name: str, norm: str, mdp: MDP, reward: Any, size: Any, key: Any) -> perturb.Perturbed:
    """One perturbed reward."""
    if name in ("ball", "sphere"):
        return getattr(perturb, name)(key, mdp, reward, size=size, count=1, norm=norm)
    if name == "gaussian":
        return perturb.gaussian(key, mdp, reward, sigma=size, count=1)
    if name == "signs":
        return perturb.signs(key, mdp, reward, size=size, count=1)
    if name == "constant":
        return perturb.constant(mdp, reward, sizes=(size * jax.random.rademacher(key, (1,), mdp.dtype)))
    potentials = size * jax.random.uniform(key, (1, mdp.num_states), mdp.dtype, -1, 1)
    return perturb.shaping(mdp, reward, potentials=potentials)

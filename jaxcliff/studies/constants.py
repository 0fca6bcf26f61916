"""Do learners obey the constants? Trained pairs of rewards against the bounds of theory and the noise of seeds."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from jaxcliff import metrics, sweep, theory
from jaxcliff.core import checks
from jaxcliff.core.numerics import cast
from jaxcliff.core.types import (
    ExecutorLike,
    Flag,
    Key,
    NumbersLike,
    PathLike,
    ProblemsLike,
    RewardLike,
    SettingsLike,
    ShardLike,
    Whole,
)
from jaxcliff.learners import Learner, dr_grpo, leashes, npg
from jaxcliff.learners.rollouts import length_of
from jaxcliff.learners.training import base_log
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import Made, fingerprint
from jaxcliff.operators.regularizers import KL
from jaxcliff.rewards import perturb
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.families import families_of, positive, stacked

Trainer = Callable[[Any], Learner]  # from a strength to a learner
SLACK = 1e-6  # of a total variation, for rounding


def exact(strength: Any) -> Learner:
    """Mirror descent with exact values, KL in the reward: the regularised optimum itself, in the end."""
    return npg(rate=0.5 / strength, steps=64, leash=leashes.in_reward(strength))


def kl_in_reward(strength: Any) -> Learner:
    """Groups of 64, KL in the reward."""
    return _groups(leashes.in_reward(strength))


def kl_as_loss(strength: Any) -> Learner:
    """Groups of 64, ½ log²(π/b) as a loss (k2)."""
    return _groups(leashes.k2(strength))


def entropy_bonus(strength: Any) -> Learner:
    """Groups of 64, a bonus of entropy."""
    return _groups(leashes.entropy(strength))


def forward_kl(strength: Any) -> Learner:
    """Groups of 64, k3 as a loss: the law of the forward divergence."""
    return _groups(leashes.k3(strength))


def standard_deviation(strength: Any) -> Learner:
    """Groups of 64 whose advantages are divided by their standard deviation, ½ log²(π/b) as a loss."""
    return dataclasses.replace(_groups(leashes.k2(strength)), advantage="std")


def by_rank(strength: Any) -> Learner:
    """Groups of 64 whose advantages are ranks, ½ log²(π/b) as a loss."""
    return dataclasses.replace(_groups(leashes.k2(strength)), advantage="rank")


def _groups(leash: Any) -> Learner:
    return dr_grpo(rate=0.5, group=64, steps=600, leash=leash)


LEARNERS: dict[str, Trainer] = {
    one.__name__.replace("_", " "): one
    for one in (exact, kl_in_reward, kl_as_loss, entropy_bonus, forward_kl, standard_deviation, by_rank)
}


def constants(
    mdp: ProblemsLike,
    reward: RewardLike | None = None,
    *,
    key: Key,
    learners: Mapping[str, Trainer] | None = None,
    strength: NumbersLike = (0.1, 0.3),
    sizes: NumbersLike | None = None,
    direction: RewardLike | None = None,
    count: Whole = 16,
    store: PathLike | None = None,
    executor: ExecutorLike | None = None,
    workers: Whole | None = None,
    shard: ShardLike | None = None,
    batch: Whole | None = None,
    chunk: SettingsLike | None = None,
    overwrite: Flag = False,
    progress: Flag = False,
) -> xr.Dataset:
    """How far trained policies move between two rewards, against the bounds of theory: a sweep of pairs.

    Each pair is R − Δ/2 and R + Δ/2, ‖Δ‖ in the sup norm being the size. A learner is trained on both, and on the first
    again with another seed.

    Args:
        mdp: a problem; or several of one shape; or families of them by name, as many in each.
        reward: R, [S, A], of all problems; each problem's own if None.
        key: a JAX random key.
        learners: by name, functions from a strength to one of `jc.learners`; if not given, seven: exact mirror
            descent, and groups of 64 with KL in the reward, k2, k3 or an entropy bonus, or without their scale.
        strength: of what holds a learner to the uniform policy, in units of reward.
        sizes: ‖Δ‖; 7 from .001 to 1 if not given.
        direction: of Δ, [S, A]; random ones of that norm if not given.
        count: how many pairs of each size.
        store, executor, workers, shard, batch, chunk, overwrite, progress: as in `jc.sweep.run`.

    Returns:
        A dataset over `family` (if named), `learner`, `problem`, `strength`, `size` and `draw`. Total variations, the
        largest over states: `tv` of the pair; `floor`, of two seeds at the same reward; `optimum`, of the
        KL-regularised optima; `off`, from the learner's policies to these, the larger of two. The bounds: `linear`,
        `tanh`, and `local`, the derivative of the optimum along Δ. `seed_floor` is the mean floor of a setting;
        `inside` says if tv ≤ tanh + 2·seed_floor, `explained` if it is with what the learner is off besides.
    """
    families = families_of(mdp)
    first = next(iter(families.values()))[0]
    chosen = dict(LEARNERS if learners is None else learners)
    for name, trainer in chosen.items():
        if not callable(trainer):
            raise ValueError(f"learners are functions from a strength to one of jc.learners; {name!r} is none")
        if not isinstance(trainer(0.5), Learner):
            raise ValueError(f"the learner {name!r} must give one of jc.learners for a strength")
    given: dict[str, Any] = {}
    for name, x in (("reward", reward), ("direction", direction)):
        if x is None:
            continue
        given[name] = cast(checks.array(x, name), first.dtype)
        if any(given[name].shape != each[0].reward.shape for each in families.values()):
            raise ValueError(f"{name} has shape {list(given[name].shape)}, and the problems {list(first.reward.shape)}")
    lengths = {name: max(map(length_of, several)) for name, several in families.items()}
    point = Point(chosen, {name: stacked(name, several) for name, several in families.items()}, lengths, given)
    named = isinstance(mdp, Mapping)
    axes: dict[str, Any] = {"family": list(families)} if named else {}
    axes["learner"] = list(chosen)
    axes["problem"] = np.arange(len(next(iter(families.values()))))
    axes["strength"] = positive("strength", strength)
    axes["size"] = positive("sizes", np.geomspace(1e-3, 1, 7) if sizes is None else sizes)
    axes["draw"] = sweep.draws(count)
    attributes = Made({"mdp": first, **given, "count": count}).attributes() | {
        "study": "constants",
        "problem_hash": fingerprint([point.problems[name] for name in families]),
    }
    ds = sweep.run(
        point,
        axes,
        store,
        seed=checks.random_key(key),
        static=["family", "learner"] if named else ["learner"],
        executor=executor,
        workers=workers,
        shard=shard,
        batch=batch,
        chunk=chunk,
        overwrite=overwrite,
        settings={"learners": [f"{name}: {trainer(0.5)!r}" for name, trainer in chosen.items()]},
        attributes=attributes,
        progress=progress,
    )
    return _judged(ds)


@dataclasses.dataclass(frozen=True)
class Point:
    """One pair of rewards, and what a learner and the regularised optimum make of it."""

    learners: dict[str, Trainer]
    problems: dict[str, MDP]
    lengths: dict[str, int]  # of trajectories
    given: dict[str, Any]

    def __call__(
        self, key: Any, *, learner: str, problem: Any, strength: Any, size: Any, draw: Any, family: str = ""
    ) -> dict[str, Any]:
        stack = self.problems[family]
        only = len(jax.tree.leaves(stack)[0]) == 1  # then nothing of it is mapped over
        mdp = jax.tree.map(lambda x: jnp.asarray(x)[0 if only else problem], stack)
        strength, size = jnp.asarray(strength, mdp.dtype), jnp.asarray(size, mdp.dtype)
        reward = self.given.get("reward", mdp.reward)
        drawn, trained, again, other = jax.random.split(draw, 4)
        change = self._change(mdp, reward, size, drawn)
        pair = jnp.stack([reward - change / 2, reward + change / 2])
        maker = self.learners[learner](strength)
        if maker.length is None:
            maker = dataclasses.replace(maker, length=self.lengths[family])
        before, repeated, after = (
            maker(mdp, one[None], seed)[0] for one, seed in ((pair[0], trained), (pair[0], again), (pair[1], other))
        )
        base = jnp.exp(base_log(maker, mdp))
        low, high = (solve(mdp, one, regularizer=KL(strength, base)).policy for one in pair)

        def optimum(r: Any) -> Any:
            return solve(mdp, r, regularizer=KL(strength, base)).policy

        slope = jax.jvp(optimum, (jnp.asarray(reward),), (change,))[1]
        norm = perturb.realised_norm(mdp, change)
        far = metrics.largest_total_variation
        return {
            "tv": far(before, after),
            "floor": far(before, repeated),
            "off": jnp.maximum(far(before, low), far(after, high)),
            "optimum": far(low, high),
            "local": jnp.max(jnp.sum(jnp.abs(slope), axis=-1)) / 2,
            "norm": ((), norm, "reward"),
            "linear": theory.soft_jump_linear(norm, strength, mdp.steps),
            "tanh": theory.soft_jump(norm, strength, mdp.steps),
        }

    def _change(self, mdp: MDP, reward: Any, size: Any, key: Any) -> Any:
        """Δ, of that size in the sup norm."""
        if "direction" in self.given:
            along = self.given["direction"]
            return size * along / perturb.realised_norm(mdp, along)
        return perturb.sphere(key, mdp, reward, size=size, count=1).rewards[0] - reward


def _judged(ds: xr.Dataset) -> xr.Dataset:
    """With the noise of seeds, and whether pairs keep within the bounds."""
    seeds = ds.floor.mean("draw")
    bound = ds.tanh + 2 * seeds + SLACK
    judged = {"seed_floor": seeds, "inside": ds.tv <= bound, "explained": ds.tv <= bound + ds.off}
    if "done" in ds:
        judged |= {name: judged[name].where(ds.done) for name in ("inside", "explained")}
    return ds.assign(judged)

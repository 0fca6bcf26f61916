"""A near-tie under optimisation noise: on which side learners land, how long it takes, how far two runs are apart."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from jaxcliff import sweep, theory
from jaxcliff.core import checks
from jaxcliff.core.numerics import cast
from jaxcliff.core.types import (
    ExecutorLike,
    Flag,
    Key,
    Number,
    NumbersLike,
    PathLike,
    RewardLike,
    SettingsLike,
    ShardLike,
    Whole,
)
from jaxcliff.learners import Learner, dr_grpo
from jaxcliff.learners.landings import landings
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import Made
from jaxcliff.problems.bandits import bandit

EDGES = np.linspace(0, 1, 65)  # between which quantiles of a share are found
TOGETHER = 16  # seeds that one lane follows
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def learner_noise(
    mdp: MDP | None = None,
    reward: RewardLike | None = None,
    *,
    key: Key,
    learner: Learner | None = None,
    gaps: NumbersLike = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2),
    noise: NumbersLike = (1.0,),
    groups: NumbersLike = (4, 8),
    rates: NumbersLike = (0.4, 0.8, 1.6),
    confidence: Number = 0.95,
    steps: Whole = 10_000,
    count: Whole = 512,
    direction: RewardLike | None = None,
    state: Whole | None = None,
    store: PathLike | None = None,
    executor: ExecutorLike | None = None,
    workers: Whole | None = None,
    shard: ShardLike | None = None,
    batch: Whole | None = None,
    chunk: SettingsLike | None = None,
    overwrite: Flag = False,
    progress: Flag = False,
) -> xr.Dataset:
    """Where learners land beside a tie, over its gap, the noise of rewards, the size of groups and the rate: a sweep.

    A learner is followed until its policy gives one action of a state so much probability, or its steps are over.

    Args:
        mdp: a problem; two arms if not given.
        reward: R, [S, A], the tie; the problem's own if not given (two arms: 0).
        key: a JAX random key.
        learner: one of `jc.learners` that samples groups; `jc.learners.dr_grpo()` if not given. Its rate, noise and
            group are those of the axes.
        gaps: ε: the reward is R + ε·D.
        noise: σ, the standard deviation of what is added to every sampled reward.
        groups: G, answers of a group.
        rates: η, of the optimiser.
        confidence: the probability at which an action counts as landed on.
        steps: the most a learner takes.
        count: seeds at each setting, rounded up to a multiple of 16.
        direction: D, [S, A]; if not given, 1 for the first legal action of the state.
        state: the one that is watched; the first with two legal actions if not given.
        store, executor, workers, shard, batch, chunk, overwrite, progress: as in `jc.sweep.run`.

    Returns:
        A dataset over `group`, `gap`, `noise`, `rate`: the share of learners that landed on each `action`
        (`landed_mean`) or nowhere (`unsettled_mean`); of those that landed, the mean and largest number of steps
        (`time_mean`, `longest_max`); the policy at that state where they ended (`share`: mean, quantiles); total
        variation between two seeds at the same reward, largest over states (`seed_floor_mean`); and the first step of
        log π(better)/π(worse), the actions that D favours most and least: its mean (`drift_mean`) and sum of squares
        (`drift_m2`). For two arms from ½ and an advantage whose scale is known, `law_mean` is what the ratio of drift
        to diffusion makes of the share that lands on the better action (of those that land), `time_law_mean` the mean
        time without drift, and `step_mean` the size of a step: up to .2, the laws hold.
    """
    learner = dr_grpo() if learner is None else learner
    if not isinstance(learner, Learner) or learner.gradient != "sampled":
        raise ValueError(f"learner must be one of jc.learners that samples groups, not {checks.shown(learner)}")
    if mdp is None:
        mdp = bandit(jnp.zeros(2))
    check_one(mdp)
    if learner.weights is not None:
        raise ValueError("this study is about one reward: leave the learner's weights out")
    learner = learner.for_problems(mdp)
    limit = checks.number(confidence, "confidence")
    if not 0.5 < limit < 1:
        raise ValueError(f"confidence must lie between .5 and 1, not {limit:g}")
    watched = _watched(mdp, state)
    base = mdp.reward if reward is None else cast(checks.array(reward, "reward"), mdp.dtype)
    along = _first_action(mdp, watched) if direction is None else cast(checks.array(direction, "direction"), mdp.dtype)
    for name, x in (("reward", base), ("direction", along)):
        if x.shape != mdp.reward.shape:
            raise ValueError(f"{name} has shape {list(x.shape)}, and the problem {list(mdp.reward.shape)}")
    steps, count = checks.whole(steps, "steps", 1), checks.whole(count, "count", 2)
    seeds = min(TOGETHER, count - count % 2)
    point = Point(
        learner,
        mdp,
        base,
        along,
        watched,
        _sides(mdp, np.asarray(along), watched),
        limit,
        steps,
        seeds,
        _scale_of(learner, mdp),
    )
    sizes = checks.numbers(groups, "groups")
    axes = {
        "group": [checks.whole(int(g) if g == int(g) else g, "groups", 2) for g in np.atleast_1d(sizes)],
        "gap": _axis("gaps", gaps, least=-np.inf),
        "noise": _axis("noise", noise),
        "rate": _axis("rates", rates, open_=True),
        "draw": sweep.draws(-(-count // seeds), point.kept()),
    }
    settings = {"confidence": limit, "steps": steps, "state": watched, "advantage": _named(learner)}
    attributes = Made({"mdp": mdp, "reward": base, "direction": along, **settings}).attributes()
    return sweep.run(
        point,
        axes,
        store,
        seed=checks.random_key(key),
        static=["group"],
        executor=executor,
        workers=workers,
        shard=shard,
        batch=batch,
        chunk=chunk,
        overwrite=overwrite,
        settings=settings,
        attributes=attributes
        | {"study": "learner noise", "count": -(-count // seeds) * seeds, "better": point.sides[0]},
        progress=progress,
    )


@dataclasses.dataclass(frozen=True)
class Point:
    """Some seeds at one setting, one after the other: so none waits long for another."""

    learner: Learner
    mdp: MDP
    reward: Any
    direction: Any
    state: int
    sides: tuple[int, int]
    confidence: float
    steps: int
    seeds: int
    scale: str

    def kept(self) -> dict[str, Any]:
        """Which statistics of each output."""
        shares = sweep.statistics("mean", edges=EDGES, quantiles=QUANTILES)
        return {
            "landed": ("mean",),
            "unsettled": ("mean",),
            "time": ("mean",),
            "longest": ("max",),
            "share": shares,
            "seed_floor": ("mean",),
            "drift": ("mean", "m2"),
        } | (dict.fromkeys(("law", "step", "time_law"), ("mean",)) if self.scale else {})

    def __call__(self, key: Any, *, gap: Any, noise: Any, rate: Any, draw: Any, group: int) -> dict[str, Any]:
        mdp = self.mdp
        learner = dataclasses.replace(self.learner, rate=rate, noise=noise, group=group)
        reward = jnp.asarray(self.reward) + jnp.asarray(gap, mdp.dtype) * jnp.asarray(self.direction)
        keys = jax.random.split(key, self.seeds)
        found = landings(learner, mdp, reward, self.state, self.confidence, self.steps, keys)
        better, worse = self.sides
        landed = found.landed.sum()
        return self._law(group, gap, noise, rate) | {
            "landed": (("action",), found.landed / self.seeds, ""),
            "unsettled": 1 - landed / self.seeds,
            "time": ((), jnp.where(landed > 0, found.steps / jnp.maximum(landed, 1), jnp.nan), "steps"),
            "longest": ((), found.most, "steps"),
            "share": (("action",), found.policy[self.state], ""),
            "seed_floor": found.apart / (self.seeds // 2),
            "drift": found.moved[self.state, better] - found.moved[self.state, worse],
        }

    def _law(self, group: int, gap: Any, noise: Any, rate: Any) -> dict[str, Any]:
        """The logistic law, the mean time without drift, and the size of a step, where a scale is known."""
        if not self.scale:
            return {}
        gap, noise, rate = (jnp.asarray(x, self.mdp.dtype) for x in (gap, noise, rate))
        s = _SCALES[self.scale](group, noise)
        limit = math.log(self.confidence / (1 - self.confidence))
        step = rate * noise * math.sqrt(group - 1) / (group * s)
        law = theory.landing(limit, gap * group * s / (2 * rate * noise**2), 1.0)
        found = {"law": jnp.where(noise > 0, law, jnp.nan), "step": step, "time_law": theory.landing_time(limit, step)}
        return {name: x.astype(self.mdp.dtype) for name, x in found.items()}


def _scale_of(learner: Learner, mdp: MDP) -> str:
    """By the name of its advantage, where drift and diffusion are known: two arms from ½, and nothing else done."""
    two = mdp.transitions is None and mdp.num_states == 1 and mdp.num_actions == 2 and learner.base is None
    plain = learner.epochs == 1 and not learner.leash and not learner.tokens and learner.optimiser is None
    known = isinstance(learner.advantage, str) and learner.advantage in _SCALES
    return str(learner.advantage) if two and plain and learner.parameters is None and known else ""


def _watched(mdp: MDP, state: Any) -> int:
    choices = np.asarray(mdp.decisions).sum(axis=1)
    if state is None:
        found = np.flatnonzero(choices > 1)
        if not len(found):
            raise ValueError("no state of this problem has two legal actions: there is nothing to land on")
        return int(found[0])
    at = checks.whole(state, "state", 0)
    if at >= mdp.num_states or choices[at] < 2:
        raise ValueError(f"state {at} is none of the problem's, or has one legal action")
    return int(at)


def _first_action(mdp: MDP, state: int) -> np.ndarray:
    along = np.zeros(mdp.reward.shape, mdp.dtype)
    along[state, np.flatnonzero(np.asarray(mdp.decisions)[state])[0]] = 1
    return along


def _sides(mdp: MDP, direction: np.ndarray, state: int) -> tuple[int, int]:
    """Which legal action of the state the direction favours most, and which least."""
    legal = np.asarray(mdp.decisions)[state]
    up = np.where(legal, direction[state], -np.inf)
    better = int(up.argmax())
    down = np.where(legal, direction[state], np.inf)
    down[better] = np.inf
    return better, int(down.argmin())


def _axis(name: str, values: Any, least: float = 0.0, open_: bool = False) -> sweep.Axis:
    numbers = np.atleast_1d(checks.numbers(values, name)).astype(float)
    good = np.isfinite(numbers) & ((numbers > least) if open_ else (numbers >= least))
    if numbers.ndim != 1 or not len(numbers) or not good.all():
        told = "finite numbers" if least < 0 else "positive numbers" if open_ else "numbers of at least 0"
        raise ValueError(f"{name} must be a list of {told}, not {checks.shown(values)}")
    return sweep.Axis(numbers, len(numbers), "" if name == "rates" else "reward")


def _named(learner: Learner) -> str:
    of = learner.advantage
    return of if isinstance(of, str) else getattr(of, "__name__", type(of).__name__)


# By what an advantage divides r − mean of the group, on average: (G, σ) → s.
_SCALES: dict[str, Any] = {
    "mean": lambda group, _: 1.0,
    "others": lambda group, _: (group - 1) / group,
    "std": lambda group, noise: theory.sample_deviation(noise, group),
}

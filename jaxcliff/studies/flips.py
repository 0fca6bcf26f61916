"""Where, and how often, does the optimal policy flip when the reward is a little wrong?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from tqdm import tqdm

from jaxcliff import metrics, policies, theory
from jaxcliff.core import checks, devices
from jaxcliff.core.types import Key, Norm, Number, NumbersLike, RewardLike, Whole
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import recorded
from jaxcliff.rewards import perturb
from jaxcliff.rewards.inverse import single
from jaxcliff.solvers.solution import tie_tolerance_of
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.learner import Learner, learn, ready


@checks.host_study
@recorded
def flip_frequency(
    mdp: MDP,
    reward: RewardLike | None = None,
    *,
    key: Key,
    sizes: NumbersLike | None = None,
    count: Whole = 2048,
    norm: Norm = "inf",
    tie_tolerance: Number | None = None,
    learner: Learner | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Solves the problem for thousands of perturbed rewards and counts, state by state, what flips.

    At each size, `count` rewards are drawn uniformly from the ball around a reward and solved in one call. A state
    flips if an action that was certainly optimal is now certainly suboptimal, or the other way round; what the
    arithmetic cannot decide is counted apart.

    Args:
        mdp: the problem.
        reward: R, [S, A]; the problem's own if None.
        key: a JAX random key.
        sizes: of the changes (radii of the balls), in units of reward; 11 up to half the reward's span if not given.
        count: rewards per size.
        norm: of the ball, "inf", "2" or "1".
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        learner: one's own, (mdp, rewards [B, S, A], key) → policies [B, S, A], measured on the same rewards.
        progress: show a progress bar.

    Returns:
        A dataset over `size`, `state` and `action`: the share of rewards that flip each state (`flips`) or any state
        (`any_flip`), the undecided shares, the base's optimal actions and its smallest gap. Its attribute
        `safe_radius` is the certified radius g/(2L) (Theorem 2.7): inside it nothing flips in the sup norm; and its
        attribute `telling_size` the one at which nearest to nine tenths of the rewards flip some state. With a
        learner, `learned_tv` is how far its policy moves from the one it learns at the base (the largest total
        variation over states, on average) and `learned_regret` what it gives away on average.
    """
    check_one(mdp)
    ready(learner, key)
    key, count = checks.random_key(key), checks.whole(count, "count", 1)
    needed = 4.0 * count * mdp.reward.size * mdp.dtype.itemsize  # rewards, action values, gaps and their bounds
    devices.require(needed, f"{count:,} rewards per size", "take a smaller count")
    reward = mdp.reward if reward is None else single(mdp, reward, "the reward")
    base = solve(mdp, reward)
    if not bool(base.ok):
        raise ValueError(f"the problem itself could not be solved: {base.summary()}")
    tie_tolerance = tie_tolerance_of(mdp.dtype, tie_tolerance)
    acts = policies.optimal_actions(base, tie_tolerance)
    smallest = _smallest_gaps(mdp, acts)
    safe = theory.safe_radius(float(smallest.min()), float(mdp.steps))
    if sizes is None:
        span = float(base.span) or 1.0
        sizes = np.geomspace(np.clip(safe / 2, 1e-5 * span, 1e-2 * span), span / 2, 11)
    sizes = checks.numbers(sizes, "sizes")
    sound = sizes.ndim == 1 and len(sizes) and (np.isfinite(sizes) & (sizes >= 0)).all() and (np.diff(sizes) > 0).all()
    if not sound:
        raise ValueError(f"sizes must be an increasing list of finite numbers, none negative, not {sizes.tolist()}")

    rows, learned = [], []
    keys = jax.random.split(key, len(sizes))
    for size, subkey in zip(tqdm(sizes, "sizes", disable=not progress), keys, strict=True):
        step = jnp.asarray(size).astype(mdp.dtype)
        rewards = perturb.ball(subkey, mdp, reward, size=step, count=count, norm=norm).rewards
        moved = policies.optimal_actions(solve(mdp, rewards), np.full(count, tie_tolerance))
        rows.append(jax.device_get(_flip_shares(acts, moved)))
        if learner is not None:
            own = learn(learner, mdp, reward, rewards, subkey)
            learned.append((own.tv.mean(), own.regret.mean()))
    flips, unsure, any_flip, any_unsure = (np.stack(column) for column in zip(*rows, strict=True))

    decisions = np.asarray(mdp.decisions)
    coordinates: dict[str, Any] = {
        "size": ("size", sizes, {"units": "reward", "long_name": f"radius of the {norm}-norm ball"}),
        "state": np.arange(mdp.num_states),
        "action": np.arange(mdp.num_actions),
    }
    coordinates |= mdp.labels.coordinates(mdp.num_states, mdp.num_actions)
    ds = xr.Dataset(
        {
            "flips": (("size", "state"), flips, {"long_name": "share of rewards that flip the state"}),
            "undecided": (
                ("size", "state"),
                unsure,
                {"long_name": "share of rewards left undecided there"},
            ),
            "any_flip": ("size", any_flip, {"long_name": "share of rewards that flip some state"}),
            "any_undecided": (
                "size",
                any_unsure,
                {"long_name": "share with some state undecided, none flipped"},
            ),
            "optimal": (
                ("state", "action"),
                np.asarray(acts.optimal),
                {"long_name": "optimal under the base reward"},
            ),
            "base_undecided": ("state", np.asarray(policies.ambiguous(acts)), {"long_name": "a tie is undecided"}),
            "decision": ("state", decisions.sum(axis=1) > 1, {"long_name": "has a choice"}),
            "terminal": ("state", ~decisions.any(axis=1)),
            "smallest_gap": ("state", smallest, {"units": "reward", "long_name": "smallest gap of a rival"}),
        },
        coordinates,
        {
            "study": "flip frequency",
            "count": count,
            "norm": norm,
            "method": base.method,
            "span": float(base.span),
            "safe_radius": safe,
            "tie_tolerance": tie_tolerance,
            "telling_size": float(sizes[np.abs(any_flip - 0.9).argmin()]),
        },
    )
    for name, column in zip(("learned_tv", "learned_regret"), zip(*learned, strict=True), strict=False):
        ds[name] = ("size", np.array(column))
    return ds


@jax.jit
def _flip_shares(base: policies.ActionSets, moved: policies.ActionSets) -> tuple[jax.Array, ...]:
    flipped, unsure = metrics.flips(base, moved)
    some = jnp.any(flipped, axis=-1)
    return (
        jnp.mean(flipped, axis=0),
        jnp.mean(unsure, axis=0),
        jnp.mean(some),
        jnp.mean(jnp.any(unsure, axis=-1) & ~some),
    )


def _smallest_gaps(mdp: MDP, acts: policies.ActionSets) -> np.ndarray:
    """For each state, how far the best rival is behind, at least; 0 where actions tie, infinite without rivals."""
    legal = np.asarray(mdp.decisions)
    optimal = np.asarray(acts.optimal)
    behind = np.where(legal & ~optimal, np.asarray(acts.gaps() - acts.gap_bound), np.inf).min(axis=1)
    tied = (legal & optimal).sum(axis=1) > 1
    return np.where(tied, 0.0, np.maximum(behind, 0.0))

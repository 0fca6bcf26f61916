"""Where, and how often, does the optimal policy flip when the reward is a little wrong?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from tqdm import tqdm

from jaxcliff import metrics, policies, theory
from jaxcliff.core import checks, devices
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.rewards import perturb
from jaxcliff.solvers.solution import tie_tolerance_of
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.learner import Policy, learn


@checks.host_study
def flip_frequency(
    mdp: MDP,
    *,
    key: Any,
    radii: Any = None,
    count: Any = 2048,
    norm: Any = "inf",
    tie_tolerance: Any = None,
    policy: Policy | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Solves the problem for thousands of perturbed rewards and counts, state by state, what flips.

    At each radius, `count` rewards are drawn uniformly from the ball around the problem's reward and solved in one
    call. A state flips if an action that was certainly optimal is now certainly suboptimal, or the other way round;
    what the arithmetic cannot decide is counted apart.

    Args:
        mdp: the problem.
        key: a JAX random key.
        radii: of the balls, in units of reward; 11 up to half the reward's span if not given.
        count: rewards per radius.
        norm: of the ball, "inf", "2" or "1".
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        policy: a learner, (mdp, rewards [B, S, A], key) → policies [B, S, A], measured on the same rewards.
        progress: show a progress bar.

    Returns:
        A dataset over `radius`, `state` and `action`: the share of rewards that flip each state (`flips`) or any state
        (`any_flip`), the undecided shares, the base's optimal actions and its smallest gap. Its attribute
        `safe_radius` is the certified radius g/(2L) (Theorem 2.7): inside it nothing flips in the sup norm; and its
        attribute `telling_radius` the one at which nearest to nine tenths of the rewards flip some state. With a
        learner, `learned_tv` is how far its policy moves from the one it learns at the base (the largest total
        variation over states, on average) and `learned_regret` what it gives away on average.
    """
    check_one(mdp)
    key, count = checks.random_key(key), checks.whole(count, "count", 1)
    needed = 4.0 * count * mdp.reward.size * mdp.dtype.itemsize  # rewards, action values, gaps and their bounds
    devices.require(needed, f"{count:,} rewards per radius", "take a smaller count")
    base = solve(mdp)
    if not bool(base.ok):
        raise ValueError(f"the problem itself could not be solved: {base.summary()}")
    tie_tolerance = tie_tolerance_of(mdp.dtype, tie_tolerance)
    acts = policies.optimal_actions(base, tie_tolerance)
    smallest = _smallest_gaps(mdp, acts)
    safe = theory.safe_radius(float(smallest.min()), float(mdp.steps))
    if radii is None:
        span = float(base.span) or 1.0
        radii = np.geomspace(np.clip(safe / 2, 1e-5 * span, 1e-2 * span), span / 2, 11)
    radii = checks.numbers(radii, "radii")
    sound = radii.ndim == 1 and len(radii) and (np.isfinite(radii) & (radii >= 0)).all() and (np.diff(radii) > 0).all()
    if not sound:
        raise ValueError(f"radii must be an increasing list of finite numbers, none negative, not {radii.tolist()}")

    rows, learned = [], []
    keys = jax.random.split(key, len(radii))
    for radius, subkey in zip(tqdm(radii, "radii", disable=not progress), keys, strict=True):
        rewards = perturb.ball(subkey, mdp, jnp.asarray(radius).astype(mdp.dtype), count, norm=norm).rewards
        moved = policies.optimal_actions(solve(mdp, rewards), np.full(count, tie_tolerance))
        rows.append(jax.device_get(_flip_shares(acts, moved)))
        if policy is not None:
            own = learn(policy, mdp, mdp.reward, rewards, subkey)
            learned.append((own.tv.mean(), own.regret.mean()))
    flips, unsure, any_flip, any_unsure = (np.stack(column) for column in zip(*rows, strict=True))

    decisions = np.asarray(mdp.decisions)
    coordinates: dict[str, Any] = {
        "radius": ("radius", radii, {"units": "reward", "long_name": f"radius of the {norm}-norm ball"}),
        "state": np.arange(mdp.num_states),
        "action": np.arange(mdp.num_actions),
    }
    coordinates |= mdp.labels.coordinates(mdp.num_states, mdp.num_actions)
    ds = xr.Dataset(
        {
            "flips": (("radius", "state"), flips, {"long_name": "share of rewards that flip the state"}),
            "undecided": (
                ("radius", "state"),
                unsure,
                {"long_name": "share of rewards left undecided there"},
            ),
            "any_flip": ("radius", any_flip, {"long_name": "share of rewards that flip some state"}),
            "any_undecided": (
                "radius",
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
            "problem": repr(mdp),
            "discount": float(mdp.discount),
            "count": count,
            "norm": norm,
            "method": base.method,
            "span": float(base.span),
            "safe_radius": safe,
            "tie_tolerance": tie_tolerance,
            "telling_radius": float(radii[np.abs(any_flip - 0.9).argmin()]),
        },
    )
    for name, column in zip(("learned_tv", "learned_regret"), zip(*learned, strict=True), strict=False):
        ds[name] = ("radius", np.array(column))
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

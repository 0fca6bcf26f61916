"""The temperature curve: what a regulariser buys, how far a policy can move, and what it costs, over its strength."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from tqdm import tqdm

from jaxcliff import metrics, policies, theory
from jaxcliff.cliffs.radius import NearestCliff, nearest_cliff
from jaxcliff.core import checks
from jaxcliff.core.numerics import cast, placed
from jaxcliff.core.types import Key, Number, NumbersLike, PolicyLike, RewardLike, Whole, Word
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import recorded
from jaxcliff.operators.regularizers import KL, Entropy, Sparsemax
from jaxcliff.rewards import perturb
from jaxcliff.solvers.evaluate import evaluate
from jaxcliff.solvers.jacobian import soft_jacobian
from jaxcliff.solvers.solution import tie_tolerance_of
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.learner import Learner, learn, ready

KINDS = ("entropy", "kl", "sparsemax")
RUNGS = 25
BISECTIONS = 32


@checks.host_study
@recorded
def temperature_curve(
    mdp: MDP,
    reward: RewardLike | None = None,
    kind: Word = "entropy",
    *,
    strength: NumbersLike | None = None,
    base: PolicyLike | None = None,
    key: Key,
    size: Number | None = None,
    count: Whole = 256,
    tie_tolerance: Number | None = None,
    learner: Learner | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """One reward, and rewards around it, solved at a ladder of strengths, from hot to cold, each warm-started.

    Args:
        mdp: the problem.
        reward: R, [S, A]; the problem's own if None.
        kind: "entropy", "kl" or "sparsemax".
        strength: positive numbers, in units of reward; 25 from .001 to 10 spans of the reward if not given.
        base: the base policy of "kl", [S, A]; uniform over legal actions if not given.
        key: a JAX random key.
        size: of the sup-norm ball from which rewards are drawn; twice the distance to the nearest cliff if not given,
            and a twentieth of the span on a cliff or where there is none.
        count: how many rewards are drawn; the way to the nearest cliff is added.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        learner: one's own, (mdp, rewards [B, S, A], key) → policies [B, S, A], measured on the same rewards.
        progress: show a progress bar.

    Returns:
        A dataset over `strength`: whether every solve was `ok`; from `initial`, the regularised `value` and its bound,
        the discounted entropy (or KL, or Σ½(1 − Σπ²)) `bonus`, the `return` and what is `lost` of the optimum, with its
        bound; per state the largest of: `sensitivity` measured (TV per unit of ‖ΔR‖, at the `distance` ‖ΔR‖), the exact
        `local` constant at R, the bounds `linear` and `tanh` (for entropy and KL; at that distance) on it, and
        `tightness`, the largest measured TV over its tanh bound, at most 1; the `mass` on certainly suboptimal actions
        where the policy goes; the `width` of the nearest cliff, over which the choice between its two actions goes from
        a quarter to three quarters, in units of reward; and the distance of the policy to two limits of strength 0,
        `to_uniform` and `to_limit` (the trajectory-level selection).
    """
    check_one(mdp)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, not {checks.shown(kind)}")
    ready(learner, key)
    key, count = checks.random_key(key), checks.whole(count, "count", 1)
    reward = mdp.reward if reward is None else cast(checks.array(reward, "the reward"), mdp.dtype)
    hard = solve(mdp, reward)
    if hard.status.shape or not bool(hard.ok):
        raise ValueError(f"the temperature curve is that of one reward that can be solved: {hard.summary()}")
    tie_tolerance = tie_tolerance_of(mdp.dtype, tie_tolerance)
    acts = policies.optimal_actions(hard, tie_tolerance)
    span = float(hard.span) or 1.0
    near = nearest_cliff(mdp, reward, tie_tolerance=tie_tolerance)
    if size is None:
        size = 2 * float(near.radius) if 0 < near.radius < np.inf else span / 20
    ladder = np.geomspace(1e-3, 10, RUNGS) * span if strength is None else checks.numbers(strength, "strength")
    if ladder.ndim != 1 or not len(ladder) or not (np.isfinite(ladder) & (ladder > 0)).all():
        raise ValueError(f"strength must be a list of positive numbers, not {strength}")
    ladder = np.sort(ladder)
    if base is None:
        legal = np.ones(mdp.reward.shape, bool) if mdp.legal is None else np.asarray(mdp.legal)
        base = legal.astype(mdp.dtype) / np.sum(legal, axis=-1, keepdims=True).astype(mdp.dtype)
    base = cast(checks.array(base, "the base policy"), mdp.dtype)

    ball_key, learner_key = jax.random.split(key)
    ball = perturb.ball(ball_key, mdp, size=size, count=count, reward=reward)
    across = perturb.along(
        mdp, direction=near.direction, sizes=size * np.linspace(-1, 1, 17)[[*range(8), *range(9, 17)]], reward=reward
    )
    rewards, norms = jax.tree.map(
        lambda *both: placed(np.concatenate(both)), (ball.rewards, ball.norms), (across.rewards, across.norms)
    )
    limit = policies.kl_limit(acts, mdp, base) if kind == "kl" else policies.entropy_limit(acts, mdp)
    uniform = policies.closest_to(acts, base) if kind == "kl" else policies.uniform(acts)
    values = hard.values
    rows = []
    for strength in tqdm(ladder[::-1], "strengths", disable=not progress):
        row, values = _rung(
            kind, mdp, reward, cast(strength, mdp.dtype), base, values, rewards, norms, acts, uniform, limit
        )
        rows.append(jax.device_get(row))
    columns = {name: np.stack([row[name] for row in rows[::-1]]) for name in rows[0]}
    steps, actions = float(mdp.steps), mdp.num_actions
    best = float(mdp.initial @ hard.values)
    columns["lost"] = best - columns["return"]
    columns["lost_bound"] = columns["return_bound"] + float(hard.error_bound)
    columns["width"] = _widths(mdp, reward, kind, base, near, ladder)
    if kind == "sparsemax":
        columns["linear"] = np.asarray(theory.sparsemax_jump(steps, ladder, actions))
        del columns["tightness"]
    else:
        columns["linear"] = np.asarray(theory.soft_jump_linear(1.0, ladder, steps))
        columns["tanh"] = np.asarray(theory.soft_jump(columns["distance"], ladder, steps)) / columns["distance"]
    if kind == "entropy":
        columns["price"] = np.asarray(theory.entropy_cost(ladder, actions, steps))
    units = {"value": "reward", "return": "reward", "lost": "reward", "width": "reward", "bonus": "nats"}
    ds = xr.Dataset(
        {name: ("strength", column, {"units": units.get(name, "")}) for name, column in columns.items()},
        {"strength": ("strength", ladder, {"units": "reward", "long_name": "strength of regularisation"})},
        {
            "study": "temperature curve",
            "kind": kind,
            "span": span,
            "size": float(size),
            "count": count,
            "best_return": best,
            "cliff": near.summary(),
            "tie_tolerance": tie_tolerance,
            "base_undecided": int(np.asarray(policies.ambiguous(acts)).sum()),
        },
    )
    if learner is not None:
        learned = learn(learner, mdp, reward, rewards, learner_key)
        ds.attrs["learner_sensitivity"] = float((learned.tv / np.asarray(norms)).max())
        ds.attrs["learner_lost"] = learned.base_regret
    return ds


def _regularizer(kind: str, strength: Any, base: Any) -> Any:
    if kind == "kl":
        return KL(strength, base)
    return Entropy(strength) if kind == "entropy" else Sparsemax(strength)


@functools.partial(jax.jit, static_argnums=0)
def _rung(
    kind: str,
    mdp: MDP,
    reward: jax.Array,
    strength: jax.Array,
    base: jax.Array,
    values: jax.Array,
    rewards: jax.Array,
    norms: jax.Array,
    acts: policies.ActionSets,
    uniform: jax.Array,
    limit: jax.Array,
) -> tuple[dict[str, jax.Array], jax.Array]:
    """All that is said about one strength; and the values from which the next starts."""
    everything = jnp.concatenate([reward[None], rewards])  # one solver for the base and the rewards around it
    all_of_them = solve(mdp, everything, regularizer=_regularizer(kind, strength, base), init=values)
    soft, moved = all_of_them[0], all_of_them[1:]
    policy = soft.policy
    ratio = metrics.sensitivity(moved.policy, policy, norms)
    followed = evaluate(mdp, policy, reward)
    earned = mdp.initial @ followed.values
    visits = jnp.sum(metrics.occupancy(mdp, policy, normalized=True), axis=-1)
    return {
        "ok": soft.ok & jnp.all(moved.ok),
        "value": mdp.initial @ soft.values,
        "value_bound": soft.error_bound,
        "bonus": (mdp.initial @ soft.values - earned) / strength * (-1 if kind == "kl" else 1),
        "return": earned,
        "return_bound": followed.error_bound,
        "sensitivity": jnp.max(ratio),
        "distance": norms[jnp.argmax(ratio)],
        "tightness": jnp.max(ratio * norms / theory.soft_jump(norms, strength, mdp.steps)),
        "local": jnp.max(soft_jacobian(mdp, soft).lipschitz().upper),
        "mass": jnp.sum(visits * jnp.sum(jnp.where(acts.suboptimal, policy, 0), axis=-1)),
        "to_uniform": metrics.largest_total_variation(policy, uniform),
        "to_limit": metrics.largest_total_variation(policy, limit),
    }, soft.values


def _widths(
    mdp: MDP, reward: jax.Array, kind: str, base: jax.Array, near: NearestCliff, ladder: np.ndarray
) -> np.ndarray:
    """For each strength, how far apart the rewards are at which the choice is one to three and three to one."""
    if near.state < 0 or near.tied or near.undecided:
        return np.full(len(ladder), np.nan)
    state, pair = int(near.state), np.array([int(near.leaves), int(near.enters)])
    direction = cast(near.direction, mdp.dtype)
    strengths = placed(np.tile(ladder, 2)[:, None].astype(mdp.dtype))
    wanted = np.repeat([0.25, 0.75], len(ladder))

    def share(t: np.ndarray) -> np.ndarray:
        moves = cast(t, mdp.dtype)
        return np.asarray(_share(kind, mdp, reward, direction, strengths, base, state, pair, moves))

    reach = near.radius + np.tile(ladder, 2) * (4 + 2 * float(mdp.steps) * np.log(mdp.num_actions))
    low, high = near.radius - reach, near.radius + reach
    bracketed = (share(low) <= wanted) & (share(high) >= wanted)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = share(middle) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    ends = np.where(bracketed, (low + high) / 2, np.nan).reshape(2, -1)
    return ends[1] - ends[0]


@functools.partial(jax.jit, static_argnums=0)
def _share(
    kind: str,
    mdp: MDP,
    reward: jax.Array,
    direction: jax.Array,
    strengths: jax.Array,
    base: jax.Array,
    state: Any,
    pair: jax.Array,
    t: jax.Array,
) -> jax.Array:
    """Of two actions in a state, the share of the second one under R + tD, at each strength."""
    rewards = reward + t[:, None, None] * direction
    both = solve(mdp, rewards, regularizer=_regularizer(kind, strengths, base)).policy[:, state, pair]
    return both[:, 1] / jnp.sum(both, axis=-1)

"""Other base models: where a policy jumps, and how far, over base policies, parametrisations and optimisers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr

from jaxcliff import policies
from jaxcliff.cliffs.ray import cliffs_along
from jaxcliff.core import checks
from jaxcliff.core.numerics import cast, placed
from jaxcliff.core.types import Key, Names, NumbersLike, RewardLike, Whole
from jaxcliff.learners import Learner, parameters
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import Made
from jaxcliff.operators.regularizers import KL
from jaxcliff.problems.bandits import contextual_bandit
from jaxcliff.solvers.evaluate import evaluate, occupancy
from jaxcliff.solvers.solve import solve

BASES = ("flat", "peaked", "against")
MODELS = ("tabular", "low_rank", "aggregated", "escort")
RATES = {"ascent": 8.0, "adam": 0.05}
PEAK = 0.9  # probability of the action that a peaked base prefers
PLACES = 49
HALVINGS = 60


def base_models(
    mdp: MDP | None = None,
    reward: RewardLike | None = None,
    *,
    key: Key,
    direction: RewardLike | None = None,
    positions: NumbersLike | None = None,
    bases: Names = BASES,
    models: Names = MODELS,
    optimisers: Names = ("ascent", "adam"),
    groups: NumbersLike | None = None,
    strength: NumbersLike = (0.003, 0.01, 0.03, 0.1),
    rank: Whole | None = None,
    state: Whole = 0,
    steps: Whole = 3000,
) -> xr.Dataset:
    """The jump of one decision between two actions, on the way from R to R + D, for models that are not tables.

    Policies climb the exact gradient of the return from a base, whatever they adjust. The decision is that between the
    two best actions of a state: which one is left at its first cliff, and which one is entered.

    Args:
        mdp: a problem; if not given, two contexts with two actions each that flip at t = .3 and at t = .6.
        reward: R, [S, A]; the problem's own if not given.
        key: a JAX random key, of the features of "low_rank".
        direction: D, [S, A]; if not given, 1 for the last action everywhere.
        positions: t, increasing; 49 from 0 to 1 if not given.
        bases: of "flat", "peaked" (.9 on the action that is entered) and "against" (.9 on the one that is left).
        models: of "tabular", "low_rank" (random features), "aggregated" (states of a group share their logits) and
            "escort" (π ∝ |θ|²).
        optimisers: of "ascent" (plain, at rate 8) and "adam" (optax, at .05).
        groups: of "aggregated", a whole number for each state; all states are one group if not given.
        strength: β, of exact KL-regularised policies, which are measured from the same bases.
        rank: of "low_rank"; as many features as there are states times actions if not given, so that every policy can
            be represented.
        state: whose decision is watched.
        steps: of every optimiser.

    Returns:
        A dataset over `base`, `model`, `optimiser`, and `base`, `strength` for the KL-regularised policies: the
        `location`, where the two actions have the same probability (NaN if nowhere), `tie`, the share of the entered
        one (of the two) at the tabular cliff, and `size`, 1 − tie, which a jump from a tie takes; `share` of it over
        `position`. `kl_location`, and `kl_law`, where the gap is −β·logit of the base's share (exact in bandits);
        `kl_share`. In attributes the `cliff` of the table. `aggregated_gap`, over `position`, is Σ_s d(s)·gap(s) over
        the states of the watched group, with the visits and advantages of the flat policy, and `aggregated_cliff` is
        where it is 0: exact in bandits, whose visits depend on no policy. Where they do, a group may jump elsewhere,
        from every base in another place. `hard_tie`, over base, is the share of the limit β → 0 at the cliff.
    """
    mdp, reward, direction, along = _given(mdp, reward, direction, positions)
    states, actions = mdp.reward.shape
    state = checks.whole(state, "state", 0, states - 1)
    cliff, pair = _cliff(mdp, reward, direction, along, state)
    of = np.zeros(states, int) if groups is None else checks.numbers(groups, "groups").astype(int)
    if of.shape != (states,):
        raise ValueError(f"groups are a whole number for each of {states} states, not {checks.shown(groups)}")
    rank = states * actions if rank is None else checks.whole(rank, "rank", 1)
    adjusted = {
        "tabular": None,
        "low_rank": parameters.low_rank(checks.random_key(key), states, actions, rank),
        "aggregated": parameters.aggregated(of, actions),
        "escort": parameters.escort(states, actions),
    }
    names = [_names("bases", bases, BASES), _names("models", models, MODELS)]
    names.append(_names("optimisers", optimisers, tuple(RATES)))
    several = {name: _base(mdp, name, pair) for name in names[0]}
    betas = np.atleast_1d(checks.numbers(strength, "strength"))
    if betas.ndim != 1 or not len(betas) or not (np.isfinite(betas) & (betas > 0)).all():
        raise ValueError(f"strength must be a list of positive numbers, not {checks.shown(strength)}")
    steps = checks.whole(steps, "steps", 1)
    share = np.full((*map(len, names), len(along) + 1), np.nan)
    located = np.full(share.shape[:-1], np.nan)
    for i, j, k in np.ndindex(located.shape):
        learner = _learner(several[names[0][i]], adjusted[names[1][j]], names[2][k], steps)

        def learned(at: np.ndarray, learner: Learner = learner) -> np.ndarray:
            rewards = np.asarray(reward) + at[:, None, None] * np.asarray(direction)
            return _share(learner(mdp, placed(rewards.astype(mdp.dtype)), checks.random_key(key)), state, pair)

        share[i, j, k] = learned(np.append(along, cliff))  # the last is the tie itself
        located[i, j, k] = _half(along, share[i, j, k, :-1], learned)
    dims = ("base", "model", "optimiser")
    variables: dict[str, Any] = {
        "share": ((*dims, "position"), share[..., :-1]),
        "location": (dims, located, {"units": "reward"}),
        "tie": (dims, share[..., -1]),
        "size": (dims, 1 - share[..., -1]),
    }
    variables |= _regularised(mdp, reward, direction, along, cliff, several, betas, state, pair)
    gap, zero = _aggregated(mdp, reward, direction, along, of == of[state], pair)
    variables["aggregated_gap"] = ("position", gap, {"units": "reward"})
    coords: dict[str, Any] = dict(zip(dims, (np.array(x, object) for x in names), strict=True))
    coords |= {"position": ("position", along, {"units": "reward"})}
    coords |= {"strength": ("strength", betas, {"units": "reward"})}
    settings = {"state": state, "steps": steps, "rank": rank}
    made = Made({"mdp": mdp, "reward": reward, "direction": direction, **settings}).attributes()
    told = {"study": "base models", "cliff": cliff, "aggregated_cliff": zero, "state": state}
    told |= {"leaves": pair[0], "enters": pair[1], "entered": mdp.labels.action(pair[1], state)}
    return xr.Dataset(variables, coords, made | told)


def _given(mdp: Any, reward: Any, direction: Any, positions: Any) -> tuple[MDP, jax.Array, jax.Array, np.ndarray]:
    if mdp is None:
        mdp = contextual_bandit(jnp.asarray([[0.3, 0.0], [0.6, 0.0]]))
    check_one(mdp)
    last = np.where(np.asarray(mdp.decisions), np.arange(mdp.num_actions) == mdp.num_actions - 1, False)
    base = mdp.reward if reward is None else cast(checks.array(reward, "the reward"), mdp.dtype)
    along = last if direction is None else checks.array(direction, "direction")
    for name, x in (("reward", base), ("direction", along)):
        if x.shape != mdp.reward.shape:
            raise ValueError(f"{name} has shape {list(x.shape)}, and the problem {list(mdp.reward.shape)}")
    at = np.linspace(0, 1, PLACES) if positions is None else checks.numbers(positions, "positions")
    if at.ndim != 1 or len(at) < 2 or not np.isfinite(at).all() or (np.diff(at) <= 0).any():
        raise ValueError(f"positions must be finite numbers that increase, not {checks.shown(positions)}")
    return mdp, base, cast(along, mdp.dtype), at


def _names(name: str, given: Any, known: tuple[str, ...]) -> list[str]:
    listed = [given] if isinstance(given, str) else list(checks.listed(given, name))
    for each in listed:
        if each not in known:
            raise ValueError(f"{name} must be among {', '.join(known)}, not {checks.shown(each)}")
    return listed


def _cliff(mdp: MDP, reward: Any, direction: Any, along: np.ndarray, state: int) -> tuple[float, tuple[int, int]]:
    """Where the tabular optimum first changes in a state, from which action to which."""
    path = cliffs_along(mdp, reward, direction, start=float(along[0]), stop=float(along[-1]))
    chosen = np.asarray(path.actions)[:, state]
    changes = np.flatnonzero(chosen[1:] != chosen[:-1])
    if not len(changes):
        raise ValueError(f"{mdp.labels.state(state)} has no cliff between t = {along[0]:g} and {along[-1]:g}")
    first = int(changes[0])
    return float(np.asarray(path.breakpoints)[first]), (int(chosen[first]), int(chosen[first + 1]))


def _base(mdp: MDP, name: str, pair: tuple[int, int]) -> np.ndarray:
    """A base policy: equal shares, or nine tenths on one of the two actions, wherever it is legal."""
    legal = np.ones(mdp.reward.shape, bool) if mdp.legal is None else np.asarray(mdp.legal)
    flat = legal / legal.sum(axis=-1, keepdims=True)
    if name == "flat":
        return flat
    favoured = pair[1] if name == "peaked" else pair[0]
    other = legal & (np.arange(mdp.num_actions) != favoured)
    rest = (1 - PEAK) * other / np.maximum(other.sum(axis=-1, keepdims=True), 1)
    peaked = np.where(np.arange(mdp.num_actions) == favoured, PEAK, rest)
    whole = legal[:, favoured] & other.any(axis=-1)
    return np.where(whole[:, None], peaked, flat)


def _learner(base: np.ndarray, adjusted: Any, optimiser: str, steps: int) -> Learner:
    own = None if optimiser == "ascent" else optax.adam
    given = {"gradient": "exact", "steps": steps, "base": base, "parameters": adjusted, "optimiser": own}
    return Learner(RATES[optimiser], **given)


def _share(policy: Any, state: int, pair: tuple[int, int]) -> np.ndarray:
    """Of two actions in a state, the share of the second one."""
    both = np.asarray(policy, float)[..., state, list(pair)]
    return both[..., 1] / both.sum(axis=-1)


def _half(along: np.ndarray, share: np.ndarray, learned: Callable[[np.ndarray], np.ndarray]) -> float:
    """Where a share first passes ½: between two positions, looked at again as closely; NaN if nowhere."""
    for again in (True, False):
        crossed = np.flatnonzero((share[:-1] < 0.5) & (share[1:] >= 0.5))
        if not len(crossed):
            return np.nan
        low, high = along[crossed[0] : crossed[0] + 2]
        if again:
            along = np.linspace(low, high, len(along) + 1)
            share = learned(along)
    return float(low + high) / 2


def _regularised(
    mdp: MDP,
    reward: Any,
    direction: Any,
    along: np.ndarray,
    cliff: float,
    bases: dict[str, np.ndarray],
    betas: np.ndarray,
    state: int,
    pair: tuple[int, int],
) -> dict[str, Any]:
    """Exact KL-regularised policies: their half-way points and the law, and the limit at the cliff."""
    kinds, count = list(bases.values()), len(betas)
    base = placed(np.repeat(np.stack(kinds), count, axis=0).astype(mdp.dtype))
    beta = placed(np.tile(betas, len(kinds))[:, None].astype(mdp.dtype))

    def share(t: np.ndarray) -> np.ndarray:
        rewards = np.asarray(reward) + t[:, None, None] * np.asarray(direction)
        found = solve(mdp, placed(rewards.astype(mdp.dtype)), regularizer=KL(beta, base))
        return _share(found.policy, state, pair)

    curve = np.stack([share(np.full(len(base), t)) for t in along], axis=-1)
    reach = np.ptp(along)
    low, high = (np.full(len(base), t) for t in (along[0] - reach, along[-1] + reach))
    bracketed = (share(low) < 0.5) & (share(high) >= 0.5)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = share(middle) < 0.5
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    located = np.where(bracketed, (low + high) / 2, np.nan).reshape(len(kinds), count)
    of_base = _share(np.stack(kinds), state, pair)
    slope = _slope(mdp, reward, direction, cliff, state, pair)
    law = cliff - betas * np.log(of_base / (1 - of_base))[:, None] / slope
    tie = solve(mdp, cast(np.asarray(reward) + cliff * np.asarray(direction), mdp.dtype))
    acts = policies.optimal_actions(tie)
    limit = np.stack([np.asarray(policies.kl_limit(acts, mdp, each.astype(mdp.dtype))) for each in kinds])
    return {
        "kl_share": (("base", "strength", "position"), curve.reshape(len(kinds), count, -1)),
        "kl_location": (("base", "strength"), located, {"units": "reward"}),
        "kl_law": (("base", "strength"), law, {"units": "reward"}),
        "hard_tie": ("base", _share(limit, state, pair)),
    }


def _slope(mdp: MDP, reward: Any, direction: Any, cliff: float, state: int, pair: tuple[int, int]) -> float:
    """How fast the entered action gets ahead of the other one, per unit of t, at the cliff, under the optimum there."""
    policy = policies.first(policies.optimal_actions(solve(mdp, reward + cast(cliff, mdp.dtype) * direction)))
    q = np.asarray(evaluate(mdp, policy, direction).q_values, float)
    return float(q[state, pair[1]] - q[state, pair[0]])


def _aggregated(
    mdp: MDP, reward: Any, direction: Any, along: np.ndarray, group: np.ndarray, pair: tuple[int, int]
) -> tuple[np.ndarray, float]:
    """Σ d(s)·(A(s, enters) − A(s, leaves)) over a group, under the flat policy, at all positions; and where it is 0."""
    flat = placed(_base(mdp, "flat", pair).astype(mdp.dtype))
    both = evaluate(mdp, flat, placed(np.stack([np.asarray(reward), np.asarray(direction)]))).q_values
    ahead = np.where(group[:, None], np.nan_to_num(np.asarray(both, float), neginf=0.0), 0)
    often = np.asarray(occupancy(mdp, flat), float).sum(axis=-1)
    level, slope = (often * (ahead[..., pair[1]] - ahead[..., pair[0]])).sum(axis=-1)
    return level + along * slope, float(-level / slope) if slope else np.nan

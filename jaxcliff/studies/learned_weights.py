"""Weights that are learned with the policy: where they have one answer, where several, and what that does to it."""

from typing import Any

import jax
import numpy as np
import xarray as xr

from jaxcliff.core import checks
from jaxcliff.core.numerics import cast
from jaxcliff.core.types import (
    Key,
    NumbersLike,
    RewardLike,
    RewardsLike,
    WeightsLike,
    Whole,
    Word,
)
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import Made
from jaxcliff.problems.bandits import bandit
from jaxcliff.studies import weight_tables as tables
from jaxcliff.studies.gates import System

KINDS = ("frozen", "rewards", "values", "hard", "maximin", "bilevel")
FEEDBACK = np.geomspace(0.03, 30, 25)
STRENGTH = np.geomspace(0.01, 1, 25)
PLACES = 41  # positions of a sweep


def learned_weights(
    mdp: MDP | None = None,
    rewards: RewardsLike | None = None,
    *,
    key: Key,
    kind: Word = "values",
    feedback: NumbersLike | None = None,
    strength: NumbersLike | None = None,
    weights: WeightsLike | None = None,
    true_reward: RewardLike | None = None,
    component: Whole = 0,
    direction: RewardLike | None = None,
    positions: NumbersLike | None = None,
    count: Whole = 16,
    steps: Whole = 0,
) -> xr.Dataset:
    """A gate that weighs several rewards, learned together with the policy that they train.

    The policy is the entropy-regularised optimum of R_w = Σ_k w_k R_k, and the gate answers it with softmax(ζ·g).

    Args:
        mdp: the problem; two arms if not given.
        rewards: components [N, S, A]; of two arms (1, 0) and (0, 1) if not given.
        key: a JAX random key, of starts and of gates that are fitted.
        kind: the gate. "frozen" weights; "rewards", g_k(s) = max_a R_k(s, a), which sees no policy; "values", returns
            of components: ζ > 0 seeks performance, ζ < 0 is adversarial (multiplicative weights); its limits "hard"
            (all weight to the best) and "maximin" (of two components); "bilevel", the gradient of a true return.
        feedback: ζ, of "rewards", "values" and "bilevel" (where it is positive); 25 from .03 to 30 if not given, and of
            "values" the same below 0.
        strength: α, of the entropy; 25 from .01 to 1 if not given.
        weights: of "frozen", [N], [N, 1] or [N, S]; equal ones if not given.
        true_reward: [S, A], of "bilevel".
        component: which reward is swept up and down.
        direction: [S, A], along which; that reward, divided by its largest entry, if not given.
        positions: t, in R + t·direction, increasing; 41 up to the largest entry on either side if not given.
        count: from how many weights training starts, with three components and more.
        steps: of optax, for flax gates fitted with the policy; none if 0.

    Returns:
        A dataset over `feedback` (if any) and `strength`. Fixed points: how many (`fixed_points`; of three components
        and more those that training finds), how many are `stable`, and over `root` their `weight`, `policy`, and
        `multiplier` (below 1 is stable; between −1 and 1 a gate that jumps to its answer comes back too). `critical`,
        over strength, the feedback at which equal weights lose their stability, if they answer themselves. `joint`, of
        the stable ones the largest of `joint_weights` and `joint_policy`: how far those move, in total variation, per
        unit of the rewards. `jump`, the largest total variation between policies of two stable ones. `contraction`, the
        Lipschitz constant of the gate times that of what it is told (the largest found), and `contraction_bound`, in
        closed form (of returns): below 1 there is one fixed point. `period`, `swing` of a gate that jumps to its
        answer: 1 (settles), 2, or 0 (neither). Over `position`: `weight_up`, `weight_down` and `share_up`,
        `share_down`, of the watched state and action, as the reward goes up and comes down; `loop_area`, the total
        variation between the two policies integrated over the positions; `unsettled`, the last change. Where gates
        are fitted, `trained` weights, and `trained_apart` from the nearest stable fixed point.
    """
    system, own = _system(mdp, rewards, kind, true_reward, weights)
    number = system.rewards.shape[0]
    if kind == "maximin" and number > 2:
        raise ValueError(f"kind='maximin' is of two components, not {number}: take 'values' with negative feedback")
    zeta, alpha = _feedback(kind, feedback), _strengths(strength)
    changes, along = _sweep(system, component, direction, positions)
    count, steps = checks.whole(count, "count", 1), checks.whole(steps, "steps", 0)
    starts_key, gate_key = jax.random.split(checks.random_key(key))
    starts = np.asarray(jax.random.dirichlet(starts_key, np.ones(number), (count,)), float)
    grid = tables.Grid(system, kind, own, zeta, alpha)
    seeing = kind not in ("frozen", "rewards")
    lip = tables.steepness(grid, starts) if seeing else np.zeros(len(alpha))
    found = tables.fixed(grid, starts, lip) if seeing else grid.given()
    variables = tables.roots(grid, found) | tables.constants(grid, found, lip)
    variables |= tables.hasty(grid, starts) | tables.loops(grid, lip, changes, along)
    if steps and seeing:
        variables |= tables.fitted(grid, variables, gate_key, steps)
    return _dataset(grid, variables, along, int(component))


def _system(mdp: Any, rewards: Any, kind: Any, true_reward: Any, weights: Any) -> tuple[System, np.ndarray]:
    """What is learned, checked; and the weights of frozen gates, [N, S]."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, not {checks.shown(kind)}")
    if mdp is None:
        mdp = bandit(np.zeros(2, np.asarray(jax.numpy.zeros(0)).dtype))
        rewards = np.eye(2)[:, None] if rewards is None else rewards
    check_one(mdp)
    if rewards is None:
        raise ValueError("rewards are the components that a gate weighs, [N, S, A]: two at least")
    several = cast(checks.array(rewards, "rewards"), mdp.dtype)
    if several.ndim != 3 or several.shape[1:] != mdp.reward.shape or len(several) < 2:
        raise ValueError(f"rewards have shape {list(several.shape)}; expected [N, {_shape(mdp)}], N of at least 2")
    for name, given, kind_of in (("true_reward", true_reward, "bilevel"), ("weights", weights, "frozen")):
        if given is not None and kind != kind_of:
            raise ValueError(f"{name}= is of kind={kind_of!r}, not of {kind!r}")
    if kind == "bilevel":
        if true_reward is None:
            raise ValueError("kind='bilevel' needs true_reward=, [S, A], whose return the weights are fitted to")
        true_reward = cast(checks.array(true_reward, "the true reward"), mdp.dtype)
        if true_reward.shape != mdp.reward.shape:
            raise ValueError(f"true_reward has shape {list(true_reward.shape)}; expected [{_shape(mdp)}]")
    number, states = several.shape[:2]
    own = np.full(number, 1 / number) if weights is None else np.asarray(checks.array(weights, "weights"), float)
    own = np.broadcast_to(checks.weights(own, number, states), (number, states))
    if not ((own >= 0).all() and (np.abs(own.sum(axis=0) - 1) <= 1e-5).all()):
        raise ValueError("weights must be a distribution over the rewards")
    return System(mdp, several, true_reward), own


def _shape(mdp: MDP) -> str:
    return ", ".join(map(str, mdp.reward.shape))


def _feedback(kind: str, feedback: Any) -> np.ndarray:
    """ζ of every gate; those without one have a single entry."""
    alone = {"frozen": 0.0, "hard": np.inf, "maximin": -np.inf}
    if kind in alone:
        if feedback is not None:
            raise ValueError(f"kind={kind!r} has no feedback")
        return np.array([alone[kind]])
    if feedback is None:
        return np.concatenate([-FEEDBACK[::-1], FEEDBACK]) if kind == "values" else FEEDBACK
    found = _increasing("feedback", feedback)
    if kind == "bilevel" and not (found > 0).all():
        raise ValueError("feedback of kind='bilevel' is positive: the gate goes up the true return")
    return found


def _strengths(strength: Any) -> np.ndarray:
    found = _increasing("strength", STRENGTH if strength is None else strength)
    if not (found > 0).all():
        raise ValueError(f"strength must be positive numbers, not {checks.shown(strength)}")
    return found


def _increasing(name: str, values: Any) -> np.ndarray:
    found = np.atleast_1d(checks.numbers(values, name))
    if found.ndim != 1 or not len(found) or not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        raise ValueError(f"{name} must be finite numbers that increase, not {checks.shown(values)}")
    return found


def _sweep(system: System, component: Any, direction: Any, positions: Any) -> tuple[np.ndarray, np.ndarray]:
    """What is added to the components per unit of position, [N, S, A], and the positions."""
    mdp, several = system.mdp, np.asarray(system.rewards)
    counts = np.asarray(mdp.decisions)
    which = checks.place(component, len(several), "component")
    own = np.where(counts, several[which], 0)
    size = float(np.abs(own).max()) or 1.0
    given = own / size if direction is None else np.asarray(checks.array(direction, "direction"))
    if given.shape != mdp.reward.shape:
        raise ValueError(f"direction has shape {list(given.shape)}; expected [{_shape(mdp)}]")
    along = np.linspace(-size, size, PLACES) if positions is None else _increasing("positions", positions)
    if len(along) < 2:
        raise ValueError("positions of a sweep are two at least")
    changes = np.zeros(several.shape)
    changes[which] = np.where(counts, given, 0)
    return changes, along


def _dataset(grid: tables.Grid, variables: dict[str, Any], along: np.ndarray, component: int) -> xr.Dataset:
    mdp, (state, action) = grid.system.mdp, tables.watched(grid)
    coords = {
        "feedback": ("feedback", grid.feedback, {"units": "1/reward"}),
        "strength": ("strength", grid.strength, {"units": "reward"}),
        "position": ("position", along, {"units": "reward"}),
    } | mdp.labels.coordinates(*mdp.reward.shape)
    ds = xr.Dataset(variables, coords)
    if grid.kind in ("frozen", "hard", "maximin"):
        ds = ds.isel(feedback=0, drop=True)
    told = {"study": "learned weights", "gate": grid.kind, "component": component}
    told |= {"state": state, "action": action, "watched": mdp.labels.action(action, state)}
    settings = {"kind": grid.kind, "component": component}
    made = Made({"mdp": mdp, "rewards": grid.system.rewards, **settings}).attributes()
    return ds.assign_attrs(made | told)

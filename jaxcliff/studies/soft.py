"""Soft against hard: what a regulariser makes of one decision."""

import jax.numpy as jnp
import numpy as np
import xarray as xr

from jaxcliff import policies
from jaxcliff.core import checks
from jaxcliff.core.types import Number, NumbersLike, RewardLike, Whole
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import recorded
from jaxcliff.operators.regularizers import Entropy
from jaxcliff.solvers.solve import solve


@checks.host_study
@recorded
def soft_against_hard(
    mdp: MDP,
    reward: RewardLike | None = None,
    strength: NumbersLike = (0.5,),
    *,
    state: Whole = 0,
    positions: NumbersLike | None = None,
    tie_tolerance: Number | None = None,
) -> xr.Dataset:
    """The hard policy (uniform over optimal actions) and entropy-regularised ones, in one state.

    Args:
        mdp: the problem.
        reward: R, [S, A]; the problem's own if None.
        strength: numbers, of the regularisation, positive.
        state: which.
        positions: where actions that are points of a line lie, [A]; a picture then shows densities.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.

    Returns:
        A dataset over `action` (the legal ones) and `strength`: `hard`, `soft`, the `gap` of each action, whether it is
        `undecided` if it is optimal; `position`.
    """
    check_one(mdp)
    strength = checks.numbers(strength, "strength")
    if strength.ndim != 1 or not len(strength) or not (np.isfinite(strength) & (strength > 0)).all():
        raise ValueError(f"strength must be a list of positive numbers, not {strength.tolist()}")
    state = checks.whole(state, "state", 0, mdp.num_states - 1)
    positions = None if positions is None else checks.numbers(positions, "positions")
    if positions is not None and np.shape(positions) != (mdp.num_actions,):
        raise ValueError(f"positions are one number per action, [{mdp.num_actions}], not {list(np.shape(positions))}")
    reward = mdp.reward if reward is None else checks.array(reward, "the reward").astype(mdp.dtype)
    if reward.shape != mdp.reward.shape:
        raise ValueError(f"the reward must have shape {list(mdp.reward.shape)}, not {list(reward.shape)}")
    sol = solve(mdp, reward)
    soft = solve(mdp, reward, regularizer=Entropy(jnp.asarray(strength).astype(mdp.dtype)[:, None]))
    if not (bool(sol.ok) and bool(soft.ok.all())):
        raise ValueError(f"the reward could not be solved: {sol.summary()}; {soft.summary()}")
    acts = policies.optimal_actions(sol, tie_tolerance)
    legal = np.flatnonzero(np.asarray(acts.legal)[state])
    names = [mdp.labels.action(int(a), state) for a in legal]
    ds = xr.Dataset(
        {
            "hard": ("action", np.asarray(policies.uniform(acts))[state, legal]),
            "soft": (("strength", "action"), np.asarray(soft.policy)[:, state, legal]),
            "undecided": ("action", np.asarray(acts.undecided)[state, legal]),
            "gap": ("action", np.asarray(acts.gaps())[state, legal], {"units": "reward"}),
        },
        {
            "action": legal,
            "action_name": ("action", np.array(names, object)),
            "strength": ("strength", strength, {"units": "reward"}),
        },
        {"study": "soft against hard", "state": mdp.labels.state(state)},
    )
    return ds if positions is None else ds.assign_coords(position=("action", np.asarray(positions, float)[legal]))

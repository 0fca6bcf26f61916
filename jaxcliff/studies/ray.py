"""Every cliff on a ray of rewards, with the optimal return between them."""

from typing import Any

import numpy as np
import xarray as xr

from jaxcliff import policies
from jaxcliff.cliffs import jumps
from jaxcliff.cliffs.cones import Cones
from jaxcliff.cliffs.ray import as_reward, cliffs_along
from jaxcliff.mdp import MDP


def ray(
    mdp: MDP,
    reward: Any,
    direction: Any,
    *,
    start: float = 0.0,
    stop: float = 1.0,
    true_reward: Any = None,
    rule: Any = policies.uniform,
) -> xr.Dataset:
    """The path of `cliffs_along` as a dataset, with what a picture of it needs.

    Per segment: the optimal return is `return_at_start` + t·`return_slope` (from `initial`; continuous and convex), and
    `states_changed` counts the states whose optimal actions differ from those of the first segment. Arguments as in
    `cliffs_along`.
    """
    if not np.isfinite(stop):
        raise ValueError("a picture of a ray needs a finite stop")
    cones = Cones.of(mdp)
    base = as_reward(cones, mdp.reward if reward is None else reward, "the reward")
    along = as_reward(cones, direction, "the direction")
    path = cliffs_along(mdp, base, along, start=start, stop=stop, true_reward=true_reward, rule=rule)
    chosen = jumps.policies_of(cones, path.optimal, rule)
    visits = cones.in_blocks(cones.visits, chosen)
    changed = (path.optimal != path.optimal[0]).any(axis=-1).sum(axis=-1)
    ds = path.to_dataset().assign(
        return_at_start=("segment", jumps.earned(visits, chosen, base), {"units": "reward"}),
        return_slope=("segment", jumps.earned(visits, chosen, along), {"units": "reward"}),
        states_changed=("segment", changed),
    )
    ds.attrs |= {"study": "ray", "problem": repr(mdp), "discount": float(mdp.discount)}
    return ds

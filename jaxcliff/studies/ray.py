"""Every cliff on a ray of rewards, with the optimal return between them."""

from typing import Any

import numpy as np
import xarray as xr

from jaxcliff import policies
from jaxcliff.cliffs.ray import cliffs_along
from jaxcliff.core import checks
from jaxcliff.core.types import Key, Number, RewardLike, Rule
from jaxcliff.geometry import jumps
from jaxcliff.geometry.beside import Ties
from jaxcliff.geometry.cones import Cones
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import recorded
from jaxcliff.solvers.solution import tie_tolerance_of
from jaxcliff.studies.learner import Learner, learn, ready

LEARNED = 65  # rewards on the ray at which a learner is asked


@checks.host_study
@recorded
def ray(
    mdp: MDP,
    reward: RewardLike | None = None,
    direction: RewardLike | None = None,
    *,
    start: Number = 0.0,
    stop: Number = 1.0,
    true_reward: RewardLike | None = None,
    rule: Rule = policies.uniform,
    tie_tolerance: Number | None = None,
    learner: Learner | None = None,
    key: Key | None = None,
) -> xr.Dataset:
    """The path of `cliffs_along` as a dataset, with what a picture of it needs.

    Per segment: the optimal return is `return_at_start` + t·`return_slope` (from `initial`; continuous and convex), and
    `states_changed` counts the states whose optimal actions differ from those of the first segment. Arguments as in
    `cliffs_along`. A `learner`, (mdp, rewards [B, S, A], key) → policies [B, S, A], is asked at `learned_t`, and
    `learned_tv` is how far it moves from what it learns at the start (the largest total variation over states).
    """
    key = ready(learner, key)
    start, stop = checks.number(start, "start"), checks.number(stop, "stop")
    if not np.isfinite(stop):
        raise ValueError("a picture of a ray needs a finite stop")
    cones = Cones.of(mdp)
    base = cones.reward(reward)
    along = cones.reward(direction, "the direction")
    ties = Ties(cones, tie_tolerance_of(cones.dtype, tie_tolerance, reward))
    options: dict[str, Any] = {"true_reward": true_reward, "rule": rule, "tie_tolerance": ties.tolerance}
    path = cliffs_along(mdp, base, along, start=start, stop=stop, **options)
    places = np.insert(path.middles[:, None], 0, 1.0, axis=1)
    chosen = jumps.policies_of(ties.verdict(path.actions, path.optimal, np.stack([base, along])[None], places), rule)
    visits = cones.in_blocks(cones.visits, chosen)
    changed = (path.optimal != path.optimal[0]).any(axis=-1).sum(axis=-1)
    ds = path.to_dataset().assign(
        return_at_start=("segment", jumps.earned(visits, chosen, base), {"units": "reward"}),
        return_slope=("segment", jumps.earned(visits, chosen, along), {"units": "reward"}),
        states_changed=("segment", changed),
    )
    if learner is not None:
        t = np.linspace(start, stop, LEARNED)
        learned = learn(learner, mdp, base + start * along, base + t[:, None, None] * along, key)
        ds = ds.assign(learned_t=("learned", t), learned_tv=("learned", learned.tv))
    ds.attrs |= {"study": "ray"}
    return ds

"""Over the weights of a mixture Σ_k w_k R_k: exact for two and three rewards; for more, along lines, and sampled."""

import itertools
from typing import Any

import jax
import numpy as np

from jaxcliff import policies
from jaxcliff.cliffs.plane import PolicyMap, map_plane
from jaxcliff.cliffs.radius import nearest_cliff
from jaxcliff.cliffs.ray import Path, cliffs_along
from jaxcliff.core import checks, datasets, devices
from jaxcliff.core.devices import float64
from jaxcliff.core.labels import many
from jaxcliff.core.records import by_hand, record
from jaxcliff.core.types import DataFrame, Dataset, Key, Number, RewardLike, RewardsLike, Rule, Whole
from jaxcliff.geometry import family, jumps
from jaxcliff.geometry.beside import Ties
from jaxcliff.geometry.cones import Array, Cones
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import recorded
from jaxcliff.solvers.solution import tie_tolerance_of


@record
class WeightMap:
    """The optimal policy as a function of the weights of N rewards.

    Attributes:
        exact: whether `map` is all there is to know (N = 2, 3); False where a limit stopped it, or weights were sampled
            (N ≥ 4).
        map: for two rewards a `Path` in t = w₂; for three a `PolicyMap` in (w₂, w₃); None for more.
        returns: the return of each piece's policy under each reward alone, [pieces, N]: segments, regions or samples.
            Their jumps across a cliff are the kinks of the optimal return, which is convex and piecewise linear in w.
        lines: for N ≥ 4, the exact `Path` between each two corners, by the pair of rewards.
        weights: for N ≥ 4, the sampled weights, [M, N]; `actions` their policies, [M, S]; `radius` how far the
            nearest cliff is in weights whose sum does not change (sup norm), exact, [M].
    """

    exact: bool
    map: Any
    returns: Array
    lines: Any = None
    weights: Any = None
    actions: Any = None
    radius: Any = None
    made: Any = by_hand(default=None)

    def kinks(self) -> Array:
        """The jump of each reward's return across each cliff of the map, [M or E, N]."""
        if isinstance(self.map, Path):
            return np.diff(self.returns, axis=0)
        if isinstance(self.map, PolicyMap):
            return self.returns[self.map.edges[:, 1]] - self.returns[self.map.edges[:, 0]]
        raise ValueError("kinks need an exact map, of two or three rewards; for more look at the lines")

    def summary(self) -> str:
        """One sentence."""
        if isinstance(self.map, Path):
            known = "exact" if self.exact else "incomplete"
            return f"two rewards, {known}: {many(len(self.map.breakpoints), 'breakpoint')} in the second weight"
        if isinstance(self.map, PolicyMap):
            return f"three rewards, {'exact' if self.exact else 'incomplete'}: {self.map.summary()}"
        policies = len(np.unique(self.actions, axis=0))
        return (
            f"{self.weights.shape[1]} rewards, sampled: {policies} policies at {len(self.weights)} weights, median "
            f"distance to a cliff {np.median(self.radius):.3g}; exact along {len(self.lines)} lines between corners"
        )

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset: the map's own with `returns`, or what is known of sampled weights."""
        if self.map is None:
            piece = ("sample",)
            variables: Any = {
                "returns": ((*piece, "component"), self.returns),
                "weights": ((*piece, "component"), self.weights),
            }
            variables |= {"actions": ((*piece, "state"), self.actions), "radius": (piece, self.radius)}
            return datasets.build("WeightMap", variables, {"exact": self.exact}, made=self.made)
        piece = ("segment",) if isinstance(self.map, Path) else ("region",)
        ds = self.map.to_dataset().assign(returns=((*piece, "component"), self.returns))
        return ds if self.made is None else ds.assign_attrs(self.made.attributes())

    def to_dataframe(self) -> DataFrame:
        """What switches, as a pandas table: where two or three rewards are mapped, of the map; else along each line."""
        import pandas as pd

        if self.map is not None:
            return self.map.to_dataframe()
        tables = {f"{i} to {j}": path.to_dataframe() for (i, j), path in self.lines.items()}
        return pd.concat(tables, names=["line", "row"]).reset_index("line").reset_index(drop=True)


@checks.host_geometry
@recorded
def weight_map(
    mdp: MDP,
    rewards: RewardsLike,
    *,
    true_reward: RewardLike | None = None,
    rule: Rule = policies.uniform,
    tie_tolerance: Number | None = None,
    max_regions: Whole = 100_000,
    count: Whole = 4096,
    key: Key | None = None,
    progress: bool = False,
) -> WeightMap:
    """Which policy is optimal for which weights of several rewards, [N, S, A].

    `count` and `key`, a JAX random key, are for N ≥ 4, where weights are drawn uniformly from the simplex; the rest as
    in `policy_map`.

    >>> import jaxcliff as jc
    >>> simplex = jc.weight_map(jc.problems.bandit([0.0, 0.0, 0.0]), [[[1.0, 0, 0.7]], [[0, 1.0, 0.7]]])
    >>> simplex.map.breakpoints.round(12).tolist()
    [0.3, 0.7]
    """
    cones = Cones.of(mdp)
    rewards = checks.real(rewards, "several rewards")
    number = np.shape(rewards)[0] if np.ndim(rewards) == 3 else 0
    if number < 2:
        raise ValueError(f"several rewards have shape [N, S, A] with N at least 2; this is {list(np.shape(rewards))}")
    count = checks.whole(count, "count", 1)
    max_regions = checks.whole(max_regions, "max_regions", 1)
    if number > 3 and key is None:
        raise ValueError(f"the weights of {number} rewards are drawn: give key=, such as jax.random.key(0)")
    key = None if key is None else checks.random_key(key)
    each = np.stack([cones.reward(r, f"reward {k}") for k, r in enumerate(rewards)])
    ties = Ties(cones, tie_tolerance_of(cones.dtype, tie_tolerance, rewards))
    options: dict[str, Any] = {"true_reward": true_reward, "rule": rule, "tie_tolerance": ties.tolerance}

    def returns(actions: Array, sets: Array, weights: Array) -> Array:
        chosen = jumps.policies_of(ties.verdict(actions, sets, each[None], weights), rule)
        visits = cones.in_blocks(cones.visits, chosen)
        return np.stack([jumps.earned(visits, chosen, r) for r in each], axis=-1)

    def line(i: int, j: int) -> Path:
        return cliffs_along(mdp, each[i], each[j] - each[i], stop=1.0, **options)

    if number == 2:
        path = line(0, 1)
        second = path.middles[:, None]
        earned = returns(path.actions, path.optimal, np.concatenate([1 - second, second], axis=1))
        return WeightMap(exact=path.complete, map=path, returns=earned)
    if number == 3:
        plane = np.stack([each[0], each[1] - each[0], each[2] - each[0]])
        triangle = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        true = None if true_reward is None else cones.reward(true_reward, "the true reward")
        plan = map_plane(ties, plane, triangle, true, rule, max_regions, progress)
        rest = plan.centres
        earned = returns(plan.actions, plan.optimal, np.insert(rest, 0, 1 - rest.sum(axis=1), axis=1))
        return WeightMap(exact=plan.complete, map=plan, returns=earned)
    needed = 8.0 * count * (number + cones.counts.size)
    devices.require(needed, f"{count:,} weights and their rewards", "take a smaller count")
    with float64():
        assert key is not None  # asked for above
        drawn = np.asarray(jax.random.dirichlet(key, np.ones(number), (count,)))
    mixed = np.tensordot(drawn, each, axes=1)
    near = nearest_cliff(mdp, mixed, family=family.weights(each), tie_tolerance=ties.tolerance)
    actions = near.walls.actions
    sets = np.eye(cones.num_actions, dtype=bool)[actions] | near.walls.tied | near.walls.undecided
    return WeightMap(
        exact=False,
        map=None,
        returns=returns(actions, sets, drawn),
        lines={pair: line(*pair) for pair in itertools.combinations(range(number), 2)},
        weights=drawn,
        actions=actions,
        radius=near.radius,
    )

"""A direction of rewards against the discount or the strength of a regulariser.

There gaps are not linear, and borders are searched for. Grid points are solved; every edge of the grid whose ends
differ is bisected. What happens twice inside an edge is not seen, so along the direction, where all cliffs of a
discount are known exactly, the missed ones are counted.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from tqdm import tqdm

from jaxcliff import metrics, policies
from jaxcliff.cliffs.ray import cliffs_along
from jaxcliff.cliffs.walls import solved
from jaxcliff.core import checks
from jaxcliff.core.devices import float64
from jaxcliff.core.types import Key, Number, NumbersLike, RewardLike
from jaxcliff.geometry.cones import Array, Cones
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import recorded
from jaxcliff.operators.regularizers import Entropy
from jaxcliff.policies import optimal_actions
from jaxcliff.policies.sets import most_probable
from jaxcliff.solvers.solution import tie_tolerance_of
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.learner import Learner, learn, ready

Decide = Callable[[Array, Array], tuple[Array, Array, Array]]  # t, value -> optimal, suboptimal, policy


@checks.host_study
@recorded
def phase_scan(
    mdp: MDP,
    reward: RewardLike | None = None,
    direction: RewardLike | None = None,
    positions: NumbersLike | None = None,
    *,
    discount: NumbersLike | None = None,
    strength: NumbersLike | None = None,
    tolerance: Number = 1e-6,
    tie_tolerance: Number | None = None,
    learner: Learner | None = None,
    key: Key | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """The best actions of R + tD over a grid of t and of discounts or strengths, and the borders between them.

    With strengths (of entropy regularisation) the best actions are the most probable ones of the soft
    policy, by the same three-way rule as ties; the policy itself changes smoothly, which `tv` shows.

    Args:
        mdp: the problem.
        reward: R, [S, A]; the problem's own if None.
        direction: D, [S, A].
        positions: t, increasing numbers, at least two.
        discount: increasing numbers in [0, 1), at least two; or
        strength: increasing numbers, at least two, the first not negative.
        tolerance: borders are found to this share of a step of the grid.
        tie_tolerance: gaps up to this are ties, in units of the span; as in `nearest_cliff`.
        learner: one's own, (mdp, rewards [B, S, A], key) → policies [B, S, A]; `learned_tv` is how far it moves from
            what it learns for R, over `t` (and over the discounts, as a learner knows no strength of ours).
        key: for the learner, a JAX random key.
        progress: show a progress bar.

    Returns:
        A dataset over `t` and `discount` or `strength`: `region` (equal sets of best actions), `certain`,
        `states_changed` (against the optimal actions of R at the problem's own discount), and the total variation to
        that optimal policy (with strengths: to the soft policy of R at the same one), largest over states (`tv`) and
        mean over those that it visits (`visited_tv`). Per `border` point: `border_t`, `border_value`, and the edge of
        the grid it lies on, `edge_row`, `edge_column`, `edge_along` ("t" or the other axis). With discounts, per
        discount: `exact`, the number of cliffs on that row by `cliffs_along`, and `missed`, how many of them no border
        point stands for. Attributes: `step_t`, and `farthest`, how far a border point along t is from the nearest exact
        cliff.
    """
    key = ready(learner, key)
    over, values, cones = _checked(mdp, discount, strength)
    positions = _increasing(positions, "positions")
    tolerance = checks.number(tolerance, "tolerance")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance is a share of a step of the grid, between 0 and 1, not {tolerance}")
    base, along = cones.reward(reward), cones.reward(direction, "the direction")
    tie = float(tie_tolerance_of(cones.dtype, tie_tolerance, reward))
    decide = _decider(cones, base, along, over, tie)
    shape = (len(values), len(positions))

    def blocks(t: Array, value: Array, text: str) -> tuple[Array, ...]:
        """All points, as many at a time as a row of the grid has."""
        size = len(positions) + 1
        parts = []
        for i in tqdm(range(0, len(t), size), text, disable=not progress):
            own = t[i : i + size], value[i : i + size]
            filled = [np.pad(x, (0, size - len(x)), mode="edge") for x in own]
            parts.append([x[: len(own[0])] for x in decide(*filled)])
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    optimal, suboptimal, chosen = (
        x.reshape(len(values), len(positions) + 1, *cones.counts.shape)
        for x in blocks(np.tile(np.append(positions, 0.0), len(values)), np.repeat(values, len(positions) + 1), over)
    )
    _, acts = solved(cones, base, tie)
    with float64():
        best = np.asarray(policies.uniform(acts))
        own = chosen[:, -1] if over == "strength" else np.broadcast_to(best, chosen[:, -1].shape)
        share = np.asarray(metrics.occupancy(cones.mdp, jnp.asarray(own), normalized=True)).sum(axis=-1)
    distance = np.abs(chosen[:, :-1] - own[:, None]).sum(axis=-1) / 2
    possible = cones.legal & ~suboptimal
    changed = (possible[:, :-1] != (best > 0)).any(axis=-1).sum(axis=-1)
    certain = (optimal | suboptimal | ~cones.legal)[:, :-1].all(axis=(-2, -1))
    names = np.packbits(possible[:, :-1].reshape(len(values) * len(positions), -1), axis=1)
    region = np.unique(names, axis=0, return_inverse=True)[1].reshape(shape)
    border = _borders(positions, values, optimal[:, :-1], suboptimal[:, :-1], tolerance, blocks)
    ds = xr.Dataset(
        {
            "region": ((over, "t"), region, {"long_name": "equal sets of best actions"}),
            "certain": ((over, "t"), certain),
            "tv": ((over, "t"), distance.max(axis=-1), {"long_name": "total variation, largest over states"}),
            "visited_tv": ((over, "t"), (share[:, None] * distance).sum(axis=-1), {"long_name": "the same, visited"}),
            "states_changed": ((over, "t"), changed),
        }
        | {name: ("border", column) for name, column in border.items()},
        {
            "t": ("t", positions, {"long_name": "reward added, in units of D"}),
            over: (over, values, {"units": "" if over == "discount" else "reward"}),
        },
        {
            "study": "phase scan",
            "over": over,
            "tolerance": tolerance,
            "tie_tolerance": tie,
        },
    )
    ds["edge_along"] = ("border", np.where(border["edge_along"], "t", over).astype(object))
    if learner is not None:
        with float64():
            rows = [cones.mdp.replace(discount=float(v)) for v in values] if over == "discount" else [cones.mdp]
            tv = np.stack([learn(learner, row, base, base + positions[:, None, None] * along, key).tv for row in rows])
        ds["learned_tv"] = ((over, "t"), tv) if over == "discount" else ("t", tv[0])
    if over == "discount":
        exact, missed, farthest = _compared(cones, base, along, ds, tie)
        ds = ds.assign(exact=(over, exact), missed=(over, missed))
        ds.attrs |= {"farthest": farthest, "step_t": float(np.diff(positions).max())}
    return ds


def _checked(mdp: MDP, discount: Any, strength: Any) -> tuple[str, Array, Cones]:
    if (discount is None) == (strength is None):
        raise ValueError("say either discount=… or strength=…, increasing numbers")
    if discount is None:
        values = _increasing(strength, "strength")
        if values[0] < 0:
            raise ValueError(f"a strength is not negative; the first is {values[0]}")
        return "strength", values, Cones.of(mdp)
    values = _increasing(discount, "discount")
    if not (values[0] >= 0 and values[-1] < 1):
        raise ValueError(f"a discount lies in [0, 1), not {values[0]} to {values[-1]}")
    if mdp.transitions is None:
        raise ValueError("a bandit has no discount: there is nothing to map")
    return "discount", values, Cones.of(mdp)


def _increasing(numbers: Any, name: str) -> Array:
    numbers = checks.numbers(numbers, name)
    if numbers.ndim != 1 or len(numbers) < 2 or not (np.isfinite(numbers).all() and (np.diff(numbers) > 0).all()):
        raise ValueError(f"{name} must be at least two increasing, finite numbers")
    return numbers


def _decider(cones: Cones, base: Array, along: Array, over: str, tie_tolerance: float) -> Decide:
    """The best actions at points (t, value), all at once, and a policy: uniform over them, or the soft one."""
    mdp = cones.mdp

    @jax.jit
    def decide(t: jax.Array, value: jax.Array, base: jax.Array, along: jax.Array) -> tuple[jax.Array, ...]:
        rewards = base + t[:, None, None] * along
        if over == "discount":
            acts = jax.vmap(lambda g, r: optimal_actions(solve(mdp.replace(discount=g), r), tie_tolerance))(
                value, rewards
            )
            return acts.optimal, acts.suboptimal, policies.uniform(acts)
        soft = solve(mdp, rewards, regularizer=Entropy(value[:, None]))
        acts = most_probable(soft, tie_tolerance)
        return acts.optimal, acts.suboptimal, soft.policy

    def on_host(t: Array, value: Array) -> tuple[Array, Array, Array]:
        with float64():
            return jax.device_get(decide(jnp.asarray(t), jnp.asarray(value), jnp.asarray(base), jnp.asarray(along)))

    return on_host


def _borders(
    ts: Array,
    values: Array,
    optimal: Array,
    suboptimal: Array,
    tolerance: float,
    blocks: Callable[[Array, Array, str], tuple[Array, ...]],
) -> dict[str, Array]:
    """One point on every edge of the grid whose ends certainly differ."""
    across = np.argwhere(_differ((optimal[:, :-1], suboptimal[:, :-1]), (optimal[:, 1:], suboptimal[:, 1:])))
    upward = np.argwhere(_differ((optimal[:-1], suboptimal[:-1]), (optimal[1:], suboptimal[1:])))
    row, column = np.concatenate([across, upward]).T
    along_t = np.arange(len(row)) < len(across)
    start = optimal[row, column], suboptimal[row, column]
    low, high = np.zeros(len(row)), np.ones(len(row))
    to_row, to_column = np.where(along_t, row, row + 1), np.where(along_t, column + 1, column)

    def place(share: Array) -> tuple[Array, Array]:
        t = np.where(along_t, ts[column] + share * (ts[to_column] - ts[column]), ts[column])
        value = np.where(along_t, values[row], values[row] + share * (values[to_row] - values[row]))
        return t, value

    for step in range(int(np.ceil(-np.log2(tolerance))) if len(row) else 0):
        middle = (low + high) / 2
        here = blocks(*place(middle), f"bisection {step + 1}")
        beyond = _differ(start, here[:2])
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    t, value = place((low + high) / 2)
    return {"border_t": t, "border_value": value, "edge_row": row, "edge_column": column, "edge_along": along_t}


def _differ(before: tuple[Array, ...], after: tuple[Array, ...]) -> Array:
    """Whether some action is certainly best on one side and certainly not on the other."""
    return ((before[0] & after[1]) | (before[1] & after[0])).any(axis=(-2, -1))


def _compared(
    cones: Cones, base: Array, along: Array, ds: xr.Dataset, tie_tolerance: float
) -> tuple[list[int], list[int], float]:
    """Per discount, how many cliffs there are and how many were missed; and the farthest border point from any."""
    ts, along_t = ds.t.values, ds.edge_along.values == "t"
    exact, missed, farthest = [], [], 0.0
    for row, discount in enumerate(ds.discount.values):
        with float64():
            mdp = cones.mdp.replace(discount=float(discount))
        path = cliffs_along(mdp, base, along, start=float(ts[0]), stop=float(ts[-1]), tie_tolerance=tie_tolerance)
        found = along_t & (ds.edge_row.values == row)
        inside = np.histogram(path.breakpoints, ts)[0]
        seen = np.bincount(ds.edge_column.values[found], minlength=len(ts) - 1)
        exact.append(len(path.breakpoints))
        missed.append(int(np.maximum(inside - seen, 0).sum()))
        for t in ds.border_t.values[found]:
            farthest = max(farthest, float(np.abs(path.breakpoints - t).min(initial=np.inf)))
    return exact, missed, farthest

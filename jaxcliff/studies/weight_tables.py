"""Tables over feedback and strength: fixed points, constants, what a hasty gate does, and loops of a sweep."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff import theory
from jaxcliff.core.numerics import placed
from jaxcliff.core.slices import quickly
from jaxcliff.studies import fixed_points, gates
from jaxcliff.studies.fixed_points import Found
from jaxcliff.studies.gates import System
from jaxcliff.studies.settling import Gain, Pair, swept

NAIVE = 1000  # jumps of a gate to its answer
SAME = 1e-6  # between weights that have come back
SLOPES = 65  # weights at which the slope of two components is measured
MOST = 2000  # steps until a pair settles
DIMS = ("feedback", "strength")


class Grid(NamedTuple):
    """What is asked: for every pair of a feedback and a strength."""

    system: System
    kind: str
    weights: np.ndarray  # of frozen gates
    feedback: np.ndarray
    strength: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.feedback), len(self.strength)

    @property
    def lanes(self) -> tuple[np.ndarray, np.ndarray]:
        """Which feedback and which strength every lane has."""
        f, k = np.indices(self.shape)
        return f.reshape(-1), k.reshape(-1)

    def cast(self, *several: Any) -> list[jax.Array]:
        return [placed(np.asarray(x).astype(self.system.mdp.dtype)) for x in several]

    def open(self, rewards: Any = None) -> jax.Array:
        """Weights [L, N, S] of gates that see no policy."""
        system = self.system
        several = system.rewards if rewards is None else rewards
        f, _ = self.lanes
        if self.kind == "frozen":
            return jnp.broadcast_to(self.cast(self.weights)[0], (len(f), *several.shape[-3:-1]))
        return gates.from_rewards(system.mdp, several, self.cast(self.feedback[f])[0])

    def given(self) -> Found:
        """The one answer of each of them; the weights are means over states, weighted by where episodes start."""
        f, k = self.lanes
        weights = self.open()
        policy = gates.answered(self.system, *self.cast(self.strength[k]), weights).policy
        mean = np.asarray(jnp.einsum("lns,s->ln", weights, self.system.mdp.initial), float)
        return Found(f, k, mean, np.asarray(policy), np.zeros(len(f)))


def steepness(grid: Grid, starts: np.ndarray) -> np.ndarray:
    """The largest slope of what a gate is told, over weights, at each strength."""
    number = starts.shape[1]
    several = starts
    if number == 2:
        first = np.linspace(0, 1, SLOPES)
        several = np.stack([first, 1 - first], axis=-1)
    alpha, weights = grid.cast(np.repeat(grid.strength, len(several)), np.tile(several, (len(grid.strength), 1)))
    slope = np.asarray(gates.slopes(grid.system, alpha, weights), float)
    return np.abs(fixed_points.widest(slope)).reshape(len(grid.strength), -1).max(axis=1)


def parts(grid: Grid, lip: np.ndarray) -> np.ndarray:
    """Which part of the way a gate goes in one step, [F, K]: all of it, but where it would swing."""
    size = np.where(np.isfinite(grid.feedback), np.abs(grid.feedback), 0)[:, None]
    swings = (grid.feedback[:, None] < 0) | (grid.kind == "bilevel")
    return np.where(swings, 1 / (1 + size * lip / 4), 1.0)


def fixed(grid: Grid, starts: np.ndarray, lip: np.ndarray) -> Found:
    """All fixed points of two components; of more, those that training finds."""
    if starts.shape[1] == 2:
        return fixed_points.of_two(grid.system, grid.feedback, grid.strength)
    return fixed_points.of_many(grid.system, grid.feedback, grid.strength, parts(grid, lip), starts, MOST)


def roots(grid: Grid, found: Found) -> dict[str, Any]:
    """Fixed points in a table, feedback by strength by root; the jump between those that are stable."""
    order = np.lexsort((found.weights[:, 0], found.strength, found.feedback))
    found = Found(*(x[order] for x in found))
    lane = found.feedback * grid.shape[1] + found.strength
    number = np.bincount(lane, minlength=np.prod(grid.shape))
    place = np.arange(len(lane)) - np.concatenate([[0], np.cumsum(number)[:-1]])[lane]
    most = max(int(number.max(initial=1)), 1)

    def table(values: np.ndarray) -> np.ndarray:
        empty = np.full((*grid.shape, most, *values.shape[1:]), np.nan)
        empty[found.feedback, found.strength, place] = values
        return empty

    stable = found.multiplier < 1
    policy, good = table(found.policy), table(stable.astype(float)) == 1
    apart = np.abs(policy[:, :, :, None] - policy[:, :, None]).sum(axis=-1).max(axis=-1) / 2
    both = good[..., None] & good[..., None, :]
    dims = DIMS
    return {
        "fixed_points": (dims, number.reshape(grid.shape)),
        "stable": (dims, good.sum(axis=-1)),
        "weight": ((*dims, "root", "component"), table(found.weights)),
        "policy": ((*dims, "root", "state", "action"), policy),
        "multiplier": ((*dims, "root"), table(found.multiplier)),
        "jump": (dims, np.where(both, np.nan_to_num(apart), 0).max(axis=(-2, -1))),
    }


def constants(grid: Grid, found: Found, lip: np.ndarray) -> dict[str, Any]:
    """How fast stable answers move with the rewards; what makes a contraction; where equal weights lose their hold."""
    dims, system = DIMS, grid.system
    if grid.kind in ("frozen", "rewards"):
        f, k = grid.lanes
        of_weights, of_policy = explicit(grid, f, k)
    else:
        stable = found.multiplier < 1
        f, k = found.feedback[stable], found.strength[stable]
        zeta = fixed_points.capped(grid.feedback, 1.0, system.mdp.dtype)[f]
        # What a hard gate answers does not move at all.
        zeta = np.where(found.weights[stable].max(axis=-1) == 1, 0.0, zeta)
        given = grid.cast(zeta, grid.strength[k], found.weights[stable])
        of_weights, of_policy = (np.asarray(x) for x in fixed_points.constants(system, *given))
    tables = []
    for values in (of_weights, of_policy):
        table = np.full(grid.shape, -np.inf)
        np.maximum.at(table, (f, k), values)
        tables.append(np.where(np.isneginf(table), np.nan, table))
    size = np.abs(grid.feedback[:, None])
    with np.errstate(invalid="ignore"):
        contraction = np.where(lip == 0, 0.0, size * lip / 4)
    several = np.asarray(system.rewards)
    counts = np.asarray(system.mdp.decisions)
    spans = [np.ptp((x - y)[counts]) for i, x in enumerate(several) for y in several[:i]]
    variables: dict[str, Any] = {
        "joint": (dims, np.fmax(*tables), {"units": "1/reward"}),
        "joint_weights": (dims, tables[0], {"units": "1/reward"}),
        "joint_policy": (dims, tables[1], {"units": "1/reward"}),
        "contraction": (dims, contraction),
    }
    if grid.kind == "values":
        steps = float(system.mdp.steps)
        bound = theory.learned_contraction(size, grid.strength, max(spans, default=0.0), steps)
        variables["contraction_bound"] = (dims, np.asarray(bound) * np.ones(grid.shape))
        variables["critical"] = ("strength", critical(grid))
    return variables


def explicit(grid: Grid, f: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The constants of gates that see no policy: the derivative of the weights, and of the policy through them."""
    system = grid.system
    frozen = grid.kind == "frozen"

    def answer(rewards: jax.Array, z: jax.Array, alpha: jax.Array) -> tuple[jax.Array, jax.Array]:
        weights = grid.open(rewards)[:1] if frozen else gates.from_rewards(system.mdp, rewards, z[None])
        found = gates.answered(system._replace(rewards=rewards), alpha[None], weights)
        return weights[0], found.policy[0]

    def one(lane: Any) -> tuple[jax.Array, jax.Array]:
        moved, after = jax.jacrev(answer)(system.rewards, *lane)
        size = (jnp.where(system.mdp.decisions, jnp.abs(x), 0).sum(axis=(-3, -2, -1)) for x in (moved, after))
        of_weights, of_policy = size
        return of_weights.sum(axis=0).max() / 2, of_policy.sum(axis=-1).max() / 2

    run = quickly(lambda lanes: jax.lax.map(one, lanes, batch_size=64))
    finite = np.where(np.isfinite(grid.feedback), grid.feedback, 0)[f]
    return tuple(np.asarray(x) for x in run(tuple(grid.cast(finite, grid.strength[k]))))  # type: ignore[return-value]


def critical(grid: Grid) -> np.ndarray:
    """1 over the slope at equal weights, where they are a fixed point at every feedback."""
    number, strength = grid.system.rewards.shape[0], grid.strength
    alpha, weights = grid.cast(strength, np.full((len(strength), number), 1 / number))
    told = np.asarray(gates.answered(grid.system, alpha, weights).scores, float)
    slope = np.asarray(gates.slopes(grid.system, alpha, weights), float)
    one = fixed_points.multipliers(np.ones(len(strength)), np.asarray(weights, float), slope)
    level = np.ptp(told, axis=-1) <= 1e-6 * np.abs(told).max(axis=-1)
    return np.where(level & (one > 0), 1 / np.where(one > 0, one, 1), np.nan)


def hasty(grid: Grid, starts: np.ndarray) -> dict[str, Any]:
    """A gate that jumps to its answer, again and again: what it comes to."""
    if grid.kind in ("frozen", "rewards", "maximin"):
        return {}
    f, k = grid.lanes
    begin = np.tile(starts[:1], (len(f), 1))
    last, swing = gates.naive(grid.system, *grid.cast(grid.feedback[f], grid.strength[k], begin), NAIVE)
    last = np.asarray(last, float)
    back = [np.abs(last[0] - last[i]).max(axis=-1) < SAME for i in (1, 2)]
    period = np.where(back[0], 1, np.where(back[1], 2, 0))
    return {
        "period": (DIMS, period.reshape(grid.shape)),
        "swing": (DIMS, np.asarray(swing).reshape(grid.shape)),
    }


class Loop(NamedTuple):
    """A sweep up and one down: weights [P, L, N], policies [P, L, S, A], last changes [P, L], each of both ways."""

    weights: tuple[np.ndarray, np.ndarray]
    policies: tuple[np.ndarray, np.ndarray]
    moved: tuple[np.ndarray, np.ndarray]


def loops(grid: Grid, lip: np.ndarray, changes: np.ndarray, along: np.ndarray) -> dict[str, Any]:
    """One reward goes up, and comes down: both branches, and the area between them."""
    found = (
        _swept(grid, lip, changes, along)
        if grid.kind in ("values", "hard", "bilevel")
        else _alone(grid, changes, along)
    )
    gap = np.abs(found.policies[0] - found.policies[1]).sum(axis=-1).max(axis=-1) / 2
    at = watched(grid)
    sides: dict[str, Any] = {}
    for side, weights, policies in zip(("up", "down"), found.weights, found.policies, strict=True):
        for name, x in (("weight", weights[..., 0]), ("share", policies[:, :, *at])):
            sides[f"{name}_{side}"] = ((*DIMS, "position"), x.T.reshape(*grid.shape, len(along)))
    return sides | {
        "loop_area": (DIMS, np.trapezoid(gap, along, axis=0).reshape(grid.shape), {"units": "reward"}),
        "unsettled": (DIMS, np.max(found.moved, axis=(0, 1)).reshape(grid.shape)),
    }


def _swept(grid: Grid, lip: np.ndarray, changes: np.ndarray, along: np.ndarray) -> Loop:
    """Gates that see the policy: they start from equal weights at either end and keep what they have learned."""
    system, (f, k) = grid.system, grid.lanes
    number = system.rewards.shape[0]
    zeta, alpha, part = grid.cast(grid.feedback[f], grid.strength[k], parts(grid, lip)[f, k])
    equal, moves = grid.cast(np.full((len(f), number), 1 / number), changes)
    ways = []
    for positions in (along, along[::-1]):
        first = system._replace(rewards=system.rewards + grid.cast(positions[0])[0] * moves)
        pair = Pair(gates.answered(first, alpha, equal).policy, jnp.log(equal))
        ways.append(
            [np.asarray(x) for x in swept(system, Gain(zeta, alpha, part), pair, moves, *grid.cast(positions), MOST)]
        )
    down = [x[::-1] for x in ways[1]]
    return Loop(*zip(*([each[i] for i in (1, 0, 2)] for each in (ways[0], down)), strict=True))


def _alone(grid: Grid, changes: np.ndarray, along: np.ndarray) -> Loop:
    """Gates whose answer is one, whatever was before."""
    system, (f, k) = grid.system, grid.lanes
    alpha, moves, *places = grid.cast(grid.strength[k], changes, *along)
    weights, policies = [], []
    for t in places:
        there = system._replace(rewards=system.rewards + t * moves)
        if grid.kind == "maximin":
            found = fixed_points.of_two(there, grid.feedback, grid.strength)
            weights.append(found.weights)
            policies.append(found.policy)
            continue
        table = grid.open(there.rewards)
        policies.append(np.asarray(gates.answered(there, alpha, table).policy))
        weights.append(np.asarray(jnp.einsum("lns,s->ln", table, system.mdp.initial)))
    both, all_of_them, still = np.stack(weights), np.stack(policies), np.zeros((len(along), len(f)))
    return Loop((both, both), (all_of_them, all_of_them), (still, still))


def watched(grid: Grid) -> tuple[int, int]:
    """The state and action in which the policies of the first two components alone differ most."""
    number = grid.system.rewards.shape[0]
    ends = np.eye(number)[[0, 1 % number]]
    alpha, weights = grid.cast(np.full(2, grid.strength.min()), ends)
    policy = np.asarray(gates.answered(grid.system, alpha, weights).policy)
    state, action = np.unravel_index(np.argmax(policy[0] - policy[1]), policy.shape[1:])
    return int(state), int(action)


def fitted(grid: Grid, roots: dict[str, Any], key: jax.Array, steps: int) -> dict[str, Any]:
    """Weights of flax gates, and how far they are from the nearest stable fixed point."""
    f, k = grid.lanes
    found = gates.trained(grid.system, grid.feedback[f], grid.strength[k], steps=steps, key=key)
    weights = found.reshape(*grid.shape, -1)
    near = np.abs(roots["weight"][1] - weights[:, :, None]).sum(axis=-1) / 2
    near = np.where(roots["multiplier"][1] < 1, near, np.inf).min(axis=-1)
    return {"trained": ((*DIMS, "component"), weights), "trained_apart": (DIMS, near)}

"""A batch of rewards made ready: centred, checked lane by lane, and safe to iterate on.

Rewards are centred by the middle of their range (unless an episode can end, which pins the value 0), so that
every rounding term scales with the span of a lane and not with its level. A lane that cannot be solved (NaN,
infinity, a span that overflows, no contraction) is marked here and gets reward 0 before anything is computed.
"""

import enum
from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core.numerics import unit_roundoff
from jaxcliff.core.records import record
from jaxcliff.core.types import LaneFlags, LaneScalars, LaneStatus, Rewards, Values
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors
from jaxcliff.operators.selection import Operator, Rounding


class Status(enum.IntEnum):
    """How a lane ended. `Status(code).sentence` says what it means and what to try."""

    CONVERGED = 0
    ROUNDING_FLOOR = 1
    ITERATION_LIMIT = 2
    INVALID_REWARD = 3
    NOT_A_CONTRACTION = 4
    OUT_OF_RANGE = 5
    INVALID_TRANSITIONS = 6

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    Status.CONVERGED: "converged: the error bound is within the tolerance",
    Status.ROUNDING_FLOOR: "stopped at the rounding floor: the arithmetic allows no smaller error bound; "
    "use float64, or method='policy_iteration', for a smaller one",
    Status.ITERATION_LIMIT: "stopped at the iteration limit: the error bound holds but is wider than asked "
    "for; raise max_iterations or take method='policy_iteration'",
    Status.INVALID_REWARD: "not solved: the reward of this lane is not finite on its legal actions, or the policy to "
    "evaluate or the base policy is not a distribution over them, or a strength of regularisation is negative or not "
    "finite",
    Status.NOT_A_CONTRACTION: "not solved: the discount is not in [0, 1], or it is 1 in a problem that was not built "
    "at discount 1 outside of JAX transformations (where termination can be checked)",
    Status.OUT_OF_RANGE: "not solved: values left the range of the dtype; rescale the reward or use float64",
    Status.INVALID_TRANSITIONS: "not solved: a transition row that was made inside of a JAX transformation is negative "
    "or NaN somewhere, does not sum to 1, leads to states that do not exist, or is empty for a legal action",
}


# The smallest normal number over the unit roundoff: numbers of this size differ by a normal number, or not at all.
SMALL = {name: 2 * float(jnp.finfo(name).tiny) / unit_roundoff(jnp.dtype(name)) for name in ("float32", "float64")}


LANES = 64  # as many at least, for how long a sweep takes


@record
class Batch:
    """B rewards [B, S, A] of one problem, ready for a method.

    `steps` is L, the largest discounted number of steps. `drift` is γ(ku/(1 − ku) + δ + u), the relative rounding of
    one expectation, and `underflow` what its terms can lose below the smallest normal number; `tiny` marks lanes whose
    rewards are all so small that they can be lost themselves. `rounding` is what the
    operator itself costs, and `support` the actions that take part in it, [S, A] or [B, S, A], or None for all.
    For sweeps, `columns` is the reward once more with the lanes last, [A, S, B], and `rows` are the transitions by
    action; None where one pass is all.
    """

    mdp: MDP
    operator: Operator
    rounding: Rounding
    support: Any
    reward: Rewards
    columns: Any
    rows: Any
    centre: LaneScalars
    span: LaneScalars
    peak: LaneScalars
    status: LaneStatus
    discount: jax.Array
    steps: jax.Array
    drift: jax.Array
    underflow: jax.Array
    tiny: LaneFlags

    @property
    def failed(self) -> LaneFlags:
        return self.status > Status.ROUNDING_FLOOR

    @property
    def sweep_cost(self) -> float:
        """Multiplications of one sweep over all lanes; few lanes take as long as enough to fill a vector unit."""
        transitions = self.mdp.transitions
        if isinstance(transitions, Successors):
            width = transitions.states.shape[-1]
        else:
            width = self.mdp.num_states if isinstance(transitions, Dense) else 1
        return float(max(len(self.reward), LANES) * self.mdp.reward.size * width)

    @property
    def solve_cost(self) -> float:
        """The same of a sweep and one linear system of all states per lane."""
        return self.sweep_cost + len(self.reward) * self.mdp.num_states**3 / 3

    def backup(self, h: Values) -> Rewards:
        """Q = r̃ + γPh."""
        return self.reward + self.discount * self.mdp.expect(h)

    def value(self, q: Rewards) -> tuple[Values, Any]:
        """The operator over legal actions, 0 in terminal states; and the error it measured in itself, if any."""
        value, measured = self.operator.value(q, self.mdp.legal)
        return self.pin(value), measured

    def pin(self, values: jax.Array, axis: int = -1) -> jax.Array:
        """0 in terminal states; `axis` is that of the states."""
        terminal = self.mdp.terminal
        return values if terminal is None else jnp.where(terminal if axis == -1 else terminal[:, None], 0, values)

    def centred(self, values: jax.Array, axis: int = -1) -> jax.Array:
        """Values minus a scalar kept nowhere: the bound recovers it. Values that are pinned stay."""
        if self.mdp.pinned:
            return self.pin(values, axis)
        middle = jnp.max(values, axis, keepdims=True) / 2 + jnp.min(values, axis, keepdims=True) / 2
        return values - middle

    def take(self, lanes: jax.Array) -> "Batch":
        """Some of the lanes."""
        own = ("operator", "rounding", "reward", "centre", "span", "peak", "status", "tiny")
        some = {name: jax.tree.map(lambda x: x[lanes], getattr(self, name)) for name in own}
        some["columns"] = self.columns[..., lanes]
        if self.support is not None and self.support.ndim == 3:
            some["support"] = self.support[lanes]
        return self.replace(**some)  # type: ignore[attr-defined]

    def coarse(self) -> tuple["Batch", LaneScalars]:
        """The same in float32, every lane in units of its largest reward, for a search; and these units."""
        unit = jnp.where(self.peak > 0, self.peak, 1)
        scaled = {name: (getattr(self, name) / unit).astype(jnp.float32) for name in ("centre", "span", "peak")}
        mdp, operator, rows = _in_float32((self.mdp, self.operator.scaled(1 / unit), self.rows))
        columns = jax.lax.map(lambda x: (x / unit).astype(jnp.float32), self.columns)
        shape = jnp.zeros((len(unit), *mdp.reward.shape), jnp.float32)
        return self.replace(  # type: ignore[attr-defined]
            mdp=mdp,
            operator=operator,
            rounding=operator.rounding(shape, mdp.legal),
            reward=shape,
            columns=columns,
            rows=rows,
            discount=self.discount.astype(jnp.float32),
            steps=self.steps.astype(jnp.float32),
            drift=_drift(mdp, self.discount.astype(jnp.float32)),
            underflow=jnp.zeros((), jnp.float32),
            **scaled,
        ), unit


def _in_float32(tree: Any) -> Any:
    return jax.tree.map(lambda x: x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def _drift(mdp: MDP, discount: jax.Array) -> jax.Array:
    """The relative rounding of one expectation, γ(ku/(1 − ku) + δ + u)."""
    u, k = unit_roundoff(mdp.dtype), _support(mdp)
    defect = jnp.asarray(0 if mdp.transitions is None else mdp.transitions.defect).astype(mdp.dtype)
    return discount * (k * u / (1 - k * u) + jnp.where(mdp.distributions, defect, 0) + u)


def _support(mdp: MDP) -> jax.Array:
    return jnp.asarray(0 if mdp.transitions is None else mdp.transitions.support).astype(mdp.dtype)


def prepare(mdp: MDP, operator: Operator, rewards: Rewards, one_pass: bool = False) -> Batch:
    """Checks and centres every lane of `rewards`, [B, S, A].

    Lanes that cannot be solved become 0; not if `one_pass` is all, which they do no harm, and which reads less.
    """
    operator, sound = operator.checked(mdp, jnp.ones_like(rewards[:, 0, 0], bool))
    support = operator.support(mdp)
    decisions = mdp.decisions if support is mdp.legal else mdp.decisions & support
    # Extremes are all that is read here: NaN and infinity reach them, and rewards may be larger than any cache.
    high = jnp.max(jnp.max(jnp.where(decisions, rewards, -jnp.inf), axis=-1), axis=-1)
    low = jnp.min(jnp.where(decisions, rewards, jnp.inf), axis=(-2, -1))
    sound &= jnp.isfinite(high) & jnp.isfinite(low)
    if mdp.pinned:
        high, low = jnp.maximum(high, 0), jnp.minimum(low, 0)
    sound &= jnp.isfinite(high - low)
    high, low = jnp.where(sound, high, 0), jnp.where(sound, low, 0)
    centred = not (mdp.pinned or mdp.transitions is None)
    centre = high / 2 + low / 2 if centred else jnp.zeros_like(high)
    everything = mdp.legal is support is None and mdp.terminal is None
    if one_pass and everything:
        reward = rewards - centre[:, None, None] if centred else rewards
    else:
        keep = decisions & sound[:, None, None]
        reward = jnp.where(keep, jnp.where(keep, rewards, 0) - centre[:, None, None], 0)

    def column(x: tuple[jax.Array, jax.Array]) -> jax.Array:
        keep = x[1] & sound
        return jnp.where(keep, jnp.where(keep, x[0], 0) - centre, 0)

    counts = jnp.moveaxis(jnp.broadcast_to(decisions, (*decisions.shape[:-2], *mdp.reward.shape)), -1, 0)
    counts = counts[..., None] if counts.ndim == 2 else jnp.swapaxes(counts, 1, 2)
    # A transpose that computes nothing else is several times faster: nothing is fused into the loop.
    columns = None if one_pass else jax.lax.map(column, (jnp.transpose(rewards, (2, 1, 0)), counts))

    contracts = jnp.isfinite(mdp.steps) & mdp.distributions
    discount = jnp.where(contracts, mdp.discount, 0)
    steps = jnp.where(contracts, mdp.steps, 1)
    peak = jnp.maximum(jnp.abs(high - centre), jnp.abs(low - centre))  # rounding keeps the order of numbers
    status = jnp.where(sound, int(Status.CONVERGED), int(Status.INVALID_REWARD))
    status = jnp.where(contracts, status, int(Status.NOT_A_CONTRACTION))
    status = jnp.where(mdp.distributions, status, int(Status.INVALID_TRANSITIONS))
    return Batch(
        mdp=mdp,
        operator=operator,
        rounding=operator.rounding(reward, mdp.legal),
        support=support,
        reward=reward,
        columns=columns,
        rows=None if one_pass or mdp.transitions is None else mdp.transitions.by_action(),
        centre=centre,
        span=high - low,
        peak=peak,
        status=status.astype(jnp.int8),
        discount=discount,
        steps=steps,
        drift=_drift(mdp, discount),
        underflow=(_support(mdp) + 8) * float(jnp.finfo(mdp.dtype).tiny),
        tiny=tiny_lanes(rewards, decisions, sound & (jnp.maximum(jnp.abs(high), jnp.abs(low)) < SMALL[mdp.dtype.name])),
    )


def tiny_lanes(rewards: Rewards, counts: jax.Array, suspects: LaneFlags) -> LaneFlags:
    """Of some lanes, those with an entry so near 0 that it, or its difference to another one, may be flushed to 0.

    A processor that flushes subnormal numbers also compares them as 0: only their bits tell. Two numbers of at least
    `SMALL` are never so near to each other. The bits are read only where a lane is suspected.
    """
    whole = {32: jnp.uint32, 64: jnp.uint64}[8 * rewards.dtype.itemsize]

    def read() -> LaneFlags:
        bits = jax.lax.bitcast_convert_type(rewards, whole) << 1 >> 1  # without the sign
        least = jax.lax.bitcast_convert_type(jnp.asarray(SMALL[rewards.dtype.name], rewards.dtype), whole)
        return suspects & jnp.any(counts & (bits > 0) & (bits < least), axis=(-2, -1))

    return jax.lax.cond(jnp.any(suspects), read, lambda: suspects & False)

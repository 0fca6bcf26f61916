"""What happens to the action values of a state: the best one counts (`Greedy`), or a policy's mean (`Average`).

An operator is monotone and passes constants through, which is all that the error bound asks of it. It also says what
its own arithmetic costs and which policy attains it. The regularised maxima are further operators, in a file of their
own.
"""

import functools
from typing import Any, ClassVar, NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from jaxcliff.core.numerics import contract, unit_roundoff
from jaxcliff.core.records import record
from jaxcliff.core.types import LaneFlags, LaneScalars, Policies, Rewards
from jaxcliff.model.mdp import MDP

PAIRWISE_ACTIONS = 8  # up to here, a maximum is taken pair by pair

Self = TypeVar("Self", bound="Operator")


def mask_illegal(q: jax.Array, legal: jax.Array | None) -> jax.Array:
    """q, with the lowest finite number where an action is illegal."""
    return q if legal is None else jnp.where(legal, q, jnp.finfo(q.dtype).min)


class Rounding(NamedTuple):
    """|fl(value) − value| ≤ relative·‖q‖ + absolute (+ what `value` measured), and |value| ≤ ‖q‖ + bonus; per lane."""

    relative: LaneScalars
    absolute: LaneScalars
    bonus: LaneScalars


class Operator:
    """The interface of an operator. Leaves lead with one lane axis: [B, S] or [B, S, A], as `trailing` says.

    `value` and `policy` act on the last axis alone, the actions: states and lanes may come in either order.
    """

    kind: ClassVar[str]
    trailing: ClassVar[dict[str, int]] = {}  # how many of the axes (states, actions) a field has after its lanes

    def value(self, q: jax.Array, legal: Any) -> tuple[jax.Array, Any]:
        """V(s) from Q(s, ·), and how far off it can be by what was measured on the way (None for a closed form)."""
        raise TypeError(f"{type(self).__name__} has no value")

    def policy(self, q: Rewards, legal: Any) -> Policies:
        """The policy that attains the value: its derivative with respect to Q."""
        raise TypeError(f"{type(self).__name__} has no policy")

    def rounding(self, q: Rewards, legal: Any) -> Rounding:
        """The error of `value` known beforehand (q serves for its shape); a maximum is exact."""
        zero = jnp.zeros_like(q[:, 0, 0])
        return Rounding(zero, zero, zero)

    def checked(self: Self, mdp: MDP, lanes: LaneFlags) -> tuple[Self, LaneFlags]:
        """The operator with harmless numbers in lanes that cannot be solved, and the lanes that can."""
        return self, lanes

    def support(self, mdp: MDP) -> Any:
        """Boolean [S, A] or [B, S, A]: the actions that take part; None if all do."""
        return mdp.legal

    def scaled(self: Self, factor: LaneScalars) -> Self:
        """The operator of action values that are all multiplied by a positive factor per lane."""
        return self

    def level(self: Self, start: int, stop: int) -> Self:
        """The operator of a range of states."""
        return jax.tree.map(lambda x: x[:, start:stop], self)


@record
class Greedy(Operator):
    """V(s) = max_a Q(s, a): the hard optimum."""

    kind: ClassVar[str] = "optimum"

    def value(self, q: jax.Array, legal: Any) -> tuple[jax.Array, Any]:
        q = mask_illegal(q, legal)
        if q.shape[-1] > PAIRWISE_ACTIONS:
            return jnp.max(q, axis=-1), None
        # A reduction over few actions is a loop that a processor cannot vectorise; pairwise maxima are.
        return functools.reduce(jnp.maximum, [q[..., a] for a in range(q.shape[-1])]), None

    def policy(self, q: Rewards, legal: Any) -> Policies:
        """The first best action, as a distribution."""
        return first_best(q, legal)


@record
class Average(Operator):
    """V(s) = Σ_a π(a|s) Q(s, a): the value of a given policy, [*B, S, A]."""

    probabilities: Any

    kind: ClassVar[str] = "evaluation"
    trailing: ClassVar[dict[str, int]] = {"probabilities": 2}

    def value(self, q: jax.Array, legal: Any) -> tuple[jax.Array, Any]:
        mean = contract("...a,...a->...", self.probabilities, q)
        return mean, None

    def policy(self, q: Rewards, legal: Any) -> Policies:
        return self.probabilities

    def rounding(self, q: Rewards, legal: Any) -> Rounding:
        """A sum of A terms whose weights sum to 1 within rounding."""
        u = unit_roundoff(q.dtype)
        drift = jnp.max(jnp.abs(jnp.sum(self.probabilities, axis=-1) - 1), axis=-1)
        zero = jnp.zeros_like(drift)
        return Rounding(drift + (2 * self.probabilities.shape[-1] + 4) * u, zero, zero)

    def checked(self, mdp: MDP, lanes: LaneFlags) -> tuple["Average", LaneFlags]:
        """Lanes whose policy is a distribution over legal actions; the others get a harmless one."""
        probabilities, sound = distributions(mdp, self.probabilities)
        return Average(probabilities), lanes & sound


def first_best(q: Rewards, legal: Any) -> Policies:
    """The first best action of every state, as a distribution."""
    return jax.nn.one_hot(jnp.argmax(mask_illegal(q, legal), axis=-1), q.shape[-1], dtype=q.dtype)


@jax.jit
def distributions(mdp: MDP, p: Policies) -> tuple[Policies, LaneFlags]:
    """Rows divided by their sums, and the lanes in which each is a distribution over legal actions within 1e-5.

    Terminal states, and lanes that are not sound, get the uniform distribution.
    """
    legal = jnp.ones(mdp.reward.shape, bool) if mdp.legal is None else mdp.legal
    idle = jnp.zeros(mdp.num_states, bool) if mdp.terminal is None else mdp.terminal
    total = jnp.sum(jnp.where(legal, p, 0), axis=-1)
    outside = jnp.sum(jnp.where(legal, 0, jnp.abs(p)), axis=-1)
    proper = (jnp.abs(total - 1) <= 1e-5) & (outside <= 1e-5) & jnp.all((p >= 0) | ~legal, axis=-1)
    sound = jnp.all(proper | idle, axis=-1)
    usable = (sound[:, None] & ~idle)[..., None]
    rows = jnp.where(legal, jnp.where(usable, p, 1), 0)  # before any arithmetic: NaN would reach every gradient
    return rows / jnp.sum(rows, axis=-1, keepdims=True), sound

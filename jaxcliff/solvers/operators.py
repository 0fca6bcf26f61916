"""What happens to the action values of a state: the best one counts (`Greedy`), or a policy's mean (`Average`).

An operator is monotone and passes constants through, which is all that the error bound asks of it. It also
says what its own arithmetic costs (`slack`) and which policy attains it (`policy`).
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxcliff._numerics import contract, unit_roundoff
from jaxcliff._records import record
from jaxcliff._types import LaneFlags, LaneScalars, Policies, Rewards, Values
from jaxcliff.mdp import MDP


def mask_illegal(q: jax.Array, legal: jax.Array | None) -> jax.Array:
    """q, with the lowest finite number where an action is illegal."""
    return q if legal is None else jnp.where(legal, q, jnp.finfo(q.dtype).min)


@record
class Greedy:
    """V(s) = max_a Q(s, a): the hard optimum."""

    kind: ClassVar[str] = "optimum"

    def value(self, q: Rewards, legal: Any) -> Values:
        return jnp.max(mask_illegal(q, legal), axis=-1)

    def slack(self, q_norm: LaneScalars) -> LaneScalars:
        """Bound of |fl(value) − value|: a maximum is exact."""
        return jnp.zeros_like(q_norm)

    def policy(self, q: Rewards, legal: Any) -> Policies:
        """The first best action, as a distribution."""
        return jax.nn.one_hot(jnp.argmax(mask_illegal(q, legal), axis=-1), q.shape[-1], dtype=q.dtype)

    def checked(self, mdp: MDP, lanes: LaneFlags) -> tuple["Greedy", LaneFlags]:
        return self, lanes

    def level(self, start: int, stop: int) -> "Greedy":
        return self


@record
class Average:
    """V(s) = Σ_a π(a|s) Q(s, a): the value of a given policy, [*B, S, A]."""

    probabilities: jax.Array

    kind: ClassVar[str] = "evaluation"

    def value(self, q: Rewards, legal: Any) -> Values:
        return contract("bsa,bsa->bs", self.probabilities, q)

    def slack(self, q_norm: LaneScalars) -> LaneScalars:
        """A sum of A terms whose weights sum to 1 within rounding."""
        a = self.probabilities.shape[-1]
        u = unit_roundoff(q_norm.dtype)
        drift = jnp.max(jnp.abs(jnp.sum(self.probabilities, axis=-1) - 1), axis=-1)
        return (drift + (2 * a + 4) * u) * q_norm

    def policy(self, q: Rewards, legal: Any) -> Policies:
        return self.probabilities

    def checked(self, mdp: MDP, lanes: LaneFlags) -> tuple["Average", LaneFlags]:
        """Lanes whose policy is a distribution over legal actions; the others get a harmless one."""
        p = self.probabilities
        legal = jnp.ones(mdp.reward.shape, p.dtype) if mdp.legal is None else mdp.legal.astype(p.dtype)
        idle = jnp.zeros(mdp.num_states, bool) if mdp.terminal is None else mdp.terminal
        inside = p * legal
        total = jnp.sum(inside, axis=-1, keepdims=True)
        outside = jnp.sum(jnp.abs(p - inside), axis=-1)
        proper = (jnp.abs(total[..., 0] - 1) <= 1e-5) & (outside <= 1e-5) & jnp.all(inside >= 0, axis=-1)
        sound = jnp.all(proper | idle, axis=-1)
        usable = (sound[:, None] & ~idle)[..., None]
        uniform = legal / jnp.sum(legal, axis=-1, keepdims=True)
        return Average(jnp.where(usable, inside / jnp.where(usable, total, 1), uniform)), lanes & sound

    def level(self, start: int, stop: int) -> "Average":
        return Average(self.probabilities[:, start:stop])

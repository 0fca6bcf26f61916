"""One policy factored once, for a whole batch of rewards near the one it is optimal for.

Fix a base policy π₀ and let M = (I − γP_π₀)⁻¹. For a reward R with d(s) = R(s, π₀(s)) its values are Md, and how much
better every other action is, its *advantage*, is linear in R:

    adv(s, a) = R(s, a) + T(s, a)·d,      T(s, a) = γP(s, a)M − M(s, ·)

Where no advantage is positive, π₀ is optimal for R and nothing else has to be solved. A policy π that differs from π₀
in the set C of states is evaluated by a system of that size, always possible because T_CC is a P-matrix up to its sign:

    −T_CC y = adv(c, π(c)),     V_π = M(d + y),     y = 0 outside C

Row (s, a) of T, with the entry 1 of R(s, a) itself, is also the normal of the wall at which the policy switches to a
in s: the rewards for which π₀ stays optimal are the cone adv ≤ 0.

Where no level is pinned, M is the inverse of the deflated matrix I − γP_π₀ + γ1νᵀ, ν uniform: values up to a constant,
the same T, and fewer digits lost. (Sherman, Morrison and Woodbury for the update.)
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxcliff.core import checks, devices
from jaxcliff.core.numerics import contract
from jaxcliff.core.records import is_concrete, record, static
from jaxcliff.core.types import LaneFlags, NumbersLike, Policies, Rewards, RewardsLike, Values
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Dense, Successors
from jaxcliff.solvers.batch import Batch
from jaxcliff.solvers.methods.linear import policy_system, solve_system
from jaxcliff.solvers.methods.policy_iteration import Evaluate

LARGEST = 2**30  # entries of T


@record
class Factorization:
    """A base policy π₀ with M and T; made by `jc.factorize`.

    Attributes:
        mdp: the problem.
        policy: π₀, [S, A]; for a hard optimum, the first best action of every state.
        inverse: M, [S, S] (of the deflated matrix where no level is pinned).
        coupling: T, [S, A, S].
        capacity: the most states in which one lane's policy may differ from π₀ to be evaluated through T.
    """

    mdp: MDP
    policy: Policies
    inverse: jax.Array
    coupling: jax.Array
    capacity: int = static(default=32)

    @property
    def actions(self) -> jax.Array:
        """π₀ as one action per state, [S]."""
        return jnp.argmax(self.policy, axis=-1).astype(jnp.int32)

    def values(self, rewards: RewardsLike) -> Values:
        """V of π₀ for rewards [..., S, A]; up to a constant per reward where no level is pinned."""
        return _values(self, self._rewards(rewards))

    def advantages(self, rewards: RewardsLike) -> Rewards:
        """How much better than π₀ each action is, for rewards [..., S, A]: linear in the reward, 0 for π₀ itself."""
        return _advantages(self, self._rewards(rewards))

    def normals(self, states: NumbersLike, actions: NumbersLike) -> Rewards:
        """The gradients of the advantages of these (state, action) pairs with respect to the reward, [..., S, A].

        `advantages(R)[s, a] = Σ normals(s, a)·R`. Every pair has as many numbers as the reward: ask for those you need.
        """
        if is_concrete(states, actions):
            states = checks.places(states, self.mdp.num_states, "state")
            actions = checks.places(actions, self.mdp.num_actions, "action")
        return _normals(self, states, actions)

    def received(self, rewards: RewardsLike) -> Values:
        """d(s) = R(s, π₀(s)), for rewards [..., S, A]."""
        rewards = jnp.where(self.mdp.decisions, self._rewards(rewards), 0)
        return contract("sa,...sa->...s", self.policy, rewards)

    def _rewards(self, rewards: Any) -> Rewards:
        rewards = checks.array(rewards, "rewards").astype(self.mdp.dtype)
        if rewards.shape[-2:] != self.policy.shape:
            s, a = self.policy.shape
            raise ValueError(f"rewards must have shape [..., {s}, {a}] (states, actions), not {list(rewards.shape)}")
        return rewards

    def astype(self, dtype: Any) -> "Factorization":
        """The same in another dtype."""
        cast = {name: getattr(self, name).astype(dtype) for name in ("policy", "inverse", "coupling")}
        return Factorization(self.mdp.astype(dtype), **cast, capacity=self.capacity)


@jax.jit
def _values(base: Factorization, rewards: Rewards) -> Values:
    return contract("st,...t->...s", base.inverse, base.received(rewards))


@jax.jit
def _advantages(base: Factorization, rewards: Rewards) -> Rewards:
    own = jnp.where(base.mdp.decisions, rewards, 0)
    return own + contract("sat,...t->...sa", base.coupling, base.received(rewards))


@jax.jit
def _normals(base: Factorization, states: jax.Array, actions: jax.Array) -> Rewards:
    lead = jnp.broadcast_shapes(states.shape, actions.shape)
    states, actions = jnp.broadcast_to(states, lead).ravel(), jnp.broadcast_to(actions, lead).ravel()
    rows = base.coupling[states, actions][:, :, None] * base.policy
    rows = rows.at[jnp.arange(len(states)), states, actions].add(1)
    return jnp.where(base.mdp.decisions, rows, 0).reshape(*lead, *base.policy.shape)


def factor(mdp: MDP, policy: Policies, capacity: int) -> Factorization:
    """M and T of a policy, [S, A]."""
    system = policy_system(mdp, mdp.discount, policy[None])[0]
    inverse = solve_system(system, jnp.eye(mdp.num_states, dtype=system.dtype))
    after = mdp.discount * jnp.transpose(mdp.expect(inverse.T), (1, 2, 0))
    coupling = after - inverse[:, None]
    if not mdp.pinned:
        coupling = coupling - mdp.discount * jnp.mean(inverse, axis=0)
    return Factorization(mdp, policy, inverse, jnp.where(mdp.decisions[..., None], coupling, 0), capacity)


def check_factorable(mdp: MDP) -> None:
    """A tree or a bandit needs no factorisation; a problem too large for one is refused."""
    if not isinstance(mdp.transitions, Dense | Successors):
        kind = "a bandit" if mdp.transitions is None else "a tree"
        raise ValueError(f"{kind} is solved by one pass and needs no factorisation: leave out around= and method=")
    entries = mdp.reward.size * mdp.num_states
    if entries > LARGEST:
        raise ValueError(
            f"the factorisation of {mdp.num_states} states and {mdp.num_actions} actions holds {entries:.2g} numbers, "
            f"more than {LARGEST:.2g}; solve without around= (value iteration needs none)"
        )
    if is_concrete(mdp):
        what = f"the factorisation of {mdp.num_states} states and {mdp.num_actions} actions"
        devices.require(entries * mdp.dtype.itemsize, what, "solve without around= (value iteration needs none)")


def base_values(base: Factorization, batch: Batch) -> Values:
    """The values of π₀ under every reward of a batch, [B, S], up to a constant where no level is pinned."""
    return batch.pin(base.values(batch.reward))


def evaluate_nearby(base: Factorization, batch: Batch) -> Evaluate:
    """The values of policies that differ from π₀ in at most `capacity` states; which lanes those are.

    The system of a lane is filled up with rows of the identity.
    """
    mdp, dtype = batch.mdp, batch.reward.dtype
    size = min(base.capacity, mdp.num_states)
    actions = base.actions
    lanes = jnp.arange(len(batch.span))[:, None]
    received, values = base.received(batch.reward), base_values(base, batch)
    # The advantages once more, by a backup: where rows are short it costs a fraction of the product with T.
    ahead = batch.backup(values) - values[..., None]
    if not mdp.pinned:
        ahead = ahead - batch.discount * jnp.mean(values, axis=-1)[:, None, None]

    def evaluate(chosen: jax.Array) -> tuple[jax.Array, LaneFlags]:
        differs = actions != chosen.T
        rank = jnp.cumsum(differs, axis=-1, dtype=jnp.int32)
        slot = jnp.where(differs & (rank <= size), rank - 1, size)
        states = jnp.broadcast_to(jnp.arange(mdp.num_states, dtype=jnp.int32), differs.shape)
        switched = (0 * rank[:, :1] + jnp.zeros(size + 1, jnp.int32)).at[lanes, slot].set(states)[:, :size]
        present = jnp.arange(size, dtype=jnp.int32) < rank[:, -1:]
        now = chosen.T[lanes, switched]
        block = -base.coupling[switched[:, :, None], now[:, :, None], switched[:, None, :]]
        block = jnp.where(present[:, :, None] & present[:, None, :], block, jnp.eye(size, dtype=dtype))
        y = jax.vmap(solve_system)(block, jnp.where(present, ahead[lanes, switched, now], 0))
        spread = received.at[lanes, switched].add(jnp.where(present, y, 0))
        h = batch.pin(contract("st,bt->bs", base.inverse, spread))
        return h.T, (rank[:, -1] <= size) & ~batch.failed

    return evaluate

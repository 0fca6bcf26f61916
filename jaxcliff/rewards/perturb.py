"""Perturbed rewards, each returned with the norm it really has.

Perturbations touch the entries that count: legal actions of non-terminal states.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff._records import is_concrete, record
from jaxcliff._types import LaneScalars, Rewards
from jaxcliff.mdp import MDP, inverse_bellman

NORMS = {"1": 1.0, "2": 2.0, "inf": jnp.inf}


@record
class Perturbed:
    """`rewards`, [N, S, A], and the norms ‖rewards − base‖, [N], as realised in floating point."""

    rewards: Rewards
    norms: LaneScalars


def ball(key: jax.Array, mdp: MDP, radius: Any, count: int, *, norm: str = "inf", reward: Any = None) -> Perturbed:
    """Rewards drawn uniformly from the ball of a radius around a reward.

    Args:
        key: a JAX random key.
        mdp: the problem; its own reward is the centre unless `reward` is given.
        radius: of the ball, in units of reward.
        count: N, how many rewards.
        norm: "inf", "2" or "1", over the entries that count.
        reward: another centre, [S, A].
    """
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(map(repr, NORMS))}, not {norm!r}")
    if not isinstance(count, int) or count < 1:
        raise ValueError(f"count must be a whole number of at least 1, not {count}")
    if np.ndim(radius) != 0 or (is_concrete(radius) and not 0 <= float(radius) < np.inf):
        raise ValueError(f"the radius must be one finite number, not negative; it is {radius}")
    radius = jnp.asarray(radius).astype(mdp.dtype)
    base = mdp.reward if reward is None else jnp.asarray(reward).astype(mdp.dtype)
    if base.shape != mdp.reward.shape:
        raise ValueError(f"the centre must have shape {list(mdp.reward.shape)}, not {list(base.shape)}")
    shape = (count, *base.shape)
    direction_key, length_key = jax.random.split(key)
    counts = mdp.decisions
    if norm == "inf":
        step = jax.random.uniform(direction_key, shape, mdp.dtype, -1, 1)
    else:
        # |x| with density ∝ exp(−|x|^p) has a uniform direction; U^{1/n} fills the ball.
        p = NORMS[norm]
        step = jnp.where(counts, jax.random.generalized_normal(direction_key, p, shape, mdp.dtype), 0)
        length = jnp.sum(jnp.abs(step) ** p, axis=(-2, -1), keepdims=True) ** (1 / p)
        filling = jax.random.uniform(length_key, (count, 1, 1), mdp.dtype) ** (1 / jnp.sum(counts)).astype(mdp.dtype)
        step = step * (filling / length).astype(mdp.dtype)
    rewards = jnp.where(counts, base + radius * step, base)
    return Perturbed(rewards, realised_norm(mdp, rewards - base, norm))


def realised_norm(mdp: MDP, difference: Rewards, norm: str = "inf") -> LaneScalars:
    """The norm of a difference of rewards over the entries that count: "inf", "2" or "1"."""
    size = jnp.where(mdp.decisions, jnp.abs(difference), 0)
    if norm == "inf":
        return jnp.max(size, axis=(-2, -1))
    p = NORMS[norm]
    return jnp.sum(size**p, axis=(-2, -1)) ** (1 / p)


@record
class Bump:
    """A reward that makes one action best by a margin, and three numbers for how far away it is.

    Attributes:
        reward: R_ε, [S, A].
        q_values: its optimal action values, Q + ε at the chosen pair.
        realised: ‖R_ε − R‖ as computed.
        sharp: the exact norm; at a tie ε·max{|1 − γP(s|s,a)|, γ max_{(s',a') ≠ (s,a)} P(s|s',a')} ≤ ε.
        paper: (1 + γ)ε, the bound of Proposition 2.9; never attained for γ > 0.
    """

    reward: Rewards
    q_values: Rewards
    realised: jax.Array
    sharp: jax.Array
    paper: jax.Array


def bump(mdp: MDP, q_values: Any, state: int, action: int, size: Any) -> Bump:
    """Breaks a tie: raises Q(state, action) by `size` and inverts the Bellman equation for the reward.

    The action must be among the best at `state` under `q_values`, or less than `size` behind. The new reward has the
    raised action values, the action is the only optimal one there, and the reward has moved by at most `size`, however
    small that is: the construction by which Propositions 2.9 and 2.10 show that every selection jumps at a tie.
    """
    if not (0 <= state < mdp.num_states and 0 <= action < mdp.num_actions):
        raise ValueError(
            f"there is no state {state}, action {action}: the problem has {mdp.num_states} states and "
            f"{mdp.num_actions} actions"
        )
    q = jnp.asarray(q_values).astype(mdp.dtype)
    if q.shape != mdp.reward.shape:
        raise ValueError(f"q_values must have shape {list(mdp.reward.shape)}, not {list(q.shape)}")
    size = jnp.asarray(size).astype(mdp.dtype)
    if is_concrete(mdp, q, size):
        place = f"{mdp.labels.state(state)}, {mdp.labels.action(action, state)}"
        if not mdp.decisions[state, action]:
            raise ValueError(f"{place} is illegal or terminal: there is nothing to raise")
        best = jnp.max(jnp.where(mdp.decisions[state], q[state], -jnp.inf))
        if not (size > 0 and q[state, action] + size > best):
            raise ValueError(
                f"a bump of {size:g} does not make {place} the best: it is {best - q[state, action]:g} behind"
            )
    raised = q.at[state, action].add(size)
    reward = inverse_bellman(mdp, raised)
    before = inverse_bellman(mdp, q)
    best = jnp.max(q[state] if mdp.legal is None else jnp.where(mdp.legal[state], q[state], -jnp.inf))
    rise = jnp.maximum(q[state, action] + size - best, 0)
    arrival = jnp.zeros(mdp.num_states, mdp.dtype).at[state].set(1)
    into = mdp.discount * jnp.where(mdp.decisions, mdp.expect(arrival), 0) * rise
    own = jnp.abs(size - into[state, action])
    return Bump(
        reward=reward,
        q_values=raised,
        realised=realised_norm(mdp, reward - before),
        sharp=jnp.maximum(own, jnp.max(into.at[state, action].set(0))),
        paper=size * (1 + mdp.discount),
    )

"""Perturbed rewards, each returned with the norm it really has.

Perturbations touch the entries that count: legal actions of non-terminal states. `ball`, `sphere`, `gaussian`, `signs`
and `sparse` are random; `single_entries`, `along`, `plane`, `adversarial` and `quantized` are not; `shaping` and
`constant` change no policy (the latter only where all episodes are equally long); `redistributed` moves reward among
tied actions; `without` leaves out one component of a mixture.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff._numerics import real
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
    direction_key, length_key = jax.random.split(key)
    if norm == "inf":
        shape = _shape(mdp, count)
        step = jax.random.uniform(direction_key, shape, mdp.dtype, -1, 1)
    else:
        # U^{1/n} of a uniform direction fills the ball.
        step = _directions(direction_key, mdp, count, norm)
        entries = jnp.sum(mdp.decisions).astype(mdp.dtype)
        step = step * jax.random.uniform(length_key, (count, 1, 1), mdp.dtype) ** (1 / entries)
    return _added(mdp, reward, _size("radius", radius, mdp) * step, norm)


def sphere(key: jax.Array, mdp: MDP, radius: Any, count: int, *, norm: str = "inf", reward: Any = None) -> Perturbed:
    """Rewards at exactly a distance from a reward: a uniform draw from the ball, moved out to its surface.

    (In the sup norm that is uniform on the faces of the cube; in the others the cone measure.)
    """
    return _added(mdp, reward, _size("radius", radius, mdp) * _directions(key, mdp, count, norm), norm)


def gaussian(key: jax.Array, mdp: MDP, sigma: Any, count: int, *, reward: Any = None) -> Perturbed:
    """Independent noise N(0, σ²) on every entry; the norms are sup norms."""
    noise = jax.random.normal(key, _shape(mdp, count), mdp.dtype)
    return _added(mdp, reward, _size("sigma", sigma, mdp) * noise, "inf")


def signs(key: jax.Array, mdp: MDP, radius: Any, count: int, *, reward: Any = None) -> Perturbed:
    """±radius on every entry: random corners of the ball of the sup norm."""
    noise = jax.random.rademacher(key, _shape(mdp, count), mdp.dtype)
    return _added(mdp, reward, _size("radius", radius, mdp) * noise, "inf")


def sparse(key: jax.Array, mdp: MDP, radius: Any, count: int, entries: int, *, reward: Any = None) -> Perturbed:
    """±radius on so many entries, drawn anew for every reward."""
    total = int(np.sum(np.asarray(mdp.decisions)))
    if not isinstance(entries, int | np.integer) or not 1 <= entries <= total:
        raise ValueError(f"entries must be a whole number from 1 to {total}, not {entries}")
    which, sign = jax.random.split(key)
    shape = _shape(mdp, count)
    order = jnp.where(mdp.decisions, jax.random.uniform(which, shape, mdp.dtype), jnp.inf).reshape(count, -1)
    rank = jnp.argsort(jnp.argsort(order, axis=-1), axis=-1).reshape(shape)
    noise = jnp.where(rank < entries, jax.random.rademacher(sign, shape, mdp.dtype), 0)
    return _added(mdp, reward, _size("radius", radius, mdp) * noise, "inf")


def single_entries(mdp: MDP, size: Any, *, reward: Any = None) -> Perturbed:
    """Each entry that counts moved by +size, then each by −size, all others left alone: twice as many as entries."""
    which = jnp.asarray(np.argwhere(np.asarray(mdp.decisions)))
    states, actions = which.T
    one = jnp.zeros((len(which), *mdp.reward.shape), mdp.dtype).at[jnp.arange(len(which)), states, actions].set(1)
    return _added(mdp, reward, _size("size", size, mdp) * jnp.concatenate([one, -one]), "inf")


def shaping(mdp: MDP, potentials: Any, *, reward: Any = None) -> Perturbed:
    """Potential shaping, R + γPφ − φ for potentials φ [..., S], 0 in terminal states: every policy keeps its rank.

    (Ng, Harada and Russell, 1999.)
    """
    potentials = jnp.asarray(potentials).astype(mdp.dtype)
    if potentials.shape[-1:] != (mdp.num_states,):
        raise ValueError(f"potentials have shape [..., {mdp.num_states}], not {list(potentials.shape)}")
    if mdp.terminal is not None:
        potentials = jnp.where(mdp.terminal, 0, potentials)
    return _added(mdp, reward, mdp.discount * mdp.expect(potentials) - potentials[..., None], "inf")


def constant(mdp: MDP, sizes: Any, *, reward: Any = None) -> Perturbed:
    """The same number added to every entry, one reward per size: changes no policy unless an episode can end earlier.

    On a tree without end token, or without terminal states, all episodes are equally long.
    """
    sizes = jnp.asarray(sizes).astype(mdp.dtype)
    return _added(mdp, reward, jnp.broadcast_to(sizes[..., None, None], (*sizes.shape, *mdp.reward.shape)), "inf")


def redistributed(key: jax.Array, mdp: MDP, tied: Any, radius: Any, count: int, *, reward: Any = None) -> Perturbed:
    """Reward moved among actions that tie, a boolean [S, A]: what they get sums to 0 in every state."""
    tied = jnp.asarray(tied)
    if tied.shape != mdp.reward.shape:
        raise ValueError(f"tied must be a boolean {list(mdp.reward.shape)}, not of shape {list(tied.shape)}")
    tied = tied & mdp.decisions
    noise = jnp.where(tied, jax.random.uniform(key, _shape(mdp, count), mdp.dtype, -1, 1), 0)
    number = jnp.maximum(jnp.sum(tied, axis=-1, keepdims=True), 1).astype(mdp.dtype)
    noise = jnp.where(tied, noise - jnp.sum(noise, axis=-1, keepdims=True) / number, 0)
    largest = jnp.max(jnp.abs(noise), axis=(-2, -1), keepdims=True)
    step = noise / jnp.where(largest > 0, largest, 1)
    return _added(mdp, reward, _size("radius", radius, mdp) * step, "inf")


def without(mdp: MDP, rewards: Any, weights: Any) -> Perturbed:
    """A mixture Σ_k w_k(s) R_k without its first, second, … component: rewards [N, S, A], weights [N, S] or [N, 1]."""
    rewards, weights = jnp.asarray(rewards).astype(mdp.dtype), jnp.asarray(weights).astype(mdp.dtype)
    if rewards.shape[1:] != mdp.reward.shape or weights.shape not in ((len(rewards), 1), rewards.shape[:2]):
        raise ValueError(
            f"components have shape [N, {mdp.num_states}, {mdp.num_actions}] and weights [N, {mdp.num_states}] or "
            f"[N, 1], not {list(rewards.shape)} and {list(weights.shape)}"
        )
    parts = jnp.where(mdp.decisions, weights[..., None] * rewards, 0)
    return _added(mdp, jnp.sum(parts, axis=0), -parts, "inf")


def quantized(mdp: MDP, dtype: str, *, reward: Any = None) -> Perturbed:
    """The reward as "float16", "bfloat16" or "int8" would hold it (one scale for all entries), [1, S, A]."""
    base = _centre(mdp, reward)
    if dtype in ("float16", "bfloat16"):
        stored = base.astype(dtype).astype(mdp.dtype)
    elif dtype == "int8":
        scale = jnp.max(jnp.where(mdp.decisions, jnp.abs(base), 0)) / 127
        stored = jnp.round(base / jnp.where(scale > 0, scale, 1)) * scale
    else:
        raise ValueError(f"dtype must be 'float16', 'bfloat16' or 'int8', not {dtype!r}")
    return _added(mdp, base, (stored - base)[None], "inf")


def along(mdp: MDP, direction: Any, lengths: Any, *, reward: Any = None, norm: str = "inf") -> Perturbed:
    """R + tD for a direction D [S, A] and every t in `lengths`, [...]."""
    direction, lengths = jnp.asarray(direction).astype(mdp.dtype), jnp.asarray(lengths).astype(mdp.dtype)
    return _added(mdp, reward, lengths[..., None, None] * direction, norm)


def plane(mdp: MDP, x: Any, y: Any, xs: Any, ys: Any, *, reward: Any = None, norm: str = "inf") -> Perturbed:
    """R + xX + yY on a grid, [len(ys), len(xs), S, A]."""
    x, y = jnp.asarray(x).astype(mdp.dtype), jnp.asarray(y).astype(mdp.dtype)
    xs, ys = jnp.asarray(xs).astype(mdp.dtype), jnp.asarray(ys).astype(mdp.dtype)
    return _added(mdp, reward, xs[:, None, None] * x + ys[:, None, None, None] * y, norm)


def adversarial(mdp: MDP, near: Any, factors: Any = 1.001) -> Perturbed:
    """The reward moved towards its nearest cliff, by so many times the distance: `near = jc.nearest_cliff(mdp, …)`.

    Where there is no cliff, it stays.
    """
    if np.ndim(near.radius):
        raise ValueError("near is about several rewards: move one at a time, or take near.beyond(factor)")
    radius = jnp.where(np.isfinite(near.radius), near.radius, 0).astype(mdp.dtype)
    lengths = jnp.asarray(factors).astype(mdp.dtype) * radius
    return along(mdp, near.direction, lengths, reward=near.walls.rewards, norm=near.walls.norm_name)


def realised_norm(mdp: MDP, difference: Rewards, norm: str = "inf") -> LaneScalars:
    """The norm of a difference of rewards over the entries that count: "inf", "2" or "1"."""
    size = jnp.where(mdp.decisions, jnp.abs(difference), 0)
    if norm == "inf":
        return jnp.max(size, axis=(-2, -1))
    p = NORMS[norm]
    return jnp.sum(size**p, axis=(-2, -1)) ** (1 / p)


def _shape(mdp: MDP, count: int) -> tuple[int, ...]:
    if not isinstance(count, int | np.integer) or count < 1:
        raise ValueError(f"count must be a whole number of at least 1, not {count}")
    return (int(count), *mdp.reward.shape)


def _size(name: str, size: Any, mdp: MDP) -> jax.Array:
    size = real(size, f"the {name}")
    if np.ndim(size) != 0 or (is_concrete(size) and not 0 <= float(size) < np.inf):
        raise ValueError(f"the {name} must be one finite number, not negative; it is {size}")
    return size.astype(mdp.dtype)


def _directions(key: jax.Array, mdp: MDP, count: int, norm: str) -> Rewards:
    """Steps of norm 1 in random directions."""
    shape = _shape(mdp, count)
    if norm == "inf":
        step = jax.random.uniform(key, shape, mdp.dtype, -1, 1)
    else:
        # |x| with density ∝ exp(−|x|^p) has a uniform direction.
        step = jax.random.generalized_normal(key, NORMS[_checked(norm)], shape, mdp.dtype)
    return jnp.where(mdp.decisions, step, 0) / realised_norm(mdp, step, norm)[:, None, None]


def _checked(norm: str) -> str:
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(map(repr, NORMS))}, not {norm!r}")
    return norm


def _centre(mdp: MDP, reward: Any) -> Rewards:
    base = mdp.reward if reward is None else jnp.asarray(reward).astype(mdp.dtype)
    if base.shape != mdp.reward.shape:
        raise ValueError(f"the centre must have shape {list(mdp.reward.shape)}, not {list(base.shape)}")
    return base


def _added(mdp: MDP, reward: Any, step: Rewards, norm: str) -> Perturbed:
    """Steps on top of a reward, where an entry counts, and the norms they really have."""
    _checked(norm)
    base = _centre(mdp, reward)
    rewards = jnp.where(mdp.decisions, base + step, base)
    return Perturbed(rewards, realised_norm(mdp, rewards - base, norm))


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

"""Perturbed rewards, each returned with the norm it really has.

Perturbations touch the entries that count: legal actions of non-terminal states. `ball`, `sphere`, `gaussian`, `signs`
and `sparse` are random; `single_entries`, `along`, `plane` and `quantized` are not; `shaping` and
`constant` change no policy (the latter only where all episodes are equally long); `redistributed` moves reward among
tied actions; `without` leaves out one component of a mixture.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks, datasets, devices
from jaxcliff.core.labels import Labels, labelled
from jaxcliff.core.numerics import cast, norm_of, placed
from jaxcliff.core.records import by_hand, is_concrete, record
from jaxcliff.core.types import (
    Dataset,
    Key,
    LaneScalars,
    Norm,
    Number,
    NumbersLike,
    RewardLike,
    Rewards,
    RewardsLike,
    WeightsLike,
    Whole,
    Word,
)
from jaxcliff.model.mdp import MDP
from jaxcliff.model.provenance import recorded
from jaxcliff.rewards import steps
from jaxcliff.rewards.inverse import Bump as Bump
from jaxcliff.rewards.inverse import bump as bump
from jaxcliff.rewards.inverse import single

__all__ = [
    "Bump",
    "Perturbed",
    "along",
    "ball",
    "bump",
    "constant",
    "gaussian",
    "plane",
    "quantized",
    "realised_norm",
    "redistributed",
    "shaping",
    "signs",
    "single_entries",
    "sparse",
    "sphere",
    "without",
]


def __dir__() -> list[str]:
    return list(__all__)


NORMS = {"1": 1.0, "2": 2.0, "inf": jnp.inf}


@record
class Perturbed:
    """`rewards`, [N, S, A], and the norms ‖rewards − base‖, [N], as realised in floating point."""

    rewards: Rewards
    norms: LaneScalars
    labels: Labels = labelled()
    made: Any = by_hand(default=None)

    def summary(self) -> str:
        """One sentence."""
        norms = np.asarray(self.norms)
        if norms.size < 2:
            return f"{norms.size} reward{'s' * (norms.size != 1)}, {norms.max(initial=0):.4g} away"
        return f"{norms.size:,} rewards, {norms.min():.4g} to {norms.max():.4g} away (median {np.median(norms):.4g})"

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset."""
        variables: Any = {"rewards": (("...", "state", "action"), self.rewards), "norms": (("...",), self.norms)}
        size = self.rewards.shape[-2:]
        return datasets.build("Perturbed", variables, {}, labels=self.labels, size=size, made=self.made)


@checks.public
@recorded
def ball(
    key: Key, mdp: MDP, reward: RewardLike | None = None, *, size: Number, count: Whole, norm: Norm = "inf"
) -> Perturbed:
    """Rewards drawn uniformly from the ball of a size around a reward.

    Args:
        key: a JAX random key.
        mdp: the problem.
        reward: the centre, [S, A]; the problem's own if None.
        size: the radius of the ball, in units of reward.
        count: N, how many rewards.
        norm: "inf", "2" or "1", over the entries that count.
    """
    key, shape = checks.random_key(key), _shape(mdp, count)
    step = steps.inside(NORMS[checks.norm(norm)], shape, key, mdp)
    return _added(mdp, reward, step, norm, _size("size", size, mdp))


@checks.public
@recorded
def sphere(
    key: Key, mdp: MDP, reward: RewardLike | None = None, *, size: Number, count: Whole, norm: Norm = "inf"
) -> Perturbed:
    """Rewards at exactly a distance from a reward: a uniform draw from the ball, moved out to its surface.

    (In the sup norm that is uniform on the faces of the cube; in the others the cone measure.)
    """
    key, shape = checks.random_key(key), _shape(mdp, count)
    step = steps.directions(NORMS[checks.norm(norm)], shape, key, mdp)
    return _added(mdp, reward, step, norm, _size("size", size, mdp))


@checks.public
@recorded
def gaussian(key: Key, mdp: MDP, reward: RewardLike | None = None, *, sigma: Number, count: Whole) -> Perturbed:
    """Independent noise N(0, σ²) on every entry; the norms are sup norms."""
    noise = jax.random.normal(checks.random_key(key), _shape(mdp, count), mdp.dtype)
    return _added(mdp, reward, noise, "inf", _size("sigma", sigma, mdp))


@checks.public
@recorded
def signs(key: Key, mdp: MDP, reward: RewardLike | None = None, *, size: Number, count: Whole) -> Perturbed:
    """±size on every entry: random corners of the ball of the sup norm."""
    noise = jax.random.rademacher(checks.random_key(key), _shape(mdp, count), mdp.dtype)
    return _added(mdp, reward, noise, "inf", _size("size", size, mdp))


@checks.host_geometry
@recorded
def sparse(
    key: Key, mdp: MDP, reward: RewardLike | None = None, *, size: Number, count: Whole, entries: Whole
) -> Perturbed:
    """±size on so many entries, drawn anew for every reward."""
    total = int(np.sum(np.asarray(mdp.decisions)))
    entries = checks.whole(entries, "entries", 1, total)
    key, shape = checks.random_key(key), _shape(mdp, count)
    return _added(mdp, reward, steps.scattered(shape, key, mdp, entries), "inf", _size("size", size, mdp))


@checks.host_geometry
@recorded
def single_entries(mdp: MDP, reward: RewardLike | None = None, *, size: Number) -> Perturbed:
    """Each entry that counts moved by +size, then each by −size, all others left alone: twice as many as entries."""
    states, actions = np.nonzero(np.asarray(mdp.decisions))
    _room(mdp, 2 * len(states))
    one = np.zeros((len(states), *mdp.reward.shape), mdp.dtype)
    one[np.arange(len(states)), states, actions] = 1
    return _added(mdp, reward, placed(np.concatenate([one, -one])), "inf", _size("size", size, mdp))


@checks.public
@recorded
def shaping(mdp: MDP, reward: RewardLike | None = None, *, potentials: NumbersLike) -> Perturbed:
    """Potential shaping, R + γPφ − φ for potentials φ [..., S], 0 in terminal states: every policy keeps its rank.

    (Ng, Harada and Russell, 1999.)
    """
    potentials = checks.array(potentials, "potentials").astype(mdp.dtype)
    if potentials.shape[-1:] != (mdp.num_states,):
        raise ValueError(f"potentials have shape [..., {mdp.num_states}], not {list(potentials.shape)}")
    return _added(mdp, reward, _shaped(mdp, potentials), "inf")


@jax.jit
def _shaped(mdp: MDP, potentials: jax.Array) -> Rewards:
    if mdp.terminal is not None:
        potentials = jnp.where(mdp.terminal, 0, potentials)
    return mdp.discount * mdp.expect(potentials) - potentials[..., None]


@checks.public
@recorded
def constant(mdp: MDP, reward: RewardLike | None = None, *, sizes: NumbersLike) -> Perturbed:
    """The same number added to every entry, one reward per size: changes no policy unless an episode can end earlier.

    On a tree without end token, or without terminal states, all episodes are equally long.
    """
    sizes = checks.array(sizes, "sizes").astype(mdp.dtype)
    _room(mdp, sizes.size)
    return _added(mdp, reward, jnp.broadcast_to(sizes[..., None, None], (*sizes.shape, *mdp.reward.shape)), "inf")


@checks.public
@recorded
def redistributed(
    key: Key, mdp: MDP, reward: RewardLike | None = None, *, tied: NumbersLike, size: Number, count: Whole
) -> Perturbed:
    """Reward moved among actions that tie, a boolean [S, A]: what they get sums to 0 in every state."""
    tied, key = checks.array(tied, "tied"), checks.random_key(key)
    if tied.shape != mdp.reward.shape or tied.dtype != bool:
        raise ValueError(
            f"tied must be a boolean {list(mdp.reward.shape)}, not {tied.dtype} of shape {list(tied.shape)}"
        )
    step = steps.among(_shape(mdp, count), key, mdp, tied)
    return _added(mdp, reward, step, "inf", _size("size", size, mdp))


@checks.public
@recorded
def without(mdp: MDP, rewards: RewardsLike, weights: WeightsLike) -> Perturbed:
    """A mixture Σ_k w_k(s) R_k without its first, second, … component.

    Rewards are [N, S, A], weights [N], [N, 1] or [N, S].
    """
    rewards = checks.array(rewards, "components").astype(mdp.dtype)
    weights = checks.array(weights, "weights").astype(mdp.dtype)
    if rewards.ndim != 3 or rewards.shape[1:] != mdp.reward.shape:
        raise ValueError(f"components have shape [N, {mdp.num_states}, {mdp.num_actions}], not {list(rewards.shape)}")
    weights = checks.weights(weights, len(rewards), mdp.num_states)
    mixture, steps = _parts(mdp, rewards, weights)
    return _added(mdp, mixture, steps, "inf")


@jax.jit
def _parts(mdp: MDP, rewards: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The mixture, and the steps that take one component away."""
    parts = jnp.where(mdp.decisions, weights[..., None] * rewards, 0)
    return jnp.sum(parts, axis=0), -parts


@checks.public
@recorded
def quantized(mdp: MDP, reward: RewardLike | None = None, *, dtype: Word) -> Perturbed:
    """The reward as "float16", "bfloat16" or "int8" would hold it (one scale for all entries), [1, S, A]."""
    base = _centre(mdp, reward)
    if dtype in ("float16", "bfloat16"):
        stored = base.astype(dtype).astype(mdp.dtype)
    elif dtype == "int8":
        scale = jnp.max(jnp.where(mdp.decisions, jnp.abs(base), 0)) / 127
        stored = jnp.round(base / jnp.where(scale > 0, scale, 1)) * scale
    else:
        raise ValueError(f"dtype must be 'float16', 'bfloat16' or 'int8', not {checks.shown(dtype)}")
    return _added(mdp, base, (stored - base)[None], "inf")


@checks.public
@recorded
def along(
    mdp: MDP, reward: RewardLike | None = None, *, direction: RewardLike, sizes: NumbersLike, norm: Norm = "inf"
) -> Perturbed:
    """R + tD for a direction D [S, A] and every t in `sizes`, [...]."""
    direction, sizes = single(mdp, direction, "the direction"), cast(checks.array(sizes, "sizes"), mdp.dtype)
    _room(mdp, sizes.size)
    return _added(mdp, reward, sizes[..., None, None] * direction, norm)


@checks.public
@recorded
def plane(
    mdp: MDP,
    reward: RewardLike | None = None,
    *,
    x: RewardLike,
    y: RewardLike,
    xs: NumbersLike,
    ys: NumbersLike,
    norm: Norm = "inf",
) -> Perturbed:
    """R + xX + yY on a grid, [len(ys), len(xs), S, A]."""
    x, y = single(mdp, x, "x"), single(mdp, y, "y")
    xs, ys = (checks.array(v, name).astype(mdp.dtype) for v, name in ((xs, "xs"), (ys, "ys")))
    if xs.ndim != 1 or ys.ndim != 1:
        raise ValueError(f"xs and ys are lists of numbers, not of shapes {list(xs.shape)} and {list(ys.shape)}")
    _room(mdp, xs.size * ys.size)
    return _added(mdp, reward, xs[:, None, None] * x + ys[:, None, None, None] * y, norm)


@checks.public
def realised_norm(mdp: MDP, difference: RewardsLike, norm: Norm = "inf") -> LaneScalars:
    """The norm of a difference of rewards [..., S, A] over the entries that count: "inf", "2" or "1"."""
    difference = checks.array(difference, "the difference")
    if difference.shape[-2:] != mdp.reward.shape:
        s, a = mdp.reward.shape
        raise ValueError(f"a difference of rewards has shape [..., {s}, {a}], not {list(difference.shape)}")
    if not jnp.issubdtype(difference.dtype, jnp.floating):
        difference = difference.astype(mdp.dtype)
    return norm_of(NORMS[checks.norm(norm)], mdp.decisions, difference)


def _shape(mdp: MDP, count: Any) -> tuple[int, ...]:
    count = checks.whole(count, "count", 1)
    _room(mdp, count)
    return (count, *mdp.reward.shape)


def _room(mdp: MDP, count: int) -> None:
    """So many rewards, and the steps to them, fit into memory."""
    if is_concrete(mdp):
        needed = 2.0 * count * mdp.reward.size * mdp.dtype.itemsize
        devices.require(needed, f"{count:,} rewards of shape {list(mdp.reward.shape)}", "take fewer at a time")


def _size(name: str, size: Any, mdp: MDP) -> jax.Array:
    found = checks.array(size, f"the {name}")
    if found.ndim or (is_concrete(size) and not 0 <= checks.number(size, f"the {name}") < np.inf):
        raise ValueError(f"the {name} must be one finite number, not negative; it is {checks.shown(size)}")
    return cast(found, mdp.dtype)


def _centre(mdp: MDP, reward: Any) -> Rewards:
    return mdp.reward if reward is None else single(mdp, reward, "the centre")


def _added(mdp: MDP, reward: Any, step: Rewards, norm: str, size: Any = 1) -> Perturbed:
    """Steps on top of a reward, where an entry counts, and the norms they really have."""
    p, base = NORMS[checks.norm(norm)], _centre(mdp, reward)
    rewards = _sum(mdp.decisions, base, size, step)  # a program of its own: its bits are those whose norm is taken
    return Perturbed(rewards, norm_of(p, mdp.decisions, rewards, base), mdp.labels)


@jax.jit
def _sum(counts: jax.Array, base: jax.Array, size: Any, step: jax.Array) -> jax.Array:
    return jnp.where(counts, base + size * step, base)

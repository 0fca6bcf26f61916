"""Linear families of rewards, R(θ) = R₀ + Fθ: along which changes a distance is measured.

A wall ⟨n, R⟩ = 0 at a gap g is g / ‖Fᵀn‖* away in θ, with ‖·‖* dual to the norm of θ. F is applied and never stored:
it either scales entries (`Entries`: all of them, some, one component of a mixture, all components) or adds up given
rewards (`Directions`: features, weights, a ray, a plane).

    jc.nearest_cliff(mdp, family=jc.family.mask(entries))
"""

from typing import Any

import numpy as np

from jaxcliff.core import checks, devices
from jaxcliff.core.records import is_concrete
from jaxcliff.core.types import NumbersLike, RewardsLike, WeightsLike, Whole
from jaxcliff.model.mdp import MDP

__all__ = [
    "Directions",
    "Entries",
    "component",
    "components",
    "features",
    "identity",
    "mask",
    "weights",
]


def __dir__() -> list[str]:
    return list(__all__)


DUAL = {"inf": 1.0, "2": 2.0, "1": np.inf}
Array = np.ndarray


def check_norm(norm: Any) -> float:
    """The exponent of the dual norm."""
    return DUAL[checks.norm(norm)]


class Entries:
    """ΔR(s, a) = Σ_k scale_k(s, a) θ_k(s, a): θ has one number per component and entry, [N, S, A].

    A scale [N, 1, A] is the same in every state.
    """

    balanced = False  # whether only θ that sum to 0 belong to the family

    def __init__(self, scale: Any):
        self.scale = _numbers(scale, "scale")
        if self.scale.ndim != 3 or not np.isfinite(self.scale).all():
            raise ValueError(f"scale must be finite and of shape [N, S, A], not {list(self.scale.shape)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of θ."""
        return self.scale.shape

    def fit(self, mdp: MDP) -> "Entries":
        """The same on the entries that count."""
        scale = np.repeat(self.scale, mdp.num_states, axis=1) if self.scale.shape[1] == 1 else self.scale
        _check_shape(scale, mdp)
        return Entries(np.where(np.asarray(mdp.decisions), scale, 0.0))

    def apply(self, theta: Array) -> Array:
        """Fθ, [..., S, A]."""
        return np.sum(self.scale * theta, axis=-3)

    def pull(self, normals: Array) -> Array:
        """Fᵀn, [..., N, S, A]."""
        return self.scale * normals[..., None, :, :]

    def dual_norms(self, cones: Any, actions: Array, norm: str) -> tuple[Array, Array]:
        """‖Fᵀn‖* of every wall of every policy, [F, S, A], and its error [F]; 0 where it cannot be told from 0."""
        p, unit = check_norm(norm), _unit(self.scale)
        weight = np.linalg.norm(self.scale / unit, p, axis=0)  # no square overflows or is lost
        norms, wrong = cones.entry_norms(actions, weight, p)
        return unit * norms, unit * wrong

    def matrix(self) -> tuple[Any, Array]:
        """F as a sparse matrix [S·A, d] on the numbers of θ that move something, and which those are."""
        from scipy import sparse

        scale, entries = self.scale.ravel(), self.scale[0].size
        free = np.flatnonzero(scale)
        return sparse.csr_array((scale[free], (free % entries, np.arange(len(free)))), (entries, len(free))), free

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Standard normal θ, [count, N, S, A]."""
        return rng.standard_normal((count, *self.shape))

    def reach(self, norm: str) -> float:
        """A number with ‖Fᵀn‖* ≤ reach · ‖n‖₁ for every n."""
        return float(_norms(self.scale, check_norm(norm), axis=0).max())

    def steepest(self, pulled: Array, norm: str) -> Array:
        """The θ of norm 1 along which a gap with this Fᵀn falls fastest."""
        return _steepest(pulled.reshape(*pulled.shape[:-3], -1), norm).reshape(pulled.shape)


class Directions:
    """ΔR = Σ_i θ_i F_i, for given rewards F [D, S, A]; if `balanced`, θ sums to 0 (weights of a mixture)."""

    def __init__(self, columns: Any, balanced: bool = False):
        self.columns = _numbers(columns, "the rewards of a family")
        self.balanced = balanced
        if self.columns.ndim != 3 or not len(self.columns):
            raise ValueError(f"the rewards of a family have shape [D, S, A], not {list(self.columns.shape)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of θ."""
        return self.columns.shape[:1]

    def fit(self, mdp: MDP) -> "Directions":
        """The same on the entries that count."""
        _check_shape(self.columns, mdp)
        columns = np.where(np.asarray(mdp.decisions), self.columns, 0.0)
        if not np.isfinite(columns).all():
            raise ValueError("a reward of the family is not finite on a legal action")
        return Directions(columns, self.balanced)

    def apply(self, theta: Array) -> Array:
        """Fθ, [..., S, A]."""
        return np.tensordot(theta, self.columns, axes=1)

    def pull(self, normals: Array) -> Array:
        """Fᵀn, [..., D]."""
        return np.tensordot(normals, self.columns, axes=((-2, -1), (1, 2)))

    def dual_norms(self, cones: Any, actions: Array, norm: str) -> tuple[Array, Array]:
        """The same: n is never made, the gaps under F_i are what is needed."""
        unit = _unit(self.columns)
        gaps, error = cones.gaps(actions, self.columns[None] / unit)
        error = error + 1e-14 * np.abs(gaps).max(axis=(-2, -1))
        gaps = np.where(np.abs(gaps) <= error[..., None, None], 0.0, gaps)
        wrong = np.linalg.norm(error, check_norm(norm), axis=-1) * (2 if self.balanced else 1)
        return unit * _dual(np.moveaxis(gaps, 1, -1), norm, self.balanced), unit * wrong

    def matrix(self) -> tuple[Any, Array]:
        """F as a sparse matrix [S·A, D], and the numbers of θ that move something: all."""
        from scipy import sparse

        return sparse.csr_array(self.columns.reshape(len(self.columns), -1).T), np.arange(len(self.columns))

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Standard normal θ, [count, D]; balanced ones without their mean."""
        theta = rng.standard_normal((count, *self.shape))
        return theta - theta.mean(axis=-1, keepdims=True) if self.balanced else theta

    def reach(self, norm: str) -> float:
        """A number with ‖Fᵀn‖* ≤ reach · ‖n‖₁ for every n."""
        return float(_norms(np.abs(self.columns).max(axis=(1, 2)), check_norm(norm)))

    def steepest(self, pulled: Array, norm: str) -> Array:
        """The θ of norm 1 along which a gap with this Fᵀn falls fastest."""
        return _steepest(pulled, norm, self.balanced)


def fitted(mdp: MDP, family: Any) -> Entries | Directions:
    """A family as a caller gives it, on the entries that count: every entry by itself if it is None."""
    if family is None:
        return identity(mdp)
    if not isinstance(family, Entries | Directions):
        raise ValueError(f"family must be one of jc.family, such as jc.family.mask(…), not {checks.shown(family)}")
    return family.fit(mdp)


def identity(mdp: MDP) -> Entries:
    """Every entry that counts moves by itself."""
    return Entries(np.ones((1, *mdp.reward.shape))).fit(mdp)


def mask(entries: NumbersLike) -> Entries:
    """Only some entries move, a boolean [S, A]."""
    which = _numbers(entries, "entries")
    if which.ndim != 2 or not np.isin(which, (0, 1)).all():
        raise ValueError("entries that move are a boolean [S, A]")
    return Entries(which[None])


def components(weights: WeightsLike, actions: Whole) -> Entries:
    """All components of a mixture Σ_k w_k(s) R_k move, weights [N], [N, 1] or [N, S]; in the sup norm, max_k ‖ΔR_k‖."""
    weights = _table(weights)
    actions = checks.whole(actions, "actions", 1)
    devices.require(8.0 * weights.size * actions, f"weights over {actions:,} actions")
    return Entries(np.repeat(weights[..., None], actions, axis=-1))


def component(weights: WeightsLike, index: Whole, actions: Whole) -> Entries:
    """One component of a mixture moves alone: a change of the mixture by ε takes a change of ε/w of the component."""
    weights = _table(weights)
    index = checks.whole(index, "the component")
    if index >= len(weights):
        raise ValueError(f"there is no component {index}: there are weights of {len(weights)}")
    return components(weights[index : index + 1], actions)


def features(rewards: RewardsLike) -> Directions:
    """ΔR = Σ_i θ_i F_i; a ray has one reward, a plane two, [D, S, A]."""
    return Directions(rewards)


def weights(rewards: RewardsLike) -> Directions:
    """The weights of a mixture of these rewards, [N, S, A], move; their sum does not."""
    return Directions(rewards, balanced=True)


def _table(weights: Any) -> Array:
    found = _numbers(weights, "weights")
    return checks.weights(found, len(found) if found.ndim else 0, found.shape[-1] if found.ndim > 1 else 1)


def _numbers(array: Any, name: str) -> Array:
    if not is_concrete(array):
        raise TypeError(f"a family is host geometry: {name} cannot be traced by jax.jit, vmap or grad; make it outside")
    return checks.numbers(array, name)


def _unit(x: Array) -> float:
    """A power of two near the largest number: dividing by it costs no bits."""
    largest = float(np.abs(x).max(initial=0))
    return float(np.ldexp(0.5, np.frexp(largest)[1])) if 0 < largest < np.inf else 1.0


def _norms(x: Array, p: float, axis: int = -1) -> Any:
    """Norms along an axis; no square overflows or is lost."""
    unit = _unit(x)
    return unit * np.linalg.norm(x / unit, p, axis=axis)


def _check_shape(array: Array, mdp: MDP) -> None:
    if array.shape[1:] != mdp.reward.shape:
        raise ValueError(f"the family has entries {list(array.shape[1:])}, the problem {list(mdp.reward.shape)}")


def _dual(g: Array, norm: str, balanced: bool) -> Array:
    """The dual norm over the last axis; for balanced θ, that of g up to a constant."""
    if balanced:
        g = g - _centre(g, norm)
    return np.linalg.norm(g, check_norm(norm), axis=-1)


def _centre(g: Array, norm: str) -> Array:
    """The constant nearest to g in the dual norm, over the last axis."""
    if norm == "inf":
        return np.median(g, axis=-1, keepdims=True)
    if norm == "2":
        return g.mean(axis=-1, keepdims=True)
    return (g.max(axis=-1, keepdims=True) + g.min(axis=-1, keepdims=True)) / 2


def _steepest(g: Array, norm: str, balanced: bool = False) -> Array:
    if norm == "inf":
        if not balanced:
            return -np.sign(g)
        g = g - _centre(g, norm)
        sign, level = -np.sign(g), g == 0
        return np.where(level, -sign.sum(-1, keepdims=True) / np.maximum(level.sum(-1, keepdims=True), 1), sign)
    if norm == "2":
        g = g - _centre(g, norm) if balanced else g
        largest = np.abs(g).max(axis=-1, keepdims=True)
        g = g / np.where(largest > 0, largest, 1)
        size = np.linalg.norm(g, axis=-1, keepdims=True)
        return -g / np.where(size > 0, size, 1)
    eye = np.eye(g.shape[-1])
    if balanced:
        return (eye[g.argmin(axis=-1)] - eye[g.argmax(axis=-1)]) / 2
    largest = np.abs(g).argmax(axis=-1)
    return -eye[largest] * np.sign(np.take_along_axis(g, largest[..., None], axis=-1))

"""Weights that answer themselves: all of them, whether they are stable, and how fast they move with the rewards.

Of two components only z = log w_0/w_1 is unknown, and the fixed points are the roots of

    h(z) = z/ζ − [g_0 − g_1](σ(z)),

found between the points of a grid where h changes its sign and polished by bisection. Of three and more those are found
to which training leads from many starts: the stable ones.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxcliff.core.numerics import contract, placed
from jaxcliff.operators.regularizers import Entropy
from jaxcliff.solvers.methods.linear import solve_system
from jaxcliff.solvers.solve import solve
from jaxcliff.studies.gates import System, answered, padded, scores, slopes
from jaxcliff.studies.settling import Gain, Pair, settled

GRID = 1024  # points between which roots of two components are looked for; even, so that 0 is none of them
FAR = 60.0  # logits at which a weight is 1
FINE = 0.05  # logits up to which the grid is even
ENDLESS = 1e12  # ζ of a hard gate, in units of 1/the largest difference of scores
HALVINGS = 64
APART = 1e-6  # between weights that are two fixed points
TOGETHER = 64  # lanes that are differentiated at a time
CHUNK = 65_536  # lanes that are solved at a time


class Found(NamedTuple):
    """Fixed points, one after the other: of which feedback and strength (numbers on their axes), and the weights."""

    feedback: np.ndarray
    strength: np.ndarray
    weights: np.ndarray
    policy: np.ndarray
    multiplier: np.ndarray


def capped(feedback: np.ndarray, spread: float, dtype: Any) -> np.ndarray:
    """Feedback with numbers for infinity and for 0, given the largest difference of scores and the arithmetic."""
    most = min(ENDLESS, 0.01 / float(jnp.finfo(dtype).eps)) / max(spread, 1e-300)
    found = np.clip(feedback, -most, most)
    return np.where(np.abs(found) < 1 / most, 1 / most, found)


def of_two(system: System, feedback: np.ndarray, strength: np.ndarray) -> Found:
    """All fixed points of two components, for every pair of a feedback [F] and a strength [K]."""
    fine = FINE * np.sinh(np.linspace(-1, 1, GRID) * np.arcsinh(FAR / FINE))
    ahead = differences(system, np.repeat(strength, GRID), np.tile(fine, len(strength))).reshape(len(strength), GRID)
    spread = float(np.abs(ahead).max())
    zeta = capped(feedback, spread, system.mdp.dtype)
    far = 1.01 * spread * np.abs(zeta) + 2 * FAR
    grid = np.concatenate([-far[:, None], np.tile(fine, (len(zeta), 1)), far[:, None]], axis=1)
    edge = np.concatenate([ahead[:, :1], ahead, ahead[:, -1:]], axis=1)
    positive = grid[:, None] / zeta[:, None, None] - edge >= 0  # [F, K, G]
    f, k, i = np.nonzero(positive[..., 1:] != positive[..., :-1])
    z = _polished(system, zeta[f], strength[k], grid[f, i], grid[f, i + 1])
    dtype = system.mdp.dtype
    w = np.stack([_sigmoid(z), _sigmoid(-z)], axis=-1)
    at = placed(strength[k].astype(dtype))
    weights = placed(w.astype(dtype))
    policy = np.asarray(answered(system, at, weights).policy)
    return Found(f, k, w, policy, multipliers(zeta[f], w, np.asarray(slopes(system, at, weights))))


def multipliers(zeta: np.ndarray, weights: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The derivative of w → softmax(ζ·g(w)): of its eigenvalues the one farthest from 0, [L].

    Below 1 a slow gate comes back; between −1 and 1 one that jumps to its answer does too.
    """
    gate = weights[..., None] * (np.eye(weights.shape[-1]) - weights[:, None, :])
    every = np.linalg.eigvals(zeta[:, None, None] * (gate @ slope.astype(float))).real
    at = np.abs(every).argmax(axis=-1)
    return np.take_along_axis(every, at[:, None], axis=-1)[:, 0]


def differences(system: System, strength: np.ndarray, z: np.ndarray) -> np.ndarray:
    """g_0 − g_1 at logits [L]."""
    found = []
    for start in range(0, len(z), CHUNK):
        part = slice(start, start + CHUNK)
        w = np.stack([_sigmoid(z[part]), _sigmoid(-z[part])], axis=-1)
        told = answered(system, *(placed(x.astype(system.mdp.dtype)) for x in (strength[part], w))).scores
        found.append(np.asarray(told[:, 0] - told[:, 1], float))
    return np.concatenate(found)


def _polished(system: System, zeta: Any, strength: Any, low: Any, high: Any) -> np.ndarray:
    """The root of h between two logits of different sign, lane by lane."""
    given = (placed(np.asarray(x).astype(system.mdp.dtype)) for x in (zeta, strength, low, high))
    return np.asarray(_halved(system, *given), float)


@padded
def _halved(system: System, zeta: Array, strength: Array, low: Array, high: Array) -> Array:
    def side(z: Array) -> Array:
        told = answered(system, strength, jnp.stack([jax.nn.sigmoid(z), jax.nn.sigmoid(-z)], axis=-1)).scores
        return z / zeta - (told[:, 0] - told[:, 1]) >= 0

    first = side(low)

    def on(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        same = side(middle) == first
        return jnp.where(same, middle, low), jnp.where(same, high, middle)

    low, high = jax.lax.fori_loop(0, HALVINGS, on, (low, high))
    return (low + high) / 2


def of_many(
    system: System, feedback: np.ndarray, strength: np.ndarray, part: np.ndarray, starts: np.ndarray, most: int
) -> Found:
    """Where training leads from several weights [C, N], for every pair of a feedback [F] and a strength [K]."""
    count, number = starts.shape
    f, k = (x.reshape(-1) for x in np.indices((len(feedback), len(strength))))
    lanes, dtype = len(f), system.mdp.dtype
    f, k, w = np.repeat(f, count), np.repeat(k, count), np.tile(starts, (lanes, 1))
    zeta, alpha, share, begin = (
        placed(x.astype(dtype)) for x in (feedback[f], strength[k], part[f, k], np.maximum(w, 1e-12))
    )
    pair = Pair(answered(system, alpha, begin).policy, jnp.log(begin))
    pair, _ = settled(system, Gain(zeta, alpha, share), pair, most)
    found = np.asarray(jax.nn.softmax(pair.logits), float).reshape(lanes, count, number)
    new = np.ones((lanes, count), bool)
    for i in range(1, count):
        near = np.abs(found[:, :i] - found[:, i : i + 1]).max(axis=-1) < np.sqrt(APART)
        new[:, i] = ~(near & new[:, :i]).any(axis=1)
    keep = new.reshape(-1)
    w = found.reshape(-1, number)[keep]
    slope = np.asarray(slopes(system, alpha, jax.nn.softmax(pair.logits)))[keep]
    finite = capped(feedback, 1.0, dtype)[f][keep]
    return Found(f[keep], k[keep], w, np.asarray(pair.policy)[keep], multipliers(finite, w, slope))


@padded
def constants(system: System, zeta: Array, strength: Array, weights: Array) -> tuple[Array, Array]:
    """How fast weights, and policies, move with the components: total variation per unit of max_k ‖ΔR_k‖, [L] each.

    By the implicit derivative of w = softmax(ζ·g(w, R)). Half the sum over actions (components) of the largest change
    of each is the constant itself where there are two, and bounds it where there are more.
    """
    mdp, rewards = system.mdp, system.rewards
    number = rewards.shape[0]

    def policy(reward: Array, alpha: Array) -> Array:
        return solve(mdp, reward, regularizer=Entropy(alpha)).policy

    def told(reward: Array, several: Array, alpha: Array) -> Array:
        system_of = system._replace(rewards=several)
        return scores(system_of, alpha[None], policy(reward, alpha)[None])[0]

    def one(lane: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        z, alpha, w = lane
        mixed = jnp.sum(w[:, None, None] * rewards, axis=0)
        through, direct = jax.jacrev(told, (0, 1))(mixed, rewards, alpha)
        gate = z * (jnp.diag(w) - w[:, None] * w)
        of_weights = contract("ksa,jsa->kj", through, rewards)
        given = direct + through[:, None] * w[:, None, None]
        # dw = gate·(of_weights·dw + given·dR)
        solved = solve_system(jnp.eye(number, dtype=w.dtype) - contract("ij,jk->ik", gate, of_weights), gate)
        moved = contract("jk,knsa->jnsa", solved, given)
        slope = jax.jacfwd(policy)(mixed, alpha)
        after = slope[:, :, None] * w[:, None, None]
        after += contract("saij,nij,nmkl->samkl", slope, rewards, moved)
        counts = jnp.broadcast_to(mdp.decisions, moved.shape[1:])
        size = jnp.sum(jnp.where(counts, jnp.abs(after), 0), axis=(-3, -2, -1))
        return jnp.sum(jnp.where(counts, jnp.abs(moved), 0)) / 2, jnp.max(jnp.sum(size, axis=-1)) / 2

    return jax.lax.map(one, (zeta, strength, weights), batch_size=TOGETHER)


def widest(slope: np.ndarray) -> np.ndarray:
    """Of slopes [..., N, N], the largest d(g_i − g_j) along e_i − e_j, per unit of total variation of the weights."""
    own = np.einsum("...ii->...i", slope)
    return (own[..., None] + own[..., None, :] - slope - np.swapaxes(slope, -1, -2)).max(axis=(-2, -1))


def _sigmoid(z: Any) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -np.asarray(z, float)))

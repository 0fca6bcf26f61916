"""One table of regularisers; every contract of a soft optimum meets every one."""

import numpy as np
import pytest

import jaxcliff as jc
from tests.cases import put

REGULARIZERS = {
    "entropy": lambda strength, base: jc.Entropy(strength),
    "kl": lambda strength, base: jc.KL(strength, base),
    "sparsemax": lambda strength, base: jc.Sparsemax(strength),
    "jensen_shannon": lambda strength, base: jc.FDivergence(strength, base),
    "forward_kl": lambda strength, base: jc.FDivergence(strength, base, "forward_kl"),
    "chi_square": lambda strength, base: jc.FDivergence(strength, base, "chi_square"),
    "hellinger": lambda strength, base: jc.FDivergence(strength, base, "hellinger"),
    "order -1.5": lambda strength, base: jc.FDivergence(strength, base, -1.5),
    "order 1.5": lambda strength, base: jc.FDivergence(strength, base, 1.5),
}

# One of every kind of code path; the others run in the wide version.
QUICK = ("entropy", "kl", "sparsemax", "jensen_shannon")
EACH = [r if r in QUICK else pytest.param(r, marks=pytest.mark.slow) for r in REGULARIZERS]


def draw_base(rng, mdp, count=None, sparse=False):
    """Base policies over the legal actions: [S, A], or [count, S, A]; if sparse, with some masses 0 and some tiny."""
    shape = mdp.reward.shape if count is None else (count, *mdp.reward.shape)
    legal = np.broadcast_to(np.ones(mdp.reward.shape, bool) if mdp.legal is None else np.asarray(mdp.legal), shape)
    mass = rng.exponential(size=shape)
    if sparse:
        mass *= rng.choice([0.0, 1e-12, 1.0, 1.0], size=shape)
        first = legal.argmax(-1)[..., None]
        np.put_along_axis(mass, first, np.take_along_axis(mass, first, -1) + 0.1, -1)
    mass = np.where(legal, mass, 0)
    return put(mass / mass.sum(-1, keepdims=True), mdp.dtype)


def draw_strength(rng, mdp, count):
    """Strengths from 1e-6 to 1e6, [count, S]: the same in every state, or not, and sometimes 0."""
    one = 10 ** rng.uniform(-6, 6, size=(count, 1)) * np.ones((1, mdp.num_states))
    own = 10 ** rng.uniform(-6, 6, size=(count, mdp.num_states)) * rng.choice(
        [0.0, 1.0, 1.0], size=(count, mdp.num_states)
    )
    strength = np.where(rng.random((count, 1)) < 0.7, one, own)
    strength[0] = 10 ** rng.uniform(-2, 0)
    return put(strength, mdp.dtype)

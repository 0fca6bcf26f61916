"""Points of sweeps that other processes can import."""

import os
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc


def wave(key, x, power, draw):
    """Something of everything: of the axes, of the draw, of the point's own key; with an axis of its own."""
    x, noise = jnp.asarray(x, jnp.result_type(float)), jax.random.normal(draw, (2,), jnp.result_type(float))
    return {
        "height": jnp.sin(x) ** jnp.asarray(power, jnp.result_type(float)),
        "noise": (("k",), noise + x, "reward"),
        "own": jax.random.uniform(key),
        "status": (x > 0.9).astype(jnp.int8),
    }


def powers(key, x, kind, draw):
    """A static axis."""
    function = {"sine": jnp.sin, "cosine": jnp.cos}[kind]
    return {"height": function(x) + jax.random.uniform(draw)}


def counted(key, x, kind, draw):
    """On the host."""
    return {"height": {"sine": np.sin, "cosine": np.cos}[kind](x) + float(jax.random.uniform(draw))}


def gap(key, mdp, strength, size, draw):
    """How far a soft policy moves: what sweeps are for."""
    entropy = jc.Entropy(strength)
    ball = jc.perturb.ball(draw, mdp, size=size, count=1)
    here, there = jc.solve(mdp, regularizer=entropy), jc.solve(mdp, ball.rewards[0], regularizer=entropy)
    moved = jc.metrics.largest_total_variation(there.policy, here.policy)
    return {"tv": (("",) * 0, moved, "1"), "status": there.status, "bound": there.error_bound}


def hard(key, mdp, size, draw):
    """What flips: certain, and undecided."""
    ball = jc.perturb.ball(draw, mdp, size=size, count=1)
    here, there = jc.solve(mdp), jc.solve(mdp, ball.rewards[0])
    flipped, unsure = jc.metrics.flips(jc.optimal_actions(here), jc.optimal_actions(there))
    return {"flips": flipped.sum(), "undecided": unsure.sum(), "status": there.status, "bound": there.error_bound}


def decided(key, mdp, size, draw):
    """Every decision: optimal 1, suboptimal −1, undecided 0."""
    sol = jc.solve(mdp, jc.perturb.ball(draw, mdp, size=size, count=1).rewards[0])
    acts = jc.optimal_actions(sol)
    said = acts.optimal.astype(jnp.int8) - acts.suboptimal.astype(jnp.int8)
    return {"said": (("state", "action"), said), "status": sol.status, "bound": sol.error_bound, "values": sol.values}


def radius(key, seed):
    """Host geometry."""
    near = jc.nearest_cliff(jc.problems.garnet(jax.random.key(int(seed)), states=8, actions=3, branching=3))
    return {"radius": (("",) * 0, float(near.radius), "reward")}


def deadly(key, x, marker):
    """Kills its process the first time that it is asked, by a file that says so."""
    path = marker + f"-{float(x)}"
    if not os.path.exists(path):
        with open(path, "w"):
            pass
        os.kill(os.getpid(), signal.SIGKILL)
    return {"height": float(x) ** 2}


def slow(key, x):
    time.sleep(0.2)
    return {"height": float(x)}


def stack(count, **options):
    """Problems of one shape along a first axis."""
    several = [jc.problems.garnet(jax.random.key(i), **options) for i in range(count)]
    return jax.tree.map(lambda *x: np.stack([np.asarray(y) for y in x]), *several)


def other_wave(key, x, power, draw):
    return wave(key, x, power, draw)


def holes(key, x, draw):
    """A tenth of the numbers is missing."""
    noise = jax.random.normal(draw, (2,), jnp.result_type(float)) + jnp.asarray(x, jnp.result_type(float))
    missing = jax.random.uniform(jax.random.fold_in(draw, 1), (2,)) < 0.1
    return {"noise": (("k",), jnp.where(missing, jnp.nan, noise)), "whole": jax.random.bits(draw) % 5}


def nothing(key, x, draw):
    return {"height": jnp.asarray(x, jnp.result_type(float)) * jnp.nan}


def rooted(key, x):
    if x < 0:
        raise ValueError(f"there is no root of {x:g}")
    return {"root": np.sqrt(x)}

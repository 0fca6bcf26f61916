"""Visits as differentiable functions of policy and problem, at sizes where they are followed and not solved for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

import jaxcliff as jc
from tests.conftest import needs_x64

pytestmark = needs_x64


def large_chain():
    """Eighty states, one of which ends the episode."""
    mdp = jc.problems.garnet(jax.random.key(0), states=80, actions=3, branching=4, discount=0.9)
    return mdp.replace(reward=mdp.reward.at[7].set(0), terminal=jnp.arange(80) == 7, legal=None, initial=None)


def tree():
    return jc.problems.token_tree(jax.random.key(0), vocabulary=2, depth=4, discount=0.9)


@pytest.mark.parametrize("problem", [large_chain, tree])
def test_occupancy_is_differentiable_in_everything_it_is_made_of(problem, rng):
    """Along one direction of logits, discount, transitions and start: reverse, forward, and central differences."""
    mdp = problem()
    weights, logits, tilt = (jnp.asarray(rng.normal(size=mdp.reward.shape)) for _ in range(3))
    moved = jnp.asarray(rng.dirichlet(np.ones(mdp.num_states))) - mdp.initial
    rows = getattr(mdp.transitions, "probabilities", None)
    chain = None if rows is None else rows * jnp.asarray(rng.normal(size=rows.shape))

    def score(z):
        changes = {"discount": mdp.discount - 0.1 * z[1], "initial": mdp.initial + 0.5 * z[2] * moved}
        if rows is not None:
            moved_rows = rows + z[3] * chain
            moved_rows = moved_rows / jnp.sum(moved_rows, axis=-1, keepdims=True)
            changes["transitions"] = mdp.transitions.replace(probabilities=moved_rows)
        policy = jax.nn.softmax(logits + z[0] * tilt)
        return jnp.sum(weights * jc.occupancy(mdp.replace(**changes), policy))

    at, step = jnp.zeros(4), 1e-5
    slope = jax.jit(jax.grad(score))
    reverse, forward = slope(at), jax.jit(jax.jacfwd(score))(at)
    near = jax.jit(jax.vmap(score))
    steps = step * jnp.eye(4)
    differences = (near(steps) - near(-steps)) / (2 * step)
    moving = slice(0, 3 if rows is None else 4)
    np.testing.assert_allclose(reverse, forward, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(reverse[moving], differences[moving], rtol=1e-5, atol=1e-6)
    assert np.abs(reverse[moving]).min() > 1e-3
    if rows is not None:  # of the stored rows themselves: that of each divided by its sum
        taken = jax.grad(lambda m: jnp.sum(weights * jc.occupancy(m, jax.nn.softmax(logits))), allow_int=True)(mdp)
        np.testing.assert_allclose(jnp.vdot(taken.transitions.probabilities, chain), reverse[3], rtol=1e-7)
    batch = 0.01 * jnp.asarray(rng.normal(size=(4, 4)))
    np.testing.assert_allclose(jax.vmap(slope)(batch), [slope(z) for z in batch], rtol=1e-7, atol=1e-9)


def test_the_derivative_of_occupancy_is_split_over_devices_like_everything_else(rng):
    mdp = large_chain()
    weights = jnp.asarray(rng.normal(size=mdp.reward.shape))
    logits = jnp.asarray(rng.normal(size=(4, *mdp.reward.shape)))

    def slope(logits):
        return jax.grad(lambda x: jnp.sum(weights * jc.occupancy(mdp, jax.nn.softmax(x))))(logits)

    mesh = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("x")
    split = jax.jit(jax.shard_map(slope, mesh=mesh, in_specs=spec, out_specs=spec))(logits)
    np.testing.assert_allclose(split, jax.jit(slope)(logits), atol=1e-9)

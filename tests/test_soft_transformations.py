"""The contracts of `solve` for soft optima: folding, independence of lanes, precision, export, shard_map."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

import jaxcliff as jc
from jaxcliff.solvers import blocks
from tests.cases import KINDS, LANES, lanes
from tests.regularizers import REGULARIZERS, draw_base

F32 = jnp.dtype(jnp.float32)
CASES = [
    ("garnet", "entropy", "policy_iteration"),
    ("masked", "kl", "value_iteration"),
    ("ending_tree", "jensen_shannon", "backward"),
    ("contexts", "sparsemax", "bandit"),
]


def draw(name, regularizer, rng):
    """A problem, LANES rewards, and one strength and base for each."""
    mdp = KINDS[name].draw(rng, F32)
    strength = jnp.asarray([0.3, 1.0, 0.05, 0.3], F32)[:, None]
    return mdp, lanes(rng, mdp), strength, draw_base(rng, mdp, LANES)


def check_same(one, other):
    np.testing.assert_array_equal(one.ok, other.ok)
    reach = np.asarray(one.error_bound + other.error_bound)[..., None]
    assert (np.abs(np.asarray(one.values - other.values)) <= reach).all()
    np.testing.assert_allclose(one.policy, other.policy, atol=2e-3)


@pytest.mark.parametrize(("name", "regularizer", "method"), CASES)
def test_every_way_to_map_is_one_batch(name, regularizer, method, rng):
    """vmap over rewards, strengths and bases agrees with the plain batch."""
    mdp, rewards, strength, base = draw(name, regularizer, rng)
    make = REGULARIZERS[regularizer]
    whole = jc.solve(mdp, rewards, regularizer=make(strength, base), method=method)
    mapped = jax.vmap(lambda r, s, b: jc.solve(mdp, r, regularizer=make(s, b), method=method))
    check_same(whole, mapped(rewards, strength, base))


def test_any_lane_axes_and_one_lane_under_jit(rng):
    name, regularizer, method = CASES[0]
    mdp, rewards, strength, base = draw(name, regularizer, rng)
    make = REGULARIZERS[regularizer]
    whole = jc.solve(mdp, rewards, regularizer=make(strength, base), method=method)
    shaped = jax.tree.map(lambda x: x.reshape(2, 2, *x.shape[1:]), (rewards, make(strength, base)))
    check_same(whole[3], jc.solve(mdp, shaped[0], regularizer=shaped[1], method=method)[1, 1])
    alone = jax.jit(lambda r: jc.solve(mdp, r, regularizer=make(strength[2, 0], base[2]), method=method))
    check_same(whole[2], alone(rewards[2]))


@pytest.mark.parametrize(("name", "regularizer", "method"), CASES)
def test_a_lane_never_depends_on_its_neighbours(name, regularizer, method, rng):
    mdp, rewards, strength, base = draw(name, regularizer, rng)
    reg = REGULARIZERS[regularizer](strength, base)
    calm = jc.solve(mdp, jnp.stack([rewards[2]] * LANES), regularizer=reg, method=method)[2]
    loud = jnp.stack([rewards[0] * jnp.nan, rewards[3] * 1e20, rewards[2], rewards[2] * 1e-20])
    mixed = jc.solve(mdp, loud, regularizer=reg, method=method)
    for a, b in zip(jax.tree.leaves(calm), jax.tree.leaves(mixed[2]), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(calm.policy, mixed.policy[2])
    assert not mixed.ok[0]
    assert np.isnan(np.asarray(mixed.policy[0])).all()


@pytest.mark.parametrize(("name", "regularizer", "method"), CASES)
def test_full_precision_and_export_for_cpu_cuda_and_tpu(name, regularizer, method, rng):
    mdp, rewards, strength, base = draw(name, regularizer, rng)
    arguments = (mdp, rewards, REGULARIZERS[regularizer](strength, base))
    arrays, structure = jax.tree.flatten(arguments)

    @jax.jit
    def run(*leaves):
        mdp, rewards, reg = jax.tree.unflatten(structure, leaves)
        soft = jc.solve(mdp, rewards, regularizer=reg, method=method)
        return soft.values, soft.policy, soft.status

    exported = jax.export.export(run, platforms=["cpu", "cuda", "tpu"])(*arrays)
    again = jax.export.deserialize(exported.serialize()).call(*arrays)
    for one, other in zip(again, run(*arrays), strict=True):
        np.testing.assert_array_equal(one, other)

    def contractions(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name == "dot_general":
                yield equation.params["precision"]
            for inner in jax.extend.core.jaxprs_in_params(equation.params):
                yield from contractions(inner)

    highest = jax.lax.Precision.HIGHEST
    place = len(jax.tree.leaves(mdp))  # of the rewards among the leaves

    def solve(rewards):
        return run(*arrays[:place], rewards, *arrays[place + 1 :])

    for function in (solve, jax.grad(lambda r: jnp.sum(solve(r)[1][..., 0]))):
        found = list(contractions(jax.make_jaxpr(function)(rewards).jaxpr))
        assert all(p == (highest, highest) for p in found), found


def test_other_strengths_and_rewards_of_the_same_shape_compile_nothing(rng):
    mdp, rewards, strength, base = draw("masked", "kl", rng)
    jc.solve(mdp, rewards, regularizer=jc.KL(strength, base))
    before = len(blocks.PROGRAMS)
    jc.solve(mdp, 2 * rewards, regularizer=jc.KL(3 * strength, base))
    jc.solve(mdp, rewards, regularizer=jc.KL(0.1, base[0]))
    jc.solve(mdp, rewards, regularizer=jc.KL(np.float32(7), np.asarray(base)))
    assert len(blocks.PROGRAMS) == before


@pytest.mark.parametrize(("name", "regularizer", "method"), CASES[:3])
def test_under_shard_map_with_varying_axes_checked(name, regularizer, method, rng):
    mdp, rewards, strength, base = draw(name, regularizer, rng)
    mesh = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("x")

    def run(rewards, reg):
        soft = jc.solve(mdp, rewards, regularizer=reg, method=method)
        return soft, soft.policy

    reg = REGULARIZERS[regularizer](strength, base)
    sharded, policy = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=spec))(rewards, reg)
    whole = jc.solve(mdp, rewards, regularizer=reg, method=method)
    check_same(whole, sharded)
    np.testing.assert_allclose(policy, whole.policy, atol=2e-3)


def test_a_python_number_never_raises_the_precision(rng):
    mdp, rewards, _, base = draw("garnet", "kl", rng)
    for reg in (jc.Entropy(0.3), jc.KL(1, base[0])):
        assert jc.solve(mdp, rewards, regularizer=reg).policy.dtype == F32
        assert jax.jit(lambda reg: jc.solve(mdp, regularizer=reg).policy)(reg).dtype == F32

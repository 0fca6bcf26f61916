"""Perturbations: inside their ball, on the entries that count; and the bump that breaks a tie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests.cases import ITERATIVE, KINDS
from tests.conftest import needs_x64
from tests.geometry import kinds


@pytest.mark.parametrize("norm", ["inf", "2", "1"])
def test_a_ball_is_filled_uniformly_and_reports_its_norms(norm, rng):
    mdp = KINDS["stopping"].draw(rng, jnp.dtype(jnp.float32))
    radius, count = 0.25, 4000
    ball = jc.perturb.ball(jax.random.key(3), mdp, size=radius, count=count, norm=norm)
    assert ball.rewards.shape == (count, *mdp.reward.shape)
    change = np.asarray(ball.rewards, float) - np.asarray(mdp.reward, float)
    assert (change[:, ~np.asarray(mdp.decisions)] == 0).all()
    size = np.abs(change[:, np.asarray(mdp.decisions)])
    order = {"inf": np.inf, "2": 2, "1": 1}[norm]
    expected = np.linalg.norm(size, order, axis=1)
    np.testing.assert_allclose(ball.norms, expected, rtol=1e-4)
    assert expected.max() <= radius * (1 + 1e-5)
    # The radius of a uniform draw from a ball in n dimensions is distributed as U^{1/n}.
    n = size.shape[1]
    share = ((expected / radius) ** n).mean()
    assert abs(share - 0.5) <= 5 * np.sqrt(1 / 12 / count)


def test_a_ball_can_have_another_centre_and_refuses_other_norms():
    mdp = jc.problems.bandit([0.0, 1.0])
    ball = jc.perturb.ball(jax.random.key(0), mdp, size=0.0, count=3, reward=[[5.0, 6.0]])
    np.testing.assert_array_equal(ball.rewards, np.broadcast_to([[5.0, 6.0]], (3, 1, 2)))
    with pytest.raises(ValueError, match="norm must be one of"):
        jc.perturb.ball(jax.random.key(0), mdp, size=0.1, count=3, norm="3")
    with pytest.raises(ValueError, match="size must be"):
        jc.perturb.ball(jax.random.key(0), mdp, size=-0.1, count=3)
    with pytest.raises(ValueError, match="count"):
        jc.perturb.ball(jax.random.key(0), mdp, size=0.1, count=0)
    with pytest.raises(ValueError, match="the centre must have shape"):
        jc.perturb.ball(jax.random.key(0), mdp, size=0.1, count=3, reward=[5.0, 6.0])


@needs_x64
@pytest.mark.parametrize("discount", [0.9, *(pytest.param(g, marks=pytest.mark.slow) for g in (0.0, 0.5, 0.95))])
@pytest.mark.parametrize("method", ITERATIVE)
def test_the_bump_breaks_the_tie_at_every_size(discount, method):
    """From 1e-1 down to 1e-11: Q* comes back, the tie is certainly broken, and the reward moved by at most ε."""
    u = 2.0**-53
    for seed in range(3):
        mdp, q = jc.problems.tie_planted(
            jax.random.key(seed), states=12, actions=4, ties=3, tied_states=4, discount=discount
        )
        action = int(np.asarray(q)[0].argmax())
        for size in 10.0 ** -np.arange(1, 12):
            bump = jc.perturb.bump(mdp, q, 0, action, size)
            scale = float(jnp.abs(q).max())
            assert float(bump.realised) <= size + 8 * u * scale
            assert float(bump.sharp) <= size * (1 + 4 * u)
            np.testing.assert_allclose(bump.realised, bump.sharp, atol=16 * u * scale)
            assert float(bump.paper) == pytest.approx((1 + float(mdp.discount)) * size)
            sol = jc.solve(mdp, bump.reward, method=method, tolerance=0)
            error = float(jnp.abs(sol.q_values - bump.q_values).max())
            assert error <= float(sol.error_bound) + 16 * u * scale / (1 - discount)
            acts = jc.optimal_actions(sol, tie_tolerance=0)
            assert np.flatnonzero(acts.optimal[0]).tolist() == [action]
            assert not acts.undecided[0].any()


def test_the_bump_names_a_pair_that_does_not_exist():
    mdp, q = jc.problems.tie_planted(jax.random.key(0))
    with pytest.raises(ValueError, match="the state must be a whole number from 0 to"):
        jc.perturb.bump(mdp, q, 99, 0, 0.1)
    worst = int(np.asarray(q)[0].argmin())
    for size in (1e-3, -0.1):
        with pytest.raises(ValueError, match="does not make state 0"):
            jc.perturb.bump(mdp, q, 0, worst, size)
    with pytest.raises(ValueError, match="illegal or terminal"):
        jc.perturb.bump(jc.problems.fork(), jnp.zeros((3, 2)), 1, 1, 0.1)


def base_of(name, rng):
    mdp = KINDS[name].draw(rng, jnp.dtype(jnp.float32))
    return mdp, np.asarray(mdp.reward, float), np.asarray(mdp.decisions)


def changes(found, base, counts, norm=np.inf):
    """Changes of the entries that count, [N, entries]; nothing else moved, and the norms are true."""
    change = np.asarray(found.rewards, float) - base
    assert (change[..., ~counts] == 0).all()
    change = change[..., counts]
    np.testing.assert_allclose(found.norms, np.linalg.norm(change, norm, axis=-1), rtol=1e-4, atol=1e-6)
    return change


@pytest.mark.parametrize(("norm", "order"), [("inf", np.inf), ("2", 2), ("1", 1)])
def test_a_sphere_is_at_its_distance_in_every_direction(norm, order, rng):
    mdp, base, counts = base_of("stopping", rng)
    found = jc.perturb.sphere(jax.random.key(1), mdp, size=0.5, count=2000, norm=norm)
    change = changes(found, base, counts, order)
    np.testing.assert_allclose(found.norms, 0.5, rtol=1e-4)
    spread = change.std(axis=0)
    assert np.abs(change.mean(axis=0)).max() <= 5 * spread.max() / np.sqrt(2000)
    assert spread.max() <= 1.3 * spread.min()


def test_random_families_have_the_distribution_they_say(rng):
    mdp, base, counts = base_of("masked", rng)
    noise = changes(jc.perturb.gaussian(jax.random.key(2), mdp, sigma=0.3, count=3000), base, counts)
    assert noise.std() == pytest.approx(0.3, rel=5 / np.sqrt(2 * noise.size))
    signs = changes(jc.perturb.signs(jax.random.key(3), mdp, size=0.25, count=500), base, counts)
    np.testing.assert_allclose(np.abs(signs), 0.25, rtol=1e-4)
    assert abs((signs > 0).mean() - 0.5) <= 2.5 / np.sqrt(signs.size)
    sparse = changes(jc.perturb.sparse(jax.random.key(4), mdp, size=0.25, count=500, entries=3), base, counts)
    assert ((np.abs(sparse) > 1e-3).sum(axis=1) == 3).all()
    assert (np.abs(sparse) > 1e-3).any(axis=0).all()
    single = changes(jc.perturb.single_entries(mdp, size=0.5), base, counts)
    np.testing.assert_allclose(
        single, np.concatenate([0.5 * np.eye(counts.sum()), -0.5 * np.eye(counts.sum())]), atol=1e-6
    )


@pytest.mark.parametrize("name", kinds(["garnet", "proper", "ending_tree", "tree"]))
def test_shaping_and_constants_are_null_where_they_should_be(name, rng):
    mdp, base, counts = base_of(name, rng)
    potentials = jnp.asarray(rng.normal(size=(4, mdp.num_states)), jnp.float32)
    plain = jc.solve(mdp)
    before = jc.optimal_actions(plain)
    shaped = jc.perturb.shaping(mdp, potentials=potentials)
    assert np.abs(changes(shaped, base, counts)).max() > 0.1
    after = jc.solve(mdp, shaped.rewards)
    np.testing.assert_allclose(after.gaps, np.broadcast_to(plain.gaps, after.gaps.shape), atol=1e-4)
    flipped, _ = jc.metrics.flips(before, jc.optimal_actions(after))
    assert not flipped.any()
    constant = jc.perturb.constant(mdp, sizes=np.asarray([-3.0, 5.0], np.float32))
    np.testing.assert_allclose(constant.norms, [3, 5], rtol=1e-5)
    flipped, _ = jc.metrics.flips(before, jc.optimal_actions(jc.solve(mdp, constant.rewards)))
    ends_early = name in ("proper", "ending_tree")
    assert flipped.any() == ends_early


def test_redistribution_moves_reward_among_ties_only(rng):
    mdp, base, counts = base_of("contexts", rng)
    tied = rng.random(mdp.reward.shape) < 0.6
    found = jc.perturb.redistributed(jax.random.key(5), mdp, tied=tied, size=0.25, count=50)
    change = np.asarray(found.rewards, float) - base
    changes(found, base, counts)
    assert (change[:, ~tied] == 0).all()
    np.testing.assert_allclose(change.sum(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(found.norms, 0.25, rtol=1e-4)
    with pytest.raises(ValueError, match="tied must be a boolean"):
        jc.perturb.redistributed(jax.random.key(5), mdp, tied=tied[:2], size=0.25, count=50)


def test_a_mixture_without_one_of_its_components(rng):
    mdp, _, counts = base_of("masked", rng)
    rewards = np.where(counts, rng.normal(size=(3, *mdp.reward.shape)), 0).astype(np.float32)
    weights = np.array([[0.5], [0.3], [0.2]], np.float32)
    found = jc.perturb.without(mdp, rewards, weights)
    for k in range(3):
        rest = [i for i in range(3) if i != k]
        expected = np.tensordot(weights[rest, 0], rewards[rest], axes=1)
        np.testing.assert_allclose(np.asarray(found.rewards)[k][counts], expected[counts], atol=1e-6)
        assert found.norms[k] == pytest.approx(np.abs(weights[k] * rewards[k])[counts].max(), rel=1e-5)
    with pytest.raises(ValueError, match="weights of 3 rewards must have shape"):
        jc.perturb.without(mdp, rewards, weights[:2])


@pytest.mark.parametrize(("dtype", "step"), [("float16", 2.0**-11), ("bfloat16", 2.0**-8), ("int8", None)])
def test_quantisation_is_within_half_a_step(dtype, step, rng):
    mdp, base, counts = base_of("masked", rng)
    found = jc.perturb.quantized(mdp, dtype=dtype)
    change = np.abs(changes(found, base[None], counts))[0]
    largest = np.abs(base[counts]).max()
    bound = np.abs(base[counts]) * step if step else largest / 254
    assert (change <= bound * (1 + 1e-4)).all()
    assert change.max() > 0
    values = len(np.unique(np.asarray(found.rewards)[0][counts]))
    assert values <= 255
    with pytest.raises(ValueError, match="'float16', 'bfloat16' or 'int8'"):
        jc.perturb.quantized(mdp, dtype="int4")


def test_rays_planes_and_the_way_to_the_nearest_cliff(rng):
    mdp, base, counts = base_of("masked", rng)
    x, y = np.where(counts, rng.normal(size=(2, *mdp.reward.shape)), 0).astype(np.float32)
    ray = jc.perturb.along(mdp, direction=x, sizes=[0.0, 0.5, 2.0], norm="2")
    np.testing.assert_allclose(ray.norms, np.array([0, 0.5, 2]) * np.linalg.norm(x), rtol=1e-5)
    plane = jc.perturb.plane(mdp, x=x, y=y, xs=[0.0, 1.0], ys=[0.0, 2.0, 3.0])
    assert plane.rewards.shape == (3, 2, *mdp.reward.shape)
    np.testing.assert_allclose(np.asarray(plane.rewards)[2, 1][counts], (base + x + 3 * y)[counts], atol=1e-5)
    near = jc.nearest_cliff(mdp)
    moved = near.beyond([0.9, 1.1])
    norms = jc.perturb.realised_norm(mdp, (moved - np.asarray(mdp.reward)).astype(np.float32))
    np.testing.assert_allclose(norms, float(near.radius) * np.array([0.9, 1.1]), rtol=1e-3)
    before = jc.optimal_actions(jc.solve(mdp))
    flipped, _ = jc.metrics.flips(before, jc.optimal_actions(jc.solve(mdp, moved.astype(np.float32))))
    assert not flipped[0].any()
    assert flipped[1, near.state]
    alone = jc.problems.bandit([1.0])
    np.testing.assert_array_equal(jc.nearest_cliff(alone).beyond(), alone.reward)

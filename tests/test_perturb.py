"""Perturbations: inside their ball, on the entries that count; and the bump that breaks a tie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests.cases import ITERATIVE, KINDS
from tests.conftest import needs_x64


@pytest.mark.parametrize("norm", ["inf", "2", "1"])
def test_a_ball_is_filled_uniformly_and_reports_its_norms(norm, rng):
    mdp = KINDS["stopping"].draw(rng, jnp.dtype(jnp.float32))
    radius, count = 0.25, 4000
    ball = jc.perturb.ball(jax.random.key(3), mdp, radius, count, norm=norm)
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
    ball = jc.perturb.ball(jax.random.key(0), mdp, 0.0, 3, reward=[[5.0, 6.0]])
    np.testing.assert_array_equal(ball.rewards, np.broadcast_to([[5.0, 6.0]], (3, 1, 2)))
    with pytest.raises(ValueError, match="norm must be one of"):
        jc.perturb.ball(jax.random.key(0), mdp, 0.1, 3, norm="3")
    with pytest.raises(ValueError, match="radius"):
        jc.perturb.ball(jax.random.key(0), mdp, -0.1, 3)
    with pytest.raises(ValueError, match="count"):
        jc.perturb.ball(jax.random.key(0), mdp, 0.1, 0)
    with pytest.raises(ValueError, match="the centre must have shape"):
        jc.perturb.ball(jax.random.key(0), mdp, 0.1, 3, reward=[5.0, 6.0])


@needs_x64
@pytest.mark.parametrize("discount", [0.0, 0.9, *(pytest.param(g, marks=pytest.mark.slow) for g in (0.5, 0.95))])
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
    with pytest.raises(ValueError, match="no state 99, action 0"):
        jc.perturb.bump(mdp, q, 99, 0, 0.1)
    worst = int(np.asarray(q)[0].argmin())
    for size in (1e-3, -0.1):
        with pytest.raises(ValueError, match="does not make state 0"):
            jc.perturb.bump(mdp, q, 0, worst, size)
    with pytest.raises(ValueError, match="illegal or terminal"):
        jc.perturb.bump(jc.problems.fork(), jnp.zeros((3, 2)), 1, 1, 0.1)

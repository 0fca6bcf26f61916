"""Implicit derivatives: against central differences, closed forms, and under every JAX transformation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

import jaxcliff as jc
from tests.cases import KINDS, STRUCTURES, lanes
from tests.conftest import needs_x64
from tests.regularizers import REGULARIZERS, draw_base

pytestmark = needs_x64
F = jnp.dtype(jnp.float64)


def draw(name, rng):
    mdp = KINDS[name].draw(rng, F)
    if name not in ("proper", "ending_tree", "contexts"):
        mdp = mdp.replace(discount=0.9)
    return mdp, draw_base(rng, mdp)


def along(fn, arguments, directions, step=1e-5):
    """Central difference with one Richardson step."""

    def slope(h):
        up = [x + h * d for x, d in zip(arguments, directions, strict=True)]
        down = [x - h * d for x, d in zip(arguments, directions, strict=True)]
        return (fn(*up) - fn(*down)) / (2 * h)

    return float((4 * slope(step / 2) - slope(step)) / 3)


def directions_for(rng, mdp, base, arguments):
    """A direction for reward, strength, base, discount and transitions; rows of distributions keep their support."""
    reward, _, base, _, p = arguments
    tilt = np.asarray(base) * rng.normal(size=base.shape)
    tilt -= np.asarray(base) * tilt.sum(-1, keepdims=True)
    chain = np.asarray(p) * rng.normal(size=p.shape)
    return (rng.normal(size=reward.shape), 0.3, tilt, -0.1, chain)


QUICK = [("garnet", "kl"), ("proper", "entropy"), ("ending_tree", "sparsemax"), ("contexts", "jensen_shannon")]
WIDE = [(STRUCTURES[i % 5], r) for i, r in enumerate(REGULARIZERS) if (STRUCTURES[i % 5], r) not in QUICK]


@pytest.mark.parametrize(
    ("name", "regularizer"), [*QUICK, *(pytest.param(*case, marks=pytest.mark.slow) for case in WIDE)]
)
def test_values_and_policies_against_central_differences(name, regularizer, rng):
    """With respect to reward, strength, base policy, discount and transitions, each and all, forward and reverse."""
    mdp, base = draw(name, rng)
    weigh_v = jnp.asarray(rng.normal(size=mdp.num_states))
    weigh_pi = jnp.asarray(rng.normal(size=mdp.reward.shape))
    moves_p = isinstance(mdp.transitions, jc.Dense | jc.Successors)
    p = mdp.transitions.probabilities if moves_p else jnp.zeros(1)
    # At discount 1 a changed chain has no known horizon, and a bandit has no discount.
    moves_chain = moves_p and float(mdp.discount) < 1
    moves_discount = 0 < float(mdp.discount) < 1

    def objective(reward, strength, base, discount, p):
        changed = mdp.replace(reward=jnp.where(mdp.decisions, reward, 0))
        if moves_discount:
            changed = changed.replace(discount=discount)
        if moves_chain:
            rows = p / jnp.where(jnp.sum(p, -1, keepdims=True) > 0, jnp.sum(p, -1, keepdims=True), 1)
            kind = type(mdp.transitions)
            model = kind(rows) if kind is jc.Dense else kind(mdp.transitions.states, rows)
            changed = changed.replace(transitions=model)
        soft = jc.solve(changed, regularizer=REGULARIZERS[regularizer](strength, base), tolerance=1e-15)
        return jnp.sum(weigh_v * soft.values) + jnp.sum(weigh_pi * soft.policy)

    arguments = (mdp.reward, jnp.asarray(0.4), base, mdp.discount, p)
    everywhere = directions_for(rng, mdp, base, arguments)
    objective = jax.jit(objective)
    gradient = jax.jit(jax.grad(objective, argnums=(0, 1, 2, 3, 4)))(*arguments)
    forward = jax.jit(lambda a, d: jax.jvp(objective, a, d)[1])
    for i in range(5):
        direction = [jnp.asarray(d) if i == j else jnp.zeros(jnp.shape(d)) for j, d in enumerate(everywhere)]
        expected = along(objective, arguments, direction)
        size = 1 + abs(expected)
        reverse = float(jnp.sum(gradient[i] * direction[i]))
        assert reverse == pytest.approx(expected, rel=1e-5, abs=1e-7 * size), f"argument {i}"
        assert float(forward(arguments, tuple(direction))) == pytest.approx(reverse, rel=1e-9, abs=1e-10 * size)


def test_the_gradient_of_a_hard_optimum_is_its_occupancy(rng):
    """dJ*/dR = d, dJ*/dγ and dV*/dP in closed form, to 1e-9."""
    for name in ("proper", "ending_tree"):
        mdp, _ = draw(name, rng)

        def best(reward, mdp=mdp):
            return jnp.sum(mdp.initial * jc.solve(mdp, reward).values)

        policy = jc.policies.first(jc.optimal_actions(jc.solve(mdp)))
        taken = np.asarray(jc.occupancy(mdp, policy))
        np.testing.assert_allclose(jax.jit(jax.grad(best))(mdp.reward), taken, rtol=1e-9, atol=1e-11)

    mdp, _ = draw("garnet", rng)
    policy = jc.policies.first(jc.optimal_actions(jc.solve(mdp)))
    states = np.asarray(jc.occupancy(mdp, policy))
    values = jc.solve(mdp).values

    def of_discount(g):
        return jnp.sum(mdp.initial * jc.solve(mdp.replace(discount=g)).values)

    closed = float(jnp.sum(states * mdp.expect(values)))
    assert float(jax.jit(jax.grad(of_discount))(mdp.discount)) == pytest.approx(closed, rel=1e-9)

    def of_chain(p):
        return jnp.sum(mdp.initial * jc.solve(mdp.replace(transitions=jc.Successors(mdp.transitions.states, p))).values)

    p = mdp.transitions.probabilities
    after = np.asarray(values)[np.asarray(mdp.transitions.states)] - np.asarray(mdp.expect(values))[..., None]
    closed = 0.9 * states[..., None] * after
    np.testing.assert_allclose(jax.jit(jax.grad(of_chain))(p), closed, rtol=1e-9, atol=1e-9)

    def of_problem(mdp):
        return jnp.sum(mdp.initial * jc.solve(mdp).values)

    # The stored rows as they are: truth divides them by their sums, and no builder does it on the way.
    whole = jax.jit(jax.grad(of_problem, allow_int=True))(mdp)
    np.testing.assert_allclose(whole.transitions.probabilities, closed, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(whole.reward, jc.occupancy(mdp, policy), rtol=1e-9, atol=1e-11)


def test_the_gradients_of_temperature_and_base_in_closed_form(rng):
    """dJ/dα is the discounted entropy; dJ/db of KL is d(s)·β(π/b − 1), a row of the base being divided by its sum."""
    mdp, base = draw("garnet", rng)

    def worth(strength, base, kind):
        regularizer = jc.Entropy(strength) if kind == "entropy" else jc.KL(strength, base)
        return jnp.sum(mdp.initial * jc.solve(mdp, regularizer=regularizer).values)

    slope = jax.jit(jax.grad(worth, argnums=(0, 1)), static_argnums=2)
    policy = jc.solve(mdp, regularizer=jc.Entropy(0.3)).policy
    closed = float(jc.metrics.discounted_entropy(mdp, policy))
    assert float(slope(0.3, base, "entropy")[0]) == pytest.approx(closed, rel=1e-9)
    policy = jc.solve(mdp, regularizer=jc.KL(0.3, base)).policy
    states = np.asarray(jc.occupancy(mdp, policy)).sum(-1)
    of_strength, of_base = slope(0.3, base, "kl")
    paid = float(states @ np.asarray(jc.metrics.kl_divergence(policy, base)))
    assert float(of_strength) == pytest.approx(-paid, rel=1e-9)
    np.testing.assert_allclose(of_base, states[:, None] * 0.3 * (np.asarray(policy / base) - 1), rtol=1e-9, atol=1e-9)


def test_at_a_tie_the_gradient_is_the_occupancy_of_the_first_best_action():
    mdp = jc.problems.bandit(jnp.asarray([1.0, 1.0, 0.0], F))
    gradient = jax.grad(lambda r: jc.solve(mdp, r).values.sum())(mdp.reward)
    assert gradient.tolist() == [[1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    "regularizer",
    ["entropy", "sparsemax", *(pytest.param(r, marks=pytest.mark.slow) for r in ("kl", "jensen_shannon"))],
)
def test_the_soft_jacobian_is_the_derivative_and_its_closed_form(regularizer, rng):
    """matrix = forward mode = reverse mode = W·(A of the changed reward), to 1e-9; products agree with it."""
    for name in ("masked", "ending_tree") if regularizer == "entropy" else ("masked",):
        mdp, base = draw(name, rng)
        reg = REGULARIZERS[regularizer](0.5, base)

        def policy(reward, mdp=mdp, reg=reg):
            return jc.solve(mdp, reward, regularizer=reg).policy

        soft = jc.solve(mdp, regularizer=reg)
        slope = jc.soft_jacobian(mdp, soft)
        matrix = slope.matrix()
        np.testing.assert_allclose(matrix, jax.jit(jax.jacrev(policy))(mdp.reward), atol=1e-9)
        np.testing.assert_allclose(matrix, jax.jit(jax.jacfwd(policy))(mdp.reward), atol=1e-9)
        change = jnp.where(mdp.decisions, jnp.asarray(rng.normal(size=(2, *mdp.reward.shape))), 0)
        np.testing.assert_allclose(slope.apply(change), jnp.einsum("saij,bij->bsa", matrix, change), atol=1e-9)
        np.testing.assert_allclose(slope.transpose(change), jnp.einsum("saij,bsa->bij", matrix, change), atol=1e-9)
        if regularizer == "entropy":
            after = jc.evaluate(mdp, soft.policy, change)
            advantage = jnp.where(jnp.isfinite(after.q_values), after.q_values, 0) - after.values[..., None]
            closed = jnp.where(mdp.decisions, soft.policy * advantage / 0.5, 0)
            np.testing.assert_allclose(slope.apply(change), closed, atol=1e-9)


def test_the_hypergradient_formula(rng):
    """dJ_U/dR along dR is (1/α) E_d[A_U·A_dR]: autodiff through the soft map, to 1e-8."""
    mdp, _ = draw("garnet", rng)
    alpha, target = 0.3, jnp.asarray(rng.normal(size=mdp.reward.shape))

    def earned(reward):
        return jc.metrics.expected_return(mdp, jc.solve(mdp, reward, regularizer=jc.Entropy(alpha)).policy, target)

    gradient = jax.jit(jax.grad(earned))(mdp.reward)
    policy = jc.solve(mdp, regularizer=jc.Entropy(alpha)).policy
    of_target = jc.evaluate(mdp, policy, target)
    for _ in range(5):
        change = jnp.asarray(rng.normal(size=mdp.reward.shape))
        of_change = jc.evaluate(mdp, policy, change)
        weights = jc.occupancy(mdp, policy)
        formula = float(jnp.sum(weights * of_target.gaps * of_change.gaps)) / alpha
        assert float(jnp.sum(gradient * change)) == pytest.approx(formula, rel=1e-8)


def test_a_failed_lane_leaves_the_gradients_of_what_is_shared_finite(rng):
    mdp, base = draw("masked", rng)
    rewards = np.array(lanes(rng, mdp))
    rewards[1] = np.nan
    rewards[2, 0, 1] = np.inf
    good = jnp.asarray(np.nan_to_num(np.where([[[True]], [[False]], [[False]], [[True]]], rewards, 0.0)))

    def total(strength, base, discount, shift, rewards, mask):
        soft = jc.solve(
            mdp.replace(discount=discount), rewards + shift, regularizer=jc.KL(strength, base), method="value_iteration"
        )
        values = jnp.where(soft.ok[:, None], soft.values, 0) * mask[:, None]
        policy = jnp.where(soft.ok[:, None, None], soft.policy, 0) * mask[:, None, None]
        return jnp.sum(values) + jnp.sum(policy * jnp.arange(3.0))

    shared = (jnp.asarray(0.5), base, mdp.discount, jnp.zeros(mdp.reward.shape))
    mask = jnp.asarray([1.0, 0.0, 0.0, 1.0])
    slope = jax.jit(jax.grad(total, argnums=(0, 1, 2, 3)))
    broken, whole = slope(*shared, jnp.asarray(rewards), mask), slope(*shared, good, mask)
    for one, other in zip(broken, whole, strict=True):
        assert np.isfinite(np.asarray(one)).all()
        np.testing.assert_allclose(one, other, atol=1e-8)

    def squares(shift):
        return jnp.nansum(jc.solve(mdp, rewards + shift).values ** 2)

    assert np.isfinite(np.asarray(jax.grad(squares)(shared[3]))).all()


def test_under_vmap_of_grad_grad_of_vmap_and_twice(rng):
    mdp, _ = draw("garnet", rng)
    rewards = jnp.asarray(rng.normal(size=(3, *mdp.reward.shape)))

    def score(reward):
        soft = jc.solve(mdp, reward, regularizer=jc.Entropy(0.5))
        return jnp.sum(soft.values) + jnp.sum(soft.policy[:, 0])

    slope = jax.jit(jax.grad(score))
    one = jnp.stack([slope(r) for r in rewards])
    np.testing.assert_allclose(jax.vmap(slope)(rewards), one, atol=1e-9)
    np.testing.assert_allclose(jax.jit(jax.grad(lambda rs: jnp.sum(jax.vmap(score)(rs))))(rewards), one, atol=1e-9)
    nested = jax.jit(jax.vmap(jax.vmap(jax.grad(score))))(rewards[None])
    np.testing.assert_allclose(nested[0], one, atol=1e-9)
    of_strength = jax.grad(lambda a: jc.solve(mdp, regularizer=jc.Entropy(a)).values.sum())
    by_strength = jax.jit(jax.vmap(of_strength))(jnp.asarray([0.1, 1.0]))
    for a, found in zip((0.1, 1.0), by_strength, strict=True):
        policy = jc.solve(mdp, regularizer=jc.Entropy(a)).policy
        entropies = jnp.broadcast_to(jc.metrics.entropy(policy)[:, None], mdp.reward.shape)
        assert float(found) == pytest.approx(float(jc.evaluate(mdp, policy, entropies).values.sum()), rel=1e-9)
    direction = jnp.asarray(rng.normal(size=mdp.reward.shape))
    second = jax.jit(lambda r, d: jax.jvp(jax.grad(score), (r,), (d,))[1])(rewards[0], direction)
    difference = (slope(rewards[0] + 1e-5 * direction) - slope(rewards[0] - 1e-5 * direction)) / 2e-5
    np.testing.assert_allclose(second, difference, rtol=1e-5, atol=1e-5)


def test_second_derivatives_are_symmetric_and_agree_with_differences(rng):
    """With respect to reward and strength of a soft optimum, and to the policy of an evaluation."""
    mdp, _ = draw("garnet", rng)
    direction = jnp.asarray(rng.normal(size=mdp.reward.shape))

    def worth(z):
        soft = jc.solve(mdp, mdp.reward + z[0] * direction, regularizer=jc.Entropy(0.5 + z[1]), tolerance=1e-15)
        return soft.values[0]

    def earned(z):
        tilt = jax.nn.softmax(z[0] * direction + z[1] * mdp.reward)
        return jc.metrics.expected_return(mdp, tilt)

    for score in (worth, earned):
        slope, at, step = jax.jit(jax.grad(score)), jnp.asarray([0.1, 0.2]), 1e-5
        bend = np.asarray(jax.jit(jax.jacfwd(jax.grad(score)))(at))
        np.testing.assert_allclose(bend, bend.T, atol=1e-8 * np.abs(bend).max())
        differences = [(slope(at + step * e) - slope(at - step * e)) / (2 * step) for e in jnp.eye(2)]
        np.testing.assert_allclose(bend, differences, rtol=1e-5, atol=1e-5)


def test_tiny_strengths_and_empty_batches_have_finite_gradients(rng):
    mdp, base = draw("garnet", rng)
    mdp, base = mdp.astype(jnp.float32), base.astype(jnp.float32)
    for make in (jc.Entropy, lambda a: jc.KL(a, base), lambda a: jc.FDivergence(a, base, "forward_kl")):

        def total(strength, reward, make=make):
            soft = jc.solve(mdp, reward, regularizer=make(strength))
            return jnp.sum(soft.values) + jnp.sum(soft.policy[:, 0])

        slope = jax.jit(jax.grad(total, argnums=(0, 1)))
        for strength in (0.0, 1e-30, 1e-20, 1e-6):
            assert all(np.isfinite(np.asarray(x)).all() for x in slope(jnp.float32(strength), mdp.reward)), strength
    none = jax.grad(lambda r: jnp.sum(jc.solve(mdp, r).values))(jnp.zeros((0, *mdp.reward.shape), jnp.float32))
    assert none.shape == (0, *mdp.reward.shape)


@pytest.mark.parametrize("name", ["masked", "ending_tree"])
def test_under_shard_map_with_varying_axes_checked(name, rng):
    mdp, _ = draw(name, rng)
    rewards = jnp.nan_to_num(lanes(rng, mdp))
    mesh = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("x")
    for method in ("auto", "value_iteration") if name == "masked" else ("auto",):

        def slope(rs, method=method):
            def score(rs):
                soft = jc.solve(mdp, rs, regularizer=jc.Entropy(0.5), method=method)
                return jnp.sum(soft.values) + jnp.sum(soft.policy[..., 0])

            return jax.grad(score)(rs)

        split = jax.jit(jax.shard_map(slope, mesh=mesh, in_specs=spec, out_specs=spec))(rewards)
        np.testing.assert_allclose(split, jax.jit(slope)(rewards), atol=1e-8)


def test_large_chains_follow_instead_of_solving(rng):
    """Above the size of direct solves: the same derivative by value iteration and by following the mass."""
    mdp = jc.problems.garnet(jax.random.key(0), states=80, actions=3, branching=4, discount=0.95).astype(F)

    def score(reward, method):
        soft = jc.solve(mdp, reward, regularizer=jc.Entropy(0.5), method=method)
        return jnp.sum(soft.policy[:, 0]) + jnp.sum(mdp.initial * soft.values)

    gradient = jax.jit(jax.grad(lambda r: score(r, "auto")))(mdp.reward)
    direction = jnp.asarray(rng.normal(size=mdp.reward.shape))
    expected = along(jax.jit(lambda r: score(r, "policy_iteration")), [mdp.reward], [direction])
    assert float(jnp.sum(gradient * direction)) == pytest.approx(expected, rel=1e-6)


def test_evaluation_is_differentiable_too(rng):
    """dJ(π)/dπ along a change of the policy is Σ d·Q of that change: the policy gradient theorem."""
    mdp, base = draw("masked", rng)

    def earned(policy):
        return jc.metrics.expected_return(mdp, policy)

    tilt = np.asarray(base) * rng.normal(size=base.shape)
    tilt -= np.asarray(base) * tilt.sum(-1, keepdims=True)
    gradient = jax.grad(earned)(base)
    values = jc.evaluate(mdp, base)
    states = jc.occupancy(mdp, base).sum(-1)
    theorem = float(jnp.sum(states[:, None] * tilt * jnp.where(mdp.decisions, values.q_values, 0)))
    assert float(jnp.sum(gradient * tilt)) == pytest.approx(theorem, rel=1e-9)

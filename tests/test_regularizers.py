"""Regularised maxima: their conditions of optimality, their limits, and how fast their policies move."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.solvers import plans
from tests.cases import KINDS, LANES, STRUCTURES, lanes
from tests.conftest import X64, needs_x64
from tests.regularizers import EACH, REGULARIZERS, draw_base

F = jnp.dtype(jnp.float64 if X64 else jnp.float32)
THRESHOLD = 1e-11 if X64 else 1e-4


def draw(name, rng, regularizer="entropy", strength=0.3):
    mdp = KINDS[name].draw(rng, F)
    base = draw_base(rng, mdp)
    return mdp, REGULARIZERS[regularizer](jnp.asarray(strength, F), base), base


def bonus(regularizer, policy, base, legal):
    """Ω(π) per state, from the definitions: what the regulariser adds to Σπq."""
    inside = (base > 0) & legal
    ratio = np.where(inside, policy / np.where(inside, base, 1), 1)
    strength = np.asarray(regularizer.strength)[..., None]
    log = np.log(np.where(ratio > 0, ratio, 1))
    if isinstance(regularizer, jc.Entropy):
        terms = -policy * np.log(np.where(policy > 0, policy, 1))
    elif isinstance(regularizer, jc.KL):
        terms = -policy * log
    elif isinstance(regularizer, jc.Sparsemax):
        return np.asarray(regularizer.strength) / 2 * (1 - (policy**2).sum(-1))
    else:
        order = {"forward_kl": 0, "chi_square": 2, "hellinger": 0.5}.get(regularizer.divergence, regularizer.divergence)
        if order == "jensen_shannon":
            f = ratio * log - (ratio + 1) * np.log((ratio + 1) / 2)
        elif order == 0:
            f = -np.log(ratio) + ratio - 1
        else:
            p = order - 1
            f = (ratio**order - 1) / (order * p) - (ratio - 1) / p
        terms = -np.where(inside, base, 0) * f
    return (strength * terms).sum(-1)


@pytest.mark.parametrize(("name", "regularizer"), [(STRUCTURES[i % 5], r) for i, r in enumerate(REGULARIZERS)])
def test_the_value_is_what_the_policy_earns_and_pays(name, regularizer, rng):
    """V = J_R(π) + the discounted bonus, to the bound; and no other policy of many does better."""
    mdp, reg, base = draw(name, rng, regularizer)
    rewards = lanes(rng, mdp)
    soft = jc.solve(mdp, rewards, regularizer=reg)
    assert soft.kind == "regularized"
    legal = np.asarray(jnp.ones(mdp.reward.shape, bool) if mdp.legal is None else mdp.legal)
    free = np.ones(mdp.num_states, bool) if mdp.terminal is None else ~np.asarray(mdp.terminal)

    def worth(policy):
        paid = np.where(free, bonus(soft.regularizer, np.asarray(policy, float), np.asarray(base, float), legal), 0)
        received = jnp.nan_to_num(rewards) + jnp.asarray(paid, F)[..., None]
        return jc.evaluate(mdp, policy, received)

    own = worth(soft.policy)
    reach = np.asarray(soft.error_bound + own.error_bound)[:, None] + 50 * np.finfo(F).eps * np.abs(
        np.asarray(own.values)
    )
    assert (np.abs(np.asarray(soft.values - own.values)) <= reach).all()
    other = rng.dirichlet(np.ones(mdp.num_actions), size=(LANES, mdp.num_states)) * legal
    mixed = 0.9 * np.asarray(soft.policy) + 0.1 * other / other.sum(-1, keepdims=True)
    worse = worth(jnp.asarray(mixed / mixed.sum(-1, keepdims=True), F))
    assert (np.asarray(worse.values) <= np.asarray(soft.values) + reach).all()


@pytest.mark.parametrize("regularizer", ["entropy", "kl"])
def test_the_first_order_condition_holds(regularizer, rng):
    """q − strength·log(π/b) is the same for every action of a state, and is V."""
    mdp, reg, base = draw("masked", rng, regularizer)
    soft = jc.solve(mdp, regularizer=reg)
    inside = np.asarray(soft.policy) > 0
    weight = np.asarray(base) if regularizer == "kl" else np.ones(mdp.reward.shape)
    price = 0.3 * np.log(np.where(inside, np.asarray(soft.policy) / np.where(inside, weight, 1), 1))
    level = np.asarray(soft.q_values) - price
    error = np.abs(np.where(inside, level - np.asarray(soft.values)[:, None], 0))
    assert error.max() <= 2 * float(soft.error_bound) + 50 * np.finfo(F).eps * np.abs(level[inside]).max()


@pytest.mark.parametrize("regularizer", EACH)
def test_strength_zero_is_the_hard_operator_per_lane_and_per_state(regularizer, rng):
    mdp, _, base = draw("garnet", rng)
    rewards = lanes(rng, mdp)
    strength = jnp.asarray(np.array([0.0, 0.5, 0.0, 1e-3]), F)[:, None]
    soft = jc.solve(mdp, rewards, regularizer=REGULARIZERS[regularizer](strength, base))
    hard = jc.solve(mdp, rewards)
    expected, policy = jc.policies.uniform(jc.optimal_actions(hard)), soft.policy
    for i in (0, 2):
        reach = float(soft.error_bound[i] + hard.error_bound[i])
        np.testing.assert_allclose(soft.values[i], hard.values[i], atol=reach, rtol=0)
        np.testing.assert_allclose(policy[i], expected[i], atol=1e-6)
    assert (np.abs(np.asarray(soft.values[1] - hard.values[1])) > 1e-3).any()
    assert np.isfinite(np.asarray(soft.policy)).all()


def test_zero_strength_at_a_tie_is_uniform_over_what_is_not_certainly_worse():
    mdp = jc.problems.bandit(jnp.asarray([1.0, 1.0, 0.0], F))
    assert jc.solve(mdp, regularizer=jc.Entropy(0.0)).policy.tolist() == [[0.5, 0.5, 0.0]]
    base = jnp.asarray([[0.0, 0.5, 0.5]], F)
    masked = jc.solve(mdp, regularizer=jc.KL(0.0, base))
    assert masked.policy.tolist() == [[0.0, 1.0, 0.0]]
    assert np.isneginf(masked.q_values[0, 0])


def test_an_action_without_base_mass_is_illegal_and_its_reward_ignored(rng):
    mdp, _, _ = draw("garnet", rng)
    base = np.asarray(draw_base(rng, mdp)).copy()
    base[:, 1] = 0
    base /= base.sum(-1, keepdims=True)
    reward = np.asarray(mdp.reward).copy()
    reward[:, 1] = np.nan
    soft = jc.solve(mdp, reward, regularizer=jc.KL(0.2, jnp.asarray(base, F)))
    legal = np.ones(mdp.reward.shape, bool)
    legal[:, 1] = False
    without = jc.solve(mdp.replace(legal=legal), regularizer=jc.KL(0.2, jnp.asarray(base, F)))
    assert soft.ok
    np.testing.assert_allclose(soft.values, without.values, atol=float(soft.error_bound + without.error_bound))
    assert (np.asarray(soft.policy)[:, 1] == 0).all()


@needs_x64
@pytest.mark.parametrize("regularizer", ["entropy", "jensen_shannon"])
def test_soft_policy_iteration_is_newtons_method(regularizer, rng, monkeypatch, fresh_programs):
    """On a slowly mixing chain, with no sweep before it: the asked tolerance in a few steps, not value iteration's."""
    monkeypatch.setattr(plans, "sweeps_first", lambda states: 0)
    mdp, reg, _ = draw("river", rng, regularizer)
    mdp = mdp.replace(discount=0.999)
    newton, swept = (
        jc.solve(mdp, regularizer=reg, method=m, tolerance=1e-9) for m in ("policy_iteration", "value_iteration")
    )
    assert newton.status == jc.Status.CONVERGED
    assert newton.iterations <= 12
    assert swept.iterations > 10 * newton.iterations
    np.testing.assert_allclose(newton.values, swept.values, atol=float(newton.error_bound + swept.error_bound))


def test_a_warm_start_shortens_a_temperature_ladder(rng):
    mdp, _, _ = draw("river", rng)
    mdp = mdp.replace(discount=0.99)
    hot = jc.solve(mdp, regularizer=jc.Entropy(1.0), method="value_iteration")
    cold = jc.solve(mdp, regularizer=jc.Entropy(0.99), method="value_iteration")
    warm = jc.solve(mdp, regularizer=jc.Entropy(0.99), method="value_iteration", init=hot.values)
    assert warm.iterations < cold.iterations
    np.testing.assert_allclose(warm.values, cold.values, atol=float(warm.error_bound + cold.error_bound))


@needs_x64
def test_the_entropy_limit_is_reached_and_is_not_uniform(rng):
    """α → 0: the policy tends to the trajectory-level selection, in MDPs and trees; uniform is another map."""
    planted = jc.problems.garnet(jax.random.key(0), states=12, actions=3, branching=3, discount=0.9).astype(F)
    q = rng.normal(size=(12, 3))
    q[::2, :2] = q.max() + 1  # every other state has two optimal actions
    planted = planted.replace(reward=jc.inverse_bellman(planted, q))
    correct = np.zeros((13, 3))
    correct[4, 0] = correct[7, :] = 1  # one optimal way below the first token, three below the second
    tree = jc.MDP(jc.Tree(3, 3), correct, 1.0)
    apart = []
    for mdp in (planted, tree):
        acts = jc.optimal_actions(jc.solve(mdp))
        limit, uniform = jc.policies.entropy_limit(acts, mdp), jc.policies.uniform(acts)
        distance = [
            float(jc.metrics.largest_total_variation(jc.solve(mdp, regularizer=jc.Entropy(a)).policy, limit))
            for a in (1.0, 1e-1, 1e-2, 1e-3)
        ]
        assert distance[0] > 1e-3
        assert distance[-1] < 1e-9, distance
        apart.append(float(jc.metrics.largest_total_variation(limit, uniform)))
    assert apart[0] > 1e-3
    np.testing.assert_allclose(limit[0], [0.25, 0.75, 0], atol=1e-12)
    assert apart[1] == pytest.approx(0.25)


@needs_x64
def test_the_kl_limit_conditions_the_base_on_an_optimal_outcome(rng):
    """β → 0 on a tree at γ = 1: π₀ is the base given an optimal leaf, and K(root) = −log b(optimal leaves)."""
    correct = (rng.random((13, 3)) < 0.4).astype(float)
    correct[:4] = 0
    correct[4:7, 0] = 1
    mdp = jc.MDP(jc.Tree(3, 3), correct, 1.0)
    base = draw_base(rng, mdp)
    acts = jc.optimal_actions(jc.solve(mdp))
    limit = jc.policies.kl_limit(acts, mdp, base)
    soft = jc.solve(mdp, regularizer=jc.KL(1e-3, base)).policy
    good = np.zeros(40)
    good[13:] = np.asarray(correct[4:]).ravel()
    reach = np.asarray([good[13 + 3 * j : 16 + 3 * j] @ np.asarray(base)[4 + j] for j in range(9)])
    first = np.asarray([reach[3 * j : 3 * j + 3] @ np.asarray(base)[1 + j] for j in range(3)])
    mass = np.concatenate([[first @ np.asarray(base)[0]], first, reach])
    children = np.concatenate([mass[1:], good[13:]]).reshape(13, 3)
    truth = np.asarray(base) * children / mass[:, None]
    lives = mass > 0  # below a prefix that cannot succeed every action is optimal, and the base itself remains
    np.testing.assert_allclose(np.asarray(limit)[lives], truth[lives], atol=1e-12)
    np.testing.assert_allclose(soft[lives], truth[lives], atol=1e-10)
    assert float(jc.metrics.largest_total_variation(limit, jc.policies.closest_to(acts, base))) > 1e-3


def test_limits_in_a_bandit_are_the_selections_per_state():
    mdp = jc.problems.bandit(jnp.asarray([1.0, 1.0, 0.0], F))
    acts = jc.optimal_actions(jc.solve(mdp))
    base = jnp.asarray([[0.2, 0.6, 0.2]], F)
    np.testing.assert_allclose(jc.policies.entropy_limit(acts, mdp), [[0.5, 0.5, 0]], atol=1e-6)
    np.testing.assert_allclose(jc.policies.kl_limit(acts, mdp, base), [[0.25, 0.75, 0]], atol=1e-6)
    failed = jc.optimal_actions(jc.solve(mdp, mdp.reward * jnp.nan))
    assert np.isnan(np.asarray(jc.policies.entropy_limit(failed, mdp))).all()
    uncovered = jnp.asarray([[0.0, 0.0, 1.0]], F)
    assert np.isnan(np.asarray(jc.policies.kl_limit(acts, mdp, uncovered))).all()


@needs_x64
def test_no_entropy_or_kl_policy_moves_farther_than_the_tanh_bound(rng):
    """12,000 random pairs of rewards, half with entropy and half with KL; the ratio never exceeds 1."""
    worst = 0.0
    for problem in range(30):
        mdp = KINDS[("garnet", "dense", "masked")[problem % 3]].draw(rng, F)
        base = draw_base(rng, mdp)
        count = 200
        alpha = jnp.asarray(10 ** rng.uniform(-2, 1, size=(count, 1)))
        start = jnp.asarray(rng.normal(size=(count, *mdp.reward.shape)))
        step = rng.normal(size=start.shape) * 10 ** rng.uniform(-3, 1, size=(count, 1, 1))
        signs = np.where(rng.random(start.shape) < 0.5, -1, 1) * np.abs(step).max((-2, -1), keepdims=True)
        step = np.where(rng.random((count, 1, 1)) < 0.5, step, signs)
        for reg in (jc.Entropy(alpha), jc.KL(alpha, base)):
            one, two = (jc.solve(mdp, r, regularizer=reg).policy for r in (start, start + step))
            moved = jc.metrics.largest_total_variation(one, two)
            bound = jc.theory.soft_jump(jc.perturb.realised_norm(mdp, jnp.asarray(step)), alpha[:, 0], mdp.steps)
            worst = max(worst, float((moved / bound).max()))
            assert (moved <= bound + 1e-10).all()
            linear = jc.theory.soft_jump_linear(
                jc.perturb.realised_norm(mdp, jnp.asarray(step)), alpha[:, 0], mdp.steps
            )
            assert (bound <= linear).all()
    assert worst > 0.5, "a test of a bound that nothing comes near"


@needs_x64
@pytest.mark.parametrize("regularizer", ["entropy", "kl"])
def test_the_fork_attains_the_tanh_bound(regularizer):
    """R₀ ∓ Δ/2 with Δ = +1 on one branch and −1 on the other: equality to 1e-10 (and never more)."""
    mdp = jc.problems.fork(0.0, discount=0.9)
    legal = np.asarray(mdp.legal)
    delta = np.zeros(mdp.reward.shape)
    delta[0, :2] = 1, -1
    delta[1, 0], delta[2, 0] = 1, -1
    assert legal[0, :2].all()
    base = jnp.asarray(legal / legal.sum(-1, keepdims=True))
    for size in (0.01, 0.1, 1.0):
        for alpha in (0.1, 0.3, 3.0):
            reg = REGULARIZERS[regularizer](alpha, base)
            rewards = jnp.asarray(np.stack([-delta, delta]) * size / 2)
            policy = jc.solve(mdp, rewards, regularizer=reg).policy
            moved = float(jc.metrics.total_variation(policy[0], policy[1])[0])
            assert moved == pytest.approx(float(jc.theory.soft_jump(size, alpha, mdp.steps)), abs=1e-10)


def attained(q, regularizer, step=1e-5):
    """The largest TV per unit of ‖ΔQ‖ over all corners ±step, measured on the operator itself, in one state."""
    actions = q.shape[-1]
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * actions)).reshape(actions, -1).T
    one = jax.tree.map(lambda x: x[None, :1], regularizer)
    up = regularizer_policy(one, q + step * corners)
    down = regularizer_policy(one, q - step * corners)
    return float(np.abs(up - down).sum(-1).max() / 2 / (2 * step))


def regularizer_policy(one, q):
    wide = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(q), *x.shape[1:])), one)
    return np.asarray(jax.jit(lambda r, x: r.policy(x, None))(wide, jnp.asarray(q)[:, None]))[:, 0]


@needs_x64
@pytest.mark.parametrize(
    "actions", [3, pytest.param(2, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_each_regularizer_stays_within_its_law_and_attains_its_constant(regularizer, actions, rng):
    """Measured slopes of the operator at random points: the exact local constant to 1e-6, never above the law."""
    base = jnp.asarray(rng.dirichlet(np.ones(actions), size=1))
    strength = float(10 ** rng.uniform(-0.5, 0.5))
    mdp = jc.problems.bandit(jnp.asarray(rng.normal(size=actions)))
    soft = jc.solve(mdp, regularizer=REGULARIZERS[regularizer](strength, base))
    slope = jc.soft_jacobian(mdp, soft)
    law, constant = float(slope.law()[0]), slope.local_constant()
    assert constant.lower == constant.upper
    assert float(constant.upper[0]) <= law * (1 + 1e-12)
    measured = attained(np.asarray(mdp.reward), soft.regularizer)
    assert measured == pytest.approx(float(constant.upper[0]), rel=1e-6)
    if regularizer in ("entropy", "kl", "chi_square", "jensen_shannon", "forward_kl"):
        named = jc.theory.regularizer_law(regularizer, strength, soft.policy, base)
        assert float(np.asarray(named).reshape(-1)[0]) == pytest.approx(law, rel=1e-9)
    if regularizer == "sparsemax":
        assert law <= actions / (2 * strength) * (1 + 1e-12)


@needs_x64
def test_sparsemax_stays_within_its_own_constant_and_attains_it(rng):
    for actions in (3, 4):
        alpha = jnp.asarray(10 ** rng.uniform(-1, 1, size=(500, 1)))
        q, step = rng.normal(size=(2, 500, 1, actions))
        mdp = jc.problems.bandit(jnp.zeros(actions))
        one, two = (jc.solve(mdp, jnp.asarray(x), regularizer=jc.Sparsemax(alpha)).policy for x in (q, q + step))
        bound = jc.theory.sparsemax_jump(np.abs(step).max((-2, -1)), np.asarray(alpha)[:, 0], actions)
        assert (np.asarray(jc.metrics.largest_total_variation(one, two)) <= bound + 1e-12).all()
        corner = np.where(np.arange(actions) < actions // 2, 0.01, -0.01)
        pair = jc.solve(
            mdp, jnp.asarray(np.stack([-corner, corner]))[:, None] / 2, regularizer=jc.Sparsemax(1.0)
        ).policy
        moved = float(jc.metrics.total_variation(pair[0], pair[1])[0])
        assert moved == pytest.approx(float(jc.theory.sparsemax_jump(0.01, 1.0, actions)), rel=1e-9)


@needs_x64
def test_what_entropy_costs(rng):
    mdp, _, _ = draw("garnet", rng)
    for alpha in (0.01, 0.3, 3.0):
        soft = jc.solve(mdp, regularizer=jc.Entropy(alpha))
        lost = np.asarray(jc.solve(mdp).values - jc.evaluate(mdp, soft.policy).values)
        assert (lost >= -1e-9).all()
        assert (lost <= float(jc.theory.entropy_cost(alpha, mdp.num_actions, mdp.steps))).all()


@pytest.mark.parametrize("actions", [3, pytest.param(14, marks=pytest.mark.slow)])
def test_lipschitz_constants_bracket_what_is_measured(actions, rng):
    """Few actions: exact. Many: the bracket holds and is not empty."""
    mdp = jc.problems.garnet(jax.random.key(1), states=4, actions=actions, branching=3, discount=0.8).astype(F)
    slope = jc.soft_jacobian(mdp, jc.solve(mdp, regularizer=jc.Entropy(0.5)))
    bracket, of_q = slope.lipschitz(), slope.local_constant()
    for pair in (bracket, of_q):
        assert (pair.lower <= pair.upper * (1 + 1e-5)).all()
        assert (pair.lower > 0.3 * pair.upper).all()
        if actions == 3:
            np.testing.assert_array_equal(pair.lower, pair.upper)
    signs = jnp.asarray(np.where(rng.random((200, *mdp.reward.shape)) < 0.5, -1, 1), F)
    moved = 0.5 * np.abs(np.asarray(slope.apply(signs))).sum(-1)
    assert (moved <= np.asarray(bracket.upper) * (1 + 1e-4)).all()
    assert (np.asarray(bracket.upper) <= float(jc.theory.soft_jump_linear(1, 0.5, mdp.steps)) * (1 + 1e-5)).all()
    matrix = np.asarray(slope.matrix()).reshape(4, actions, -1)
    s = int(np.argmax(bracket.upper))
    if actions == 3:
        best = max(np.abs(matrix[s][list(b)].sum(0)).sum() for b in ([0], [1], [2]))
        np.testing.assert_allclose(best, bracket.upper[s], rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda m: jc.Entropy(-1.0), "strength must be finite and not negative"),
        (lambda m: jc.Entropy(np.nan), "strength must be finite"),
        (lambda m: jc.Sparsemax("hot"), "strength must be real numbers"),
        (lambda m: jc.KL(1.0, [0.5, 0.5]), "a base policy has shape"),
        (lambda m: jc.KL(1.0, -np.ones((8, 3))), "state 0, action 0 the mass -1"),
        (lambda m: jc.KL(1.0, np.full((8, 3), np.nan)), "state 0, action 0 the mass nan"),
        (lambda m: jc.FDivergence(1.0, np.ones((8, 3)), "total_variation"), "one of chi_square, forward_kl"),
        (lambda m: jc.FDivergence(1.0, np.ones((8, 3)), 3.0), "order from -2 to 2"),
        (lambda m: jc.FDivergence(1.0, np.ones((8, 3)), 1), "use jc.KL"),
        (lambda m: jc.solve(m, regularizer=jc.Entropy(np.ones(4))), r"strength must be a number, \[8\]"),
        (lambda m: jc.solve(m, regularizer=jc.KL(1.0, np.ones((7, 3)) / 3)), "base must have shape"),
        (lambda m: jc.solve(m, regularizer=0.1), "regularizer must be jc.Entropy"),
        (
            lambda m: jc.solve(m, jnp.zeros((2, 8, 3)), regularizer=jc.Entropy(np.ones((3, 1)))),
            "do not align from the right: strength",
        ),
        (lambda m: jc.optimal_actions(jc.solve(m, regularizer=jc.Entropy(1.0))), "kind 'optimum', not 'regularized'"),
        (lambda m: jc.solve(m).policy, "no policy of its own"),
        (lambda m: jc.soft_jacobian(m, jc.solve(m)), "has no slope"),
        (lambda m: jc.soft_jacobian(m, jc.solve(m, m.reward[None], regularizer=jc.Entropy(1.0))), "several lanes"),
        (lambda m: jc.theory.regularizer_law("sparsemax", 1.0), "there is a law for"),
    ],
)
def test_bad_input_gets_a_sentence(make, sentence, rng):
    mdp = KINDS["garnet"].draw(rng, F)
    with pytest.raises((ValueError, TypeError, AttributeError), match=sentence):
        make(mdp)


def test_a_bad_lane_of_strengths_or_bases_fails_alone(rng):
    mdp, _, base = draw("garnet", rng)

    def solve(strength, base):
        return jc.solve(mdp, regularizer=jc.KL(strength[:, None], base))

    strengths = jnp.asarray([1.0, -1.0, jnp.nan, 1.0], F)
    bases = jnp.stack([base, base, base, 2 * base])
    sol = jax.jit(solve)(strengths, bases)
    assert sol.ok.tolist() == [True, False, False, False]
    assert sol.status.tolist()[1:] == [jc.Status.INVALID_REWARD] * 3
    assert np.isnan(np.asarray(sol.policy[1:])).all()
    assert np.isfinite(np.asarray(sol.policy[0])).all()

"""The nearest cliff: nothing flips before it, the named pair flips behind it; ties, families, states, noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.geometry.cones import Cones
from tests.cases import KINDS
from tests.conftest import needs_x64
from tests.geometry import F64, contradictions, decide, draw, families, key, kinds, legal_sets

pytestmark = needs_x64
NAMES = ("garnet", "masked", "stopping", "proper", "tree", "ending_tree", "bandit", "contexts")
LANES = 16


def check_radius(mdp, rng, norm="inf", family=None, name=""):
    """One problem: returns the ratio of the generic bound to the radius, or None if a gap is too small to look at."""
    near = jc.nearest_cliff(mdp, norm=norm, family=family)
    gaps = near.walls.gap[np.isfinite(near.walls.gap)]
    if gaps.min() < 1e-6 * float(jc.solve(mdp).span) or not np.isfinite(near.radius):
        return None
    assert not near.tied
    assert near.lower <= near.radius <= near.upper
    assert near.upper - near.lower <= 1e-6 * near.radius + 1e-10
    assert near.guarantee <= near.radius * (1 + 1e-9)
    assert near.margin == near.radius
    shape = near.parameters.shape
    size = {"inf": lambda x: np.abs(x).max(), "2": np.linalg.norm, "1": lambda x: np.abs(x).sum()}[norm]
    assert size(near.parameters) <= 1 + 1e-12
    np.testing.assert_allclose(near.walls.family.apply(near.parameters), near.direction, atol=1e-13)

    steps = []
    for i in range(LANES - 2):  # random corners, random interiors, and straight at the nearest walls
        theta = rng.normal(size=shape) if i % 2 else np.sign(rng.normal(size=shape))
        if i >= LANES // 2:
            flat = np.argsort(near.walls.margin, axis=None)[(i - LANES // 2) % near.walls.margin.size]
            s, a = np.unravel_index(flat, near.walls.gap.shape)
            if np.isfinite(near.walls.margin[s, a]):
                theta = near.walls.family.steepest(near.walls.family.pull(near.walls.normals(s, a)), norm)
        if getattr(near.walls.family, "balanced", False):
            theta = theta - theta.mean()
        steps.append(0.999 * near.radius * theta / max(size(theta), 1e-300))
    rewards = np.asarray(mdp.reward) + np.stack([near.walls.family.apply(theta) for theta in steps])
    rewards = np.concatenate([rewards, near.beyond(0.999)[None], near.beyond(1.001)[None]])
    optimal, suboptimal = decide(mdp, rewards)
    own = legal_sets(mdp, near.walls.actions)
    assert contradictions(own[None], optimal[:-1], suboptimal[:-1]) == 0, name
    assert (optimal[:-1] | suboptimal[:-1])[:, np.asarray(mdp.decisions)].all()
    assert optimal[-1, near.state, near.enters], name
    assert suboptimal[-1, near.state, near.leaves], name
    return float(near.guarantee / near.radius)


@pytest.mark.parametrize("name", kinds(NAMES))
def test_nothing_flips_before_the_radius_and_the_named_pair_behind_it(name, rng):
    ratios = [check_radius(draw(name, rng), rng, norm) for norm in ("inf", "2", "1") for _ in range(2)]
    assert sum(ratio is not None for ratio in ratios) >= 4


@pytest.mark.parametrize("name", ["garnet", "ending_tree", "contexts"])
def test_every_family_has_its_radius(name, rng):
    mdp = draw(name, rng, 0.9)
    for norm in ("inf", "2", "1"):
        ratios = [check_radius(mdp, rng, norm, family, sort) for sort, family in families(mdp, rng).items()]
        assert sum(ratio is not None for ratio in ratios) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_radii_widely(name, rng):
    """About two thousand problems: every kind in the sup norm, and every family and norm."""
    ratios = [check_radius(draw(name, rng, 0.99 if i % 2 and name == "garnet" else None), rng) for i in range(60)]
    counted = [r for r in ratios if r is not None]
    assert len(counted) >= 50
    others = 0
    for i in range(30):
        mdp = draw(name, rng)
        for sort, family in families(mdp, rng).items():
            others += check_radius(mdp, rng, ("inf", "2", "1")[i % 3], family, sort) is not None
    assert others >= 150
    print(f"{name}: {len(counted)} + {others} problems; generic bound / radius: median {np.median(counted):.3f}")


def test_the_generic_bound_is_exact_on_the_fork_and_in_bandits(rng):
    for _ in range(5):
        assert check_radius(KINDS["fork"].draw(rng, F64), rng) == pytest.approx(1, abs=1e-9)
        assert check_radius(draw("contexts", rng), rng) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_normals_gaps_and_norms_belong_together(name, rng):
    """gap = ⟨n, R⟩ for any reward, norms are those of the normals, and `factorize` says the same."""
    mdp = draw(name, rng)
    found = {norm: jc.walls(mdp, norm=norm) for norm in ("inf", "2", "1")}
    walls = found["inf"]
    states, actions = np.nonzero(np.isfinite(walls.gap))
    normals = walls.normals(states, actions)
    cones = walls.cones
    for reward in (np.asarray(mdp.reward), rng.normal(size=mdp.reward.shape)):
        gaps, error = cones.gaps(walls.actions[None], cones.clean(reward)[None, None])
        product = np.einsum("nsa,sa->n", normals, cones.clean(reward))
        np.testing.assert_allclose(product, gaps[0, 0][states, actions], atol=1e-9 * cones.steps)
        assert error.max() < 1e-7
    np.testing.assert_allclose(
        walls.gap[states, actions], normals.reshape(len(states), -1) @ np.ravel(mdp.reward), atol=1e-7
    )
    for norm, order in (("inf", 1), ("2", 2), ("1", np.inf)):
        expected = np.linalg.norm(normals.reshape(len(states), -1), order, axis=1)
        np.testing.assert_allclose(found[norm].norm[states, actions], expected, rtol=1e-9)
    if mdp.transitions is not None and not isinstance(mdp.transitions, jc.Tree):
        base = jc.factorize(mdp)
        assert (np.asarray(base.actions) == walls.actions)[np.asarray(mdp.decisions).any(-1)].all()
        np.testing.assert_allclose(-np.asarray(base.normals(states, actions)), normals, atol=1e-8)


def test_errors_of_host_gaps_stay_within_their_bounds(rng):
    """Against gaps of the same policies in exact rational arithmetic."""
    flint = pytest.importorskip("flint")
    from tests.oracle import Problem, rational

    for name in NAMES:
        mdp = draw(name, rng)
        cones = Cones.of(mdp)
        actions = np.array([[rng.choice(np.flatnonzero(row)) for row in cones.legal]])
        reward = cones.clean(rng.normal(size=mdp.reward.shape) + rng.choice([0, 1e3]))
        gaps, error = cones.gaps(actions, reward[None, None])
        problem = Problem(mdp, reward)
        n = mdp.num_states
        rows = [[[rational(x) for x in problem.p[s, a]] for a in range(mdp.num_actions)] for s in range(n)]
        rows = [[[x / sum(r) if sum(r) else x for x in r] for r in of] for of in rows]
        if isinstance(mdp.transitions, jc.Tree):
            rows = [[[rational(x) for x in problem.p[s, a]] for a in range(mdp.num_actions)] for s in range(n)]
        gamma = rational(problem.discount)
        own = [rows[s][actions[0, s]] for s in range(n)]
        system = flint.fmpq_mat(n, n, [(int(s == t)) - gamma * own[s][t] for s in range(n) for t in range(n)])
        right = flint.fmpq_mat(n, 1, [rational(problem.reward[s, actions[0, s]]) for s in range(n)])
        values = system.solve(right)
        v = [values[s, 0] for s in range(n)]
        for s, a in np.argwhere(cones.counts):
            q = rational(problem.reward[s, a]) + gamma * sum(rows[s][a][t] * v[t] for t in range(n))
            exact = v[s] - q
            off = abs(rational(gaps[0, 0, s, a]) - exact)
            assert float(off.p) / float(off.q) <= error[0, 0], name


def test_a_tied_reward_is_on_its_cliff(rng):
    mdp, _ = jc.problems.tie_planted(key(rng), states=9, actions=4, ties=2, tied_states=2, discount=0.9)
    near = jc.nearest_cliff(mdp)
    tied_states = np.unique(np.argwhere(near.walls.tied)[:, 0])
    assert near.tied
    assert (near.radius, near.lower, near.upper) == (0, 0, 0)
    assert len(tied_states) == 2
    assert near.state in tied_states
    assert 0 < near.guarantee <= near.margin < np.inf
    assert near.summary().startswith("on a cliff: actions tie in state ")
    assert len(near.tied_actions()) == 2
    # Whichever of the tied actions is taken, the normals are those of the policy that takes it.
    last = jc.nearest_cliff(mdp, rule=lambda acts: jc.policies.preferred(acts, jnp.arange(4)[::-1]))
    assert (last.walls.actions != near.walls.actions).sum() == 2
    with pytest.raises(ValueError, match="must choose one action per state"):
        jc.nearest_cliff(mdp, rule=jc.policies.uniform)
    # The direction named breaks the tie at once.
    optimal, suboptimal = decide(mdp, np.asarray(mdp.reward)[None] + 1e-4 * near.direction)
    assert optimal[0, near.state, near.enters]
    assert suboptimal[0, near.state, near.leaves]


def test_one_component_alone_is_farther_by_its_weight(rng):
    """ρ of all components is that of the mixture, ρ of one is ρ/w for constant weights."""
    mdp = draw("garnet", rng, 0.9)
    constant = np.repeat(np.array([[0.7], [0.2], [0.1]]), mdp.num_states, axis=1)
    whole = jc.nearest_cliff(mdp)
    together = jc.nearest_cliff(mdp, family=jc.family.components(constant, 3))
    assert together.radius == pytest.approx(float(whole.radius), rel=1e-12)
    for k, weight in enumerate((0.7, 0.2, 0.1)):
        alone = jc.nearest_cliff(mdp, family=jc.family.component(constant, k, 3))
        assert alone.radius == pytest.approx(float(whole.radius) / weight, rel=1e-12)


def test_states_that_are_looked_at(rng):
    """An unreachable state has walls of its own; a state that is only not visited still bounds the radius."""
    model = jc.Successors(np.array([[[0], [1]], [[1], [0]], [[0], [1]]]))
    mdp = jc.MDP(
        model, jnp.asarray([[1.0, 0.0], [0.0, 0.3], [0.5, 0.49]], F64), 0.5, initial=jnp.asarray([1.0, 0, 0], F64)
    )
    radii = {states: jc.nearest_cliff(mdp, where=states) for states in ("all", "reachable", "visited")}
    assert radii["all"].state == 2
    assert radii["all"].radius < radii["reachable"].radius <= radii["visited"].radius
    assert radii["visited"].state == 0
    assert "of a reachable state" in radii["reachable"].summary()
    assert "at most" in radii["visited"].summary()
    with pytest.raises(ValueError, match="where must be one of 'all', 'reachable', 'visited'"):
        jc.nearest_cliff(mdp, where="seen")


def test_many_rewards_at_once_are_the_same_as_one_by_one(rng):
    mdp = draw("garnet", rng, 0.9)
    rewards = np.asarray(mdp.reward) + 0.3 * rng.normal(size=(4, 2, *mdp.reward.shape))
    near = jc.nearest_cliff(mdp, rewards)
    assert near.radius.shape == (4, 2)
    assert near.direction.shape == rewards.shape
    for i in range(4):
        one = jc.nearest_cliff(mdp, rewards[i, 1])
        assert one.radius == pytest.approx(near.radius[i, 1], rel=1e-9)
        assert (one.state, one.leaves, one.enters) == (near.state[i, 1], near.leaves[i, 1], near.enters[i, 1])
        np.testing.assert_allclose(one.direction, near.direction[i, 1], atol=1e-12)
    assert "8 rewards, 0 of them on a cliff; median distance" in near.summary()


def test_a_ranking_shows_margins_and_where_a_state_really_flips(rng):
    """Along any direction a state flips no sooner than the radius, and along its own wall's normal by its margin."""
    mdp = draw("garnet", rng, 0.9)
    near = jc.nearest_cliff(mdp)
    ranking = near.ranking()
    assert [m.margin for m in ranking] == sorted(m.margin for m in ranking)
    assert ranking[0][:3] == (near.state, near.leaves, near.enters)
    assert len(ranking) == mdp.num_states
    first_on_its_ray = 0
    for m in ranking:
        assert m.lower == near.lower
        assert m.upper >= m.margin >= near.radius
        normal = near.walls.normals(m.state, m.enters)
        path = jc.cliffs_along(mdp, None, -np.sign(normal), stop=1.001 * m.upper)
        flips = [t for i, t in enumerate(path.breakpoints) if m.state in [s for s, _, _ in path.switches(i)]]
        sooner = path.breakpoints[:1]
        assert flips or len(sooner)
        if len(path.breakpoints) and path.breakpoints[0] > m.margin * (1 - 1e-9):
            assert flips[0] == pytest.approx(m.margin, rel=1e-7)
            first_on_its_ray += 1
    assert first_on_its_ray >= 1
    with pytest.raises(ValueError, match="rank one at a time"):
        jc.nearest_cliff(mdp, np.asarray(mdp.reward)[None]).ranking()


def test_float32_problems_are_measured_in_float64(rng):
    mdp = draw("garnet", rng, 0.9).astype(jnp.float32)
    near = jc.nearest_cliff(mdp)
    again = jc.nearest_cliff(mdp.astype(F64))
    assert near.radius == again.radius
    assert near.upper - near.lower < 1e-8


def test_a_change_that_moves_nothing_never_flips():
    mdp = jc.problems.bandit(jnp.asarray([1.0, 0.5], F64))
    near = jc.nearest_cliff(mdp, family=jc.family.features([[[1.0, 1.0]]]))
    assert np.isinf(near.radius)
    assert near.state == -1
    assert (near.direction == 0).all()
    assert near.summary() == "no change of this family changes the policy"
    np.testing.assert_array_equal(near.beyond(), near.walls.rewards)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: jc.nearest_cliff(m, norm="3"), "norm must be one of 'inf', '2', '1'"),
        (lambda m: jc.nearest_cliff(m, np.zeros((3, 3))), "rewards must have shape"),
        (lambda m: jc.nearest_cliff(m, np.full((2, 8, 3), np.nan)), r"reward \(0,\) could not be solved"),
        (lambda m: jc.nearest_cliff(m, family=jc.family.features(np.zeros((1, 2, 3)))), "the family has entries"),
        (lambda m: jc.family.component(np.ones((2, 8)), 2, 3), "there is no component 2: there are weights of 2"),
        (lambda m: jc.family.features(np.zeros((8, 3))), r"shape \[D, S, A\]"),
        (lambda m: jc.flip_probability(m, sigma=0.0), "sigma must be one positive number"),
        (lambda m: jc.flip_probability(m, where="visited"), "do not bound the probability"),
        (lambda m: jc.flip_probability(m, np.zeros((2, 8, 3))), "takes one reward"),
        (lambda m: jc.census(m, np.zeros((2, 8, 3))), "at least 8 rewards"),
        (lambda m: jc.census(m, np.zeros((9, 8, 3)), where="visited"), "are no distances"),
        (lambda m: jc.nearest_cliff(m, np.zeros((0, 8, 3))), "no rewards to look at"),
    ],
)
def test_bad_calls_get_a_sentence(call, sentence, rng):
    with pytest.raises(ValueError, match=sentence):
        call(KINDS["garnet"].draw(rng, F64))


def simulate(mdp, sigma, draws, rng):
    """The share of noisy rewards for which the policy certainly changes, by solving them all."""
    own = legal_sets(mdp, jc.walls(mdp).actions)
    noise = jnp.asarray(sigma * rng.normal(size=(draws, *mdp.reward.shape)))
    _, suboptimal = decide(mdp, mdp.reward + noise)
    return (own & suboptimal).any(axis=(-2, -1)).mean()


def test_flip_probability_agrees_with_solving_noisy_rewards(rng):
    for name in ("garnet", "tree", "contexts"):
        mdp = draw(name, rng, 0.9)
        sigma = 0.5 * float(jc.nearest_cliff(mdp, norm="2").radius)
        found = jc.flip_probability(mdp, sigma=sigma, key=key(rng), count=20_000)
        share = simulate(mdp, sigma, 4096, rng)
        spread = np.sqrt(share * (1 - share) / 4096) + found.standard_error
        assert found.lower - 5 * spread <= share <= found.upper + 5 * spread
        assert abs(found.estimate - share) <= 5 * spread
        assert found.lower <= found.estimate + 5 * found.standard_error
        assert found.per_wall.max() == pytest.approx(found.lower)


def test_noise_in_weights_keeps_their_sum(rng):
    mdp = draw("garnet", rng, 0.9)
    rewards = rng.normal(size=(3, *mdp.reward.shape))
    family = jc.family.weights(rewards)
    sigma = float(jc.nearest_cliff(mdp, norm="2", family=family).radius)
    found = jc.flip_probability(mdp, sigma=sigma, family=family, key=key(rng), count=20_000)
    assert found.lower - 5 * found.standard_error <= found.estimate <= found.upper + 5 * found.standard_error
    theta = sigma * rng.normal(size=(4096, 3))
    theta -= theta.mean(axis=1, keepdims=True)
    _, suboptimal = decide(mdp, np.asarray(mdp.reward) + np.tensordot(theta, rewards, axes=1))
    share = (legal_sets(mdp, jc.walls(mdp).actions) & suboptimal).any(axis=(-2, -1)).mean()
    assert abs(found.estimate - share) <= 5 * np.sqrt(share * (1 - share) / 4096 + found.standard_error**2)


def test_what_is_not_visited_can_switch_first():
    """s0 leaves for the end or goes to s1, which waits; the way back from s1 is nearly free."""
    model = jc.Successors(np.array([[[2], [1]], [[2], [1]], [[2], [2]]]))
    reward = jnp.asarray([[1.0, 0.0], [0.0, -0.001], [0.0, 0.0]], F64)
    terminal = np.array([False, False, True])
    mdp = jc.MDP(model, reward, 0.9, terminal=terminal, initial=jnp.asarray([1.0, 0.0, 0.0], F64))
    near = jc.nearest_cliff(mdp, where="visited")
    assert near.state == 0
    assert near.lower == jc.nearest_cliff(mdp, where="reachable").lower
    assert near.lower < 0.01 < near.upper


@pytest.mark.slow
@pytest.mark.parametrize("name", ["garnet", "masked", "tree", "contexts", "proper"])
def test_flip_probability_brackets_a_million_draws(name, rng):
    for _ in range(11):
        mdp = draw(name, rng)
        sigma = float(rng.uniform(0.2, 1.5) * jc.nearest_cliff(mdp, norm="2").radius)
        bounds = jc.flip_probability(mdp, sigma=sigma)
        found = jc.flip_probability(mdp, sigma=sigma, key=key(rng), count=1_000_000)
        share = np.mean([simulate(mdp, sigma, 50_000, rng) for _ in range(20)])
        spread = np.sqrt(max(share * (1 - share), 1e-6) / 1e6)
        assert bounds.lower - 5 * spread <= share <= bounds.upper + 5 * spread
        assert abs(found.estimate - share) <= 5 * np.hypot(spread, found.standard_error)


def test_the_census_of_bandits_is_known(rng):
    """Two arms N(0, 1): ρ = |R₁ − R₂|/2 in the sup norm, so that P(ρ < ε) ≈ 4ε/(√2·√(2π))."""
    mdp = jc.problems.bandit(jnp.zeros(2, F64))
    found = jc.census(mdp, rng.normal(size=(20_000, 1, 2)))
    expected = 4 / (np.sqrt(2) * np.sqrt(2 * np.pi))
    assert abs(found.constant - expected) <= 5 * found.standard_error
    assert found.standard_error < 0.05 * expected
    assert found.tied == 0
    assert found.share_within(0.01) == pytest.approx(0.01 * expected, rel=0.3)
    assert "median distance to a cliff" in found.summary()
    jax.tree.leaves(found)

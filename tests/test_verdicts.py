"""One verdict everywhere: what is a tie, what is none, and what is undecided, said alike by all that decide."""

import fractions

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.geometry.cones import Cones
from jaxcliff.model import exact
from jaxcliff.report import verdict
from jaxcliff.solvers.batch import SMALL
from tests.cases import ACTIONS, GARNET, STATES
from tests.conftest import needs_x64
from tests.geometry import bandit, by_set, draw, kinds
from tests.oracle import Problem

pytestmark = needs_x64
GRID = ("S...", "....", "...G")


def near_tie(gap, seed=0, discount=0.9):
    """Two actions of state 0 are apart by a gap that rounding hides; and a direction that leaves them so."""
    mdp = jc.problems.garnet(jax.random.key(seed), **GARNET, discount=discount)
    q = np.array(jc.solve(mdp).q_values)
    q[0, 1] = q[0].max() + 0.5
    q[0, 0] = q[0, 1] - gap
    mdp = mdp.replace(reward=jc.inverse_bellman(mdp, q))
    away = np.zeros(mdp.reward.shape)
    away[0, 2] = 1.0
    return mdp, away


# --- one tolerance ---------------------------------------------------------------------------------------------------


def test_the_default_tolerance_follows_the_dtype_a_problem_came_in():
    """[1, .99995, 0] in float32 is a tie to all that decide; to 1e-11, asked for, to none; in float64 to none."""
    for dtype, tied in ((np.float32, True), (np.float64, False)):
        mdp = jc.MDP(None, np.array([[1, 0.99995, 0]], dtype))
        assert bool(jc.optimal_actions(jc.solve(mdp)).optimal[0, 1]) is tied
        for options, expected in (({}, tied), ({"tie_tolerance": 1e-11}, False), ({"tie_tolerance": 1e-4}, True)):
            away = np.array([[0.0, 0.0, 1.0]])
            near = jc.nearest_cliff(mdp, **options)
            assert bool(near.tied) is expected
            assert near.walls.tie_tolerance == options.get("tie_tolerance", 1e-4 if tied else 1e-11)
            path = jc.cliffs_along(mdp, None, away, stop=0.5, **options)
            assert bool((path.optimal[0].sum(-1) > 1).any()) is expected
            plan = jc.policy_map(mdp, None, away, 0 * away, (-0.4, 0.4, -1, 1), **options)
            assert set(by_set(plan)) == ({(0, 1)} if expected else {(0,)})
            assert plan.tie_tolerance == near.walls.tie_tolerance
            rewards = np.tile(np.asarray(mdp.reward), (8, 1, 1))
            assert jc.census(mdp, rewards, **options).tied == float(expected)
            assert jc.repair(mdp, [0], gap=0.0, **options).tied is expected
            ds = jc.studies.flip_frequency(mdp, key=jax.random.key(0), sizes=[1e-6], count=4, **options)
            assert int(ds.optimal.sum()) == 1 + expected
            ds = jc.studies.soft_against_hard(mdp, **options)
            assert float(ds.hard[0]) == (0.5 if expected else 1.0)
            ds = jc.studies.phase_scan(mdp, None, away, [0.0, 0.1], strength=[0.0, 1.0], **options)
            assert int(ds.states_changed[0, 0]) == 0
            assert ds.attrs["tie_tolerance"] == near.walls.tie_tolerance
            ds = jc.studies.phase_diagram(mdp, None, away, 0 * away, (-0.1, 0.1, -1, 1), resolution=2, **options)
            assert ds.sizes["region"] == 1
            assert int(ds.optimal.sum()) == 1 + expected
            ds = jc.studies.ray(mdp, None, away, stop=0.1, **options)
            assert int(ds.optimal[0].sum()) == 1 + expected
            ds = jc.studies.temperature_curve(mdp, key=jax.random.key(0), strength=[0.1], count=2, size=0.01, **options)
            assert ds.attrs["cliff"].startswith("on a cliff" if expected else "nearest cliff")
            ds = jc.studies.aggregation_stability(
                mdp, np.stack([mdp.reward] * 2), key=jax.random.key(0), sizes=[0.01], count=2, **options
            )
            assert (float(ds.attrs["joint_radius"]) == 0) is expected


def test_flips_and_ties_mean_the_same_tolerance_in_noise():
    mdp = jc.MDP(None, np.array([[1, 0.99995, 0]], np.float32))
    certain = jc.flip_probability(mdp, sigma=1e-6)
    strict = jc.flip_probability(mdp, sigma=1e-6, tie_tolerance=1e-11)
    np.testing.assert_allclose(certain.per_wall, strict.per_wall)  # the wall is where it is, whatever is called a tie
    assert certain.undecided == strict.undecided == 0


# --- undecided -------------------------------------------------------------------------------------------------------


def test_undecided_ties_are_named_wherever_ties_are():
    """A gap of 1e-17, which is a tie to no one who asks for exact ties, and cannot be told from one."""
    mdp, away = near_tie(0.0, discount=0.99)
    options = {"tie_tolerance": 0.0}
    acts = jc.optimal_actions(jc.solve(mdp), 0.0)
    assert acts.undecided[0, :2].all()
    near = jc.nearest_cliff(mdp, **options)
    assert bool(near.undecided)
    assert not near.tied
    assert near.lower == 0
    assert 0 <= near.radius <= near.upper < 1e-9
    assert near.guarantee == 0
    assert near.margin > 1e-3
    assert near.summary().startswith("undecided whether actions tie in state 0: action")
    assert jc.nearest_cliff(mdp, [mdp.reward] * 2, **options).summary().startswith("2 rewards, 0 of them on a cliff, 2")
    words = verdict.words(mdp, near)
    assert "Ties: none" not in words
    assert words.startswith("Undecided: 1; the arithmetic cannot tell whether these tie: state 0: action")
    assert "safe from errors up to 0," not in words

    path = jc.cliffs_along(mdp, None, away, stop=1e-3, **options)
    assert path.undecided[0, 0, :2].all()
    assert "undecided whether actions tie all along a segment in state 0" in path.summary()
    assert path.from_dataset(path.to_dataset()).undecided.sum() == 2
    apart = away[:, ::-1] - away[:, [2, 0, 1]] * [[0, 0.5, 0]]
    start = jc.cliffs_along(mdp, None, apart, stop=1e-3, **options)
    assert start.undecided_start
    assert not start.tied_start
    assert start.summary().startswith("undecided whether actions tie at the start")

    plan = jc.policy_map(mdp, None, away, away**2, (-1e-3, 1e-3, -1e-3, 1e-3), **options)
    assert plan.undecided[:, 0, :2].all()
    assert "undecided whether they tie" in plan.summary()
    assert plan.from_dataset(plan.to_dataset()).undecided.sum() == plan.undecided.sum()

    found = jc.census(mdp, [mdp.reward] * 8, **options)
    assert (found.tied, found.undecided) == (0.0, 1.0)
    assert "100.0% undecided" in found.summary()
    assert jc.flip_probability(mdp, count=10, **options).undecided == 1
    assert "it is still a tie, or cannot be told" in jc.repair(mdp, near.walls.actions, gap=0.0, **options).summary()
    ds = jc.studies.flip_frequency(mdp, key=jax.random.key(0), sizes=[0.1], count=4, **options)
    assert ds.base_undecided.values.tolist() == [True] + [False] * 7
    ds = jc.studies.phase_diagram(mdp, None, away, away**2, (-1e-3, 1e-3, -1e-3, 1e-3), resolution=2, **options)
    assert ds.attrs["base_undecided"] == 1
    assert jc.studies.soft_against_hard(mdp, **options).undecided.values[:2].all()


def test_a_tie_is_no_state_near_to_flipping():
    """It is on its cliff already, and is said to be above."""
    mdp = jc.problems.contextual_bandit(jnp.asarray([[1.0, 1.0, 0.0], [1.0, 0.5, 0.0]]))
    text = verdict.words(mdp, jc.nearest_cliff(mdp))
    assert text.startswith("Ties: 1; ")
    assert text.split("nothing else flips first):\n")[1].startswith("  0.25  state 1: from action 0 to action 1\nNoise")


# --- exact ties ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [GRID, ("." * 7,) * 6 + ("......G",)])
@pytest.mark.parametrize("slip", [0.0, 0.1])
def test_ties_that_structure_plants_are_decided_where_no_bound_can(layout, slip):
    mdp = jc.problems.gridworld(layout, slip=slip, discount=0.9999)
    sol = jc.solve(mdp)
    blind, seeing = (jc.optimal_actions(s, 0.0) for s in (sol.replace(origin=None), sol))
    assert blind.undecided.sum() >= seeing.undecided.sum()
    if slip == 0:
        assert blind.undecided.any()
        assert not seeing.undecided.any()
        near = jc.nearest_cliff(mdp)
        assert near.tied
        assert not near.undecided
        assert verdict.words(mdp, near).startswith(f"Ties: {int(near.walls.tied.sum())};")
    elif layout != GRID:  # symmetric about its diagonal: the corner that lies on it has two equal ways
        assert seeing.optimal[0].sum() == 2
    assert not (seeing.optimal & blind.suboptimal).any()
    assert not (seeing.suboptimal & blind.optimal).any()


@pytest.mark.parametrize("kind", ["dense", "masked", "proper", "tree", "contexts"])
def test_exact_ties_are_exact(kind, rng):
    """Duplicated actions and mirrored states, at tolerance 0, against rational arithmetic."""
    mdp = draw(kind, rng, 0.99 if kind in ("dense", "masked") else None)
    found = 0
    for _ in range(6):
        reward = np.where(mdp.decisions, rng.integers(0, 2, size=mdp.reward.shape).astype(float), 0)
        sol = jc.solve(mdp, reward)
        acts, q = jc.optimal_actions(sol, 0.0), Problem(mdp, reward).solve_exact()[0]
        best = {s: max(x for (t, _), x in q.items() if t == s) for s, _ in q}
        for s, a in np.argwhere(np.asarray(acts.optimal & mdp.decisions)):
            assert q[s, a] == best[s]
        for s, a in np.argwhere(np.asarray(acts.suboptimal & mdp.decisions)):
            assert q[s, a] < best[s]
        found += int((np.asarray(acts.optimal).sum(-1) > 1).sum())
    assert found > 0 or kind in ("dense", "masked", "proper")


def test_equal_rows_are_found_in_any_order_and_others_are_not(rng):
    states = np.array([[[1, 2], [2, 1], [1, 2]], [[1, 1], [1, 1], [1, 1]], [[2, 2], [2, 2], [2, 2]]])
    p = np.array([[[0.3, 0.7], [0.7, 0.3], [0.7, 0.3]]] + [[[1.0, 0.0]] * 3] * 2)
    reward = np.array([[1.0, 1.0, 1.0], [2.0, 0, 0], [5.0, 0, 0]])
    mdp = jc.MDP(jc.Successors(states, p), reward, 0.5)
    rows, everything = exact.Rows(mdp), np.ones((3, 3), bool)
    kind, spent = exact.equal_actions(rows, reward[None], everything)
    assert kind[0, 0] == kind[0, 1] != kind[0, 2]
    assert kind[1, 1] == kind[1, 2] != kind[1, 0]
    assert exact.equal_actions(rows, reward[None], everything, work=1)[0] is None
    two, _ = exact.equal_actions(rows, np.stack([reward, rng.normal(size=(3, 3))]), everything)
    assert two[0, 0] != two[0, 1]
    assert spent > 0


def test_what_differs_in_its_last_bit_is_no_exact_tie():
    """Now nothing, and later 1 for ever or an ulp more: the rewards of the choice are equal, what follows is not."""
    states = np.array([[1, 2], [1, 1], [2, 2], [3, 3]])[..., None]
    reward = np.array([[0.0, 0.0], [1.0, 1.0], [1 + 2.0**-52] * 2, [0.0, 0.0]])
    acts = jc.optimal_actions(jc.solve(jc.MDP(jc.Successors(states), reward, 0.9999)), 0.0)
    assert acts.undecided[0].all()
    assert acts.optimal[1:].all()


def test_a_solution_keeps_its_origin_by_hand_and_loses_it_in_transformations():
    mdp = jc.problems.gridworld(GRID, slip=0.0, discount=0.9999)
    sol = jc.solve(mdp, jnp.stack([mdp.reward, 2 * mdp.reward]))
    assert sol[1].origin[1].shape == mdp.reward.shape
    assert not jc.optimal_actions(sol[1]).undecided.any()
    assert jax.jit(lambda s: s)(sol).origin is None
    assert jax.jit(jc.solve)(mdp).origin is None
    assert jc.optimal_actions(jax.jit(jc.solve)(mdp)).undecided.any()  # undecided, never wrong


# --- certificates at the edges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[1e-308, 0], [3e-308, 2.5e-308], [5e-324, 0], [-1, 1e-308, 0]])
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["by hand", "jit"])
def test_rewards_below_the_smallest_normal_number_are_in_the_bound(values, transform):
    sol = transform(jc.solve)(jc.problems.bandit(np.array(values)))
    q = np.asarray(sol.q_values)[0]
    assert (np.abs(q - np.array(values)) <= float(sol.error_bound)).all()
    acts = jc.optimal_actions(sol, 0.0)
    assert not acts.optimal[0, 0] or values[0] > 1e-300 or (len(values) == 2 and not acts.optimal[0].all())
    tied = acts.optimal[0] & (np.array(values) < max(values))
    assert not tied.any()


def test_tiny_rewards_of_a_chain_are_in_the_bound():
    mdp = jc.problems.garnet(jax.random.key(0), **GARNET)
    whole = jc.solve(mdp)
    for size in (1e-310, 1e-307, 1e-300):
        sol = jc.solve(mdp, np.asarray(mdp.reward) * size)
        error = np.abs(np.asarray(sol.values) - np.asarray(whole.values) * size)
        assert (error <= float(sol.error_bound) + 1e-9 * size).all()
        assert not (jc.optimal_actions(sol).optimal & jc.optimal_actions(whole).suboptimal).any()
    nothing = jc.optimal_actions(jc.solve(mdp, np.zeros(mdp.reward.shape)))
    assert nothing.optimal.all()
    assert SMALL["float64"] < 1e-290


def test_the_value_of_an_end_belongs_to_the_span():
    """Rewards of 3 and 2 are 3 wide where an episode can end, and 1 wide where it cannot."""
    rows = np.array([[[0.0, 1.0], [0.0, 1.0]]] * 2)
    for terminal, span in (([False, True], 3.0), (None, 1.0)):
        rewards = np.array([[3.0, 2.0], [0.0, 0.0] if terminal else [3.0, 2.0]])
        assert float(jc.solve(jc.MDP(jc.Dense(rows), rewards, 0.5, terminal=terminal)).span) == span


def test_nothing_is_decided_in_a_lane_that_failed():
    """Nor where there is one action only."""
    fork = jc.problems.fork()
    acts = jc.optimal_actions(jc.solve(fork, fork.reward * jnp.nan))
    np.testing.assert_array_equal(acts.undecided, fork.legal)


BROKEN = {
    "negative": lambda s, p: (s, p.at[0, 0].set(jnp.asarray([1.5, -0.5, 0.0]))),
    "empty": lambda s, p: (s, p.at[0, 0].set(0)),
    "outside": lambda s, p: (s.at[0, 0, 0].set(STATES), p),
    "before the first": lambda s, p: (s.at[0, 0, 0].set(-1), p),
    "NaN": lambda s, p: (s, p * jnp.nan),
    "off": lambda s, p: (s, 1.1 * p),
}


@pytest.mark.parametrize("name", [*BROKEN, None])
def test_rows_that_are_no_distributions_end_as_a_status_of_their_own(name):
    mdp = jc.problems.garnet(jax.random.key(0), **GARNET)
    rows = mdp.transitions.states, mdp.transitions.probabilities
    sound = rows
    rows = rows if name is None else BROKEN[name](*rows)

    def ask(states, p):
        traced = jc.MDP(jc.Successors(states, p), mdp.reward, mdp.discount)
        return jc.solve(traced), jc.occupancy(traced, jnp.full(mdp.reward.shape, 1 / ACTIONS))

    sol, visits = jax.jit(ask)(*rows)
    lanes, _ = jax.vmap(ask)(*(jnp.stack([good, x]) for good, x in zip(sound, rows, strict=True)))
    expected = jc.Status.CONVERGED if name is None else jc.Status.INVALID_TRANSITIONS
    assert sol.status == expected
    assert lanes.status.tolist() == [jc.Status.CONVERGED, expected]
    assert bool(jnp.isnan(visits).all()) == (name is not None)
    if name is not None:
        assert jnp.isposinf(sol.error_bound)
        assert "inside of a JAX transformation" in sol.summary()


# --- distances -------------------------------------------------------------------------------------------------------


def exact_walls(mdp, actions):
    """(s, a, gap, ‖n‖₁) of every wall, in rationals; the gaps and the visits of one policy by Gauss's elimination."""
    problem, n = Problem(mdp, mdp.reward), mdp.num_states
    f = np.vectorize(lambda x: fractions.Fraction(float(x)), otypes=[object])
    p, r, gamma = f(problem.p), f(problem.reward), fractions.Fraction(float(mdp.discount))
    total = p.sum(-1)
    p = p / np.where(total == 0, fractions.Fraction(1), total)[..., None]
    table = np.concatenate([-gamma * p[np.arange(n), actions], f(np.eye(n))], axis=1)
    table[np.arange(n), np.arange(n)] += 1
    for i in range(n):
        table[i] = table[i] / table[i, i]
        for j in range(n):
            if j != i:
                table[j] = table[j] - table[j, i] * table[i]
    inverse, decides = table[:, n:], problem.counts.any(axis=1)
    values = inverse @ r[np.arange(n), actions]
    for s, a in np.argwhere(problem.counts):
        if a != actions[s]:
            normal = inverse[s] - gamma * (p[s, a] @ inverse)
            yield s, a, values[s] - r[s, a] - gamma * (p[s, a] @ values), 1 + sum(abs(x) for x in normal[decides])


@pytest.mark.parametrize("discount", [0.5, 0.99, 0.9999])
def test_the_interval_of_a_radius_holds_the_exact_one(discount, rng):
    """Errors of gaps and of norms included: rational arithmetic finds the distance inside."""
    for _ in range(4):
        mdp = draw("garnet", rng, discount)
        near = jc.nearest_cliff(mdp)
        true = min(gap / size for _, _, gap, size in exact_walls(mdp, near.walls.actions))
        assert near.lower <= true <= near.upper
        assert near.upper - near.lower <= 1e-6 * near.radius + 1e-12
        assert (near.walls.norm_bound > 0).all()


def test_norms_of_a_badly_inverted_matrix_say_so():
    """Three states that hardly ever end: the visits are a hundred thousand, their differences of the size of 1."""
    states = np.array([[[1, 3], [0, 3]], [[2, 3], [0, 3]], [[0, 3], [1, 3]], [[3, 3], [3, 3]]])
    chances = np.broadcast_to([1 - 3e-6, 3e-6], states.shape)
    reward = np.array([[1.0, 0.3], [0.5, 0.2], [0.1, 0.0], [0.0, 0.0]])
    mdp = jc.MDP(jc.Successors(states, chances), reward, 1 - 7e-6, terminal=np.arange(4) == 3)
    walls = jc.walls(mdp)
    for s, a, _, size in exact_walls(mdp, walls.actions):
        assert abs(fractions.Fraction(float(walls.norm[s, a])) - size) <= walls.norm_bound[0, 0] < 1e-3


def test_gaps_of_two_rooms_with_a_narrow_door_say_how_wrong_they_are():
    """Upstream swimmers hardly ever drift: values of the two rooms are far apart, and how far is known least."""
    mdp = jc.problems.river_swim(10, discount=0.9999)
    actions = (np.arange(10) >= 4).astype(int)
    gaps, error = Cones.of(mdp).gaps(actions[None], np.asarray(mdp.reward)[None, None])
    for s, a, gap, _ in exact_walls(mdp, actions):
        assert abs(fractions.Fraction(float(gaps[0, 0, s, a])) - gap) <= error[0, 0]


def test_errors_of_gaps_and_norms_are_in_the_interval_of_a_margin():
    """A gap of ½ ± .1 over a norm of 2 ± ¼."""
    walls = jc.walls(bandit(1.0, 0.5)).replace(gap_bound=np.array([[0.1, 0.1]]), norm_bound=np.array([[0.25]]))
    assert (walls.lower()[0, 1], walls.margin[0, 1], walls.upper()[0, 1]) == pytest.approx(
        (0.4 / 2.25, 0.25, 0.6 / 1.75)
    )


# --- maps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", kinds(["garnet", "proper", "tree"]))
def test_no_region_vanishes_as_the_extent_grows(name, rng):
    mdp = draw(name, rng, 0.9 if name == "garnet" else None)
    x, y = np.where(mdp.decisions, rng.normal(size=(2, *mdp.reward.shape)), 0)
    size = float(jc.nearest_cliff(mdp).margin)
    counts = {}
    for extent in (1e4, 1e6, 1e8, 1e10, 1e12, 1e14, 1e16, 1e18):
        reach = extent * max(size, 1e-3)
        plan = jc.policy_map(mdp, None, x, y, (-reach, reach, -reach, reach))
        counts[extent] = (len(plan), plan.complete)
    whole = counts[1e6][0]
    assert counts[1e6] == counts[1e8] == (whole, True)
    assert all(count == whole or not complete for extent, (count, complete) in counts.items() if extent >= 1e6), counts
    assert not any(counts[extent][1] for extent in (1e14, 1e16, 1e18))


def test_every_edge_of_a_complete_map_has_two_sides(rng):
    """The edge that one region has with another is one of the other too; and all else lies on the frame."""
    mdp = draw("garnet", rng, 0.9)
    x, y = rng.normal(size=(2, *mdp.reward.shape))
    plan = jc.policy_map(mdp, None, x, y, (-2, 2, -2, 2))
    assert plan.complete
    inner = sum(
        np.hypot(*(b - a)) for i in range(len(plan)) for a, b in _sides(plan.polygon(i)) if not _on_frame(plan, a, b)
    )
    assert inner == pytest.approx(2 * np.hypot(*np.diff(plan.segments, axis=1)[:, 0].T).sum(), rel=1e-9)


def _sides(polygon):
    return zip(polygon, np.roll(polygon, -1, axis=0), strict=True)


def _on_frame(plan, a, b):
    low, high = plan.corners.min(axis=0), plan.corners.max(axis=0)
    return any(np.abs(np.array([a, b])[:, k] - end[k]).max() < 1e-9 for k in (0, 1) for end in (low, high))


def test_a_wall_with_a_small_slope_leaves_a_map_complete():
    """Slopes of 1e-6 of the others place an edge less exactly: a coverage of 1 − 1e-9 is no hole."""
    mdp = bandit(0.0, 1e-9, 0.3)
    x, y = [[1.0, 1.0 + 1e-6, 0.0]], [[0.0, 1e-6, 1.0]]
    plan = jc.policy_map(mdp, None, x, y)
    assert plan.complete
    assert not plan.stopped
    assert len(plan) == 3


def test_only_a_map_that_was_stopped_says_so(rng, monkeypatch):
    mdp = draw("garnet", rng, 0.9)
    x, y = rng.normal(size=(2, *mdp.reward.shape))
    part = jc.policy_map(mdp, None, x, y, max_regions=3)
    assert part.stopped
    assert "stopped at the limit on regions" in part.summary()
    monkeypatch.setattr("jaxcliff.geometry.walk.MATCHES", 0.0)
    torn = jc.policy_map(mdp, None, x, y)
    assert not torn.stopped
    assert not torn.complete
    assert "could not follow every edge" in torn.summary()


def test_a_rule_sees_the_same_gaps_on_rays_and_maps_as_in_nearest_cliff(rng):
    """What a rule is given for a point of a ray, or of a map, is what `optimal_actions` says of the reward there."""
    mdp = draw("garnet", rng, 0.9)
    x, y = rng.normal(size=(2, *mdp.reward.shape))
    seen = []

    def rule(acts):
        seen.append(acts)
        return jc.policies.uniform(acts)

    path = jc.cliffs_along(mdp, None, x, stop=1.0, rule=rule)
    (given,) = seen
    places = path.middles
    real = jc.optimal_actions(jc.solve(mdp, mdp.reward + places[:, None, None] * x))
    np.testing.assert_allclose(given.gap[: len(places)], real.gap, atol=1e-9)
    assert (np.asarray(given.optimal)[: len(places)] == np.asarray(real.optimal)).all()
    assert float(np.abs(np.asarray(given.gap)[: len(places)]).max()) > 0.1
    start = jc.optimal_actions(jc.solve(mdp))
    np.testing.assert_allclose(given.gap[len(places)], start.gap, atol=1e-9)

    seen.clear()
    plan = jc.policy_map(mdp, None, x, y, rule=rule)
    (given,) = seen
    u, v = plan.centres.T[..., None, None]
    real = jc.optimal_actions(jc.solve(mdp, mdp.reward + u * x + v * y))
    np.testing.assert_allclose(given.gap[: len(plan)], real.gap, atol=1e-9)
    assert (np.asarray(given.optimal)[: len(plan)] == np.asarray(real.optimal)).all()


def test_a_region_too_small_to_be_seen_is_missed_aloud():
    """Four arms far apart in the extent: the fourth's cell ends where no edge is long enough to be crossed."""
    mdp = bandit(1.0, 0.9, 0.8, 0.5)
    x, y = np.random.default_rng(2).normal(size=(2, 1, 4))
    near, far = (jc.policy_map(mdp, None, x, y, (-e, e, -e, e)) for e in (1e7, 1e16))
    assert (len(near), near.complete) == (4, True)
    assert len(far) == 3
    assert not far.complete
    assert not far.stopped

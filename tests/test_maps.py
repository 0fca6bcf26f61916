"""Exact maps: polygons that cover the plane and agree with `solve` everywhere, however the plane is drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.cliffs.plane import PolicyMap
from jaxcliff.geometry import polygons
from tests.conftest import needs_x64
from tests.geometry import F64, bandit, by_set, contradictions, decide, draw, kinds

pytestmark = needs_x64
NAMES = ("garnet", "masked", "stopping", "proper", "tree", "ending_tree", "contexts")
POINTS = 2000


def axes(mdp, rng):
    return np.where(mdp.decisions, rng.normal(size=(2, *mdp.reward.shape)), 0)


def check_map(mdp, x, y, plan, rng, points=POINTS):
    """Areas, random points against `solve`, edges against the cells on both sides."""
    assert plan.complete
    low, high = plan.corners.min(0), plan.corners.max(0)
    whole = polygons.Polygons.copies(plan.corners, 1).areas()[0]
    assert (plan.areas() > 0).all()
    assert plan.areas().sum() == pytest.approx(whole, rel=1e-9)
    assert len(np.unique(np.packbits(plan.optimal.reshape(len(plan), -1), axis=1), axis=0)) == len(plan)

    where = rng.uniform(low, high, size=(points, 2))
    region = plan.locate(where)
    inside = region >= 0
    assert inside.all() or len(plan.corners) != 4
    rewards = np.asarray(mdp.reward) + np.tensordot(where, np.stack([x, y]), axes=1)
    optimal, suboptimal = decide(mdp, rewards)
    assert contradictions(plan.optimal[region[inside]], optimal[inside], suboptimal[inside]) == 0
    values = np.asarray(jc.solve(mdp, jnp.asarray(rewards)).values) @ np.asarray(mdp.initial)
    linear = (plan.optimal_return[region] * np.concatenate([np.ones((points, 1)), where], axis=1)).sum(-1)
    np.testing.assert_allclose(linear[inside], values[inside], atol=1e-7)
    if len(plan.edges):
        start, end = plan.segments[:, 0], plan.segments[:, 1]
        length = np.linalg.norm(end - start, axis=1, keepdims=True)
        across = (end - start)[:, ::-1] * (1, -1) / length * 1e-7
        sides = [plan.locate((start + end) / 2 + side * across) for side in (-1, 1)]
        long = length[:, 0] > 1e-5
        np.testing.assert_array_equal(np.sort(np.stack(sides, axis=1))[long], plan.edges[long])
    assert (plan.tv > 0).all()
    assert (plan.visited_tv >= 0).all()


@pytest.mark.parametrize("name", kinds(NAMES))
def test_maps_agree_with_solve(name, rng):
    mdp = draw(name, rng, 0.9 if name in ("garnet", "masked", "stopping") else None)
    x, y = axes(mdp, rng)
    plan = jc.policy_map(mdp, None, x, y, (-1, 1.5, -0.7, 2))
    assert len(plan) > 3
    check_map(mdp, x, y, plan, rng)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_maps_agree_with_solve_at_a_hundred_thousand_points(name, rng):
    for _ in range(3):
        mdp = draw(name, rng)
        x, y = axes(mdp, rng)
        check_map(mdp, x, y, jc.policy_map(mdp, None, x, y, (-2, 2, -2, 2)), rng, points=100_000)


@pytest.mark.slow
def test_a_map_of_many_regions_agrees_at_a_hundred_thousand_points(rng):
    import jax

    mdp = jc.problems.garnet(jax.random.key(3), states=64, actions=4, branching=5, discount=0.95).astype(F64)
    x, y = axes(mdp, rng)
    plan = jc.policy_map(mdp, None, x, y)
    assert len(plan) > 1000
    check_map(mdp, x, y, plan, rng, points=100_000)


def test_a_raster_is_the_map_at_its_pixels(rng):
    mdp = draw("garnet", rng, 0.9)
    x, y = axes(mdp, rng)
    plan = jc.policy_map(mdp, None, x, y, (-1, 2, -3, 1))
    raster = plan.rasterize(40)
    assert (raster >= 0).all()
    xs, ys = -1 + 3 * (np.arange(40) + 0.5) / 40, -3 + 4 * (np.arange(40) + 0.5) / 40
    centres = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    np.testing.assert_array_equal(raster.ravel(), plan.locate(centres))
    assert plan.locate([[5.0, 0.0]]).tolist() == [-1]


def test_drawing_the_plane_another_way_changes_nothing(rng):
    """Rotated, stretched and shifted axes: the same policies at the same rewards, areas scaled by the determinant."""
    mdp = draw("masked", rng, 0.9)
    x, y = axes(mdp, rng)
    plan = jc.policy_map(mdp, None, x, y, (-1, 1, -1, 1))
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    stretch, shift = np.diag([3.0, 1e-3]), np.array([0.2, -0.1])
    for matrix in (turn, stretch, turn @ stretch, np.array([[0.0, 1.0], [1.0, 0.0]])):
        u, v = np.tensordot(matrix.T, np.stack([x, y]), axes=1)
        moved = np.asarray(mdp.reward) + np.tensordot(shift, np.stack([x, y]), axes=1)
        inner = 0.4 / np.linalg.norm(matrix, axis=0)  # within the first map however it is turned
        other = jc.policy_map(mdp, moved, u, v, (-inner[0], inner[0], -inner[1], inner[1]))
        assert other.complete
        points = rng.uniform(-inner, inner, size=(POINTS, 2))
        there = plan.locate(points @ matrix.T + shift)
        np.testing.assert_array_equal(other.optimal[other.locate(points)], plan.optimal[there])
        both = set(np.unique(there).tolist())
        assert len(both) <= len(other)


def test_a_gallery_of_known_polygons():
    three = bandit(0.0, 0.0, 0.0)
    first, second, none = [[1.0, 0, 0]], [[0, 1.0, 0]], [[0.0, 0, 0]]
    assert by_set(jc.policy_map(three, None, first, second)) == pytest.approx({(0,): 1.5, (1,): 1.5, (2,): 1.0})
    # One axis that moves nothing; two that move the same; none at all.
    assert by_set(jc.policy_map(three, None, first, none)) == pytest.approx({(0,): 2.0, (1, 2): 2.0})
    assert by_set(jc.policy_map(three, None, first, first)) == pytest.approx({(0,): 2.0, (1, 2): 2.0})
    assert by_set(jc.policy_map(three, None, none, none)) == pytest.approx({(0, 1, 2): 4.0})
    assert by_set(jc.policy_map(bandit(1.0, 0.0), None, [[0.0, 0]], [[0.0, 0]])) == pytest.approx({(0,): 4.0})
    # The same tie everywhere, moved along by both axes.
    twins = jc.policy_map(bandit(0.0, 0.0, 0.5), None, [[1.0, 1.0, 0]], [[0.0, 0.0, 1.0]])
    assert by_set(twins) == pytest.approx({(0, 1): 1.125, (2,): 2.875})
    assert twins.switches(0) in ([(0, [0, 1], [2])], [(0, [2], [0, 1])])
    assert twins.tv.tolist() == [1.0]
    # A line that only touches the corner of the extent.
    assert by_set(jc.policy_map(bandit(2.0, 0.0), None, [[0.0, 1.0]], [[0.0, 1.0]])) == pytest.approx({(0,): 4.0})


@pytest.mark.parametrize("arms", [5, 12, 40])
def test_many_regions_that_meet_in_a_point(arms):
    """Arms whose rewards are the directions of a regular polygon: equal sectors of the plane around the origin."""
    angle = 2 * np.pi * np.arange(arms) / arms + 0.1
    plan = jc.policy_map(bandit(*np.zeros(arms)), None, [np.cos(angle)], [np.sin(angle)])
    assert plan.complete
    assert len(plan) == arms
    assert len(plan.edges) == arms
    turns = np.sort(
        np.arctan2(*plan.segments.reshape(-1, 2)[np.linalg.norm(plan.segments.reshape(-1, 2), axis=1) > 0.5].T)
    )
    np.testing.assert_allclose(np.diff(turns), 2 * np.pi / arms, atol=1e-9)


def test_ties_all_over_the_plane_in_a_problem_with_states(rng):
    """Two actions that are copies of one another tie everywhere, however the reward of the pair moves."""
    mdp = draw("dense", rng, 0.9)
    copy = [0, 1, 2, 2]
    double = jc.MDP(jc.Dense(np.asarray(mdp.transitions.probabilities)[:, copy]), np.asarray(mdp.reward)[:, copy], 0.9)
    x, y = rng.normal(size=(2, *mdp.reward.shape))
    plain = jc.policy_map(mdp, None, x, y)
    plan = jc.policy_map(double, None, x[:, copy], y[:, copy])
    assert plan.complete
    assert len(plan) == len(plain)
    assert (plan.optimal[..., 2] == plan.optimal[..., 3]).all()
    np.testing.assert_allclose(np.sort(plan.areas()), np.sort(plain.areas()), atol=1e-9)
    assert "with actions that tie throughout" in plan.summary()
    check_map(double, x[:, copy], y[:, copy], plan, rng)


def test_edges_say_how_high_they_are(rng):
    mdp = draw("garnet", rng, 0.9)
    x, y = axes(mdp, rng)
    true = rng.normal(size=mdp.reward.shape)
    plan = jc.policy_map(mdp, None, x, y, true_reward=true)
    policies = jnp.asarray(plan.optimal.astype(float))
    returns = np.asarray(jc.metrics.expected_return(mdp, policies, jnp.asarray(true)))
    np.testing.assert_allclose(plan.true_return, returns, atol=1e-9)
    before, after = plan.edges.T
    np.testing.assert_allclose(plan.return_jump, returns[after] - returns[before], atol=1e-9)
    visited = jc.metrics.visited_total_variation(mdp, policies[before], policies[after])
    np.testing.assert_allclose(plan.visited_tv, visited, atol=1e-12)
    ends = np.concatenate([np.ones((len(plan.edges), 1)), plan.segments.mean(axis=1)], axis=1)
    one, other = ((plan.optimal_return[i] * ends).sum(-1) for i in (before, after))
    np.testing.assert_allclose(one, other, atol=1e-8)  # the value does not jump


def test_a_limit_gives_a_partial_map_that_says_so(rng):
    mdp = draw("garnet", rng, 0.9)
    x, y = axes(mdp, rng)
    whole, part = jc.policy_map(mdp, None, x, y), jc.policy_map(mdp, None, x, y, max_regions=3)
    assert not part.complete
    assert len(part) == 3
    assert part.covered == pytest.approx(part.areas().sum() / 4)
    assert f"stopped at the limit on regions: {part.covered:.1%} of the area" in part.summary()
    simplex = jc.weight_map(mdp, [np.asarray(mdp.reward), x, y], max_regions=2)
    assert not simplex.exact
    assert simplex.summary().startswith("three rewards, incomplete: ")
    assert (part.edges < 3).all()
    middle = np.stack([part.polygon(i).mean(axis=0) for i in range(3)])
    np.testing.assert_array_equal(part.optimal, whole.optimal[whole.locate(middle)])


@pytest.mark.parametrize("named", [False, True])
def test_a_map_is_saved_and_read_back(named, rng, tmp_path):
    mdp = jc.problems.gridworld(("..G", ".#P", "..."), discount=0.9).astype(F64) if named else draw("tree", rng)
    x, y = axes(mdp, rng)
    plan = jc.policy_map(mdp, None, x, y, true_reward=x if named else None)
    plan.save(tmp_path / "map.zarr")
    again = PolicyMap.load(tmp_path / "map.zarr")
    for name in plan.__dataclass_fields__:
        if name != "labels":
            np.testing.assert_array_equal(getattr(plan, name), getattr(again, name))
    for name in ("states", "actions", "positions"):
        assert getattr(plan.labels, name) == getattr(again.labels, name)
    assert (plan.true_return is None) != named
    with pytest.raises(ValueError, match="not a PolicyMap: its kind is 'other'"):
        PolicyMap.from_dataset(plan.to_dataset().assign_attrs(kind="other"))


@pytest.mark.parametrize("name", kinds(NAMES))
def test_weights_of_two_and_three_rewards(name, rng):
    mdp = draw(name, rng, 0.9 if name in ("garnet", "masked", "stopping") else None)
    rewards = np.where(mdp.decisions, rng.normal(size=(3, *mdp.reward.shape)), 0)
    two = jc.weight_map(mdp, rewards[:2])
    assert two.exact
    path = jc.cliffs_along(mdp, rewards[0], rewards[1] - rewards[0], stop=1.0)
    np.testing.assert_array_equal(two.map.breakpoints, path.breakpoints)
    w = np.linspace(0, 1, 101)
    values = np.asarray(jc.solve(mdp, rewards[0] + w[:, None, None] * (rewards[1] - rewards[0])).values) @ np.asarray(
        mdp.initial
    )
    piece = np.searchsorted(path.breakpoints, w)
    linear = (1 - w) * two.returns[piece, 0] + w * two.returns[piece, 1]
    np.testing.assert_allclose(values, linear, atol=1e-8)
    assert (np.diff(values, 2) >= -1e-9).all()
    slope = two.kinks() @ [-1.0, 1.0]
    assert (slope >= -1e-9).all()  # convex: the slope jumps upwards

    three = jc.weight_map(mdp, rewards)
    triangle = three.map
    assert triangle.areas().sum() == pytest.approx(0.5, rel=1e-9)
    base = mdp.replace(reward=jnp.asarray(rewards[0]))
    check_map(base, rewards[1] - rewards[0], rewards[2] - rewards[0], triangle, rng)
    # Its border w₃ = 0 is the map of the first two.
    on_edge = np.unique(triangle.vertices[np.abs(triangle.vertices[:, 1]) < 1e-12, 0].round(10))
    np.testing.assert_allclose(on_edge[1:-1], path.breakpoints, atol=1e-9)
    weights = np.stack([1 - triangle.vertices.sum(axis=1), *triangle.vertices.T], axis=1)
    region = np.repeat(np.arange(len(triangle)), np.diff(triangle.offsets))
    np.testing.assert_allclose(
        (weights * three.returns[region]).sum(-1),
        (triangle.optimal_return[region] * np.insert(triangle.vertices, 0, 1, axis=1)).sum(-1),
        atol=1e-8,
    )


def test_weights_of_more_rewards_are_sampled_and_say_so(rng):
    mdp = draw("garnet", rng, 0.9)
    rewards = rng.normal(size=(4, *mdp.reward.shape))
    found = jc.weight_map(mdp, rewards, count=64, key=jax.random.key(0))
    assert not found.exact
    assert found.map is None
    assert found.weights.shape == (64, 4)
    assert sorted(found.lines) == [(i, j) for i in range(4) for j in range(i + 1, 4)]
    np.testing.assert_array_equal(
        found.lines[1, 3].breakpoints,
        jc.cliffs_along(mdp, rewards[1], rewards[3] - rewards[1], stop=1.0).breakpoints,
    )
    optimal, suboptimal = decide(mdp, np.tensordot(found.weights, rewards, axes=1))
    own = np.eye(3, dtype=bool)[found.actions]
    assert contradictions(own, optimal, suboptimal) == 0
    step = rng.normal(size=found.weights.shape)
    step -= step.mean(axis=1, keepdims=True)
    step *= 0.999 * found.radius[:, None] / np.abs(step).max(axis=1, keepdims=True)
    optimal, suboptimal = decide(mdp, np.tensordot(found.weights + step, rewards, axes=1))
    assert contradictions(own, optimal, suboptimal) == 0
    assert "4 rewards, sampled:" in found.summary()
    with pytest.raises(ValueError, match="kinks need an exact map"):
        found.kinks()


def test_integer_rewards_leave_no_pixel_between_two_regions():
    """Borders that run through the centres of pixels, and regions that meet in points."""
    mdp = jc.problems.gridworld(("...", "..."), slip=0.0, discount=0.5).astype(F64)
    for seed in range(3):
        reward, x, y = np.random.default_rng(seed).integers(-3, 4, size=(3, *mdp.reward.shape))
        plan = jc.policy_map(mdp, reward, x, y)
        assert plan.complete
        assert (plan.rasterize(128) >= 0).all()


def test_a_zoom_keeps_its_areas_or_says_that_it_is_too_deep(rng, monkeypatch):
    mdp = draw("garnet", rng, 0.9)
    x, y = axes(mdp, rng)
    plan = jc.policy_map(mdp, None, x, y, (0.3, 0.3 + 1e-6, 0.2, 0.2 + 1e-6))
    assert plan.areas().sum() == pytest.approx(1e-12, rel=1e-9, abs=0)
    near = jc.nearest_cliff(mdp)
    cliff = near.walls.rewards + near.radius * near.direction
    assert len(jc.policy_map(mdp, cliff, x, y, (-1e-6, 1e-6, -1e-6, 1e-6))) >= 2
    monkeypatch.setattr("jaxcliff.geometry.walk.THINNEST", 5.0)
    with pytest.raises(ValueError, match="wide enough for the arithmetic to see"):
        jc.policy_map(mdp, cliff, x, y)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m, x: jc.policy_map(m, None, x, x, (1, -1, 0, 1)), "extent is"),
        (lambda m, x: jc.policy_map(m, None, x[:2], x), "x must have shape"),
        (lambda m, x: jc.policy_map(m, None, x, x * np.nan), "y is nan at state 0, action 0"),
        (lambda m, x: jc.policy_map(m, None, x, x, max_regions=0), "max_regions"),
        (lambda m, x: jc.policy_map(m, None, x, x).rasterize(0), "resolution must be a whole number"),
        (lambda m, x: jc.policy_map(m, None, x, x).locate([0.0, 0.0]), "points have shape"),
        (lambda m, x: jc.policy_map(m, None, x, x, (0, 1, 0)), "extent is"),
        (lambda m, x: jc.weight_map(m, x[None]), "N at least 2"),
        (lambda m, x: jc.weight_map(m, [x] * 4, count=0), "count must be a whole number of at least 1"),
    ],
)
def test_bad_calls_get_a_sentence(call, sentence, rng):
    mdp = draw("garnet", rng)
    with pytest.raises(ValueError, match=sentence):
        call(mdp, rng.normal(size=mdp.reward.shape))


def test_walls_that_coincide_up_to_rounding_are_crossed_at_a_time(rng):
    """R shrinks to nothing along a line: there all walls meet, and rounding puts each a little elsewhere."""
    mdp = draw("garnet", rng, 0.9)
    for _ in range(30):
        reward = np.where(mdp.decisions, rng.normal(size=mdp.reward.shape), 0)
        reward = jc.nearest_cliff(mdp, reward).beyond(1 - 1e-3)  # a wall with a small slope is placed least exactly
        a, b = rng.uniform(0.4, 1.5, size=2)
        plan = jc.policy_map(mdp, reward, -a * reward, b * reward, extent=(-2, 2, -2, 2))
        assert (len(plan), len(plan.edges), plan.complete) == (2, 1, True)

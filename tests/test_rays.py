"""Cliffs along rays: every breakpoint is where `solve` flips, nothing flips between, and coincidences have names."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.solvers.solution import default_tie_tolerance
from tests.conftest import needs_x64
from tests.geometry import F64, contradictions, decide, draw, key, kinds, legal_sets

pytestmark = needs_x64
NAMES = ("garnet", "masked", "stopping", "proper", "tree", "ending_tree", "contexts")
TAU = default_tie_tolerance(np.dtype(np.float64))


def at(mdp, direction, t):
    return np.asarray(mdp.reward) + np.asarray(t)[:, None, None] * direction


def bisect(mdp, direction, path, rounds=60):
    """Every breakpoint again: between the middles of two segments, where does `solve` leave the first policy?

    Returns (low, high) per breakpoint: at low the first policy is not contradicted, at high it is.
    """
    ends = np.array([path.start, *path.breakpoints, path.stop])
    middle = (ends[:-1] + ends[1:]) / 2
    low, high = middle[:-1].copy(), middle[1:].copy()
    own = path.optimal[:-1]
    for _ in range(rounds):
        t = (low + high) / 2
        optimal, suboptimal = decide(mdp, padded(at(mdp, direction, t)))
        left = (own & suboptimal[: len(t)]).any(axis=(-2, -1)) | (~own & optimal[: len(t)]).any(axis=(-2, -1))
        low, high = np.where(left, low, t), np.where(left, t, high)
    return low, high


def padded(rewards, size=32):
    """So that few shapes are compiled."""
    extra = -len(rewards) % size
    return np.concatenate([rewards, np.repeat(rewards[-1:], extra, axis=0)])


def check_path(mdp, direction, path):
    """One ray against `solve`: each breakpoint by bisection; policies, values and jumps of every segment."""
    assert path.complete
    assert (np.diff(path.breakpoints) > 0).all()
    ends = np.array([path.start, *path.breakpoints, path.stop])
    assert (ends[:-1] < ends[1:]).all()
    middle = (ends[:-1] + ends[1:]) / 2
    optimal, suboptimal = decide(mdp, padded(at(mdp, direction, middle)))
    assert contradictions(path.optimal, optimal[: len(middle)], suboptimal[: len(middle)]) == 0
    if not len(path.breakpoints):
        return
    assert path.value_jump.max() <= 1e-9
    low, high = bisect(mdp, direction, path)
    cones = jc.walls(mdp).cones
    _, slope_error = cones.gaps(path.actions[:1], np.stack([cones.clean(mdp.reward), direction])[None])
    for i, t in enumerate(path.breakpoints):
        slopes, _ = cones.gaps(path.actions[i : i + 1], cones.clean(direction)[None, None])
        for s, _before, after in path.switches(i):
            fall = np.abs(slopes[0, 0, s, after]).max()
            span = np.ptp(at(mdp, direction, [t])[0][np.asarray(mdp.decisions)])
            slack = 1e-9 + (10 * TAU * span + 10 * slope_error.max()) / fall
            assert low[i] - slack <= t <= high[i] + slack
    # Convex and piecewise linear: the slope of the optimal value, the return of D under each policy, never falls.
    values = np.asarray(jc.evaluate(mdp, legal_sets(mdp, path.actions).astype(float), direction).values)
    assert (np.diff(values, axis=0) >= -1e-7).all()


@pytest.mark.parametrize("name", kinds(NAMES))
def test_breakpoints_are_where_solve_flips(name, rng):
    mdp = draw(name, rng, 0.9 if name in ("garnet", "masked", "stopping") else None)
    directions = np.where(mdp.decisions, rng.normal(size=(2, *mdp.reward.shape)), 0)
    paths = jc.cliffs_along_each(mdp, None, directions, stop=2.0)
    assert any(len(path.breakpoints) for path in paths)
    for direction, path in zip(directions, paths, strict=True):
        check_path(mdp, direction, path)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_breakpoints_widely(name, rng):
    """504 rays on problems of every kind."""
    for _ in range(12):
        mdp = draw(name, rng)
        directions = np.where(mdp.decisions, rng.normal(size=(6, *mdp.reward.shape)), 0)
        for direction, path in zip(directions, jc.cliffs_along_each(mdp, None, directions, stop=2.0), strict=True):
            check_path(mdp, direction, path)


def test_the_first_breakpoint_lies_at_the_radius_along_the_nearest_direction(rng):
    for name in NAMES:
        mdp = draw(name, rng)
        near = jc.nearest_cliff(mdp)
        path = jc.cliffs_along(mdp, None, near.direction, stop=2 * float(near.radius))
        assert path.first == pytest.approx(float(near.radius), rel=1e-7)
        states = [s for s, _, _ in path.switches(0)]
        assert near.state in states


def bandit(*values):
    return jc.problems.bandit(jnp.asarray(values, F64))


def test_degenerate_rays_of_a_bandit():
    three = bandit(1.0, 1.0, 0.0)
    tied = jc.cliffs_along(three, None, [[0.0, 1.0, 3.0]])
    assert tied.tied_start
    assert tied.start_tv == 0.5
    assert tied.breakpoints.tolist() == [0.5]
    assert tied.actions.tolist() == [[1], [2]]

    inside = jc.cliffs_along(three, None, [[1.0, 1.0, 3.0]])
    assert not inside.tied_start
    assert inside.start_tv == 0
    assert inside.breakpoints.tolist() == [0.5]
    assert inside.optimal.tolist() == [[[True, True, False]], [[False, False, True]]]
    assert inside.switches(0) == [(0, [0, 1], [2])]
    assert inside.tv.tolist() == [1.0]
    assert inside.summary().endswith("inside a wall: actions tie all along a segment in state 0")
    assert tied.summary().startswith("actions tie at the start\nt = 0.5: ")

    still = jc.cliffs_along(three, None, np.zeros((1, 3)))
    assert len(still.breakpoints) == 0
    assert still.first == np.inf
    assert still.summary().startswith("no cliff between t = 0 and t = inf\ninside a wall: ")

    away = jc.cliffs_along(bandit(1.0, 0.0), None, [[1.0, 0.0]])
    assert len(away.breakpoints) == 0

    meeting = jc.cliffs_along(bandit(2.0, 1.0, 0.0), None, [[0.0, 1.0, 2.0]], start=0.5, stop=5.0)
    assert meeting.breakpoints.tolist() == [1.0]  # three lines through one point: the middle one is never alone
    assert meeting.actions.tolist() == [[0], [2]]


def test_switches_in_several_states_at_one_place(rng):
    mdp = jc.problems.contextual_bandit(jnp.asarray([[1.0, 0.0], [2.0, 1.0], [5.0, 0.0]], F64))
    direction = np.array([[0.0, 2.0], [0.0, 2.0], [0.0, 1.0]])
    path = jc.cliffs_along(mdp, None, direction)
    assert path.breakpoints.tolist() == [0.5, 5.0]
    assert path.switches(0) == [(0, [0], [1]), (1, [0], [1])]
    assert path.visited_tv.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert "state 0 goes from action 0 to action 1; state 1 goes" in path.summary()


def test_a_true_reward_jumps_where_the_value_does_not(rng):
    mdp = draw("garnet", rng, 0.9)
    direction, true = rng.normal(size=(2, *mdp.reward.shape))
    path = jc.cliffs_along(mdp, None, direction, stop=3.0, true_reward=true)
    assert len(path.breakpoints) > 1
    policies = legal_sets(mdp, path.actions).astype(float)
    returns = np.asarray(jc.metrics.expected_return(mdp, jnp.asarray(policies), jnp.asarray(true)))
    np.testing.assert_allclose(path.true_return, returns, atol=1e-9)
    np.testing.assert_allclose(path.return_jump, np.diff(returns), atol=1e-9)
    for i in range(len(path.breakpoints)):
        tv = jc.metrics.visited_total_variation(mdp, jnp.asarray(policies[i]), jnp.asarray(policies[i + 1]))
        assert path.visited_tv[i] == pytest.approx(float(tv), abs=1e-12)
        before, after = (
            jc.evaluate(mdp, jnp.asarray(policies[k]), at(mdp, direction, path.breakpoints[i : i + 1])[0]).values
            for k in (i, i + 1)
        )
        np.testing.assert_allclose(before, after, atol=1e-9)


def test_a_path_is_saved_and_read_back(rng, tmp_path):
    import xarray as xr

    from jaxcliff.cliffs.ray import Path

    mdp = draw("masked", rng, 0.9)
    direction, true = rng.normal(size=(2, *mdp.reward.shape))
    for options in ({}, {"true_reward": true, "stop": 0.5}):
        path = jc.cliffs_along(mdp, None, direction, **options)
        path.to_dataset().to_zarr(tmp_path / "path.zarr", mode="w", consolidated=False)
        again = Path.from_dataset(xr.open_zarr(tmp_path / "path.zarr", consolidated=False))
        for name in path.__dataclass_fields__:
            if name != "labels":
                np.testing.assert_array_equal(getattr(path, name), getattr(again, name))
        assert again.summary() == path.summary()


@pytest.mark.parametrize("ties", [2, 3, 4])
def test_the_jump_at_a_tie_is_that_of_theory(ties, rng):
    """(m − 1)/m for the uniform rule, 1 − q(a) for any other, exactly; whichever tied action is preferred."""
    mdp, q = jc.problems.tie_planted(key(rng), states=8, actions=4, ties=ties, tied_states=1, discount=0.9)
    mdp = mdp.astype(F64)
    acts = jc.optimal_actions(jc.solve(mdp))
    state = int(np.argmax(np.asarray(acts.optimal).sum(-1)))
    tied = np.flatnonzero(np.asarray(acts.optimal)[state])
    assert len(tied) == ties
    base = np.tile([0.1, 0.2, 0.3, 0.4], (8, 1))
    rules = {
        "uniform": jc.policies.uniform,
        "closest": lambda acts: jc.policies.closest_to(acts, jnp.asarray(base)),
        "first": jc.policies.first,
    }
    for action in tied:
        direction = np.asarray(jc.perturb.bump(mdp, q, state, int(action), 0.01).reward - mdp.reward)
        for name, rule in rules.items():
            path = jc.cliffs_along(mdp, None, direction, stop=1.0, rule=rule)
            assert path.tied_start
            mass = np.asarray(rule(acts))[state, action]
            assert path.start_tv == pytest.approx(1 - mass, abs=1e-12)
            if name == "uniform":
                assert path.start_tv == pytest.approx(float(jc.theory.uniform_jump(ties)), abs=1e-12)


def test_a_limit_stops_with_what_there_is(rng):
    mdp = draw("garnet", rng, 0.9)
    direction = rng.normal(size=mdp.reward.shape)
    whole = jc.cliffs_along(mdp, None, direction)
    part = jc.cliffs_along(mdp, None, direction, max_breakpoints=2)
    assert len(whole.breakpoints) > 2
    assert not part.complete
    assert part.breakpoints.tolist() == whole.breakpoints[:2].tolist()
    assert part.stop == whole.breakpoints[2]
    assert part.summary().endswith("stopped at the limit on breakpoints")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: jc.cliffs_along(m, None, np.zeros((3, 3))), "a direction must have shape"),
        (lambda m: jc.cliffs_along(m, None, None), "a direction is missing"),
        (lambda m: jc.cliffs_along(m, None, np.full((8, 3), np.inf)), "a direction is inf at state 0, action 0"),
        (lambda m: jc.cliffs_along(m, None, np.zeros((8, 3)), start=2.0, stop=1.0), "must be increasing"),
        (lambda m: jc.cliffs_along(m, None, np.zeros((8, 3)), tie_tolerance=-1.0), "tie_tolerance"),
        (lambda m: jc.cliffs_along(m, np.zeros(3), np.zeros((8, 3))), "the reward must have shape"),
    ],
)
def test_bad_calls_get_a_sentence(call, sentence, rng):
    with pytest.raises(ValueError, match=sentence):
        call(draw("garnet", rng))


def test_rewards_that_cancel_on_the_way(rng):
    """From R to −R/2: at the place where nothing is left everything ties, and everything switches."""
    mdp = draw("garnet", rng, 0.9)
    reward = np.asarray(mdp.reward)
    path = jc.cliffs_along(mdp, None, -1.5 * reward, stop=1.0)
    assert path.breakpoints == pytest.approx([2 / 3])
    assert path.complete
    assert jc.weight_map(mdp, [reward, -0.7 * reward]).map.breakpoints == pytest.approx([1 / 1.7])
    plan = jc.policy_map(mdp, None, -0.7 * reward, 0.7 * reward, extent=(-2, 2, -2, 2))
    assert (len(plan), plan.complete) == (2, True)
    direction = rng.normal(size=reward.shape)
    plain = jc.cliffs_along(mdp, None, direction, stop=3.0)
    shifted = jc.cliffs_along(mdp, reward + 1e6, direction - 1e6, stop=3.0)
    np.testing.assert_allclose(shifted.breakpoints, plain.breakpoints, rtol=1e-6)


def test_walls_that_meet_at_a_breakpoint_up_to_rounding_are_crossed_at_a_time(rng):
    """Where R − tcR is nothing: the wall with the smallest slope is placed least exactly, and found first."""
    mdp = draw("garnet", rng, 0.9)
    for _ in range(20):
        reward = np.where(mdp.decisions, rng.normal(size=mdp.reward.shape), 0)
        reward = jc.nearest_cliff(mdp, reward).beyond(1 - 1e-3)
        shrink = rng.uniform(1.1, 3)
        path = jc.cliffs_along(mdp, reward, -shrink * reward, stop=1.0)
        assert path.breakpoints == pytest.approx([1 / shrink])

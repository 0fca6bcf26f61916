"""The case studies: every threshold against the certified optimum, and the paper's charts against the model."""

import numpy as np
import pytest

import jaxcliff as jc
from tests.case_heights import assert_heights
from tests.conftest import needs_x64

NAMES = jc.scenarios.list()
AXES = [(name, axis) for name in NAMES for axis in jc.scenarios.get(name).axes]


def drawn(case, rng, fixed=()):
    """Random knobs; lengths of lcpo are multiples of its step, actions of soft_policy fit its modes."""
    knobs = {}
    for knob in case.knobs:
        low, high = knob.low, knob.high
        knobs[knob.name] = int(rng.integers(low, high + 1)) if knob.whole else float(rng.uniform(low, high))
    if case.name == "lcpo":
        step = int(rng.choice([32, 64, 128]))
        target = step * int(rng.integers(256 // step, 1024 // step))
        knobs |= {"discount": 1.0, "step": step, "target": target, "longest": target + step * int(rng.integers(4, 20))}
    if case.name == "soft_policy":
        knobs["actions"] = int(rng.choice([41, 81, 161]))
    return knobs | dict(fixed)


def with_a_cliff(case, axis, rng, fixed=()):
    """Random knobs whose threshold lies inside the range of the knob."""
    knob = case.knob(axis)
    for _ in range(10_000):
        knobs = drawn(case, rng, fixed)
        if knob.low < case.threshold(axis, **knobs) < knob.high:
            return knobs
    raise AssertionError(f"{case.name} has no setting with a cliff along {axis}")


def whole(case):
    """The whole-number knobs at their defaults: problems of one shape, so that one program solves them."""
    return {knob.name: int(knob.default) for knob in case.knobs if knob.whole}


def assert_switches(case, axis, knobs):
    """The certified walk along the knob finds exactly the switches that the closed form names."""
    knob = case.knob(axis)
    found = jc.cliffs_along(case.mdp(**knobs), *case.ray(axis, **knobs), start=knob.low, stop=knob.high)
    expected = case.cliffs(axis, **knobs)
    assert case.threshold(axis, **knobs) in expected
    assert found.complete
    np.testing.assert_allclose(found.breakpoints, expected, atol=1e-9, rtol=0, err_msg=str(knobs))


@needs_x64
@pytest.mark.parametrize(("name", "axis"), AXES)
def test_the_optimum_switches_at_the_threshold(name, axis, rng):
    case = jc.scenarios.get(name)
    for _ in range(3):
        assert_switches(case, axis, with_a_cliff(case, axis, rng))


@needs_x64
@pytest.mark.slow
@pytest.mark.parametrize(("name", "axis"), AXES)
def test_the_optimum_switches_at_the_threshold_in_many_settings(name, axis, rng):
    case = jc.scenarios.get(name)
    for _ in range(120):
        assert_switches(case, axis, with_a_cliff(case, axis, rng))


@needs_x64
@pytest.mark.parametrize("name", NAMES)
def test_the_jump_is_as_high_as_derived(name, rng):
    case = jc.scenarios.get(name)
    for _ in range(4):
        assert_heights(case, with_a_cliff(case, case.axis, rng, whole(case) | fits(case)))


def fits(case):
    """Lengths of one shape for lcpo."""
    return {"target": 512, "longest": 2048, "step": 64} if case.name == "lcpo" else {}


@needs_x64
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_jump_is_as_high_as_derived_in_many_settings(name, rng):
    case = jc.scenarios.get(name)
    shape = {"tasks": 5} if name == "grader" else {}
    for _ in range(100):
        assert_heights(case, with_a_cliff(case, case.axis, rng, whole(case) | fits(case) | shape))


@needs_x64
@pytest.mark.parametrize("name", NAMES)
def test_the_soft_share_is_its_closed_form(name, rng):
    case = jc.scenarios.get(name)
    shape = {"tasks": 5} if name == "grader" else {}
    for strength in (case.strength, 0.05, 1.0):
        knobs = drawn(case, rng, whole(case) | fits(case) | shape)
        soft = jc.solve(case.mdp(**knobs), regularizer=jc.KL(strength, case.base(**knobs)))
        found = case.quantity(soft.policy, **knobs)
        assert found == pytest.approx(case.share(strength, **knobs), rel=1e-10, abs=1e-10), knobs


@pytest.mark.parametrize(("name", "axis"), AXES)
def test_the_reward_is_what_its_parts_say(name, axis, rng):
    """On a ray up to a positive factor; a Bellman optimum of the ray is one of the trained reward."""
    case = jc.scenarios.get(name)
    knobs = drawn(case, rng)
    parts, mdp = case.rewards(**knobs), case.mdp(**knobs)
    shape = mdp.reward.shape
    assert np.shape(parts.parts) == (len(parts.names), *shape)
    assert np.shape(parts.true) == shape == parts.trained.shape
    np.testing.assert_allclose(parts.trained + parts.missing, parts.true, atol=1e-12)
    np.testing.assert_allclose(np.where(mdp.decisions, parts.trained - mdp.reward, 0), 0, atol=1e-12)
    reward, direction = case.ray(axis, **knobs)
    knob = case.knob(axis)
    for at in (knob.low, 0.3 * knob.low + 0.7 * knob.high, knob.high):
        there = case.rewards(**(knobs | {axis: at}))
        assert (np.asarray(there.scale) > 0).all()
        np.testing.assert_allclose(there.scale * there.trained, reward + at * direction, rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(case.along([knob.high], axis, **knobs)[0], there.trained)


@pytest.mark.parametrize("name", NAMES)
def test_scenarios_are_all_alike(name):
    case = jc.scenarios.get(name)
    mdp, base = case.mdp(), case.base()
    assert len(mdp.labels.states) == mdp.num_states
    assert mdp.labels.actions
    assert case.axis == case.axes[0]
    assert case.doubts
    assert len(case.derivation()) > 30
    assert case.threshold() == case.threshold(case.axis)
    np.testing.assert_allclose(base.sum(-1), 1, atol=1e-12)
    legal = np.ones(base.shape, bool) if mdp.legal is None else np.asarray(mdp.legal)
    assert not (base[~legal]).any()
    for what in case.measured:
        assert np.shape(case.quantity(np.stack([base, base]), what)) == (2,)
    for read in case.observed:
        assert len(read.at) == len(read.values)
        assert read.error > 0
    text = case.summary()
    assert case.claim in text
    assert f"{case.threshold():.6g}" in text


@needs_x64
@pytest.mark.parametrize("name", ["grader", "lcpo", "shortcut"])
def test_best_of_many_is_the_optimum_nearest_to_the_base(name):
    """Bandits, and the chains, whose answers form a tree."""
    case = jc.scenarios.get(name)
    knobs = fits(case)
    one, many = (jc.policies.best_of(case.mdp(**knobs), None, case.base(**knobs), n) for n in (1, 10**6))
    np.testing.assert_allclose(one, case.base(**knobs), atol=1e-9)
    best = jc.policies.uniform(jc.optimal_actions(jc.solve(case.mdp(**knobs))))
    assert case.quantity(many, **knobs) == pytest.approx(case.quantity(best, **knobs), abs=1e-6)


def test_what_cannot_be_is_said_in_a_sentence():
    case = jc.scenarios.get("lcpo")
    with pytest.raises(ValueError, match=r"there is no scenario 'l1'; there are grader, .*near_tie"):
        jc.scenarios.get("l1")
    with pytest.raises(ValueError, match=r"lcpo has no knob 'alpha'; there are penalty \(0 to 0.01\), target"):
        case.mdp(alpha=1.0)
    with pytest.raises(ValueError, match=r"penalty of lcpo must lie between 0 and 0\.01, not 3"):
        case.threshold(penalty=3)
    with pytest.raises(ValueError, match=r"penalty of lcpo must lie between 0 and 0\.01, not nan"):
        case.threshold(penalty=float("nan"))
    with pytest.raises(ValueError, match=r"target of lcpo must be a whole number from 256 to 4096, not 512\.5"):
        case.threshold(target=512.5)
    with pytest.raises(ValueError, match="target of lcpo must be a multiple of step, 32, not 513"):
        case.mdp(target=513)
    with pytest.raises(ValueError, match="target of lcpo must be less than longest, 4096, not 4096"):
        case.rewards(target=4096)
    with pytest.raises(ValueError, match="actions of soft_policy must be 1 more than a multiple of 4, not 100"):
        jc.scenarios.get("soft_policy").mdp(actions=100)
    with pytest.raises(ValueError, match="lcpo knows a threshold along penalty, not 'target'"):
        case.threshold("target")
    with pytest.raises(ValueError, match="lcpo measures length, accuracy, not 'words'"):
        case.quantity(case.base(), "words")
    with pytest.raises(ValueError, match="the reward of lcpo is not linear in target; it is in penalty"):
        case.ray("target")
    with pytest.raises(ValueError, match="strength must be positive, not 0"):
        case.share(0.0)
    with pytest.raises(ValueError, match="in closed form at discount 1"):
        case.share(discount=0.9995)


def test_names_are_as_listed():
    assert len(NAMES) == len(set(NAMES)) == 13
    assert [jc.scenarios.get(name).name for name in NAMES] == NAMES

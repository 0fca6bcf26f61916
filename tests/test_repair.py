"""Mended rewards have what was asked for, at the least price; scenarios give their closed-form thresholds back."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

import jaxcliff as jc
from tests.conftest import needs_x64
from tests.geometry import F64, decide, draw, key, legal_sets

pytestmark = needs_x64
NAMES = ("garnet", "masked", "proper", "tree", "contexts")


def some_policy(mdp, rng):
    legal = np.ones(mdp.reward.shape, bool) if mdp.legal is None else np.asarray(mdp.legal)
    return np.array([rng.choice(np.flatnonzero(row)) for row in legal])


def least_change(mdp, actions, margins, norm):
    """The same by a dense programme over the normals: no values, no sparse rows."""
    reward = jnp.zeros_like(mdp.reward).at[jnp.arange(mdp.num_states), actions].set(1)
    cones = jc.walls(mdp, np.asarray(reward)).cones
    states, others = np.nonzero(cones.walls(actions[None])[0])
    normals = cones.normals(np.repeat(actions[None], len(states), 0), states, others).reshape(len(states), -1)
    right = normals @ np.ravel(cones.clean(mdp.reward)) - margins[states, others]
    n = normals.shape[1]
    if norm == "inf":
        cost = np.append(np.zeros(2 * n), 1.0)
        size = np.hstack([np.eye(n), np.eye(n), -np.ones((n, 1))])
    else:
        cost, size = np.append(np.ones(2 * n), 0.0), np.zeros((0, 2 * n + 1))
    rows = np.hstack([-normals, normals, np.zeros((len(states), 1))])
    found = linprog(cost, np.vstack([rows, size]), np.concatenate([right, np.zeros(len(size))]))
    return found.fun


@pytest.mark.parametrize("norm", ["inf", "1"])
@pytest.mark.parametrize("name", NAMES)
def test_a_mended_reward_has_what_was_asked_for_at_the_least_price(name, norm, rng):
    for wanted in ("gap", "radius"):
        mdp = draw(name, rng, 0.9 if name in ("garnet", "masked") else None)
        actions = some_policy(mdp, rng)
        mended = jc.repair(mdp, actions, norm=norm, **{wanted: 0.1})
        assert mended.feasible
        near = jc.nearest_cliff(mdp, mended.reward, norm=norm)
        decisions = np.asarray(mdp.decisions)
        assert (near.walls.actions == actions)[decisions.any(-1)].all()
        gaps = near.walls.gap[np.isfinite(near.walls.gap)]
        if wanted == "gap":
            assert gaps.min() >= 0.1 - 1e-9
            assert mended.smallest_gap == pytest.approx(gaps.min(), abs=1e-8)
            margins = np.full(mdp.reward.shape, 0.1)
        else:
            assert near.radius >= 0.1 - 1e-9
            assert mended.smallest_radius == pytest.approx(float(near.radius), abs=1e-8)
            margins = 0.1 * near.walls.norm
        assert (mended.change[~decisions] == 0).all()
        size = np.abs(mended.change).max() if norm == "inf" else np.abs(mended.change).sum()
        assert mended.size == pytest.approx(size, rel=1e-9)
        assert mended.size == pytest.approx(least_change(mdp, actions, margins, norm), rel=1e-6)
        assert "makes the policy optimal" in mended.summary()


def test_a_policy_that_is_already_fine_costs_nothing(rng):
    mdp = draw("garnet", rng, 0.9)
    near = jc.nearest_cliff(mdp)
    mended = jc.repair(mdp, near.walls.actions, radius=0.5 * float(near.radius))
    assert mended.size <= 1e-9
    assert mended.smallest_radius == pytest.approx(float(near.radius), rel=1e-6)
    one_hot = legal_sets(mdp, near.walls.actions).astype(float)
    assert jc.repair(mdp, one_hot, gap=0.0).size <= 1e-9


def test_masked_entries_stay_as_they_are(rng):
    mdp = draw("garnet", rng, 0.9)
    actions = some_policy(mdp, rng)
    free = rng.random(mdp.reward.shape) < 0.8
    mended = jc.repair(mdp, actions, gap=0.05, family=jc.family.mask(free))
    assert mended.feasible
    assert (mended.change[~free] == 0).all()
    assert mended.size >= jc.repair(mdp, actions, gap=0.05).size - 1e-9


def test_weights_of_a_mixture_are_moved_with_their_sum_kept():
    """Three rewards of three arms: to make arm 0 best by 0, its weight must reach that of the others."""
    arms = np.eye(3)[:, None, :]
    mdp = jc.problems.bandit(jnp.asarray(np.tensordot([0.2, 0.5, 0.3], arms, axes=1)[0], F64))
    mended = jc.repair(mdp, [0], gap=0.0, family=jc.family.weights(arms), norm="1")
    assert mended.parameters.sum() == pytest.approx(0, abs=1e-9)
    assert mended.size == pytest.approx(0.3)  # .2 → .35 and .5 → .35
    np.testing.assert_allclose(mended.parameters, [0.15, -0.15, 0.0], atol=1e-9)


def test_what_cannot_be_mended_names_the_walls_that_conflict():
    labels = jc.Labels(["prompt"], ["short", "long", "rude", "odd"])
    mdp = jc.MDP(None, jnp.asarray([[0.0, 1.0, 1.0, -5.0]], F64), labels=labels)
    family = jc.family.features([[[0.0, 1.0, -1.0, 0.0]]])
    mended = jc.repair(mdp, [0], gap=0.1, family=family)
    assert not mended.feasible
    assert sorted(mended.conflict) == [(0, 1), (0, 2)]
    assert np.isnan(mended.reward).all()
    assert mended.summary() == (
        "no change of this family does it: these cannot all hold: prompt against long, prompt against rude"
    )


def test_conflicts_of_a_small_family_are_few(rng):
    mdp = draw("garnet", rng, 0.9)
    features = rng.normal(size=(2, *mdp.reward.shape))
    actions = some_policy(mdp, rng)
    mended = jc.repair(mdp, actions, gap=5.0, family=jc.family.features(features))
    assert not mended.feasible
    assert 1 <= len(mended.conflict) <= 3
    # Even these alone cannot hold: no θ satisfies their inequalities.
    states, others = np.array(mended.conflict).T
    cones = jc.walls(mdp).cones
    normals = cones.normals(np.repeat(actions[None], len(states), 0), states, others)
    slopes = np.tensordot(normals, features, axes=((1, 2), (1, 2)))
    own = np.tensordot(normals, np.asarray(mdp.reward), axes=2)
    assert linprog(np.zeros(2), -slopes, own - 5.0, bounds=(None, None)).status == 2


def test_compliance_flips_at_its_threshold(rng):
    """Two modes, comply and ignore: w* = δ/Δ, from the accuracies and the compliance rates of the two."""
    for _ in range(5):
        correct, delta = rng.uniform(0.2, 0.5), rng.uniform(0.01, 0.2)
        low, rise = rng.uniform(0, 0.3), rng.uniform(0.1, 0.6)
        mdp = jc.problems.bandit(jnp.asarray([correct, correct + delta], F64))
        compliance = [[[low + rise, low]]]
        mended = jc.repair(mdp, [0], gap=0.0, family=jc.family.features(compliance))
        assert mended.parameters[0] == pytest.approx(delta / rise, rel=1e-9)
        path = jc.cliffs_along(mdp, None, compliance[0])
        assert path.first == pytest.approx(delta / rise, rel=1e-12)


def length_control(accuracy, wanted, alpha=0.0):
    """A chain of tokens: at length n, answer for p(n) − α|n − wanted|, or go on; at the last length, answer."""
    lengths = len(accuracy)
    states = np.zeros((lengths + 1, 2, 1), int)
    states[:lengths, 0, 0] = np.arange(1, lengths + 1)
    states[:, 1, 0] = lengths
    states[lengths] = lengths
    off = np.abs(np.arange(lengths) - wanted)
    reward = np.zeros((lengths + 1, 2))
    reward[:lengths, 1] = accuracy - alpha * off
    legal = np.ones(reward.shape, bool)
    legal[lengths - 1, 0] = legal[lengths, 1] = False
    penalty = np.zeros(reward.shape)
    penalty[:lengths, 1] = -off
    terminal = np.arange(lengths + 1) == lengths
    return jc.MDP(jc.Successors(states), jnp.asarray(reward, F64), 1.0, legal=legal, terminal=terminal), penalty


@pytest.mark.parametrize("wanted", [3, 11, 25])
def test_length_is_obeyed_from_its_threshold_on(wanted):
    """Accuracy A + B ln n: the penalty per token must reach p(n + 1) − p(n) at the length that was asked for."""
    accuracy = 0.1 + 0.0999 * np.log(np.arange(1, 41))
    mdp, penalty = length_control(accuracy, wanted)
    obey = np.where(np.arange(41) < wanted, 0, 1)
    obey[-1] = 0
    mended = jc.repair(mdp, obey, gap=0.0, family=jc.family.features(penalty[None]))
    threshold = accuracy[wanted + 1] - accuracy[wanted]
    assert mended.parameters[0] == pytest.approx(threshold, abs=1e-9)
    path = jc.cliffs_along(mdp, None, penalty, stop=1.0)
    assert np.abs(path.breakpoints - threshold).min() <= 1e-9
    last = path.actions[np.searchsorted(path.breakpoints, threshold + 1e-6)]
    assert last[wanted] == 1


@pytest.mark.parametrize("name", ["garnet", "proper", "tree"])
def test_the_best_tiebreaker_is_the_normal(name, rng):
    """With two tied actions and nothing else near, the gap is ε‖n‖₁, never above 2εL, and ahead of the bump's."""
    mdp = draw(name, rng, 0.9 if name == "garnet" else None)
    sol = jc.solve(mdp)
    q = np.array(sol.q_values)
    state = int(np.argmax(np.asarray(mdp.decisions).sum(-1) > 1))
    best = np.argsort(-q[state])[:2]
    q[state, best[1]] = q[state, best[0]]
    mdp = mdp.replace(reward=jc.inverse_bellman(mdp, jnp.asarray(np.where(np.isfinite(q), q, 0))))
    action, epsilon = int(best[1]), 1e-4
    found = jc.best_tiebreaker(mdp, state=state, action=action, budget=epsilon)
    cones = jc.walls(mdp).cones
    optimal, _ = decide(mdp, mdp.reward)
    policy = np.where(np.arange(mdp.num_states) == state, action, optimal.argmax(-1))
    size = cones.entry_norms(policy[None], cones.counts.astype(float), 1)[0][0, state, best[0]]
    assert found.gap == pytest.approx(epsilon * size, rel=1e-6)
    assert found.upper == pytest.approx(found.gap, rel=1e-6)
    assert found.gap <= 2 * epsilon * cones.steps * (1 + 1e-12)
    assert np.abs(found.change).max() <= epsilon * (1 + 1e-9)
    now, not_now = decide(mdp, found.reward)
    assert now[state, action]
    assert not_now[state, best[0]]
    smaller = jc.perturb.bump(mdp, q, state, action, epsilon / (1 + float(mdp.discount)))
    gap = float(smaller.q_values[state, action] - smaller.q_values[state, best[0]])
    assert gap <= found.gap * (1 + 1e-9)


@pytest.mark.parametrize(("values", "budget", "gap"), [([1.0, 0.0], 2.0, 3.0), ([1.0, 1 - 1e-6], 0.1, 0.2 - 1e-6)])
def test_an_action_that_is_behind_is_put_ahead(values, budget, gap):
    found = jc.best_tiebreaker(jc.problems.bandit(jnp.asarray(values, F64)), state=0, action=1, budget=budget)
    assert found.gap == pytest.approx(gap, rel=1e-9)
    assert found.upper == pytest.approx(gap, rel=1e-9)
    np.testing.assert_allclose(found.change, [[-budget, budget]], rtol=1e-9)


def test_scale_and_level_do_not_matter(rng):
    mdp = draw("garnet", rng, 0.9)
    actions, reward = some_policy(mdp, rng), np.asarray(mdp.reward)
    plain = jc.repair(mdp, actions, gap=0.1)
    for scale in (1e-12, 1e9):
        mended = jc.repair(mdp, actions, reward * scale, gap=0.1 * scale)
        assert mended.size == pytest.approx(plain.size * scale, rel=1e-6, abs=0)
        assert mended.smallest_gap >= 0.1 * scale * (1 - 1e-6)
    assert jc.repair(mdp, actions, reward + 1e8, gap=0.1).size == pytest.approx(plain.size, rel=1e-6)


def test_no_random_change_within_the_budget_does_better(rng):
    mdp, _ = jc.problems.tie_planted(key(rng), states=7, actions=3, ties=3, tied_states=1, discount=0.8)
    mdp = mdp.astype(F64)
    optimal, _ = decide(mdp, mdp.reward)
    state = int(optimal.sum(-1).argmax())
    action, epsilon = 1, 1e-4
    found = jc.best_tiebreaker(mdp, state=state, action=action, budget=epsilon)
    assert 0 < found.gap <= found.upper * (1 + 1e-9)
    changes = epsilon * np.sign(rng.normal(size=(512, *mdp.reward.shape)))
    q = np.asarray(jc.solve(mdp, np.asarray(mdp.reward) + changes).q_values)[:, state]
    ahead = q[:, action] - np.delete(q, action, axis=-1).max(axis=-1)
    assert ahead.max() <= found.gap * (1 + 1e-9)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: jc.repair(m, np.zeros(8, int)), "either gap=… or radius=…"),
        (lambda m: jc.repair(m, np.zeros(8, int), gap=0.1, radius=0.1), "either gap=… or radius=…"),
        (lambda m: jc.repair(m, np.zeros(8, int), gap=-1.0), "the gap must be a finite number"),
        (lambda m: jc.repair(m, np.zeros(8, int), gap=1.0, norm="2"), "the norm 'inf' or '1', not '2'"),
        (lambda m: jc.repair(m, np.zeros(7, int), gap=1.0), "one action per state"),
        (lambda m: jc.repair(m, np.full(8, 3), gap=1.0), "action 3 is not legal in state 0"),
        (lambda m: jc.repair(m, np.full((8, 3), 1 / 3), gap=1.0), "must choose one action in every state"),
        (lambda m: jc.repair(m, np.zeros(8, int), gap=1.0, where="visited"), "need not be optimal"),
        (lambda m: jc.best_tiebreaker(m, state=9, action=0, budget=0.1), "state 9, action 0 is no decision"),
        (lambda m: jc.best_tiebreaker(m, state=0, action=0, budget=0.0), "the budget must be a positive number"),
    ],
)
def test_bad_calls_get_a_sentence(call, sentence, rng):
    with pytest.raises(ValueError, match=sentence):
        call(draw("garnet", rng))

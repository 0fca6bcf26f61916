"""Each case study against the paper's chart of it, and what its model cannot meet."""

import jax
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.learners import advantages
from jaxcliff.scenarios import (
    data_mixture,
    format_bonus,
    grader,
    lcpo,
    mismatch,
    near_tie,
    obedience,
    perturbation,
    soft_policy,
    sophistry,
    training,
)
from tests.case_heights import assert_heights
from tests.conftest import needs_x64


def readings(case, what):
    return next(read for read in case.observed if read.what == what)


@needs_x64
def test_grader_meets_its_chart():
    """B.1: a line in the logit, to 2.7 points from a fifth of training on; a strong grader leaves the base as it is."""
    case = jc.scenarios.get("grader")
    read = readings(case, "cheating, weak grader")
    at, seen = np.array(read.at), np.array(read.values)
    late = at >= 0.2
    assert np.sqrt(np.mean((grader.fitted(at) - seen)[late] ** 2)) <= 0.027
    assert np.polyfit(at[late], np.log(seen / (1 - seen))[late], 1) == pytest.approx(grader.FIT[::-1], abs=0.2)
    assert case.share(penalty=0.0) == pytest.approx(0.77, abs=read.error)
    strong = [case.share(penalty=x) for x in np.linspace(case.threshold(), 3, 20)]
    assert max(strong) <= case.setting().base_share + 1e-12
    tied = case.mdp(honest=1.0, penalty=0.0)
    assert case.quantity(jc.policies.uniform(jc.optimal_actions(jc.solve(tied)))) == 0.5
    assert case.threshold(honest=1.0) == 0


@needs_x64
def test_obfuscation_meets_all_four_numbers_and_no_single_context_could():
    """B.2, the fit; and independence of irrelevant alternatives: hiding against honesty does not feel the penalty."""
    case = jc.scenarios.get("obfuscation")
    for i, penalty in enumerate((0.0, 0.4093)):
        soft = jc.solve(case.mdp(penalty=penalty), regularizer=jc.KL(case.strength, case.base()))
        for what in ("cheating not caught", "cheating caught"):
            read = readings(case, what)
            assert case.quantity(soft.policy, what) == pytest.approx(read.values[i], abs=3e-4)
            assert read.at[i] == penalty
    rounder = {"cost": 0.117, "odds_transparent": 0.005, "odds_hidden": 0.0005, "penalty": 0.0}
    soft = jc.solve(case.mdp(**rounder), regularizer=jc.KL(0.04626, case.base(**rounder)))
    assert abs(case.quantity(soft.policy, "cheating caught") - 0.745) > 0.003
    odds = []
    for penalty in (0.0, 0.4093):
        knobs = {"hackable": 1.0, "penalty": penalty}
        policy = jc.solve(case.mdp(**knobs), regularizer=jc.KL(case.strength, case.base())).policy
        odds.append(float(policy[0, 2] / policy[0, 0]))
    assert odds[0] == pytest.approx(odds[1], rel=1e-10)


def test_a_blind_monitor_never_makes_honest():
    case = jc.scenarios.get("obfuscation")
    assert case.cliffs() == (case.threshold(),)
    assert case.cliffs(sees_hidden=0.2) == pytest.approx((0.1373 / 0.8, (0.5 - 0.1373) / 0.2))
    assert case.threshold(cost=0.6) == 0.5
    assert case.heights(cost=0.6).above == 0 < case.heights().above


def test_obedience_has_its_floors():
    """B.3: the table's floors and ratios; five of eight cells below; tilts fall to the floor and never lower."""
    floors, hard, soft = (0.865, 0.829, 0.926, 0.850), (0.952, 0.657, 0.898, 0.804), (0.879, 0.823, 0.913, 0.961)
    tilts = (2.63, 0.925, 0.35, 0.62)
    for row, floor, *ratios, tilt in zip(obedience.TABLE, floors, hard, soft, tilts, strict=True):
        assert row.floor == pytest.approx(floor, abs=5e-4)
        assert row.ratios == pytest.approx(ratios, abs=6e-4)
        assert row.tilt == pytest.approx(tilt, abs=5e-3)
    below = [ratio < row.floor for row in obedience.TABLE for ratio in row.ratios]
    assert sum(below) == 5


@needs_x64
def test_no_tilt_by_correctness_falls_below_the_floor(rng):
    """Four outcomes (correct or not, obedient or not) tilted by correctness; equality where all obedience was wrong."""
    base = rng.dirichlet(np.ones(4), size=200).reshape(-1, 2, 2)
    base[0, 1] = (base[0, 1].sum(), 0)  # no correct answer obeys
    mdp = jc.problems.contextual_bandit(np.tile([0.0, 0, 1, 1], (200, 1)))
    after = np.asarray(jc.solve(mdp, regularizer=jc.KL(0.7, base.reshape(-1, 4))).policy).reshape(-1, 2, 2)
    correct, obeys = (lambda x: x[:, 1].sum(-1)), (lambda x: x[:, :, 1].sum(-1))
    ratio, floor = obeys(after) / obeys(base), (1 - correct(after)) / (1 - correct(base))
    assert (ratio >= floor - 1e-12).all()
    assert ratio[0] == pytest.approx(floor[0], abs=1e-12)
    given = base[:, 1, 1] / base[:, 1].sum(-1) - base[:, 0, 1] / base[:, 0].sum(-1)
    np.testing.assert_allclose(obeys(after) - obeys(base), (correct(after) - correct(base)) * given, atol=1e-12)


@needs_x64
def test_lcpo_obeys_from_333_tokens():
    """B.4: n_α = 333 from the slope of L1-Exact, 520 from that of S1; tokens are whole."""
    case = jc.scenarios.get("lcpo")
    for name, gain, least in (("L1-Exact", 0.0999, 333), ("S1", 0.156, 520)):
        read = readings(case, f"accuracy, {name}")
        assert np.polyfit(np.log(read.at), read.values, 1)[0] == pytest.approx(gain, abs=5e-4)
        assert lcpo.obeyed_from(gain, 0.0003) == least
        assert gain * np.log1p(1 / least) <= 0.0003 < gain * np.log1p(1 / (least - 1))
        assert (least > 512) == (name == "S1")
    knobs = {"step": 1, "longest": 352}
    assert case.threshold(target=333, **knobs) < 0.0003 < case.threshold(target=332, **knobs)
    assert case.threshold(target=512, step=1) == pytest.approx(1.95e-4, abs=5e-7)
    for target in (332, 333):
        policy = jc.policies.uniform(jc.optimal_actions(jc.solve(case.mdp(target=target, **knobs))))
        assert (case.quantity(policy, target=target, **knobs) == target) == (target == 333)
    for name, accuracy in (("L1-Exact", 0.005),):
        read = readings(case, f"accuracy, {name}")
        assert np.abs(lcpo.accuracy_at(case.setting(), read.at) - read.values).max() < 2 * accuracy


@needs_x64
def test_lcpo_has_widths_that_one_strength_cannot_meet():
    """7.82 β/α whatever the target, where accuracy and base are flat; the violins differ by a factor of 2.6."""
    case = jc.scenarios.get("lcpo")
    short, long = (np.array(readings(case, f"length, {p} of answers").values) for p in ("1 %", "99 %"))
    assert (long - short).max() / (long - short).min() > 2.5
    assert lcpo.width(1.0, 1.0) == pytest.approx(7.82, abs=5e-3)
    found = []
    for target in (768, 1024):
        knobs = {"gain": 0.0, "penalty": 0.003, "target": target, "longest": 2048, "step": 16, "habit": 50_000.0}
        policy = np.asarray(jc.solve(case.mdp(**knobs), regularizer=jc.KL(0.15, case.base(**knobs))).policy)
        lengths = np.cumsum(np.concatenate([[1], np.cumprod(policy[:-2, 0])]) * policy[:-1, 1])
        found.append(16 * (np.searchsorted(lengths, 0.99) - np.searchsorted(lengths, 0.01)))
    np.testing.assert_allclose(found, lcpo.width(0.15, 0.003), atol=24)


@needs_x64
def test_lcpo_ties_without_a_price_and_is_shorter_with_a_discount(rng):
    case = jc.scenarios.get("lcpo")
    flat = {"gain": 0.0, "penalty": 0.0, "longest": 1024, "step": 64}
    mdp = case.mdp(**flat)
    every = jc.policies.entropy_limit(jc.optimal_actions(jc.solve(mdp)), mdp)
    assert case.quantity(every, **flat) == pytest.approx(512)  # the mean of 17 equally likely lengths
    assert every[8, 1] * np.prod(np.asarray(every)[:8, 0]) == pytest.approx(1 / 17)
    for discount, gain in ((0.9999, 0.1), (0.9995, 0.02), (0.999, 0.1)):
        knobs = {"discount": discount, "gain": gain, "longest": 2048, "step": 64}
        assert_heights(case, knobs)
        assert 0 < case.threshold(**knobs) < 0.01
    assert case.heights(**knobs).below < 512 < case.heights(discount=0.9999, longest=2048, step=64).below


@needs_x64
def test_sophistry_switches_where_its_bars_say():
    """B.5: TPR and FPR solved from the bars and from the label; ω* = .838 and .839."""
    case = jc.scenarios.get("sophistry")
    human, correct, error = (readings(case, x).values for x in ("human approval", "correctness", "human error"))
    assert sophistry.evaluator(human[0], error[0], 0.52) == pytest.approx((0.630, 0.470), abs=5e-4)
    assert sophistry.evaluator(human[1], error[1], 0.502) == pytest.approx((0.664, 0.628), abs=6e-4)
    label = sophistry.evaluator(human[0] + 0.094, error[0] + 0.074, 0.502)
    assert label == pytest.approx((0.654, 0.640), abs=5e-4)
    assert case.threshold() == pytest.approx(0.838, abs=5e-4)
    assert pytest.approx(0.839, abs=5e-4) == 9.4 / (9.4 + 1.8)
    for i, audit in enumerate((1.0, 0.0)):
        policy = jc.policies.uniform(jc.optimal_actions(jc.solve(case.mdp(audit=audit))))
        assert case.quantity(policy, "human approval") == pytest.approx(human[i], abs=1.5e-3)
        assert case.quantity(policy, "correctness") == pytest.approx(correct[i], abs=1.5e-3)
        assert case.quantity(policy, "human error") == pytest.approx(error[i], abs=1.5e-3)
    strengths = np.geomspace(1e-3, 1, 12)
    shares = [jc.solve(case.mdp(), regularizer=jc.KL(b, case.base())).policy for b in strengths]
    assert (np.diff(case.quantity(shares, "human approval")) <= 0).all()
    assert (np.diff(case.quantity(shares, "correctness")) >= 0).all()


@needs_x64
def test_data_mixture_has_the_five_scores_and_is_not_quasi_concave():
    """B.6: five inputs come out again; the own-domain falls do not fit."""
    case = jc.scenarios.get("data_mixture")
    read = readings(case, "Out score")
    soft = []
    for domain, benefit in enumerate(read.values):
        knobs = {"share": 0.0, "domain": domain}
        policy = jc.policies.uniform(jc.optimal_actions(jc.solve(case.mdp(**knobs))))
        assert case.quantity(policy, **knobs) == pytest.approx(benefit, abs=1e-3)
        assert abs(case.quantity(policy, "own score", **knobs) - -0.1) > 0.8
        soft.append(case.share(0.02, **knobs))
    assert soft == pytest.approx([0.044, 0.015, 0.023, 0.009, 0.027], abs=6e-4)
    excluded = [case.rewards(share=0.0, domain=i).weights for i in range(data_mixture.N)]
    np.testing.assert_allclose(np.mean(excluded, axis=0), case.rewards().weights, atol=1e-15)
    policy = jc.policies.uniform(jc.optimal_actions(jc.solve(case.mdp())))
    assert case.quantity(policy) == 0 < min(read.values)


def hard(case, **knobs):
    return jc.policies.uniform(jc.optimal_actions(jc.solve(case.mdp(**knobs))))


@needs_x64
def test_perturbation_has_both_verdicts_and_all_signs():
    """B.7: 200 removed prompts flip at n_S = 2100 and not at 2300; six signs; amplification by 1/w."""
    case = jc.scenarios.get("perturbation")
    for prompts, least in ((2100, 100), (2300, 300)):
        assert case.threshold(safety_prompts=prompts) == least
        before, after = (hard(case, safety_prompts=prompts, removed=r)[1, 0] for r in (0.0, 200.0))
        assert (before, after) == (1, 0 if prompts == 2100 else 1)
    models = [hard(case), hard(case, shift=0.1), hard(case, removed=200.0)]
    assert case.threshold("shift") < 0.1
    for name in perturbation.BENCHMARKS:
        found = [100 * float(perturbation.score(np.asarray(policy, float), name)) for policy in models]
        assert found == pytest.approx(perturbation.CHART[name], abs=0.15)
        assert (np.sign(np.diff(found)) == np.sign(np.diff(perturbation.CHART[name]))).all()
    parts, cue = case.rewards(), perturbation.LOOKALIKE
    margin = parts.trained[cue, 0] - parts.trained[cue, 2]
    assert case.threshold("shift") == pytest.approx(-margin / parts.weights[0][cue])
    near = jc.nearest_cliff(case.mdp(), family=jc.family.component(parts.weights + 1e-12, 0, 3))
    margin = parts.trained[:, 0] - parts.trained[:, 2]
    sup = np.abs(margin / (2 * np.where(parts.weights[0] > 0, parts.weights[0], np.nan)))
    assert near.state == 1
    assert near.radius == pytest.approx(np.nanmin(sup), rel=1e-9)


@needs_x64
def test_soft_policy_has_its_peak_and_floor():
    """B.8: .325 and .0020 of the fit, for the .327 and .002 that were read; hard bars of a third."""
    case = jc.scenarios.get("soft_policy")
    soft = jc.solve(case.mdp(), regularizer=jc.Entropy(case.strength)).policy
    for what, value in (("density at its peak", 0.325), ("density at the edge", 0.0020)):
        found, read = case.quantity(soft, what), readings(case, what)
        assert found == pytest.approx(value, abs=5e-4 if value > 0.1 else 5e-5)
        assert found == pytest.approx(read.values[0], abs=read.error)
    bars = hard(case)[0]
    places = soft_policy.places(case.setting())
    np.testing.assert_allclose(bars[np.isin(places, soft_policy.MODES)], 1 / 3)


@needs_x64
def test_training_has_the_widths_of_its_leashes():
    """B.9: KL, the forward divergence that k3 is as a loss, and group normalisation, which knows no gap."""
    case = jc.scenarios.get("training")
    strength, base = training.STRENGTH, np.array([[0.99, 0.01]])
    assert training.kl_gap(0.5, 0.01) == pytest.approx(0.0046, abs=5e-5)
    assert training.kl_gap(0.99, 0.01) == pytest.approx(0.0092, abs=5e-5)
    assert training.kl_gap(0.99, 0.01) / 0.0003 == pytest.approx(31, abs=0.5)
    assert training.k3_gap(0.5, 0.01) == pytest.approx(1.96 * strength)
    assert training.k3_gap(0.99, 0.01) == pytest.approx(98.99 * strength, rel=1e-4)
    for share in (0.5, 0.99):
        for gap, leash in (
            (training.kl_gap(share, 0.01), jc.KL(strength, base)),
            (training.k3_gap(share, 0.01), jc.FDivergence(strength, base, "forward_kl")),
        ):
            soft = jc.solve(case.mdp(gap=gap), regularizer=leash).policy
            assert case.quantity(soft) == pytest.approx(share, abs=1e-9)
    assert training.left_over(0.01) == pytest.approx(3.7e-4, abs=5e-6)
    assert training.left_over(0.01, biased=False) == pytest.approx(4.0e-4, abs=5e-6)
    assert training.left_over(0.01) == pytest.approx(strength * 0.99 / np.sqrt(7), rel=0.01)


@needs_x64
def test_normalised_groups_pull_alike_whatever_the_gap():
    """Advantages as trainers compute them, over all groups of eight."""
    share, group = 0.3, 8
    for biased in (True, False):
        for gap in (1.0, 1e-3):
            expected = 0.0
            for chosen in range(group + 1):
                wins = np.arange(group) < chosen
                a = np.asarray(advantages.normalised(jax.numpy.asarray(gap * wins), floor=0.0, biased=biased))
                a = np.where(np.isfinite(a), a, 0)
                expected += training.stats.binom.pmf(chosen, group, share) * np.mean(a * (wins - share))
            assert training.normalised_pull(share, group, biased) == pytest.approx(expected, rel=1e-9)


@needs_x64
def test_words_without_numbers_are_as_derived():
    """B.10 and B.11: the discount alone favours the shortcut; a format snaps, over a width of 4.39 strengths."""
    case = jc.scenarios.get("shortcut")
    assert case.threshold(effort=0.0) == pytest.approx(0, abs=1e-12)
    assert case.threshold(effort=0.0, discount=0.9) > 0.05
    assert case.threshold(guessed=0.8, steps=5, effort=0.01) == pytest.approx(0.1 / 5 + 0.01)
    assert case.threshold("effort") == pytest.approx(0, abs=1e-12)
    case = jc.scenarios.get("format_bonus")
    _, tied, high = case.heights(formats=5)
    assert high - tied == pytest.approx(4 / 5)
    ends = [case.share(0.01, bonus=0.01 * (np.log(p / (1 - p)) - np.log(0.05 / 0.95))) for p in (0.1, 0.9)]
    assert ends == pytest.approx([0.1, 0.9])
    assert format_bonus.width(0.01) == pytest.approx(0.0439, abs=5e-5)


@needs_x64
def test_mismatch_costs_nothing_within_its_cell_and_then_linearly():
    case = jc.scenarios.get("mismatch")
    kink, policy = case.threshold(), hard(case)
    deployed = np.linspace(0, 1, 21)
    regret = np.array([mismatch.regret(case.setting(deployed=w)) for w in deployed])
    true = np.stack([case.rewards(deployed=w).true for w in deployed])
    np.testing.assert_allclose(regret, jc.metrics.regret(case.mdp(), policy, true), atol=1e-12)
    assert (regret[deployed >= kink] == 0).all()
    assert (regret[deployed < kink] > 0).all()
    inner = regret[(deployed > case.cliffs()[0]) & (deployed < kink)]
    np.testing.assert_allclose(np.diff(inner, 2), 0, atol=1e-12)
    assert case.quantity(policy, "regret", deployed=0.2) == pytest.approx(regret[4])
    span = np.ptp(case.rewards().parts, axis=-1).max()
    assert (regret <= 2 * np.abs(deployed - 0.9) * span).all()


@needs_x64
@pytest.mark.slow
@pytest.mark.parametrize(("gap", "group", "rate"), [(0.01, 8, 0.2), (0.02, 4, 0.2), (0.01, 16, 0.4)])
def test_near_tie_lands_as_its_law_says(rng, gap, group, rate):
    """Ten thousand runs of the learner, from even to a logit of L; the law is that of small steps."""
    noise, limit, runs = 0.5, 3.0, 10_000
    case = jc.scenarios.get("near_tie")
    expected = near_tie.landing(case.setting(gap=gap, noise=noise, group=group, rate=rate, distance=limit))
    logit, going = np.zeros(runs), np.ones(runs, bool)
    while going.any():
        p = 1 / (1 + np.exp(-logit[going]))
        better = rng.random((going.sum(), group)) < p[:, None]
        reward = gap * better + noise * rng.normal(size=better.shape)
        pull = np.mean((reward - reward.mean(1, keepdims=True)) * (better - p[:, None]), axis=1)
        logit[going] += 2 * rate * pull
        going = np.abs(logit) < limit
    assert np.mean(logit > 0) == pytest.approx(expected, abs=0.02)

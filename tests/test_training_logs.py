"""Logs of training runs as TRL and verl write them: advantages as documented, dead groups, what divides by little."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import jaxcliff as jc
from jaxcliff.auditing import advantages
from jaxcliff.auditing.advantages import NORMALISATIONS, Rollouts
from tests.conftest import needs_x64

pytestmark = needs_x64
SIZE = 8


def trl_advantages(rewards, weights, scale, together):
    """What TRL documents for its GRPO trainer, in float32: rewards [groups, SIZE, M] of a step.

    `scale_rewards` is "group", "batch" or "none"; `multi_objective_aggregation` adds rewards up before they are
    normalised, or after.
    """
    r = rewards.astype(np.float32)
    w = np.asarray(weights, np.float32)
    if together == "normalize_then_sum":
        centred = r - r.mean(axis=1, keepdims=True)
        each = centred / (r.std(axis=1, ddof=1, keepdims=True) + np.float32(1e-4))
        total = (each * w).sum(axis=2)
        return (total - total.mean()) / (total.std(ddof=1) + np.float32(1e-4))
    total = (r * w).sum(axis=2)
    found = total - total.mean(axis=1, keepdims=True)
    if scale == "group":
        found = found / (total.std(axis=1, ddof=1, keepdims=True) + np.float32(1e-4))
    elif scale == "batch":
        found = found / (total.std(ddof=1) + np.float32(1e-4))
    return found


def rewards_of(rng, groups):
    """Two rewards, right or wrong and a format; one group is dead, one is nearly."""
    right = (rng.random((groups, SIZE)) < rng.choice([0.1, 0.5, 0.9], size=(groups, 1))).astype(float)
    format_ = rng.integers(0, 4, size=(groups, SIZE)) / 10
    right[0], format_[0] = 1.0, 0.3
    right[1], format_[1] = 1.0, 0.3
    format_[1, 2] += 1e-3
    return np.stack([right, format_], axis=2)


def trl_log(folder, rng, weights=(1.0, 1.0), scale="group", together="sum_then_normalize", steps=12, groups=5):
    """Files as TRL's completions logger writes them, one Parquet file per step."""
    folder.mkdir(exist_ok=True)
    for step in range(1, steps + 1):
        rewards = rewards_of(rng, groups)
        logged = trl_advantages(rewards, weights, scale, together)
        rows = [
            {
                "step": step,
                "prompt": f"question {step}-{g}",
                "completion": f"text {step}-{g}-{i}",
                "accuracy_reward": rewards[g, i, 0],
                "format_reward": rewards[g, i, 1],
                "advantage": float(logged[g, i]),
            }
            for g in range(groups)
            for i in range(SIZE)
        ]
        pd.DataFrame(rows).to_parquet(folder / f"completions_{step:05d}.parquet")


WAYS = {
    ("group", "sum_then_normalize"): "(r − mean)/(std + 0.0001) of the group, as TRL has it",
    ("none", "sum_then_normalize"): "r − mean of the group, unscaled",
    ("batch", "sum_then_normalize"): "(r − mean of the group)/(std of the step + 1e-4)",
    ("group", "normalize_then_sum"): "every reward normalised in its group, then over the step",
}


@pytest.mark.parametrize(("scale", "together"), WAYS)
def test_the_formula_of_the_logged_advantages_is_named(scale, together, tmp_path, rng):
    trl_log(tmp_path / "log", rng, scale=scale, together=together)
    found = jc.audit(tmp_path / "log")
    assert found.roles.format == "TRL's log of completions"
    assert found.models == ("accuracy_reward", "format_reward")
    assert found.training.fit.best == (WAYS[scale, together], 1.0)
    assert f"The logged advantages are {WAYS[scale, together]}" in " ".join(found.summary().split())
    assert "does not have the weights of the rewards: 1 each was taken" in " ".join(found.summary().split())


def test_weights_that_the_log_does_not_have_are_asked_for(tmp_path, rng):
    trl_log(tmp_path / "log", rng, weights=(1.0, 0.3))
    found = jc.audit(tmp_path / "log")
    said = " ".join(found.summary().split())
    assert found.training.fit.best[1] < 0.9
    assert "fit no formula that is known here with weights 1, 1" in said
    assert "name them (--weights)" in said
    again = jc.audit(tmp_path / "log", weights=[1.0, 0.3])
    assert again.training.fit.best[1] == 1


def test_groups_without_a_gradient_are_found_by_name(tmp_path, rng):
    trl_log(tmp_path / "log", rng)
    found = jc.audit(tmp_path / "log")
    groups = found.training.groups.set_index("prompt")
    dead, near = (
        groups.loc[[f"question {s}-0" for s in range(1, 13)]],
        groups.loc[[f"question {s}-1" for s in range(1, 13)]],
    )
    assert dead.dead.all()
    assert not near.dead.any()
    assert near.near_dead.all()
    assert (near.blown_up > 100).all()
    assert (near["mean |A|: std of the group"] > 0.4).all()
    assert (near["mean |A|: mean of the group"] < 1e-3).all()
    assert found.training.numbers["dead"] == groups.dead.sum()
    assert found.training.steps.dead.min() >= 1 / 5
    shares = found.training.steps
    assert (shares["share of near-ties: std of the group"] > 20 * shares["share of near-ties: mean of the group"]).all()
    figure = jc.figures.advantages(found.to_dataset())
    assert len(figure.axes) == 2


def verl_dump(folder, rng, steps=3, prompts=6, rollouts=4):
    """Files as verl dumps rollouts: one JSON lines file per step, no id of a group, other numbers beside the score."""
    folder.mkdir()
    for step in range(1, steps + 1):
        with (folder / f"{step}.jsonl").open("w") as file:
            for p in range(prompts):
                for i in range(rollouts):
                    score = float(rng.random() < 0.5)
                    row = {"input": f"<user>q{p}</user>", "output": f"a{i}", "gts": "4", "score": score, "step": step}
                    file.write(json.dumps(row | {"acc": bool(score), "length": int(rng.integers(10, 99))}) + "\n")


def test_equal_prompts_of_a_step_of_verl_are_one_group(tmp_path, rng):
    verl_dump(tmp_path / "dump", rng)
    found = jc.audit(tmp_path / "dump", suspect="length")
    assert found.roles.format == "verl's rollout dump"
    assert found.models == ("score",)
    assert found.training.numbers["groups"] == 18
    assert found.training.numbers["steps"] == 3
    assert found.training.numbers["largest_group"] == 4
    assert found.training.fit is None


def run_of(rewards, weights, sizes, steps):
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return Rollouts(np.asarray(rewards, float), np.asarray(weights, float), starts, np.asarray(steps))


def test_normalisations_are_those_of_their_papers(rng):
    rewards, weights = rng.normal(size=(20, 2)), [0.7, 0.3]
    run = run_of(rewards, weights, [4, 8, 8], [0, 12])
    r = rewards @ weights
    parts, steps = [slice(0, 4), slice(4, 12), slice(12, 20)], [slice(0, 12), slice(12, 20)]
    found = {name: of(run) for name, of in NORMALISATIONS.items()}
    for own in parts:
        x = r[own]
        n = len(x)
        np.testing.assert_allclose(found["std of the group"][own], (x - x.mean()) / (x.std(ddof=1) + 1e-4))
        np.testing.assert_allclose(found["mean of the group"][own], x - x.mean())
        others = [(x.sum() - x[i]) / (n - 1) for i in range(n)]
        np.testing.assert_allclose(found["mean of the others"][own], x - others)
        ranks = scipy.stats.rankdata(x)
        np.testing.assert_allclose(found["rank"][own], scipy.stats.norm.ppf((ranks - 0.5) / n))
    for step in steps:
        inside = [p for p in parts if step.start <= p.start < step.stop]
        centred = np.concatenate([r[p] - r[p].mean() for p in inside])
        np.testing.assert_allclose(found["std of the step"][step], centred / (r[step].std(ddof=1) + 1e-4))
        each = [(rewards[p] - rewards[p].mean(0)) / (rewards[p].std(0, ddof=1) + 1e-4) @ weights for p in inside]
        total = np.concatenate(each)
        np.testing.assert_allclose(found["std per reward"][step], (total - total.mean()) / (total.std(ddof=1) + 1e-4))


def test_equal_rewards_have_no_spread_whatever_their_mean_rounds_to():
    run = run_of(np.full((7, 1), 0.1), [1.0], [7], [0])
    assert (advantages.by_group(run, 1e-9) == 0).all()
    assert advantages.groups(run).dead.all()
    hair = np.full((8, 1), 0.1)
    hair[3] += 1e-8
    own = advantages.groups(run_of(hair, [1.0], [8], [0]))
    assert own.residue.all()
    assert not own.dead.any()


def test_missing_rewards_count_nothing_as_in_trl():
    rewards = np.array([[1.0, np.nan], [0.0, np.nan], [np.nan, 2.0], [np.nan, 1.0]])
    run = run_of(rewards, [1.0, 1.0], [4], [0])
    np.testing.assert_allclose(run.totals, [1, 0, 2, 1])
    assert np.isfinite(advantages.per_reward(run)).all()


def test_rewards_that_pull_apart_are_counted():
    rewards = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    own = advantages.groups(run_of(rewards, [1.0, 1.0], [4], [0]))
    assert own.apart.tolist() == [[0.5]]
    same = advantages.groups(run_of(np.ones((4, 2)), [1.0, 1.0], [4], [0]))
    assert np.isnan(same.apart).all()


def test_rewards_that_never_change_are_the_trainers_all_the_same(tmp_path):
    """A reward that is saturated, one with holes: TRL adds them up, and weights go by their order."""
    log = pd.DataFrame({"step": 1, "prompt": ["q"] * 4 + ["r"] * 4, "completion": list("abcdefgh")})
    log["acc"], log["fmt"] = [1, None, None, 1, None, 1, None, None], [0.1, 0.2, 0.3, 0.4] * 2
    log["saturated"] = 1.0
    total = log[["acc", "fmt", "saturated"]].sum(axis=1)
    group = total.groupby(log.prompt)
    log["advantage"] = (total - group.transform("mean")) / (group.transform("std") + 1e-4)
    found = jc.audit(log, weights=[1, 1, 1])
    assert found.models == ("acc", "fmt", "saturated")
    assert found.training.fit.best[1] == 1
    np.testing.assert_allclose(found.training.groups["std"], group.std(), atol=1e-12)


def test_a_run_without_any_signal_is_said_to_be_dead(tmp_path):
    zero = pd.DataFrame(
        {"step": 1, "prompt": ["q"] * 4, "completion": list("abcd"), "one_reward": 0.0, "other_reward": 0.0}
    )
    found = jc.audit(zero.assign(advantage=0.0))
    assert "100.0 % are dead" in found.summary()
    dump = pd.DataFrame(
        [
            {"input": f"i{p}", "output": f"o{g}", "gts": str(p), "score": 0.0, "step": 0}
            for p in range(3)
            for g in range(4)
        ]
    )
    dump.to_json(tmp_path / "0.jsonl", orient="records", lines=True)
    dead = jc.audit(tmp_path)
    assert dead.models == ("score",)
    assert dead.training.numbers["dead"] == 3


def test_steps_between_whole_numbers_stay_apart(rng):
    log = {
        "step": np.repeat([0.25, 0.5], 4),
        "prompt": ["q"] * 8,
        "completion": list("abcdefgh"),
        "reward": rng.normal(size=8),
    }
    found = jc.audit(log | {"advantage": np.zeros(8)})
    assert found.training.steps.step.tolist() == [0.25, 0.5]
    assert found.training.groups.step.tolist() == [0.25, 0.5]


def test_the_same_text_twice_is_two_rollouts_also_in_a_long_log():
    rows = [("q", text, model, float(i)) for i, text in enumerate("xxyz") for model in ("a", "b")]
    log = pd.DataFrame(rows, columns=["prompt", "completion", "model", "score"]).assign(step=1)
    found = jc.audit(log, group="step", model="model")
    assert found.training.groups.rollouts.tolist() == [4]


@pytest.mark.parametrize("size", [6, 7])
def test_dead_groups_whose_mean_rounds_fit_their_formula(size, rng):
    """A trainer in float32 makes advantages of a rounding there, divided by its floor."""
    r = rng.choice([0.1, 0.7, 0.3], size=(60, size)).astype(np.float32)
    r[::2] = r[::2, :1]
    found = {}
    for floor in (1e-4, 1e-6):
        mean = r.mean(axis=1, dtype=np.float32, keepdims=True)
        logged = (r - mean) / (r.std(axis=1, ddof=1, dtype=np.float32, keepdims=True) + np.float32(floor))
        log = {"step": np.ones(r.size), "prompt": np.repeat([f"q{i}" for i in range(60)], size)}
        log |= {
            "completion": [f"a{i}" for i in range(r.size)],
            "reward": r.ravel().astype(float),
            "advantage": logged.ravel(),
        }
        found[floor] = jc.audit(log).training.fit
        assert found[floor].best[1] == 1
    assert "TRL" in found[1e-4].best[0] or found[1e-4].agreeing[found[1e-4].best[0]] > 0

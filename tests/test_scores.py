"""Tables of scores: one problem from every form of the same table, and a sentence for every mistake."""

import csv
import json

import jax.numpy as jnp
import numpy as np
import pandas
import pytest

import jaxcliff as jc
from tests.conftest import X64

ROWS = [
    {"context": "Is it safe?", "action": "yes", "helpful": 0.9, "harmless": 0.1, "base_logprob": -0.5},
    {"context": "Is it safe?", "action": "no", "helpful": 0.2, "harmless": 0.8, "base_logprob": -1.5},
    {"context": "Greet, please", "action": "hello", "helpful": 0.5, "harmless": 0.5, "base_logprob": -2.0},
    {"context": "Is it safe?", "action": "it depends", "helpful": 0.85, "harmless": 0.6, "base_logprob": -3.0},
    {"context": "Greet, please", "action": "yes", "helpful": 0.1, "harmless": 0.5, "base_logprob": -2.0},
]

NULLABLE = pandas.array([1.5, None, 2.0, 0.0, 1.0], "Float64")


def forms(tmp_path):
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0])
        writer.writeheader()
        writer.writerows(ROWS)
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n")
    yield from (tmp_path / "t.csv", str(tmp_path / "t.jsonl"), ROWS)
    yield {name: np.array([row[name] for row in ROWS]) for name in ROWS[0]}


def test_every_form_of_a_table_is_the_same_problem(tmp_path):
    for form in forms(tmp_path):
        scores = jc.problems.from_scores(form)
        mdp, rewards = scores
        assert scores.names == ("helpful", "harmless")
        np.testing.assert_array_equal(mdp.legal, [[True, True, True], [True, True, False]])
        wanted = np.array([[[0.9, 0.2, 0.85], [0.5, 0.1, 0]], [[0.1, 0.8, 0.6], [0.5, 0.5, 0]]])
        np.testing.assert_allclose(rewards, wanted, rtol=1e-6)
        np.testing.assert_allclose(mdp.reward, wanted.mean(axis=0), rtol=1e-6)
        assert rewards.dtype == mdp.dtype == (jnp.float64 if X64 else jnp.float32)
        assert mdp.labels.state(0) == "Is it safe?"
        assert mdp.labels.action(1, 0) == "no"
        assert mdp.labels.action(1, 1) == "yes"
        assert mdp.labels.action(2, 1) == "action 2"
        mass = np.exp([-0.5, -1.5, -3.0])
        np.testing.assert_allclose(scores.base, [[*(mass / mass.sum())], [0.5, 0.5, 0]], rtol=1e-6)


def test_the_problem_is_solved_mixed_and_regularised_towards_its_base():
    scores = jc.problems.from_scores(ROWS)
    mdp, rewards = scores
    best = jc.optimal_actions(jc.solve(mdp, rewards)).optimal
    np.testing.assert_array_equal(best, [[[1, 0, 0], [1, 0, 0]], [[0, 1, 0], [1, 1, 0]]])
    mixed = jc.aggregate.linear(rewards, jc.aggregate.constant(jnp.asarray([0.5, 0.5], mdp.dtype)))
    np.testing.assert_array_equal(jc.optimal_actions(jc.solve(mdp, mixed)).optimal, [[0, 0, 1], [1, 0, 0]])
    far = jc.solve(mdp, regularizer=jc.KL(1e4, scores.base))
    np.testing.assert_allclose(far.policy, scores.base, atol=1e-3)


def test_a_table_with_names_per_context_is_saved_and_loaded(tmp_path):
    mdp, _ = jc.problems.from_scores(ROWS)
    jc.problems.save(mdp, tmp_path / "t.npz")
    back = jc.problems.load(tmp_path / "t.npz")
    np.testing.assert_array_equal(back.reward, mdp.reward)
    np.testing.assert_array_equal(back.legal, mdp.legal)
    assert back.labels.actions == mdp.labels.actions
    assert back.labels.states == mdp.labels.states


def test_a_message_names_the_action_as_its_context_does():
    mdp, _ = jc.problems.from_scores(ROWS)
    with pytest.raises(ValueError, match=r"Greet, please, hello is nan"):
        mdp.replace(reward=mdp.reward.at[1, 0].set(jnp.nan))
    with pytest.raises(ValueError, match="2 states and 3 actions, but lists of up to 4 actions for 2 states"):
        mdp.replace(labels=jc.Labels(actions=[["a", "b", "c", "d"], ["e"]]))


def test_columns_can_be_chosen():
    renamed = [{"prompt": r["context"], "answer": r["action"], "rm": r["helpful"], "note": "x"} for r in ROWS]
    scores = jc.problems.from_scores(renamed, context="prompt", action="answer", models=["rm"])
    assert scores.rewards.shape == (1, 2, 3)
    assert scores.base is None


MISTAKES = {
    "no column": (
        lambda rows: [{"prompt": "q", "action": "a", "rm": 1}],
        "no column 'context'; its columns are 'prompt'",
    ),
    "no scores": (lambda rows: [{"context": "q", "action": "a"}], "no column of scores"),
    "empty": (lambda rows: [], "the table has no rows"),
    "twice": (
        lambda rows: [*rows, rows[1]],
        "row 5: context 'Is it safe",
    ),
    "words": (
        lambda rows: [rows[0], rows[1] | {"helpful": "good"}],
        "row 1: helpful is 'good'; a score must be a finite",
    ),
    "nan": (lambda rows: [rows[0] | {"harmless": float("nan")}], "row 0: harmless is nan"),
    "missing": (lambda rows: [rows[0], {"context": "q", "action": "a"}], "row 1: the row does not have the columns"),
    "log": (
        lambda rows: [rows[0] | {"base_logprob": 0.5}],
        "row 0: base_logprob is 0.5; a log-probability is at most 0",
    ),
    "ragged": (lambda rows: {"context": ["a"], "action": ["b", "c"], "rm": [1.0]}, "columns have different lengths"),
    "kind": (lambda rows: "scores.xlsx", "there is no file"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_met_with_a_sentence(name):
    make, sentence = MISTAKES[name]
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        jc.problems.from_scores(make(ROWS))


def test_a_mistake_in_a_file_names_its_line(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("context,action,rm\nq,a,1.0\nq,b,oops\n")
    with pytest.raises(ValueError, match=r"bad.csv, line 3: rm is 'oops'"):
        jc.problems.from_scores(path)
    path.write_text("context,action,rm\nq,a,1.0\nq,b\n")
    with pytest.raises(ValueError, match=r"bad.csv, line 3: the row does not have the columns"):
        jc.problems.from_scores(path)
    path = tmp_path / "bad.jsonl"
    path.write_text('{"context": "q", "action": "a", "rm": 1}\n{"context": \n')
    with pytest.raises(ValueError, match=r"bad.jsonl, line 2: not JSON"):
        jc.problems.from_scores(path)
    path = tmp_path / "bad.txt"
    path.write_text("x")
    with pytest.raises(ValueError, match=r"a .csv, .jsonl or .json file, not 'bad.txt'"):
        jc.problems.from_scores(path)
    with pytest.raises(TypeError, match="columns by name, or a list of rows, not int"):
        jc.problems.from_scores(3)


def test_cells_with_line_breaks_stay_whole_and_columns_are_unique(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text('context,action,rm\n"a\nb",x,1\n"a\nb",y,2\nab,x,5\n')
    assert jc.problems.from_scores(path).mdp.labels.states == ("a\nb", "ab")
    path.write_text("context,action,rm,rm\na,x,1,2\n")
    with pytest.raises(ValueError, match="two columns named 'rm'"):
        jc.problems.from_scores(path)
    lines = tmp_path / "scores.jsonl"
    lines.write_text('{"context": "a\u2028b", "action": "x", "rm": 1}\n\n{"context": "c", "action": "x", "rm": 1}\n')
    assert jc.problems.from_scores(lines, models="rm").mdp.labels.states == ("a\u2028b", "c")


def test_a_data_frame_and_its_csv_are_the_same_table(tmp_path):
    frame = pandas.DataFrame(ROWS)
    frame["length"] = [11, 11, 13, 11, 13]  # of the context: decides nothing
    frame.to_csv(tmp_path / "with_index.csv")
    frame.to_csv(tmp_path / "named_index.csv", index_label="n")
    frame.reset_index().to_json(tmp_path / "rows.json", orient="records")
    frame.sample(frac=1.0, random_state=3).reset_index().to_csv(tmp_path / "shuffled.csv")
    for form in (frame, *(tmp_path / name for name in ("with_index.csv", "named_index.csv", "rows.json"))):
        scores = jc.problems.from_scores(form)
        assert scores.names == ("helpful", "harmless")
        np.testing.assert_array_equal(scores.mdp.reward, jc.problems.from_scores(ROWS).mdp.reward)
        assert "length" in scores.left_out
    shuffled = jc.problems.from_scores(tmp_path / "shuffled.csv")
    assert set(shuffled.left_out) == {"", "index", "length"}
    assert shuffled.summary().startswith("Reward models: helpful, harmless. Columns left out: '' (it has no name), ")
    frame.loc[3, "context"] = np.nan
    with pytest.raises(ValueError, match="row 3: context is nan"):
        jc.problems.from_scores(frame)
    frame.to_csv(tmp_path / "holes.csv")
    with pytest.raises(ValueError, match=r"holes.csv, line 5: context is empty"):
        jc.problems.from_scores(tmp_path / "holes.csv")
    with pytest.raises(ValueError, match="row 1: rm is"):
        jc.problems.from_scores({**frame[["action"]].astype(str), "context": list("abcde"), "rm": NULLABLE})


def test_no_answer_of_a_table_loses_its_mass():
    """As log-probabilities exact, whatever JAX's switch is; as a policy at least what the dtype can hold."""
    logs = {"a": [-900.0], "b": [-1.0, -95.0, -120.0], "c": [-900.0, -901.0], "d": [-0.5, -900.0]}
    rows = [{"context": c, "action": i, "rm": i, "base_logprob": x} for c in logs for i, x in enumerate(logs[c])]
    scores = jc.problems.from_scores(rows, models="rm")
    base, legal = np.asarray(scores.base, float), np.ones((4, 3), bool)
    legal[0, 1:], legal[2:, 2] = False, False
    assert scores.base.dtype == scores.mdp.dtype
    assert (base[legal] >= np.finfo(scores.mdp.dtype).tiny).all()
    assert not base[~legal].any()
    np.testing.assert_allclose(base.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(base[2, :2], [1 / (1 + np.exp(-1)), 1 / (1 + np.e)], rtol=1e-6)
    np.testing.assert_allclose(scores.base_log[1], [0, -94, -119], atol=1e-12)
    np.testing.assert_allclose(scores.base_log[3, 1], -899.5, rtol=1e-15)
    assert scores.base_log.dtype == np.float64
    # What pays enough is chosen, however rare it is beforehand.
    soft = jc.solve(
        scores.mdp, jnp.where(scores.base > 0.5, 0, 1e3).astype(scores.mdp.dtype), regularizer=jc.KL(1.0, scores.base)
    )
    assert soft.ok
    assert (np.asarray(soft.policy)[[1, 3]] @ np.array([0, 1, 1]) > 0.99).all()


@pytest.mark.parametrize("seed", range(5))
def test_ragged_contexts_are_several_tables_that_hardly_pad(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, 30)
    rows = [
        {"context": f"c{c}", "action": f"a{a}", "x": rng.normal(), "y": rng.normal(), "base_logprob": -rng.random()}
        for c, size in enumerate(sizes)
        for a in range(size)
    ]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    whole, groups = jc.problems.from_scores(rows), jc.problems.from_ragged_scores(rows)
    found = {}
    for group in groups:
        count = np.asarray(group.mdp.decisions).sum(axis=1)
        rewards, base = np.asarray(group.rewards), np.asarray(group.base)
        assert group.names == whole.names
        assert count.max() == group.mdp.num_actions < 2 * count.min()
        for s, context in enumerate(group.mdp.labels.states):
            found[context] = rewards[:, s, : count[s]], base[s, : count[s]], group.mdp.labels.actions[s]
    assert len(found) == len(sizes)
    all_rewards, all_bases = np.asarray(whole.rewards), np.asarray(whole.base)
    for s, context in enumerate(whole.mdp.labels.states):
        rewards, base, names = found[context]
        np.testing.assert_array_equal(rewards, all_rewards[:, s, : len(names)])
        np.testing.assert_allclose(base, all_bases[s, : len(names)], rtol=1e-6)
        assert names == whole.mdp.labels.actions[s]


def test_a_table_that_padding_would_blow_up_is_refused_before_it_is_tried(monkeypatch):
    few = [{"context": f"c{c}", "action": a, "x": (7 * c + a) % 5} for c in range(9) for a in range(1 + 8 * (c == 0))]
    assert jc.problems.from_scores(few).mdp.reward.shape == (9, 9)
    monkeypatch.setattr("jaxcliff.core.devices.NOTICED", 100)
    monkeypatch.setattr("jaxcliff.core.devices._free_on_host", lambda: 1000.0)
    with pytest.raises(
        ValueError, match=r"one table of 9 contexts with up to 9 answers, 17 in all, would need .* free; pr"
    ):
        jc.problems.from_scores(few)
    assert [s.mdp.reward.shape for s in jc.problems.from_ragged_scores(few)] == [(8, 1), (1, 9)]


def test_ties_of_the_mean_stay_ties():
    """A mean of tenths of each, instead of a tenth of the sum, would break this one."""
    tied = {"a": [3, 1, 2] + [0] * 7, "b": [6] + [0] * 9}
    rows = [{"context": "q", "action": a} | {f"m{i}": x for i, x in enumerate(scores)} for a, scores in tied.items()]
    scores = jc.problems.from_scores(rows, models=[f"m{i}" for i in range(10)])
    assert scores.mdp.reward[0, 0] == scores.mdp.reward[0, 1]

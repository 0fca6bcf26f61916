"""Tables of scores: one problem from every form of the same table, and a sentence for every mistake."""

import csv
import json

import jax.numpy as jnp
import numpy as np
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
        assert mdp.labels.state(0) == "state 0 (Is it safe?)"
        assert mdp.labels.action(1, 0) == "action 1 (no)"
        assert mdp.labels.action(1, 1) == "action 1 (yes)"
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
    with pytest.raises(ValueError, match=r"state 1 \(Greet, please\), action 0 \(hello\) is nan"):
        mdp.replace(reward=mdp.reward.at[1, 0].set(jnp.nan))
    with pytest.raises(ValueError, match="2 states and 3 actions, but lists of up to 4 actions for 2 states"):
        mdp.replace(labels=jc.Labels(actions=[["a", "b", "c", "d"], ["e"]]))


def test_columns_can_be_chosen():
    renamed = [{"prompt": r["context"], "answer": r["action"], "rm": r["helpful"], "note": "x"} for r in ROWS]
    scores = jc.problems.from_scores(renamed, context="prompt", action="answer", rewards=["rm"])
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
    assert jc.problems.from_scores(lines, rewards="rm").mdp.labels.states == ("a\u2028b", "c")

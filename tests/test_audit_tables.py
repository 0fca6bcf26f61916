"""Tables as people have them, right and wrong: each is read, or gets a sentence: what, where, and what to do."""

import gzip
import json
import math
import pathlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import jaxcliff as jc
from tests.conftest import needs_x64

pytestmark = needs_x64
DOCS = pathlib.Path(__file__).parents[1] / "docs"
HEAD = "prompt,answer,score\n"
GOOD = HEAD + "q,a,0.5\nq,b,0.25\nr,a,1\nr,b,0\n"


class Row(NamedTuple):
    """A table: what is in its file (or files, or the object itself), and what is said or found."""

    name: str
    content: Any
    says: str | None = None
    finds: Callable[[Any], Any] | None = None
    file: str = "t.csv"
    options: Any = None


def numbers(**expected):
    def check(found):
        for name, value in expected.items():
            assert found.numbers[name] == value, name
        return True

    return check


def parquet(frame, **options):
    return lambda path: pq.write_table(
        pa.Table.from_pydict(frame) if isinstance(frame, dict) else frame, path, **options
    )


FOUR = numbers(prompts=2, answers=4, compared=2)
NESTED = {"prompt": ["q", "r"], "responses": [["a", "b"], ["a", "b", "c"]], "scores": [[0.5, 0.25], [1.0, 0.0, 0.5]]}
CHAT = {
    "prompt": [[{"role": "user", "content": "q"}]] * 2,
    "completion": [[{"role": "assistant", "content": "a"}], [{"role": "assistant", "content": "b"}]],
    "score": [0.5, 0.25],
}
TABLES = [
    Row("a good one", GOOD, finds=FOUR),
    Row("empty", "", says="t.csv is empty"),
    Row("a header alone", HEAD, says="t.csv has no rows below its header"),
    Row("one row", HEAD + "q,a,1\n", finds=numbers(prompts=1, prompts_without_choice=1, compared=0)),
    Row("a byte order mark", "\ufeff" + GOOD, finds=FOUR),
    Row("semicolons", GOOD.replace(",", ";"), finds=FOUR),
    Row("tabs", GOOD.replace(",", "\t"), finds=FOUR, file="t.tsv"),
    Row("lines of Windows", GOOD.replace("\n", "\r\n"), finds=FOUR),
    Row("no newline at the end", GOOD.rstrip(), finds=FOUR),
    Row("packed", lambda path: path.write_bytes(gzip.compress(GOOD.encode())), finds=FOUR, file="t.csv.gz"),
    Row("pairs twice", GOOD + "q,a,0.5\n", finds=numbers(answers=4, merged=1)),
    Row(
        "pairs twice, other scores",
        GOOD + "q,a,0.7\n",
        finds=lambda f: f.prompts.value.tolist() == [0.6, 1.0] or f.prompts.value.max() == 1,
    ),
    Row("text in numbers", GOOD + "q,c,good\n", says="t.csv, line 6: score is 'good', which is no number"),
    Row("commas in decimals", GOOD.replace(",", ";") + "q;c;0,5\n", says="line 6: score is '0,5', which is no number"),
    Row("thousands", GOOD + "q,c,1_000\n", says="line 6: score is '1_000', which is no number"),
    Row("infinity", GOOD + "q,c,inf\n", says="t.csv, line 6: score is inf: a score must be finite"),
    Row("too large for a number", GOOD + "q,c,1e400\n", says="line 6: score is 1e400: a score must be finite"),
    Row(
        "missing",
        GOOD + "q,c,\nq,d,NA\nq,e,nan\n",
        finds=lambda f: (f.rows.empty.tolist(), f.numbers["left_out"]) == ([3], 3),
    ),
    Row("missing, refused", GOOD + "q,c,\n", says="t.csv, line 6: score is missing", options={"missing": "error"}),
    Row("nothing but missing", HEAD + "q,a,\nq,b,\n", says="no column of t.csv was taken for scores"),
    Row("one answer per prompt", HEAD + "q,a,1\nr,a,2\ns,a,3\n", finds=numbers(prompts=3, compared=0)),
    Row("all scores equal", HEAD + "q,a,1\nq,b,1\n", finds=numbers(ties=1)),
    Row("all scores equal, named", HEAD + "q,a,1\nq,b,1\n", finds=numbers(ties=1), options={"rewards": "score"}),
    Row(
        "all models equal",
        "prompt,answer,a_score,b_score\nq,x,1,1\nq,y,0,0\nr,x,0,0\nr,y,1,1\n",
        finds=lambda f: f.conflicts["apart"].tolist() == [0] and f.numbers["dominated"] == 2,
    ),
    Row(
        "a column that tells nothing",
        "prompt,answer,a_score,b_score\nq,x,1,7\nq,y,0,7\nr,x,0,8\nr,y,1,8\n",
        finds=lambda f: f.models == ("a_score",) and "the same for all answers" in f.roles.left_out["b_score"],
    ),
    Row("an index without a name", ",prompt,answer,score\n0,q,a,1\n1,q,b,0\n", finds=numbers(prompts=1, answers=2)),
    Row("two columns of one name", "prompt,answer,score,score\nq,a,1,2\n", says="t.csv has two columns named 'score'"),
    Row("a long row", GOOD + "q,c,1,2\n", says=r"line: 6|Line: 6|line 6"),
    Row("a short row", GOOD + "q,c\n", says=r"line: 6|Line: 6|line 6"),
    Row("a quote that is not closed", HEAD + 'q,"a,1\nq,b,2\n', says="t.csv, line 2: not CSV .*unterminated quote"),
    Row(
        "quotes and newlines",
        HEAD + '"say ""hi""\nnow",a,1\n"say ""hi""\nnow",b,0\n',
        finds=numbers(prompts=1, answers=2),
    ),
    Row("a wrong cell after newlines", HEAD + '"x\n\ny",a,1\n"x\n\ny",b,oops\n', says="t.csv, line 5: score is 'oops'"),
    Row(
        "HTML and commas",
        HEAD + '"<b>a, b</b> & <script>",a,1\n"<b>a, b</b> & <script>",b,0\n',
        finds=numbers(prompts=1),
    ),
    Row("blank lines", HEAD + "\nq,a,1\n\n\nq,b,0\n", finds=numbers(answers=2)),
    Row("an empty prompt", HEAD + "q,a,1\n ,b,0.5\n", says="t.csv, line 3: prompt is empty"),
    Row("UTF-16", lambda path: path.write_bytes(GOOD.encode("utf-16")), says="cannot be read"),
    Row("Latin-1", lambda path: path.write_bytes(GOOD.replace("q", "é").encode("latin-1")), says="cannot be read"),
    Row("other scripts", GOOD.replace("q", "温度").replace("a,", "ответ,"), finds=FOUR),
    Row("no prompt", "task,answer,score\nq,a,1\n", says="which column of t.csv names the prompt\\? Say it .*'task'"),
    Row("no score", "prompt,answer\nq,a\nq,b\n", says="no column of t.csv was taken for scores"),
    Row("a column that is not there", GOOD, says="there is no column 'x' .*'score'", options={"rewards": ["x"]}),
    Row("a weight for nobody", GOOD, says="weights: there is no model 'x'", options={"weights": {"x": 1.0}}),
    Row("negative weights", GOOD, says="not negative", options={"weights": [-1.0]}),
    Row("too many weights", GOOD, says="one number per model, 1", options={"weights": [1.0, 2.0]}),
    Row("no noise", GOOD, says="noise must be above 0", options={"noise": 0}),
    Row("noise of another kind", GOOD, says="'repeated' or 'disagreement'", options={"noise": "loud"}),
    Row("nobody to disagree", GOOD, says="one model alone does not disagree", options={"noise": "disagreement"}),
    Row("nothing repeated", GOOD, says="no answer was scored twice by score", options={"noise": "repeated"}),
    Row("a budget of everything", GOOD, says="between 0 and 1", options={"budget": 1.0}),
    Row(
        "log-odds of what is none",
        GOOD + "q,c,1.5\n",
        says="line 6: score is outside \\[0, 1\\]",
        options={"scale": "logit"},
    ),
    Row("contexts that are scattered", HEAD + "q,a,1\nr,a,0\nq,b,0\nr,b,1\n", finds=FOUR),
    Row(
        "a long table",
        "prompt,answer,model,score\nq,a,x,1\nq,a,y,0\nq,b,x,0\nq,b,y,1\n",
        finds=lambda f: f.models == ("x", "y") and f.conflicts["apart"].tolist() == [1],
    ),
    Row(
        "a long table with a hole",
        "prompt,answer,model,score\nq,a,x,1\nq,a,y,0\nq,b,x,0\nq,c,x,0.5\nq,c,y,0.5\n",
        finds=lambda f: f.rows.empty.tolist() == [0, 1] and f.numbers["left_out"] == 1,
    ),
    Row(
        "a long table without answers",
        "prompt,model,score\nq,x,1\nq,y,0\n",
        says="needs a column that names the answer",
    ),
    Row(
        "JSON lines",
        "\n".join(json.dumps({"prompt": "q", "response": r, "reward": x}) for r, x in (("a", 1), ("b", 0))),
        finds=numbers(answers=2),
        file="t.jsonl",
    ),
    Row(
        "broken JSON lines",
        '{"prompt": "q", "response": "a", "score": 1}\n{"prompt": "q"\n',
        says="line [23]",
        file="t.jsonl",
    ),
    Row(
        "a list of rows",
        json.dumps([{"prompt": "q", "response": "a", "score": 1}, {"prompt": "q", "response": "b", "score": 0}]),
        finds=numbers(answers=2),
        file="t.json",
    ),
    Row(
        "columns by name",
        json.dumps({"prompt": ["q", "q"], "response": ["a", "b"], "score": [1.0, 0.5]}),
        finds=numbers(answers=2),
        file="t.json",
    ),
    Row(
        "text in JSON numbers",
        '{"prompt": "q", "response": "a", "score": 1}\n{"prompt": "q", "response": "b", "score": "x"}\n',
        says="t.jsonl, line 2: score is 'x'",
        file="t.jsonl",
    ),
    Row(
        "Parquet",
        parquet({"prompt": ["q", "q"], "answer": ["a", "b"], "score": [1.0, 0.5]}),
        finds=numbers(answers=2),
        file="t.parquet",
    ),
    Row("Parquet of lists", parquet(NESTED), finds=numbers(prompts=2, answers=5), file="t.parquet"),
    Row(
        "Parquet of lists that do not fit",
        parquet(NESTED | {"scores": [[0.5], [1.0, 0.0, 0.5]], "rm_scores": [[1.0, 2.0], [1.0, 0.0, 0.5]]}),
        says="not equally long",
        file="t.parquet",
    ),
    Row("Parquet of conversations", parquet(CHAT), finds=numbers(prompts=1, answers=2), file="t.parquet"),
    Row(
        "truncated Parquet",
        lambda path: path.write_bytes(b"PAR1" + b"x" * 40),
        says="cannot be read: .*t.parquet",
        file="t.parquet",
    ),
    Row(
        "Arrow",
        lambda path: pd.DataFrame({"prompt": ["q", "q"], "answer": ["a", "b"], "score": [1, 2]}).to_feather(path),
        finds=numbers(answers=2),
        file="t.arrow",
    ),
    Row("no Arrow", lambda path: path.write_bytes(b"nothing"), says="t.arrow is no Arrow file", file="t.arrow"),
    Row("another kind of file", "x", says="t.xlsx is no table that is known", file="t.xlsx"),
    Row(
        "a time stamp",
        lambda path: pd.DataFrame(
            {"prompt": ["q", "q"], "answer": ["a", "b"], "score": [1, 2], "at": pd.Timestamp("2024-01-01")}
        ).to_parquet(path),
        finds=numbers(answers=2),
        file="t.parquet",
    ),
    Row(
        "lists that are no answers",
        lambda path: pd.DataFrame(
            {"prompt": ["q", "q"], "answer": ["a", "b"], "score": [1, 2], "token_ids": [[1, 2, 3], []]}
        ).to_parquet(path),
        finds=numbers(answers=2, rows=2),
        file="t.parquet",
    ),
    Row(
        "lists of nothing",
        parquet({"prompt": ["q", "r"], "responses": [["a", "b"], []], "scores": [[0.5, 0.25], []]}),
        finds=lambda f: (
            f.rows.source.notes == ("1 prompt without answers (an empty list in 'responses') are left out.",)
        ),
        file="t.parquet",
    ),
    Row(
        "dates that are texts",
        "\n".join(
            json.dumps({"prompt": "q", "response": r, "score": x})
            for r, x in (("2024-1-5", 1.0), ("2024-01-05", 0.0), ("10:30", 0.5))
        ),
        finds=lambda f: f.prompts.winner.tolist() == ["2024-1-5"] and f.numbers["answers"] == 3,
        file="t.jsonl",
    ),
    Row("a hash of the prompt", "prompt,answer,prompt_md5,score\nq,a,x,1\nq,b,x,0\n", finds=numbers(answers=2)),
    Row("a hash of the data", "prompt,answer,sha1,score\nq,a,x,1\nq,b,x,0\n", finds=numbers(answers=2)),
    Row(
        "answers without a text",
        HEAD + "q,,1\nq,,0.2\nq,z,0.5\n",
        finds=lambda f: f.numbers["answers"] == 3 and f.prompts.winner.tolist() == ["(empty)"],
    ),
    Row("a name that is a pattern", GOOD, finds=FOUR, file="a[1].csv"),
    Row("names that differ in case", "prompt,answer,score,Score\nq,a,1,2\n", says="differ in case only"),
    Row("booleans", HEAD + "q,a,True\nq,b,false\n", finds=numbers(answers=2)),
    Row("pandas' own mark", HEAD + "q,a,1\nq,b,0\nq,c,<NA>\n", finds=lambda f: f.rows.empty.tolist() == [1]),
    Row(
        "one model wrote it",
        "prompt,answer,model,score\nq,a,gpt,1\nq,b,llama,0\n",
        finds=lambda f: f.models == ("score",),
    ),
    Row(
        "an index saved again",
        "prompt,answer,Unnamed: 0,helpful,temperature\nq,a,0,1,0.7\nq,b,1,0,0.9\n",
        finds=lambda f: f.models == ("helpful",),
    ),
    Row("the truth beside answers", "question,answer,generation,score\nq,4,a,1\nq,4,b,0\n", finds=numbers(answers=2)),
    Row(
        "models of a long table",
        "prompt,answer,model,score\nq,a,x,1\nq,a,y,0\nq,b,x,0\nq,b,y,1\n",
        finds=lambda f: f.models == ("y",),
        options={"rewards": ["y"]},
    ),
    Row(
        "a model without a name",
        "prompt,answer,model,score\nq,a,x,1\nq,a,y,0\nq,b,,0\n",
        says="t.csv, line 4: model names no model",
    ),
    Row("one model twice", GOOD, says="named twice", options={"rewards": ["score", "score"]}),
    Row("beyond what squares hold", HEAD + "q,a,1e200\nq,b,0\n", says="line 2: score is beyond 1e\\+100"),
    Row(
        "a suspect of text",
        "prompt,answer,score,kind\nq,a,1,x\nq,b,0,y\n",
        says="kind has no numbers",
        options={"suspect": "kind"},
    ),
    Row(
        "a hole in what errors follow",
        "prompt,answer,score,chars\nq,a,1,5\nq,b,0,\n",
        says="line 3: chars is missing",
        options={"correlated": "chars", "correlation": 0.5, "noise": 0.1},
    ),
    Row(
        "commas in a name",
        'prompt;answer;"a, b, c, score"\nq;a;1\nq;b;0\n',
        finds=lambda f: f.models == ("a, b, c, score",),
    ),
    Row("blank lines above", "\n\n" + GOOD, finds=FOUR),
    Row(
        "models that never tell apart",
        "prompt,answer,a_score,b_score\na,x,1,2\na,y,1,2\n",
        finds=numbers(ties=1),
        options={"rewards": ["a_score", "b_score"]},
    ),
    Row(
        "scores that come late",
        HEAD.replace("score", "a_score,b_score")
        + "".join(f"q{i},{a},{a},{'' if i < 11_000 else a}\n" for i in range(11_500) for a in range(2)),
        finds=lambda f: f.models == ("a_score", "b_score"),
    ),
    Row(
        "ratings of two models",
        "prompt,answer,help,safe\nq,x,3,2\nq,y,2,4\n",
        finds=numbers(ties=0),
        options={"rewards": ["help", "safe"], "weights": [0.7, 0.3]},
    ),
    Row("no file", None, says="there is no file"),
]


@pytest.mark.parametrize("row", TABLES, ids=lambda row: row.name)
def test_a_table_is_read_or_gets_a_sentence(row, tmp_path):
    path = tmp_path / row.file
    if callable(row.content):
        row.content(path)
    elif row.content is not None:
        path.write_text(row.content, encoding="utf-8", newline="")
    if row.says is not None:
        with pytest.raises((ValueError, FileNotFoundError)) as error:
            jc.audit(path, **(row.options or {}))
        assert re.search(row.says, str(error.value)), error.value
        assert str(tmp_path) not in str(error.value) or row.content is None
        assert "\n" not in str(error.value)
    else:
        found = jc.audit(path, **(row.options or {}))
        assert row.finds(found), found.numbers
        assert found.summary()


def test_there_are_more_than_forty():
    assert len({row.name for row in TABLES}) == len(TABLES) > 60


def test_several_files_are_one_table_if_their_columns_are(tmp_path):
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "b.csv").write_text(GOOD.replace("\nq", "\ns").replace("\nr", "\nt"))
    for table in (tmp_path, tmp_path / "*.csv", [tmp_path / "a.csv", tmp_path / "b.csv"]):
        assert jc.audit(table).numbers["prompts"] == 4
    (tmp_path / "c.csv").write_text("prompt,answer,score,more\nq,a,1,2\n")
    with pytest.raises(ValueError, match=r"c\.csv does not have the columns of a\.csv: it adds 'more'"):
        jc.audit(tmp_path)
    (tmp_path / "a.csv").write_text(HEAD + "q,a,1\nq,b,x\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 3: score is 'x'"):
        jc.audit([tmp_path / "a.csv", tmp_path / "b.csv"])
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "b.csv").write_text(HEAD + "q,a,x\nq,b,1\n")
    with pytest.raises(ValueError, match=r"b\.csv, line 2: score is 'x'"):
        jc.audit([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_frames_rows_and_columns_are_tables():
    import polars as pl

    columns = {"prompt": ["q", "q", "r", "r"], "answer": ["a", "b", "a", "b"], "score": [0.5, 0.25, 1.0, 0.0]}
    rows = pd.DataFrame(columns).to_dict("records")
    for table in (columns, rows, pd.DataFrame(columns), pl.DataFrame(columns), pa.Table.from_pydict(columns)):
        assert FOUR(jc.audit(table)), type(table)
    with pytest.raises(TypeError, match="a table is a file, a folder, a data frame"):
        jc.audit(3)
    with pytest.raises(ValueError, match="make no table"):
        jc.audit({"prompt": ["q"], "score": [1, 2]})
    with pytest.raises(ValueError, match="row 1: score is 'x'"):
        jc.audit({"prompt": ["q", "q"], "score": ["1", "x"]})


def test_a_hundred_thousand_answers_to_one_prompt(rng):
    scores = rng.normal(size=100_000)
    found = jc.audit({"prompt": ["q"] * 100_000 + ["r", "r"], "judge": np.concatenate([scores, [1.0, 0.0]])}, noise=0.1)
    row = found.prompts.set_index("prompt").loc["q"]
    top = np.sort(scores)[-2:]
    assert row.margin == pytest.approx(top[1] - top[0])
    assert row.winner == f"row {scores.argmax()}"
    assert 0.1 < row.flip_probability < 1


def test_steps_in_which_numbers_were_written():
    from jaxcliff.auditing.resolution import step_of

    assert step_of(np.array([0.1, 0.3, 0.7])) == pytest.approx(0.2)
    assert step_of(np.array([1.0, 2.0, 5.0])) == 1
    assert step_of(np.array([0.0, 1.0])) == 1
    assert step_of(np.array([3.7053e-05, 0.000278031, 0.5])) == pytest.approx(1e-9)
    assert step_of(np.array([5.0])) == 0
    assert step_of(np.random.default_rng(0).normal(size=10)) == 0
    single = np.random.default_rng(0).normal(size=100).astype(np.float32).astype(float)
    assert 0 < step_of(single) < 1e-6
    assert step_of(np.array([0.1, 0.25], np.float32).astype(float)) == pytest.approx(0.15)
    assert math.isfinite(step_of(np.array([1e300, 2e300])))

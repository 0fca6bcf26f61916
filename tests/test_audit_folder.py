"""The command `jaxcliff audit` and the folder that it writes."""

import pathlib

import pandas as pd

from jaxcliff.cli import main as cli
from tests.conftest import needs_x64

pytestmark = needs_x64
DOCS = pathlib.Path(__file__).parents[1] / "docs"
GOOD = "prompt,answer,score\nq,a,0.5\nq,b,0.25\nr,a,1\nr,b,0\n"


def test_a_folder_of_an_audit(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(
        "prompt,answer,a_score,b_score,chars\nq,x,1,0.2,9\nq,y,0.5,0.4,8\nr,x,0,1,2\nr,y,1,0,1\n"
    )
    arguments = ["audit", "t.csv", "--suspect", "chars", "--weights", "a_score=0.7,b_score=0.3", "--noise", "0.1,0.2"]
    assert cli.main(arguments) == 0
    out = tmp_path / "audit"
    assert {"README.txt", "prompts.csv", "prompts.parquet", "weights.parquet", "conflicts.csv"} < {
        p.name for p in out.iterdir()
    }
    printed = capsys.readouterr().out
    assert "Read as a table of answers and their scores: prompts from 'prompt'" in printed
    one, two = pd.read_csv(out / "prompts.csv"), pd.read_parquet(out / "prompts.parquet")
    pd.testing.assert_frame_equal(one, two, check_dtype=False)
    assert one.flip_probability.is_monotonic_decreasing
    assert set(one.winner) == {"x", "y"}
    for column in one.columns:
        assert f"`{column.split(':')[0]}" in (DOCS / "audit.md").read_text(), f"docs/audit.md lacks {column}"
    (out / "notes.txt").write_text("mine")
    assert cli.main(arguments) == 0
    assert (out / "notes.txt").read_text() == "mine"
    (tmp_path / "u.csv").write_text(GOOD)
    assert cli.main(["audit", "u.csv"]) == 2
    assert "audit/ has the audit of another table (t.csv, 4 rows)" in capsys.readouterr().err
    assert cli.main(["audit", "u.csv", "--replace"]) == 0
    assert not (out / "weights.parquet").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/README.txt").write_text("my own")
    assert cli.main(["audit", "u.csv", "--out", "mine"]) == 2
    assert "README.txt that is of no audit" in capsys.readouterr().err
    assert cli.main(["atlas", "u.csv", "--out", "third"]) == 0
    assert "which is audited" in capsys.readouterr().out
    assert (tmp_path / "third/prompts.csv").exists()


def test_mistakes_on_the_command_line_get_a_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text(GOOD)
    for more, says in (
        (["--weights", "heavy"], "--weights are numbers"),
        (["--noise", "loud"], "--noise are numbers"),
        (["--out", " "], "must not be empty"),
        (["--context", "x"], "there is no column 'x'"),
        (["--out", "t.csv"], "is a file"),
    ):
        assert cli.main(["audit", "t.csv", *more]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert "Traceback" not in said
    assert cli.main(["audit", "nothing.csv"]) == 2
    assert "there is no file 'nothing.csv'" in capsys.readouterr().err

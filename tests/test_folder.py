"""The folder of an atlas: written over by the same problem, refused to another, cleaned when asked."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.cli import main as cli
from jaxcliff.report import atlas as report
from jaxcliff.report import folder
from tests.conftest import needs_x64

pytestmark = needs_x64


@pytest.fixture
def atlas(tmp_path, monkeypatch, capsys):
    """Runs the command line without drawing; its exit status and what it said of a mistake."""
    monkeypatch.setattr(report, "chapters", lambda *_: iter(()))
    monkeypatch.setattr(report.verdict, "words", lambda *_: "Ties: none.")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = cli.main(["atlas", *arguments])
        return status, capsys.readouterr().err

    return run


def test_the_same_problem_writes_over_its_atlas_and_another_one_does_not(atlas, tmp_path):
    assert atlas("fork") == (0, "")
    assert atlas("fork", "--seed", "3") == (0, "")
    status, said = atlas("classic")
    assert status == 2
    assert "atlas/ has the atlas of another problem (fork)" in said
    assert (tmp_path / "atlas/README.txt").read_text().startswith("fork: ")
    (tmp_path / "atlas/ray.png").write_text("of the fork")
    (tmp_path / "atlas/ray.zarr").mkdir()
    (tmp_path / "atlas/notes.txt").write_text("mine")
    assert atlas("classic", "--replace") == (0, "")
    assert (tmp_path / "atlas/README.txt").read_text().startswith("classic: ")
    assert {path.name for path in (tmp_path / "atlas").iterdir()} == {"README.txt", "notes.txt"}
    assert atlas("classic", "--replace") == (0, "")


def test_a_terminal_of_another_encoding_ends_no_atlas(atlas, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    said = []
    monkeypatch.setattr("builtins.print", lambda text, **_: said.append(text))
    monkeypatch.setattr(cli.sys, "stdout", type("Terminal", (), {"encoding": "ascii"})())
    cli.say("温度 α")
    assert said == ["\\u6e29\\u5ea6 \\u03b1"]


def test_an_interrupted_command_says_so(atlas, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "write", interrupt)
    assert atlas("fork") == (130, "\njaxcliff: interrupted; what was finished is kept\n")


def test_a_fingerprint_belongs_to_every_number_and_name():
    mdp = jc.problems.bandit(jnp.asarray([1.0, 0.5]))
    own = folder.fingerprint(mdp.labels, ("x",), mdp)
    assert own == folder.fingerprint(mdp.labels, ("x",), mdp.replace(reward=jnp.asarray([[1.0, 0.5]])))
    others = [
        folder.fingerprint(mdp.labels, ("y",), mdp),
        folder.fingerprint(jc.Labels(["s"]), ("x",), mdp),
        folder.fingerprint(mdp.labels, ("x",), mdp.replace(reward=jnp.asarray([[1.0, 0.5 + 1e-15]]))),
        folder.fingerprint(mdp.labels, ("x",), mdp.astype(jnp.float32)),
        folder.fingerprint(mdp.labels, ("x",), jc.problems.bandit(jnp.asarray([1.0, 0.5, 0.0]))),
        folder.fingerprint(mdp.labels, ("x",), (mdp, np.ones((1, 1, 2)))),
    ]
    assert len({own, *others}) == 7

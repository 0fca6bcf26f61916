"""`jaxcliff run`, `info` and `plot`: what they say, write and return, of good files and of bad ones."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import jaxcliff as jc
from jaxcliff import config
from jaxcliff.cli.main import main
from jaxcliff.sweep.store import Store
from tests.conftest import needs_x64

pytestmark = needs_x64
STUDY = """
study = "response"
store = "moves.zarr"
[problem]
builder = "contextual_bandit"
reward = [[0.3, 0.0, 0.1], [0.5, 0.2, 0.4]]
[settings]
kind = "entropy"
count = 8
chunk = { strength = 1 }
[axes]
strength = { start = 0.1, stop = 1, count = 4, spacing = "geometric" }
sizes = [0.1, 0.3]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


def test_run_info_and_plot(folder, capsys):
    assert main(["run", "study.toml", "--quiet"]) == 0
    assert capsys.readouterr().out == "moves.zarr; jaxcliff plot moves.zarr draws it\n"
    with xr.open_zarr("moves.zarr", chunks=None) as ds:
        assert dict(ds.sizes) == {"problem": 1, "strength": 4, "size": 2} | {
            f"{name}_{end}": size for name in ("tv", "visited") for end, size in (("bin", 130), ("quantile", 5))
        }
        np.testing.assert_allclose(ds.strength, np.geomspace(0.1, 1, 4))
        assert ds.done.all()
    assert main(["info", "moves.zarr"]) == 0
    said = capsys.readouterr().out
    for words in (
        "study:        response",
        "complete:     yes",
        "64 in 4 chunks",
        "failed:       nothing",
        "runs:         1",
    ):
        assert words in said
    assert main(["plot", "moves.zarr"]) == 0
    assert capsys.readouterr().out == "moves.png, moves.pdf\n"
    assert (folder / "moves.png").stat().st_size > 10_000
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("c/*") if file.is_file()}
    assert main(["run", "study.toml"]) == 0
    assert "64 of 64 points (100.0%)" in capsys.readouterr().err
    assert before == {file: file.stat().st_mtime_ns for file in folder.rglob("c/*") if file.is_file()}


def test_parts_and_an_unfinished_figure(folder, capsys):
    assert main(["run", "study.toml", "--quiet", "--shard", "1/4"]) == 0
    assert "25.0% of the points are done" in capsys.readouterr().out
    assert main(["plot", "moves.zarr", "--out", "part.svg"]) == 0
    assert capsys.readouterr().out == "unfinished: 25.0% of the points\npart.svg\n"
    assert "unfinished" in (folder / "part.svg").read_text() or (folder / "part.svg").stat().st_size > 10_000
    assert main(["info", "moves.zarr"]) == 0
    assert "complete:     25.0%, 3 chunks to come" in capsys.readouterr().out
    file = next(file for file in (folder / "moves.zarr/tv_mean").rglob("c/*/*/*") if file.is_file())
    file.write_bytes(b"rotten")
    assert main(["info", "moves.zarr"]) == 0
    assert f"damaged:      {file.relative_to(folder / 'moves.zarr')}" in capsys.readouterr().out
    assert main(["run", "study.toml", "--quiet"]) == 0
    assert "is damaged; its chunk is computed again" in capsys.readouterr().err
    assert Store(folder / "moves.zarr").damaged() == []


def test_a_dask_cluster_and_slurm_compute_the_same(folder, capsys):
    """Workers of dask; and two processes that find each other as under Slurm."""
    assert main(["run", "study.toml", "--quiet"]) == 0
    assert main(["run", "study.toml", "--quiet", "--store", "dask.zarr", "--executor", "dask"]) == 0
    slurm = {"SLURM_JOB_ID": str(60000 + os.getpid() % 4000), "SLURM_NTASKS": "2", "SLURM_LOCALID": "0"}
    slurm |= {"SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_NUM_NODES": "1"}
    program = [
        sys.executable,
        "-m",
        "jaxcliff",
        "run",
        "study.toml",
        "--quiet",
        "--store",
        "slurm.zarr",
        "--distributed",
    ]
    given = {"env": os.environ | slurm, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    root = {"PYTHONPATH": str(pathlib.Path(jc.__file__).parents[1])}
    several = []
    for i in range(2):
        given["env"] = os.environ | slurm | root | {"SLURM_PROCID": str(i)}
        several.append(subprocess.Popen(program, **given))
    said = [one.communicate(timeout=120)[0] for one in several]
    assert [one.returncode for one in several] == [0, 0], said
    with xr.open_zarr("moves.zarr", chunks=None) as ours:
        for other in ("dask.zarr", "slurm.zarr"):
            with xr.open_zarr(other, chunks=None) as theirs:
                assert theirs.done.all()
                for name in ours:
                    np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-9, atol=1e-12)
    processes = {line["process"] for line in Store(folder / "slurm.zarr").history() if "chunk" in line}
    assert len(processes) == 2


@pytest.mark.parametrize("name", jc.studies.__all__)
def test_every_study_has_a_file_that_is_understood(name, tmp_path, capsys):
    """Every argument stands in it, as a value or as a comment that is one when it is none."""
    assert main(["run", "--example", name]) == 0
    text = capsys.readouterr().out
    for line in text.splitlines():
        assert len(line) <= 120
    (tmp_path / "study.toml").write_text(text)
    study = config.understood(config.read(tmp_path / "study.toml"), "study.toml", tmp_path)
    assert study.name == name
    assert set(study.arguments) <= set(re.findall(r"^(\w+) = ", text, re.M))
    all_of_it = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.M)
    for file in ("base.npy", "true_reward.npy"):
        np.save(tmp_path / file, np.full((16, 3), 1 / 3))
    (tmp_path / "all.toml").write_text(all_of_it)
    whole = config.understood(config.read(tmp_path / "all.toml"), "all.toml", tmp_path)
    assert set(study.arguments) <= set(whole.arguments)


def test_a_study_that_is_no_sweep(folder, capsys):
    (folder / "ray.toml").write_text(config.example("ray"))
    assert main(["run", "ray.toml"]) == 0
    assert main(["run", "ray.toml"]) == 0
    assert "this is done already" in capsys.readouterr().out
    assert main(["run", "ray.toml", "--set", "settings.stop=2.0"]) == 2
    assert "settings.stop is 2.0 here and nothing in the store" in capsys.readouterr().err
    assert main(["run", "ray.toml", "--set", "settings.stop=2.0", "--overwrite"]) == 0
    assert main(["plot", "ray.zarr"]) == 0
    assert main(["info", "ray.zarr"]) == 0
    assert "yes (written at once)" in capsys.readouterr().out


def test_values_are_changed_on_the_command_line(folder):
    given = ["--set", "axes.strength.count=2", "--set", "settings.perturbation=signs", "--set", "axes.sizes=[0.2]"]
    assert main(["run", "study.toml", "--quiet", *given]) == 0
    with xr.open_zarr("moves.zarr", chunks=None) as ds:
        assert (ds.sizes["strength"], ds.sizes["size"]) == (2, 1)
        assert json.loads(ds.attrs["settings"])["perturbation"] == "signs"


def test_rewards_are_named_in_many_ways(tmp_path):
    np.save(tmp_path / "features.npy", np.arange(12.0).reshape(2, 3, 2))
    text = """
study = "phase_diagram"
[problem]
builder = "fork"
[settings]
reward = { entry = [0, 1] }
x = { file = "features.npy", feature = 1 }
y = [[1, 2], [3, 4], [5, 6]]
true_reward = { seed = 3 }
rule = "first"
"""
    (tmp_path / "study.toml").write_text(text)
    study = config.understood(config.read(tmp_path / "study.toml"), "study.toml", tmp_path)
    np.testing.assert_array_equal(study.arguments["reward"], [[0, 1], [0, 0], [0, 0]])
    np.testing.assert_array_equal(study.arguments["x"], np.arange(6.0, 12).reshape(3, 2))
    assert study.arguments["y"] == [[1, 2], [3, 4], [5, 6]]
    assert study.arguments["rule"] is jc.policies.first
    assert study.arguments["true_reward"].shape == (3, 2)


def test_families_have_names(tmp_path):
    text = (
        STUDY[: STUDY.index("[problem]")]
        + """
[problem.forks]
builder = "fork"
[problem.garnets]
builder = "garnet"
states = 3
actions = 2
branching = 2
seed = 5
"""
    )
    (tmp_path / "study.toml").write_text(text)
    study = config.understood(config.read(tmp_path / "study.toml"), "study.toml", tmp_path)
    assert {name: len(several) for name, several in study.problem.items()} == {"forks": 1, "garnets": 1}


def test_info_of_this_machine(capsys):
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    assert f"jaxcliff:     {jc.__version__}" in said
    assert "devices:      4 × cpu (cpu)" in said


# A line in place of another (or at the end), what is said, and the exit status.
BAD = {
    "a study": ('study = "respons"', "study: is 'respons'", "did you mean response?"),
    "a top name": ("sed = 3", "sed: there is no such name; did you mean seed?"),
    "a table": ("axis = 3", "axis: there is no such name; did you mean axes?"),
    "a seed": ("seed = -1", "seed: is -1; it must be greater than or equal to 0"),
    "a seed that is a word": ('seed = "one"', "seed: is 'one'; it must be a whole number"),
    "precision": ("float64 = 1", "float64: is 1; it must be true or false"),
    "a store": ("store = 3", "store: is 3; it must be a word"),
    "a builder": (
        'builder = "contextual_bandits"',
        "problem.builder: is 'contextual_bandits'",
        "did you mean contextual_bandit?",
    ),
    "an argument of a builder": ("[problem]\nstates = 3", "problem.states: there is no such name"),
    "numbers of a builder": ("reward = [[0.3, 'x']]", "problem.reward.0.1: is 'x'; it must be a number"),
    "a kind": ("kind = 3", "settings.kind: is 3; it must be a word"),
    "an unknown kind": ('kind = "soft"', "kind must be one of 'hard', 'entropy'"),
    "a name": ("[settings]\ncuont = 8", "settings.cuont: there is no such name; did you mean count?"),
    "an axis among settings": ("[settings]\nstrength = [1.0]", "settings.strength: there is no such name"),
    "a setting among axes": ("[axes]\ncount = 3", "axes.count: there is no such name"),
    "a count": ("count = 8.5", "settings.count: is 8.5; it must be a whole number"),
    "no draws": ("count = 0", "count must be a whole number of at least 1"),
    "a norm": ('[settings]\nnorm = "3"', "settings.norm: is '3'; it must be 'inf', '2' or '1'"),
    "a rule": ('[settings]\nrule = "last"', "settings.rule: is 'last'; it must be 'uniform' or 'first'"),
    "a reward twice": ("[settings]\nreward = { seed = 1, entry = [0, 0] }", "settings.reward: must name one of seed"),
    "an entry": ("[settings]\nreward = { entry = [7, 0] }", "there is no entry [7, 0]: there are 2 states"),
    "an entry of three": ("[settings]\nreward = { entry = [1, 0, 0] }", "settings.reward.entry: is [1, 0, 0]"),
    "a feature of nothing": ("[settings]\nreward = { seed = 1, feature = 0 }", "the file that a feature is in"),
    "a file of a reward": ('[settings]\nreward = { file = "no.npy" }', "there is no file", "no.npy"),
    "a file that is none": ('[settings]\nreward = { file = "study.toml" }', "must be an array that numpy.save"),
    "a shape": ("[settings]\nreward = [[1.0, 2.0]]", "reward has shape [1, 2]"),
    "a space": (
        "sizes = { start = 0.1, stop = 1, cuont = 3 }",
        "axes.sizes.cuont: there is no such name; did you mean count?",
        "axes.sizes.count: is missing",
    ),
    "a spacing": (
        'sizes = { start = 0.1, stop = 1, count = 3, spacing = "log" }',
        "axes.sizes.spacing: is 'log'; it must be 'linear' or 'geometric'",
    ),
    "no points": ("sizes = { start = 0.1, stop = 1, count = 0 }", "axes.sizes.count: is 0"),
    "a word on an axis": ('sizes = [0.1, "b"]', "axes.sizes.1: is 'b'; it must be a number"),
    "sizes of 0": ("sizes = [0.0]", "sizes must be a list of positive numbers"),
    "an empty axis": ("sizes = []", "sizes must be a list of positive numbers"),
    "an axis twice": ("sizes = [0.1]\nsizes = [0.2]", "is no TOML"),
    "no TOML": ("count == 3", "is no TOML", "line"),
    "a chunk": ('chunk = { strength = "all" }', "settings.chunk.strength: is 'all'; it must be a whole number"),
    "a chunk of no axis": ("chunk = { size_ = 3 }", "chunk names an axis 'size_' that is not stored"),
}


def changed(line):
    """The study with a line in place of the one that begins alike; lines after a table's name go below it."""
    if line.startswith("["):
        table, _, rest = line.partition("\n")
        return STUDY.replace(f"{table}\n", f"{table}\n{rest}\n")
    name = line.split("=")[0]
    if re.search(rf"^{name}=", STUDY, re.M):
        return re.sub(rf"^{name}=.*$", lambda match: line, STUDY, count=1, flags=re.M)
    return f"{line}\n{STUDY}"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_its_sentences(name, folder, capsys):
    line, *words = BAD[name]
    (folder / "study.toml").write_text(changed(line))
    assert main(["run", "study.toml"]) == 2
    said = capsys.readouterr().err
    for each in words:
        assert each in said
    assert "Traceback" not in said
    assert sorted(p.name for p in folder.iterdir()) == ["study.toml"]


def test_all_mistakes_are_told_at_once(folder, capsys):
    (folder / "study.toml").write_text(changed("sed = 3").replace("kind", "knid").replace("count = 4", "cuont = 4"))
    assert main(["run", "study.toml"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "jaxcliff: study.toml cannot be used:"
    assert [line.split(":")[0].strip() for line in lines[1:]] == [
        "settings.knid",
        "axes.strength.count",
        "axes.strength.cuont",
        "sed",
    ]


CALLS = {
    "no file": (["run"], "name a file"),
    "a file that is not there": (["run", "other.toml"], "there is no file other.toml"),
    "a folder": (["run", "."], "is a folder"),
    "an example": (["run", "--example", "rays"], "there is no study 'rays'"),
    "a part": (["run", "study.toml", "--shard", "4/4"], "--shard 4/4: parts go from 0 to 3"),
    "parts of nothing": (["run", "study.toml", "--shard", "0/0"], "there are no parts"),
    "half a part": (["run", "study.toml", "--shard", "2"], "--shard takes a part and how many"),
    "a part twice": (["run", "study.toml", "--shard", "0/2", "--distributed"], "leave --shard out"),
    "a change": (["run", "study.toml", "--set", "seed"], "--set takes a place and a value"),
    "a change of a number": (
        ["run", "study.toml", "--set", "store.name=3"],
        "store is 'moves.zarr', and nothing",
    ),
    "an executor": (["run", "study.toml", "--executor", "ray"], "the executor must be dask"),
    "workers": (["run", "study.toml", "--workers", "0"], "workers must be a whole number of at least 1"),
    "distributed alone": (["run", "study.toml", "--distributed"], "jax.distributed does not start"),
    "a store of nothing": (["info", "nowhere.zarr"], "nowhere.zarr is no store of a study: there is no folder"),
    "a store that is none": (["info", "."], "is no store of a study"),
    "a figure of nothing": (["plot", "nowhere.zarr"], "is no store of a study"),
    "a place for a store": (["run", "study.toml", "--store", "no/where.zarr"], "there is no folder"),
    "somebody's folder": (["run", "study.toml", "--store", ".", "--overwrite"], "is no store of a sweep"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_bad_call_gets_a_sentence(name, folder, capsys):
    arguments, words = CALLS[name]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert sorted(p.name for p in folder.iterdir()) == ["study.toml"]


def test_a_figure_needs_a_place_and_a_kind(folder, capsys):
    assert main(["run", "study.toml", "--quiet"]) == 0
    assert main(["plot", "moves.zarr", "--out", "figure.docx"]) == 2
    assert "cannot write figure.docx" in capsys.readouterr().err
    (folder / "moves.zarr/zarr.json").write_text("{")
    for command in (["info", "moves.zarr"], ["plot", "moves.zarr"], ["run", "study.toml"]):
        assert main(command) == 2
        assert "metadata are damaged" in capsys.readouterr().err

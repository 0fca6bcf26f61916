"""The flip study, its figure and the command line."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import jaxcliff as jc
from jaxcliff.cli import main as cli
from jaxcliff.report import verdict
from tests.conftest import needs_x64


@needs_x64
def test_flips_of_a_bandit_follow_their_closed_form():
    """Two arms with gap g under uniform noise of radius ρ: P(flip) = (2ρ − g)²/(8ρ²) for ρ > g/2, else 0."""
    gap, count = 1.0, 20_000
    mdp = jc.problems.bandit([gap, 0.0])
    radii = np.array([0.4, 0.6, 1.0, 3.0])
    ds = jc.studies.flip_frequency(mdp, key=jax.random.key(0), sizes=radii, count=count)
    expected = np.where(radii > gap / 2, (2 * radii - gap) ** 2 / (8 * radii**2), 0)
    error = 5 * np.sqrt(expected * (1 - expected) / count)
    assert (np.abs(ds.any_flip.values - expected) <= error).all()
    np.testing.assert_array_equal(ds.flips.values[:, 0], ds.any_flip.values)
    assert ds.attrs["safe_radius"] == pytest.approx(gap / 2)
    assert ds.any_undecided.max() == 0


@needs_x64
@pytest.mark.parametrize("name", ["fork", *(pytest.param(n, marks=pytest.mark.slow) for n in ("classic", "garnet"))])
def test_nothing_flips_inside_the_safe_radius(name):
    mdp = cli.atlas._problems()[name](jc.problems, jax.random.key(1))
    ds = jc.studies.flip_frequency(mdp, key=jax.random.key(0), count=64)
    inside = ds["size"].values <= ds.attrs["safe_radius"]
    assert inside.any()
    assert ds.any_flip.values[inside].max() == 0
    assert ds.any_flip.values[-1] > 0


@needs_x64
def test_on_a_tie_any_reward_flips_something():
    tied = jc.studies.flip_frequency(jc.problems.self_return(0.5), key=jax.random.key(0), count=64)
    assert tied.attrs["safe_radius"] == 0
    assert tied.any_flip.values.min() > 0.9


def test_the_dataset_is_labelled_and_reproducible():
    mdp = jc.problems.gridworld()
    one, two = (jc.studies.flip_frequency(mdp, key=jax.random.key(7), sizes=[0.01, 0.1], count=32) for _ in range(2))
    assert one.drop_attrs().identical(two.drop_attrs())
    assert one.attrs | {"made": ""} == two.attrs | {"made": ""}
    assert one.flips.dims == ("size", "state")
    assert str(one.state_name.values[0]) == "row 0, column 0"
    assert one["size"].attrs["units"] == "reward"
    for radii in ([], [-1.0], [float("nan")]):
        with pytest.raises(ValueError, match="sizes must be"):
            jc.studies.flip_frequency(mdp, key=jax.random.key(7), sizes=radii)
    with pytest.raises(ValueError, match="count must be"):
        jc.studies.flip_frequency(mdp, key=jax.random.key(7), count=0)


@pytest.mark.parametrize("draw", [jc.problems.gridworld, jc.problems.fork, lambda: jc.problems.bandit([1.0, 1.0])])
def test_figures_of_finished_records(draw, tmp_path):
    ds = jc.studies.flip_frequency(draw(), key=jax.random.key(0), count=16)
    figure = jc.figures.flip_frequency(ds)
    assert isinstance(figure, Figure)
    first, second = tmp_path / "a.pdf", tmp_path / "b.pdf"
    for path in (first, second):
        jc.figures.flip_frequency(ds).savefig(path, metadata={"CreationDate": None})
    assert first.read_bytes() == second.read_bytes(), "figures are deterministic"
    labels = [axes.get_xlabel() for axes in figure.axes[:2]] + [figure.axes[1].get_ylabel()]
    assert all(labels), labels
    given = Figure().subplots(1, 2)
    assert jc.figures.flip_frequency(ds, axes=tuple(given), size=0.1) is given[0].figure


FILES = {"phase", "ray", "flips", "radius", "temperature"}


def files_of(names):
    return {f"{name}.{suffix}" for name in names for suffix in ("png", "pdf", "zarr")} | {"README.txt"}


@pytest.mark.parametrize("problem", ["classic", pytest.param("token-tree", marks=pytest.mark.slow)])
def test_the_atlas_command_writes_figures_data_and_words(problem, tmp_path, capsys):
    assert cli.main(["atlas", problem, "--out", str(tmp_path), "--quick", "--seed", "3"]) == 0
    assert {p.name for p in tmp_path.iterdir()} == files_of(FILES)
    for name in FILES:
        ds = xr.open_zarr(tmp_path / f"{name}.zarr", consolidated=False)
        assert ds.attrs["atlas_seed"] == 3
    text, printed = (tmp_path / "README.txt").read_text(), capsys.readouterr().out
    assert all(paragraph in printed for paragraph in text.strip().split("\n\n"))
    assert re.search(r"Ties: (none|\d+)", text)
    assert "States nearest to flipping" in text
    assert re.search(r"certified: smallest gap|more than one optimal action", text)


def test_the_verdict_keeps_names_as_they_are():
    mdp = jc.problems.bandit(jnp.asarray([1.0, 0.5])).replace(labels=jc.Labels(("Home",), ("Paris", "London")))
    text = verdict.words(mdp, jc.nearest_cliff(mdp))
    assert "Nearest cliff at 0.25 (inf norm): Home goes from Paris to London" in text


@pytest.mark.slow
def test_the_atlas_of_a_problem_in_a_file(tmp_path):
    mdp = jc.problems.garnet(jax.random.key(5), states=20, actions=3)
    jc.problems.save(mdp, tmp_path / "mine.npz")
    assert cli.main(["atlas", str(tmp_path / "mine.npz"), "--out", str(tmp_path / "atlas"), "--quick"]) == 0
    assert (tmp_path / "atlas/README.txt").read_text().startswith("mine: MDP(3 actions, 20 states")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4"])
def test_the_atlas_of_gymnasium_tables(name, tmp_path):
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium.make(name, **({"map_name": "8x8"} if name == "FrozenLake-v1" else {}))
    mdp = jc.problems.from_gymnasium(env, 0.95)
    jc.problems.save(mdp, tmp_path / "table.npz")
    assert cli.main(["atlas", str(tmp_path / "table.npz"), "--out", str(tmp_path / "atlas"), "--quick"]) == 0
    text = (tmp_path / "atlas/README.txt").read_text()
    acts = jc.optimal_actions(jc.solve(mdp))
    several = int(((acts.optimal & mdp.decisions).sum(axis=1) - 1).clip(0).sum())
    assert f"Ties: {several};" in text
    assert {p.name for p in (tmp_path / "atlas").iterdir()} == files_of(FILES)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["atlas", "no-such"], "there is no built-in problem 'no-such'; choose one of grid"),
        (["atlas", "missing.csv"], "there is no file 'missing.csv'"),
        (["atlas", "--problem", "broken.json"], 'cannot be read: Malformed JSON in file "broken.json"'),
        (["atlas", "broken.csv"], "which column of broken.csv names the prompt?"),
        (["atlas", "number.json"], "which column of number.json names the prompt?"),
        (["atlas", "broken.npz"], "broken.npz"),
        (["atlas", "classic", "--count", "0"], "count must be a number from 1"),
        (["atlas", "classic", "--seed", "-1"], "the seed must be a number"),
        (["atlas", "classic", "--out", "/dev/null/here"], "Not a directory"),
    ],
)
def test_a_mistake_on_the_command_line_gets_a_sentence(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for suffix in ("json", "csv", "npz"):
        (tmp_path / f"broken.{suffix}").write_text("{not,a\ntable,1")
    (tmp_path / "number.json").write_text("3")
    before = jax.config.jax_enable_x64
    assert cli.main(arguments) == 2
    assert jax.config.jax_enable_x64 == before
    error = capsys.readouterr().err
    assert error.startswith("jaxcliff: ")
    assert sentence in error
    assert "Traceback" not in error


def test_every_built_in_problem_of_the_atlas_can_be_built_and_solved():
    for name, build in cli.atlas._problems().items():
        mdp = build(jc.problems, jax.random.key(0))
        assert jc.solve(mdp).ok, name
        assert jnp.isfinite(mdp.reward).all()

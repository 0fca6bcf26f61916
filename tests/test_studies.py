"""The flip study, its figure and the command line."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

import jaxcliff as jc
from jaxcliff import cli
from tests.conftest import needs_x64


@needs_x64
def test_flips_of_a_bandit_follow_their_closed_form():
    """Two arms with gap g under uniform noise of radius ρ: P(flip) = (2ρ − g)²/(8ρ²) for ρ > g/2, else 0."""
    gap, count = 1.0, 20_000
    mdp = jc.problems.bandit([gap, 0.0])
    radii = np.array([0.4, 0.6, 1.0, 3.0])
    ds = jc.studies.flip_frequency(mdp, key=jax.random.key(0), radii=radii, count=count)
    expected = np.where(radii > gap / 2, (2 * radii - gap) ** 2 / (8 * radii**2), 0)
    error = 5 * np.sqrt(expected * (1 - expected) / count)
    assert (np.abs(ds.any_flip.values - expected) <= error).all()
    np.testing.assert_array_equal(ds.flips.values[:, 0], ds.any_flip.values)
    assert ds.attrs["safe_radius"] == pytest.approx(gap / 2)
    assert ds.any_undecided.max() == 0


@needs_x64
def test_nothing_flips_inside_the_safe_radius():
    for mdp in (
        jc.problems.garnet(jax.random.key(1), states=12, branching=3),
        jc.problems.gridworld(),
        jc.problems.fork(),
    ):
        ds = jc.studies.flip_frequency(mdp, key=jax.random.key(0), count=64)
        inside = ds.radius.values <= ds.attrs["safe_radius"]
        assert inside.any()
        assert ds.any_flip.values[inside].max() == 0
        assert ds.any_flip.values[-1] > 0
    tied = jc.studies.flip_frequency(jc.problems.self_return(0.5), key=jax.random.key(0), count=64)
    assert tied.attrs["safe_radius"] == 0
    assert tied.any_flip.values.min() > 0.9


def test_the_dataset_is_labelled_and_reproducible():
    mdp = jc.problems.gridworld()
    one, two = (jc.studies.flip_frequency(mdp, key=jax.random.key(7), radii=[0.01, 0.1], count=32) for _ in range(2))
    assert one.identical(two)
    assert one.flips.dims == ("radius", "state")
    assert str(one.state_name.values[0]) == "row 0, column 0"
    assert one.radius.attrs["units"] == "reward"
    for radii in ([], [-1.0], [float("nan")]):
        with pytest.raises(ValueError, match="radii must be"):
            jc.studies.flip_frequency(mdp, key=jax.random.key(7), radii=radii)
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
    assert jc.figures.flip_frequency(ds, axes=tuple(given), radius=0.1) is given[0].figure


def test_figures_fit_their_page():
    """No text runs over the edge of the figure."""
    ds = jc.studies.flip_frequency(jc.problems.gridworld(), key=jax.random.key(0), count=16)
    figure = jc.figures.flip_frequency(ds)
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= width + 1
        assert box.y1 <= height + 1


def test_the_atlas_command_writes_figures_data_and_words(tmp_path, capsys):
    for problem in ("classic", "river-swim", "token-tree"):
        out = tmp_path / problem
        assert cli.main(["atlas", problem, "--out", str(out), "--count", "64", "--seed", "3"]) == 0
        assert {p.name for p in out.iterdir()} == {"flips.png", "flips.pdf", "flips.zarr", "README.txt"}
        ds = xr.open_zarr(out / "flips.zarr", consolidated=False)
        assert ds.attrs["count"] == 64
        assert ds.attrs["seed"] == 3
        text = (out / "README.txt").read_text()
        assert text in capsys.readouterr().out
        assert re.search(r"certified: smallest gap|more than one optimal action", text)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["atlas", "no-such"], "there is no built-in problem 'no-such'; choose one of grid"),
        (["atlas", "classic", "--count", "0"], "count must be a number from 1"),
        (["atlas", "classic", "--seed", "-1"], "the seed must be a number"),
        (["atlas", "classic", "--out", "/dev/null/here"], "Not a directory"),
    ],
)
def test_a_mistake_on_the_command_line_gets_a_sentence(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = jax.config.jax_enable_x64
    assert cli.main(arguments) == 2
    assert jax.config.jax_enable_x64 == before
    error = capsys.readouterr().err
    assert error.startswith("jaxcliff: ")
    assert sentence in error
    assert "Traceback" not in error


def test_every_built_in_problem_of_the_atlas_can_be_built_and_solved():
    for name, build in cli._problems().items():
        mdp = build(jc.problems, jax.random.key(0))
        assert jc.solve(mdp).ok, name
        assert jnp.isfinite(mdp.reward).all()

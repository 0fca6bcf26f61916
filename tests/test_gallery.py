"""The gallery: its folder, that its sentences carry the numbers of its data, and those numbers against closed forms."""

import jax
import numpy as np
import pytest
import xarray as xr

import jaxcliff as jc
from jaxcliff.cli import main as cli
from jaxcliff.report import gallery, readings
from tests.conftest import needs_x64

KEY = jax.random.key(0)
FEW = ("grader", "obfuscation", "obedience", "data_mixture", "perturbation", "format_bonus", "mismatch")
PAGES = gallery.names_of(list(FEW))


def opened(folder, name):
    return xr.open_zarr(folder / f"{name}.zarr", chunks=None, consolidated=False).load()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("gallery")
    assert cli.main(["gallery", *FEW, "--quick", "--out", str(out)]) == 0
    return out


def paragraphs(folder):
    """What README.txt says of every page, on one line each."""
    parts = (folder / "README.txt").read_text(encoding="utf-8").split("\n\n")
    assert parts[0].startswith(gallery.FIRST_LINE)
    found = {}
    for part in parts[2:]:
        head, *lines = part.strip().split("\n")
        found[head.split(".png")[0]] = " ".join(lines).replace("- ", "-")
    return found


def holds(text, number):
    return readings._number(float(number)) in text


def assert_told(folder, name):
    """Where it jumps, by how much, what smooths it at what price, and every reading of the paper."""
    ds, text, case = opened(folder, name), paragraphs(folder)[name], jc.scenarios.get(name)
    edge = ds.isel(cliff=int(ds["first"].values.argmax()), quantity=0)
    low, on, high = edge.beside.sel(map="uniform").values
    assert all(holds(text, x) for x in (edge.threshold, low, on, high, abs(high - low))), text
    for each in ("kl", "entropy"):
        width = readings.middle(ds.position.values, ds.measured.isel(quantity=0).sel(map=each).values)
        assert holds(text, width)
        assert holds(text, ds.lost.sel(map=each).max())
    assert all(holds(text, ds.kl.sel(map=each).mean()) for each in ("kl", "best of N"))
    assert f"best of {ds.attrs['matched']}" in text
    for i in range(ds.sizes["reading"]):
        assert holds(text, ds.reading_value[i])
    for doubt in case.doubts:
        assert doubt.split()[0] in text
        assert " ".join(doubt.split()[:4]).replace("- ", "-") in text


@needs_x64
def test_a_folder_has_all_of_its_pages(made):
    assert {p.name for p in made.iterdir()} == {"README.txt"} | {
        f"{page}.{form}" for page in PAGES for form in ("png", "zarr")
    }
    assert list(paragraphs(made)) == PAGES
    for page in PAGES:
        assert (made / f"{page}.png").stat().st_size > 10_000


@needs_x64
@pytest.mark.parametrize("name", FEW)
def test_sentences_carry_the_numbers_of_this_run(made, name):
    assert_told(made, name)


@needs_x64
def test_experiments_carry_the_numbers_of_this_run(made):
    text = paragraphs(made)
    floor = opened(made, "survival_floor")
    assert f"{int(floor.below.sum())} of 8 cells" in text["survival_floor"]
    for i, j in np.argwhere(floor.below.values):
        told = " for at least ".join(readings._number(float(x)) for x in (floor.ratio[i, j], floor.floor[i]))
        assert told in text["survival_floor"]
    out = opened(made, "left_out")
    assert all(holds(text["left_out"], x) for x in out.hard_without)
    assert holds(text["left_out"], out.attrs["below_all"])
    odds = opened(made, "irrelevant_alternatives")
    assert all(holds(text["irrelevant_alternatives"], x) for x in odds.reading_value)
    models = opened(made, "perturbed_models")
    few = models.isel(benchmark=np.flatnonzero(models.modelled.values))
    for x in (*few.optimum.values.ravel(), *few.chart.values.ravel()):
        assert f"{100 * x:+.1f}" in text["perturbed_models"]
    assert holds(text["perturbed_models"], models.moved_floor)


@needs_x64
@pytest.mark.slow
def test_every_page_of_the_gallery(tmp_path, capsys):
    assert cli.main(["gallery", "--quick", "--out", str(tmp_path / "all")]) == 0
    assert "s of computing" in capsys.readouterr().out
    assert list(paragraphs(tmp_path / "all")) == gallery.names_of([])
    for name in jc.scenarios.list():
        assert_told(tmp_path / "all", name)


@needs_x64
@pytest.mark.parametrize("name", ["grader", "obfuscation", "format_bonus", "mismatch", "sophistry"])
def test_the_optimum_jumps_at_its_threshold_and_kl_is_its_closed_form(name):
    case = jc.scenarios.get(name)
    ds = jc.studies.case_study(name, key=KEY, count=0)
    one, at = ds.isel(quantity=0), case.threshold()
    assert not ds.undecided.any()
    assert at in ds.threshold.values
    beside = one.beside.sel(map="uniform").isel(cliff=int(np.flatnonzero(ds["first"])[0]))
    np.testing.assert_allclose(beside, case.heights(), atol=1e-9)
    hard, x = one.measured.sel(map="uniform").values, ds.position.values
    off = np.flatnonzero(np.abs(x[:, None] - ds.threshold.values).min(axis=1) > 1e-9)
    step = off[np.abs(np.diff(hard[off])).argmax()]
    if len(ds.threshold) == 1:
        assert x[step] <= at <= x[off[off > step][0]]
    np.testing.assert_array_equal(one.hard_low.values[off], hard[off])
    shares = [case.share(**{case.axis: v}) for v in x]
    np.testing.assert_allclose(one.measured.sel(map="kl"), shares, atol=1e-8, rtol=0)
    assert (ds.lost >= 0).all()
    assert (ds.kl >= -1e-12).all()


@needs_x64
def test_best_of_jumps_by_its_law_and_matches_a_price():
    for name, share in (("format_bonus", 0.05), ("training", 0.01), ("near_tie", 0.5)):
        for number in (2, 4, 9):
            ds = jc.studies.case_study(name, key=KEY, count=0, best_of=number).isel(quantity=0, cliff=0)
            _, on, above = ds.beside.sel(map="best of N").values
            jump = float(jc.theory.best_of_jump(number, share, 1.0))
            assert above - on == pytest.approx(jump, abs=1e-12)
    kl = ds.kl.mean("position")
    counts = [ds.attrs["matched"] + i for i in (-1, 0, 1)]
    several = [jc.studies.case_study(name, key=KEY, count=0, best_of=n).kl.mean("position") for n in counts]
    near = [float(each.sel(map="best of N")) for each in several]
    assert near[1] == pytest.approx(float(kl.sel(map="matched best of N")))
    assert np.abs(np.array(near) - float(kl.sel(map="kl"))).argmin() == 1


@needs_x64
def test_ties_that_last_are_a_range():
    """Four data sets of equal weight are left out for one: which of them is no matter to the trained return."""
    ds = jc.studies.case_study("data_mixture", key=KEY, count=0, positions=np.linspace(0.8, 1, 11)).isel(quantity=0)
    assert ds.threshold.values == pytest.approx([0.88])
    late = ds.sel(position=slice(0.89, None))
    np.testing.assert_allclose(late.hard_low, 0.011)
    np.testing.assert_allclose(late.hard_high, 0.033)
    np.testing.assert_allclose(late.measured.sel(map="uniform"), np.mean([0.018, 0.028, 0.011, 0.033]))
    jc.figures.case_study(ds.expand_dims("quantity")).draw_without_rendering()


@needs_x64
def test_undecided_is_said_and_drawn():
    """The tolerance is the gap itself, up to less than the arithmetic can tell."""
    case = jc.scenarios.get("sophistry")
    parts = case.rewards(audit=0.9).trained[0]
    gap, at = float(parts[0] - parts[1]), [0.5, 0.8, 0.9]
    ds = jc.studies.case_study("sophistry", key=KEY, count=0, positions=at, tie_tolerance=gap)
    assert ds.undecided.values.tolist() == [False, False, True]
    figure = jc.figures.case_study(ds)
    assert "undecided" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert "it is undecided whether actions tie" in readings.case_study(ds)


@needs_x64
def test_a_learner_of_ones_own_is_asked_about_the_problem_itself():
    seen = []

    def cold(mdp, rewards, key):
        seen.append(rewards.shape)
        return jc.solve(mdp, rewards, regularizer=jc.Entropy(0.05)).policy

    ds = jc.studies.case_study("format_bonus", key=KEY, learner=cold, trials=3, count=2, knobs={"formats": 3})
    assert seen == [(6, 1, 3)]
    assert dict(ds.sizes)["run"] == 2
    assert np.ptp(ds.learned.values, axis=1).max() < 1e-12


@needs_x64
def test_other_knobs_and_axes():
    ds = jc.studies.case_study("obedience", key=KEY, axis="cost", knobs={"weight": 0.3}, count=0)
    assert ds.threshold.values == pytest.approx([0.24])
    assert ds.sizes["reading"] == 0
    assert jc.studies.case_study("grader", key=KEY, knobs={"honest": 0.6}, count=0).sizes["reading"] == 0
    several = jc.studies.case_study("sophistry", key=KEY, quantities=["correctness"], count=0)
    assert several["quantity"].values.tolist() == ["correctness"]
    assert several.sizes["reading"] == 1


@needs_x64
def test_what_tells_explanations_apart():
    odds = jc.studies.irrelevant_alternatives(positions=[0.0, 0.2, 0.4093], steps=1000, rate=4.0)
    tilts = odds.odds.values[odds.tilt.values]
    np.testing.assert_allclose(tilts, tilts[:, :1].repeat(3, 1), rtol=1e-9)
    np.testing.assert_allclose(tilts[2], tilts[0], rtol=1e-9)  # the natural gradient is KL's tilt
    mixture, plain = odds.odds.values[4], odds.odds.values[3]
    assert (odds.reading_low.values <= mixture[[0, 2]]).all()
    assert (mixture[[0, 2]] <= odds.reading_high.values).all()
    assert plain.max() / plain.min() > 10
    floor = jc.studies.survival_floor(key=KEY, count=200)
    assert int(floor.below.sum()) == 5
    assert floor.below.values.tolist() == [[False, False], [True, True], [True, True], [True, False]]
    assert (floor.pool_ratio >= floor.pool_floor - 1e-12).all()
    out = jc.studies.left_out()
    np.testing.assert_allclose(out.hard_without, [0.054, 0.018, 0.028, 0.011, 0.033], atol=1e-12)
    np.testing.assert_allclose(out.soft_without.isel(strength=0), [0.044, 0.015, 0.023, 0.009, 0.027], atol=6e-4)
    assert out.attrs["below_all"] == pytest.approx(0.011)
    models = jc.studies.perturbed_models(key=KEY, count=3)
    np.testing.assert_allclose(models.one_entry, models.one_law, rtol=1e-9)
    np.testing.assert_allclose(models.both_entries, models.both_law, rtol=1e-9)
    few = models.isel(benchmark=np.flatnonzero(models.modelled.values))
    assert few.agrees.all()
    np.testing.assert_allclose(few.optimum, few.chart, atol=1.5e-3)
    assert (np.abs(few.learned) > few.floor).all()
    assert (np.sign(few.learned) == np.sign(few.chart)).all()
    assert (models.moved > 10 * models.moved_floor).all()


@needs_x64
def test_figures_fit_their_pages_and_take_colours():
    for made in (
        jc.figures.case_study(jc.studies.case_study("obfuscation", key=KEY, trials=3, count=2)),
        jc.figures.irrelevant_alternatives(jc.studies.irrelevant_alternatives(positions=[0.0, 0.4], steps=10)),
        jc.figures.survival_floor(jc.studies.survival_floor(key=KEY, count=8)),
        jc.figures.left_out(jc.studies.left_out()),
        jc.figures.perturbed_models(jc.studies.perturbed_models(key=KEY, count=2)),
    ):
        made.draw_without_rendering()
        width, height = made.bbox.size
        for axes in made.axes:
            box = axes.get_tightbbox()
            assert -1 <= box.x0 < box.x1 <= width + 1
            assert -1 <= box.y0 < box.y1 <= height + 1
            assert axes.get_ylabel()
    ds = jc.studies.case_study("grader", key=KEY, count=0)
    own = jc.figures.case_study(ds, labels=list("abcdefg"), colors=["C1"] * 7)
    assert [text.get_text() for text in own.legends[0].get_texts()] == list("abcdefg")
    with pytest.raises(ValueError, match=r"labels must be a list with one entry per entry of the legend \(optimum"):
        jc.figures.case_study(ds, labels=["a"])


def test_what_cannot_be_is_said_in_a_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for more, says in (
        (["lcp"], "there is no case study 'lcp'; did you mean lcpo?"),
        (["zzz"], "there is no case study 'zzz'; there are grader, obfuscation"),
        (["grader", "--out", " "], "must not be empty"),
        (["grader", "--seed", "-1"], "the seed must be a number from 0"),
    ):
        assert cli.main(["gallery", *more]) == 2
        said = capsys.readouterr().err
        assert says in said
        assert "Traceback" not in said
    (tmp_path / "file").write_text("")
    assert cli.main(["gallery", "grader", "--out", "file"]) == 2
    assert "is a file" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/README.txt").write_text("my own")
    assert cli.main(["gallery", "grader", "--out", "mine"]) == 2
    assert "README.txt that is of no gallery" in capsys.readouterr().err
    assert (tmp_path / "mine/README.txt").read_text() == "my own"
    study = jc.studies.case_study
    for given, says in (
        ({"case": "graders"}, "there is no scenario 'graders'"),
        ({"axis": "honest"}, "grader knows a threshold along penalty, detection, not 'honest'"),
        ({"knobs": {"penalty": 1.0}}, "penalty is the knob of the x axis"),
        ({"knobs": {"passes": 9.0}}, "passes of grader must lie between"),
        ({"knobs": [1]}, "knobs are values by name"),
        ({"quantities": ["x"]}, "grader measures cheating, not 'x'"),
        ({"quantities": []}, "quantities must name some of cheating"),
        ({"positions": [1.0]}, "positions must be increasing numbers, at least two"),
        ({"strength": 0.0}, "strength must be positive"),
        ({"best_of": 0}, "best_of must be a whole number of at least 1"),
    ):
        with pytest.raises(ValueError, match=says):
            study(**({"case": "grader", "key": KEY, "count": 0} | given))


def test_a_gallery_is_written_over(tmp_path, monkeypatch):
    out = tmp_path / "g"
    monkeypatch.setattr(gallery, "pages", lambda *_: iter(()))
    gallery.write(["grader"], out, seed=0, quick=True, say=lambda _: None)
    (out / "README.txt").write_text(gallery.FIRST_LINE + "\nSeed 3\n")
    (out / "lcpo.png").write_text("older")
    (out / "notes.txt").write_text("mine")
    gallery.write(["grader"], out, seed=0, quick=True, say=lambda _: None)
    assert {p.name for p in out.iterdir()} == {"notes.txt"}
    assert gallery.names_of(["left_out"]) == ["left_out"]
    assert gallery.names_of(["data_mixture"]) == ["data_mixture", "left_out"]


def test_studies_of_scenarios_in_float32():
    """What float32 cannot tell is undecided or tied, and nothing breaks."""
    with jax.enable_x64(False):
        ds = jc.studies.case_study("format_bonus", key=KEY, count=0)
        case = jc.scenarios.get("format_bonus")
        shares = [case.share(bonus=v) for v in ds.position.values]
        np.testing.assert_allclose(ds.measured.isel(quantity=0).sel(map="kl"), shares, atol=1e-4)
        assert int(jc.studies.survival_floor(key=KEY, count=8).below.sum()) == 5

"""No figure runs over the edge of its page, and every axis says what it shows."""

import io
import warnings

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from matplotlib.cbook import is_math_text
from matplotlib.colors import same_color
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

import jaxcliff as jc
from jaxcliff.figures import phase, style
from tests.conftest import needs_x64
from tests.geometry import F64, bandit, draw
from tests.test_scan import later

pytestmark = needs_x64
KEY = jax.random.key(0)


def directions(mdp, rng, count):
    return np.where(mdp.decisions, rng.normal(size=(count, *mdp.reward.shape)), 0)


def weights(mdp, rng):
    return jc.studies.phase_diagram(mdp, weights_of=directions(mdp, rng, 3), resolution=5)


DRAWN = {
    "aggregation": lambda mdp, rng: jc.figures.aggregation_stability(
        jc.studies.aggregation_stability(
            mdp, directions(mdp, rng, 3), key=KEY, count=8, names=("helpful", "honest", "harmless")
        )
    ),
    "flips": lambda mdp, rng: jc.figures.flip_frequency(jc.studies.flip_frequency(mdp, key=KEY, count=8)),
    "grid": lambda mdp, rng: jc.figures.flip_frequency(
        jc.studies.flip_frequency(jc.problems.gridworld(), key=KEY, count=8)
    ),
    "phase": lambda mdp, rng: jc.figures.phase_diagram(
        jc.studies.phase_diagram(mdp, None, *directions(mdp, rng, 2), (-3, 3, -3, 3), resolution=5)
    ),
    "few": lambda mdp, rng: jc.figures.phase_diagram(
        jc.studies.phase_diagram(mdp, None, *directions(mdp, rng, 2), (-0.1, 0.1, -0.1, 0.1), resolution=5)
    ),
    "radius": lambda mdp, rng: jc.figures.radius_distribution(
        jc.census(mdp, directions(mdp, rng, 64)).to_dataset(), mark=0.1
    ),
    "ray": lambda mdp, rng: jc.figures.ray(jc.studies.ray(mdp, None, *directions(mdp, rng, 1))),
    "response": lambda mdp, rng: jc.figures.response(
        jc.studies.response(mdp, key=KEY, strength=[0.1, 1.0], sizes=[0.1, 1.0], count=8)
    ),
    "scan": lambda mdp, rng: jc.figures.phase_scan(
        jc.studies.phase_scan(
            mdp, None, *directions(mdp, rng, 1), np.linspace(-1, 1, 5), strength=np.geomspace(0.01, 1, 5)
        )
    ),
    "soft": lambda mdp, rng: jc.figures.soft_against_hard(jc.studies.soft_against_hard(mdp, strength=[0.1, 1.0])),
    "temperature": lambda mdp, rng: jc.figures.temperature_curve(
        jc.studies.temperature_curve(mdp, key=KEY, strength=[0.1, 1.0], count=8)
    ),
    "weights": lambda mdp, rng: jc.figures.weight_triangle(weights(mdp, rng), names=("helpful", "honest", "harmless")),
}


@pytest.mark.parametrize("figure", DRAWN)
def test_a_figure_fits_its_page(figure, rng):
    drawn = DRAWN[figure](draw("contexts", rng), rng)
    drawn.draw_without_rendering()
    width, height = drawn.bbox.size
    for axes in drawn.axes:
        box = axes.get_tightbbox()
        assert -1 <= box.x0 < box.x1 <= width + 1
        assert -1 <= box.y0 < box.y1 <= height + 1
        if axes.axison:
            assert axes.get_ylabel()
    assert drawn.axes[0].get_xlabel() or not drawn.axes[0].axison or figure in ("ray", "soft")


def hatched(figure):
    return any(isinstance(x, ContourSet) and any(x.hatches) for x in figure.axes[0].collections)


def test_what_is_not_certain_is_hatched():
    """A row of pixels on the border of a map, and a point of a scan; not what lies outside of a triangle."""
    three = bandit(0.0, 0.0, 0.0)
    for right, uncertain in ((1, True), (2, False)):
        ds = jc.studies.phase_diagram(bandit(0.0, 0.0), None, [[1.0, 0]], [[0.0, 0]], (-1, right, 0, 1), resolution=3)
        assert ds.certain.values.all() != uncertain
        assert hatched(jc.figures.phase_diagram(ds)) == uncertain
    arms = np.diag([1.0, 1.3, 1.7])[:, None]
    assert not hatched(jc.figures.phase_diagram(jc.studies.phase_diagram(three, weights_of=arms, resolution=4)))
    scan = jc.studies.phase_scan(three, None, [[1.0, 0, 0]], [0.5, 1.0, 1.5], strength=[0.1, 0.2, 0.3])
    assert not hatched(jc.figures.phase_scan(scan))
    scan.certain[1, 1] = False
    assert hatched(jc.figures.phase_scan(scan))


def test_cliffs_that_a_scan_missed_are_counted_in_its_title():
    mdp, direction = later(2)
    ds = jc.studies.phase_scan(mdp, None, direction, [0.5, 1.0], discount=[0.4, 0.5], tolerance=0.1)
    ds = ds.assign(missed=("discount", [1, 2]), exact=("discount", [2, 3]))
    assert jc.figures.phase_scan(ds).axes[0].get_title() == "best actions (3 of 5 cliffs not seen)"


def test_the_highest_border_is_the_thickest():
    """Two contexts of different weight: the border of the heavier one."""
    mdp = jc.problems.contextual_bandit(jnp.asarray([[1.0, 0.6], [1.0, 0.6]], F64), initial=[0.7, 0.3])
    x, y = np.zeros((2, 2, 2))
    x[0, 1] = y[1, 1] = 1.0
    ds = jc.studies.phase_diagram(mdp, None, x, y, resolution=2)
    heights, weights = ds.visited_tv.values, phase._weights(ds)
    assert sorted(set(heights.round(12))) == [0.3, 0.7]
    assert weights[heights > 0.5].min() > weights[heights < 0.5].max()


def test_every_count_has_a_colour_of_its_own():
    look = style.counted([0, 3])
    assert len({look["cmap"](look["norm"](count)) for count in range(4)}) == 4


def test_words_that_are_not_ours_are_drawn_as_they_are(monkeypatch):
    with style.style():
        assert style.words("plain", 80) == "plain"
        assert style.words("a\n b\t", 80) == "a b"
        assert style.words("_a", 80) == f"{style.HIDDEN}_a"
        assert style.words(r"$\text{if} x^$", 80) == r"\$\text{if} x^\$"
        assert not is_math_text(style.words(r"$a$ \$b\$ $$", 80))
        assert style.words("", 80) == style.words("\n", 80) == "(no name)"
        assert style.words("a\0b\x1b\ud800", 80) == "a�b��"
        first, last = style.words("first" + "W" * 10_000 + "last", 80).split("…")
        assert first.startswith("fi")
        assert last.endswith("st")
        for name in ("W" * 10_000, "i" * 10_000, "日" * 10_000, "many short words " * 99):
            assert 40 < style._width(style.words(name, 80)) <= 80
    assert style.listed(["a", "b"], 80) == ["a", "b"]
    assert style.listed(list("abcdefghij"), 80, range(9, -1, -1)) == [None, None, "3 more", *"defghij"]


def test_a_character_is_drawn_by_a_font_that_has_it_or_marked(monkeypatch):
    """A bundled font stands for those of other scripts: U+E000 is in it and not in the font of the figures."""
    for family, shown in (("STIXNonUnicode", "\ue000"), ("No Such Family", "�")):
        monkeypatch.setattr(style, "OTHERS", (family,))
        style.fonts.cache_clear()
        style._glyphs.cache_clear()
        with style.style():
            figure = Figure()
            text = figure.text(0, 0, style.words("a\ue000", 80))
            assert text.get_text() == f"a{shown}"
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                figure.savefig(io.BytesIO())
                figure.savefig(io.BytesIO(), format="pdf")
    monkeypatch.undo()
    style.fonts.cache_clear()
    style._glyphs.cache_clear()


def test_colours_and_words_of_ones_own():
    three = bandit(0.3, 0.0, 0.1)
    ds = jc.studies.phase_diagram(three, None, *np.eye(3)[1:, None], resolution=5)
    assert ds.sizes["region"] == 3
    named = jc.figures.phase_diagram(ds, colors=["#111111", "#222222", "#333333"], labels=["none", "left", "right"])
    legend = named.axes[0].get_legend()
    base = ds.attrs["base_region"]
    others = [i for i in range(3) if i != base]
    assert [text.get_text() for text in legend.get_texts()] == [("none", "left", "right")[i] for i in (base, *others)]
    faces = named.axes[0].collections[0].get_facecolors()
    np.testing.assert_allclose(faces[:, 0], np.array([0x11, 0x22, 0x33]) / 255)
    soft = jc.studies.soft_against_hard(three, strength=[0.1, 1.0])
    drawn = jc.figures.soft_against_hard(soft, colors=["k", "r", "b"], labels=["hard", "cold", "hot"])
    panel = drawn.axes[0]
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["hard", "cold", "hot"]
    assert panel.containers[2][0].get_facecolor() == (0, 0, 1, 1)
    curve = jc.studies.temperature_curve(three, key=KEY, strength=[0.1, 1.0], count=8)
    lines = jc.figures.temperature_curve(curve, colors=["C1"] * 8, labels=list("abcdefgh"))
    assert same_color(lines.axes[0].get_lines()[0].get_color(), "C1")
    with pytest.raises(ValueError, match=r"one entry per entry of the legends \(linear bound.*\), 8, not 1"):
        jc.figures.temperature_curve(curve, labels=["a"])
    with pytest.raises(ValueError, match="colors must be a list with one entry per region, 3, not 2"):
        jc.figures.phase_diagram(ds, colors=["k", "w"])


def test_a_legend_names_the_states_that_change_where_few_do():
    mdp = jc.problems.contextual_bandit(jnp.asarray([[1.0, 0.9], [0.5, 0.45]], F64))
    mdp = mdp.replace(labels=jc.Labels(["home", "work"], ["walk", "ride"]))
    x, y = np.eye(2)[[1, 0]] * np.eye(2)[0][:, None], np.eye(2)[[0, 1]] * np.eye(2)[1][:, None]
    ds = jc.studies.phase_diagram(mdp, None, x, y, resolution=5)
    legend = jc.figures.phase_diagram(ds).axes[0].get_legend()
    assert sorted(text.get_text() for text in legend.get_texts()) == ["base policy", "home", "home + work", "work"]


def test_settings_of_the_user_count_and_stay():
    ds = jc.studies.ray(bandit(1.0, 0.5), None, np.array([[0.0, 1.0]]))
    with matplotlib.rc_context({"font.family": ["serif"], "axes.grid": True, "lines.linewidth": 3.0}):
        before = dict(matplotlib.rcParams)
        figure = jc.figures.ray(ds)
        assert dict(matplotlib.rcParams) == before
        assert figure.axes[0].xaxis.get_gridlines()[0].get_visible()
        assert figure.axes[0].yaxis.label.get_fontfamily()[0] == "serif"
        assert figure.axes[0].get_lines()[0].get_linewidth() == 3.0
    assert jc.figures.ray(ds).axes[0].yaxis.label.get_fontfamily()[0] == style.FONT


def test_on_axes_of_ones_own_nothing_hangs_over():
    ds = jc.studies.phase_diagram(bandit(0.3, 0.0, 0.1), None, *np.eye(3)[1:, None], resolution=5)
    figure = Figure(figsize=(4, 3))
    axes = figure.subplots()
    assert jc.figures.phase_diagram(ds, axes=axes) is figure
    figure.canvas.draw()
    inside = axes.get_window_extent().get_points()
    legend = axes.get_legend().get_window_extent().get_points()
    assert (legend[0] >= inside[0] - 1).all()
    assert (legend[1] <= inside[1] + 1).all()

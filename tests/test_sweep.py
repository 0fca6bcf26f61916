"""Sweeps: the same numbers however they are divided, killed, resumed and sent around; and statistics of draws."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.core import slices
from jaxcliff.sweep.axes import read
from jaxcliff.sweep.outputs import Field
from jaxcliff.sweep.plan import planned
from tests import sweep_points as points
from tests.conftest import X64

sweep = jc.sweep
GRID = {"x": sweep.grid(0, 1, 7, "reward"), "power": [1, 2, 3], "draw": sweep.draws(5)}


def assert_same(first, second):
    """Every array has the same bits."""
    names = set(first.data_vars) - {"done"}
    assert names == set(second.data_vars) - {"done"}
    for name in names:
        np.testing.assert_array_equal(first[name].values, second[name].values, name)


def test_a_point_is_computed_at_every_place():
    ds = sweep.run(points.wave, GRID)
    by_hand = sweep.run(points.wave, GRID, traced=False)
    for name in ds:
        np.testing.assert_allclose(ds[name], by_hand[name], rtol=1e-6)
    expected = np.sin(np.linspace(0, 1, 7))[:, None] ** np.arange(1, 4)
    np.testing.assert_allclose(ds.height, np.broadcast_to(expected[..., None], (7, 3, 5)), rtol=1e-6)
    assert ds.noise.dims == ("x", "power", "draw", "k")
    assert (ds.noise.units, ds.x.units) == ("reward", "reward")
    noise = ds.noise - ds.x
    np.testing.assert_allclose(noise, np.broadcast_to(noise[:1, :1], noise.shape), atol=1e-6)
    assert len(np.unique(noise[0, 0])) == 10, "the same draws everywhere, and all different"
    assert len(np.unique(ds.own)) == 105, "a key of its own at every place"


def test_longer_axes_keep_the_points_that_were_there():
    whole = sweep.run(points.wave, GRID)
    longer = {"x": np.concatenate([GRID["x"].values, [2.0, 3.0]]), "power": [1, 2, 3, 4], "draw": sweep.draws(9)}
    more = sweep.run(points.wave, longer)
    assert_same(whole, more.isel(x=slice(7), power=slice(3), draw=slice(5)))
    assert not np.array_equal(sweep.run(points.wave, GRID, seed=1).own, whole.own)


@pytest.mark.parametrize("way", [{"batch": 1}, {"batch": 4}, {"chunk": {"x": 2, "power": 1}}, {"devices": 4}])
def test_bits_depend_on_no_division(way, tmp_path):
    way = {**way, "devices": jax.devices()[:4]} if "devices" in way else way
    assert_same(sweep.run(points.wave, GRID), sweep.run(points.wave, GRID, tmp_path / "store", **way))


def test_problems_strengths_sizes_draws():
    """What sweeps are for, against one solve at a time."""
    mdps = points.stack(2, states=6, actions=3, branching=3)
    axes = {"mdp": mdps, "size": [0.01, 1.0], "draw": sweep.draws(3)}
    ds = sweep.run(points.hard, axes)
    assert (ds.status == 0).all()
    assert ds.flips.dtype.kind == "i"
    by_hand = sweep.run(points.hard, axes, traced=False)
    np.testing.assert_array_equal(ds.flips + ds.undecided * 0, by_hand.flips)
    assert ds.flips.isel(size=0).sum() < ds.flips.isel(size=1).sum()


def test_another_problem_of_the_same_shape_finds_its_program(monkeypatch):
    made, compiled = [], slices.compiled
    monkeypatch.setattr(slices, "compiled", lambda *given: made.append(0) or compiled(*given))

    def over(seed, branching):
        mdp = jc.problems.garnet(jax.random.key(seed), states=5, actions=2, branching=branching)
        axes = {"size": [0.01, 0.1], "draw": sweep.draws(3)}
        return sweep.run(lambda key, size, draw: points.hard(key, mdp, size, draw), axes)

    first, second, other = over(0, 2), over(1, 2), over(1, 3)
    assert len(made) == 2
    assert len({float(ds.bound.max()) for ds in (first, second, other)}) == 3
    slices.Shared.forget()
    assert_same(second, over(1, 2))
    assert len(made) == 3


def test_what_a_point_closes_over_belongs_to_it():
    """The program is shared, its numbers are not; and what calls back to Python is not shared."""

    def dotted(a):
        return sweep.run(lambda key, x: {"y": (a * x).sum()}, {"x": [1.0, 2.0]}).y.values.tolist()

    def drawn(own):
        return float(sweep.run(lambda key, x: {"y": jax.random.uniform(own)}, {"x": [1.0]}).y[0])

    def told(word):
        back = lambda x: np.asarray(x * len(word))  # noqa: E731
        shape = jax.ShapeDtypeStruct((), jnp.result_type(float))
        call = lambda x: jax.pure_callback(back, shape, x, vmap_method="sequential")  # noqa: E731
        return sweep.run(lambda key, x: {"y": call(jnp.asarray(x, shape.dtype))}, {"x": [1.0, 2.0]}).y.values.tolist()

    assert (told("a"), told("abc")) == ([1, 2], [3, 6])
    assert [dotted(np.arange(3.0) + i) for i in range(3)] == [[3, 6], [6, 12], [9, 18]]
    assert drawn(jax.random.key(0)) != drawn(jax.random.key(1))


def test_no_device_waits_for_another():
    mdps = points.stack(2, states=6, actions=3, branching=3)
    axes = read({"mdp": mdps, "size": [0.01, 0.1], "draw": sweep.draws(4)})
    plan = planned(points.hard, axes, batch=4)
    program = plan.computer(jax.devices()[:4])
    text = program._compiled({}).program.as_text()
    words = r"\b(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter|collective-broadcast)\b"
    assert re.search(words, text) is None
    assert "while" in text


STATISTICS = sweep.statistics("mean", "m2", "min", "max", edges=np.linspace(-3, 3, 25), quantiles=[0.0, 0.1, 0.5, 1.0])


@pytest.mark.parametrize("traced", [True, False])
def test_statistics_are_those_of_all_draws(traced):
    """In blocks, of which the last is not full, with NaN among them: against numpy on all of them."""
    count = 67
    axes = {"x": [0.0, 1.0], "draw": sweep.draws(count)}
    reduced = {**axes, "draw": sweep.draws(count, {"noise": STATISTICS, "whole": "mean"})}
    all_of_them = sweep.run(points.holes, axes)
    ds = sweep.run(points.holes, reduced, batch=16, traced=traced)
    full = all_of_them.noise.transpose("x", "k", "draw").values.astype(float)
    assert 0 < np.isnan(full).sum() < full.size
    np.testing.assert_array_equal(ds.noise_count, np.isfinite(full).sum(-1))
    np.testing.assert_allclose(ds.noise_mean, np.nanmean(full, -1), atol=1e-6)
    np.testing.assert_allclose(ds.noise_m2, np.nanvar(full, -1) * ds.noise_count, rtol=1e-5)
    np.testing.assert_allclose(ds.noise_min, np.nanmin(full, -1), rtol=1e-6)
    np.testing.assert_allclose(ds.noise_max, np.nanmax(full, -1), rtol=1e-6)
    edges = np.concatenate([[-np.inf], STATISTICS.edges, [np.inf]])
    for place in np.ndindex(2, 2):
        numbers = full[place][np.isfinite(full[place])]
        np.testing.assert_array_equal(ds.noise_histogram[place], np.histogram(numbers, edges)[0])
        for q, share in enumerate(STATISTICS.quantiles):
            exact = np.quantile(numbers, share, method="inverted_cdf")
            low, high = ds.noise_quantile_low[place][q], ds.noise_quantile_high[place][q]
            assert low <= exact < high
    np.testing.assert_allclose(ds.whole_mean, all_of_them.whole.mean("draw"))
    assert set(ds.data_vars) == {f"noise_{x}" for x in ENDS} | {"whole_count", "whole_mean"}


ENDS = ("count", "mean", "m2", "min", "max", "histogram", "quantile_low", "quantile_high")


def test_statistics_have_the_same_bits_however_many_compute(tmp_path):
    axes = {"x": sweep.grid(0, 1, 6), "power": [1, 2], "draw": sweep.draws(50, STATISTICS)}
    one = sweep.run(points.wave, axes, batch=32)
    assert_same(one, sweep.run(points.wave, axes, tmp_path / "store", batch=32, devices=jax.devices()[:3]))


def test_a_draw_of_nothing_is_nan():
    ds = sweep.run(points.nothing, {"x": [0.0], "draw": sweep.draws(3, STATISTICS)})
    assert ds.height_count.item() == 0
    assert all(np.isnan(ds[f"height_{name}"]).all() for name in ("mean", "min", "max", "quantile_low"))


def test_values_of_pythons_get_a_program_each():
    axes = {"x": [0.0, 0.5], "kind": ["sine", "cosine"], "draw": sweep.draws(3)}
    ds = sweep.run(points.powers, axes, static=["kind"])
    assert ds.kind.values.tolist() == ["sine", "cosine"]
    np.testing.assert_allclose(
        ds.height, sweep.run(points.counted, axes, static="kind", traced=False).height, rtol=1e-6
    )
    with pytest.raises(ValueError, match=r"'height' is float\d+ \[1\].*and is float\d+ \[2\].*at n=2"):
        sweep.run(lambda key, n: {"height": jnp.zeros(n)}, {"n": [1, 2]}, static=["n"])


def test_a_field_says_what_it_is():
    plan = planned(points.wave, read(GRID))
    noise = next(field for field in plan.fields if field.name == "noise")
    assert noise == Field("noise", ("k",), (2,), "float64" if X64 else "float32", "reward")
    assert plan.configuration()["axes"]["draw"] == {"count": 5}


# ---- bad input


def one(answer):
    """A sweep over one place, whose point gives this of x."""
    return lambda: sweep.run(lambda key, x: answer(x), {"x": [1.0]})


def along(values, **given):
    """A sweep along one axis x."""
    return lambda: sweep.run(points.slow, {"x": values}, **given)


def nearest(x):
    return {"y": jc.nearest_cliff(jc.problems.fork(0.5), x * jnp.ones((3, 2))).radius}


def over(axes, **given):
    return lambda: sweep.run(points.wave, axes, **given)


BAD = {
    "a number as point": (lambda: sweep.run(3, GRID), "the point must be a function"),
    "an axis too few": (over({"x": [1.0]}), "missing a required argument: 'power'"),
    "an axis too many": (lambda: sweep.run(points.slow, GRID), "does not take that"),
    "a string as result": (one(lambda x: "high"), "must return a dictionary"),
    "no result": (one(lambda x: {}), "must return a dictionary"),
    "a word among results": (one(lambda x: {"y": "high"}), "must be an array of numbers"),
    "a complex result": (one(lambda x: {"y": jax.lax.complex(x, x)}), "must be real"),
    "a result called as an axis": (one(lambda x: {"x": x}), "cannot be called 'x'"),
    "a result called done": (one(lambda x: {"done": x}), "cannot be called 'done'"),
    "axes of a result": (one(lambda x: {"y": (("a", "b"), x)}), "one name each"),
    "lengths of an axis": (
        one(lambda x: {"y": ("a", jnp.ones(2)), "z": ("a", jnp.ones(3))}),
        "has length 2, and in 'z' 3",
    ),
    "numpy in a point": (one(lambda x: {"y": np.asarray(x)}), "JAX cannot trace the point"),
    "a decision in a point": (one(lambda x: {"y": 1.0 if x > 0 else 2.0}), "traced=False"),
    "geometry in a point": (one(nearest), "traced=False"),
    "no axes": (lambda: sweep.run(points.slow, {}), "at least one axis"),
    "axes as a number": (lambda: sweep.run(points.slow, 3), "axes must be a list"),
    "axes as numbers": (lambda: sweep.run(points.slow, [1.0]), "mapping from names to values"),
    "an axis twice": (lambda: sweep.run(points.slow, [("x", [1.0]), ("x", [2.0])]), "two axes 'x'"),
    "an axis called key": (lambda: sweep.run(points.slow, {"key": [1.0]}), "cannot be called 'key'"),
    "an axis of two words": (lambda: sweep.run(points.slow, {"the x": [1.0]}), "named by a word"),
    "an empty axis": (along([]), "has no points"),
    "one number as axis": (along(1.0), "must be a list of numbers"),
    "NaN on an axis": (along([0.0, np.nan]), "holds NaN, at place 1"),
    "words on an axis": (along(["low"]), "add static="),
    "a ragged axis": (along([[1.0], [1.0, 2.0]]), "must hold numbers"),
    "keys on an axis": (along(jax.random.split(jax.random.key(0))), "jc.sweep.draws"),
    "static of no axis": (along([1.0], static=["y"]), "there is no axis 'y'"),
    "two reduced axes": (
        lambda: sweep.run(points.slow, {"x": sweep.draws(2, "mean"), "y": sweep.draws(2, "mean")}),
        "one axis of draws can be reduced",
    ),
    "a statistic": (lambda: sweep.draws(3, "median"), "a statistic is one of"),
    "statistics": (lambda: sweep.draws(3, 5), "must be a list"),
    "a statistic of nothing": (over({**GRID, "draw": sweep.draws(2, {"depth": "mean"})}), "names an output 'depth'"),
    "edges": (lambda: sweep.statistics(edges=[1.0, 0.0]), "increasing"),
    "quantiles without edges": (lambda: sweep.statistics(quantiles=[0.5]), "need edges="),
    "quantiles above 1": (lambda: sweep.statistics(edges=[0.0], quantiles=[50]), "between 0 and 1"),
    "no draws": (lambda: sweep.draws(0), "count must be a whole number of at least 1"),
    "geomspace from 0": (lambda: sweep.geomspace(0, 1, 3), "positive"),
    "an end that is NaN": (lambda: sweep.grid(0, np.nan, 3), "finite"),
    "a seed": (along([1.0], seed=-1), "seed must be a whole number"),
    "a batch": (along([1.0], batch=0), "batch must be"),
    "a chunk of no axis": (over(GRID, chunk={"y": 1}), "names an axis 'y'"),
    "a chunk of nothing": (over(GRID, chunk={"x": 0}), "chunk of 'x' must be"),
    "a shard without a store": (over(GRID, shard=(0, 2)), "needs a store"),
    "an executor without one": (over(GRID, executor=object()), "needs a store"),
    "settings": (over(GRID, settings={"f": print}), "settings must be"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_sentence(name):
    call, words = BAD[name]
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        call()
    assert len(str(caught.value)) < 600


def into(name, **given):
    return lambda path: sweep.run(points.wave, GRID, path / name, **given)


BAD_STORES = {
    "shard 5/4": (into("store", shard=(5, 4)), "the shard must be"),
    "shard of one number": (into("store", shard=[1]), "shard must be (i, n)"),
    "a file": (into("file"), "must be a folder, and is a file"),
    "a folder of others": (into("folder"), "is no store of a sweep"),
    "others overwritten": (into("folder", overwrite=True), "is no store of a sweep"),
    "nowhere": (into("no/store"), "there is no folder"),
    "a point that cannot be sent": (
        lambda path: sweep.run(lambda key, x: {"y": x}, {"x": [1.0]}, path / "store", workers=1),
        "cannot be sent to another process",
    ),
    "workers and executor": (into("store", workers=1, executor=object()), "leave workers= out"),
}


@pytest.mark.parametrize("name", BAD_STORES)
def test_bad_stores_get_a_sentence_and_lose_nothing(name, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis").write_text("mine")
    call, words = BAD_STORES[name]
    with pytest.raises(ValueError, match=re.escape(words)):
        call(tmp_path)
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "thesis").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]

"""The studies of maps: their datasets agree with solving, with theory, and with each other; figures draw them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr
from matplotlib.figure import Figure

import jaxcliff as jc
from tests.conftest import needs_x64
from tests.geometry import F64, contradictions, decide, draw, kinds

pytestmark = needs_x64


def axes(mdp, rng):
    return np.where(mdp.decisions, rng.normal(size=(2, *mdp.reward.shape)), 0)


def pixels(ds):
    """(x, y) of every pixel, and a raster variable as one list."""
    where = np.stack(np.meshgrid(ds.x, ds.y), axis=-1).reshape(-1, 2)
    return where, {name: ds[name].values.ravel() for name in ds.data_vars if ds[name].dims == ("y", "x")}


@pytest.mark.parametrize("name", kinds(["garnet", "masked", "ending_tree", "contexts"]))
def test_the_raster_of_a_phase_diagram_agrees_with_solve(name, rng):
    mdp = draw(name, rng, 0.9 if name in ("garnet", "masked") else None)
    x, y = axes(mdp, rng)
    true = rng.normal(size=mdp.reward.shape)
    ds = jc.studies.phase_diagram(mdp, None, x, y, (-1, 1, -0.5, 1), true_reward=true, resolution=100)
    where, raster = pixels(ds)
    some = rng.choice(len(where), 2000, replace=False)
    rewards = np.asarray(mdp.reward) + np.tensordot(where[some], np.stack([x, y]), axes=1)
    region = raster["region_of_pixel"][some]
    optimal, suboptimal = decide(mdp, rewards)
    assert contradictions(ds.optimal.values[region], optimal, suboptimal) == 0
    assert raster["certain"].mean() > 0.99
    near = jc.nearest_cliff(mdp, rewards)
    np.testing.assert_allclose(raster["radius"][some], near.radius, atol=1e-8)
    gaps = near.walls.gap.reshape(len(some), -1).min(axis=1)
    np.testing.assert_allclose(raster["smallest_gap"][some], gaps, atol=1e-7)
    values = np.asarray(jc.solve(mdp, jnp.asarray(rewards)).values) @ np.asarray(mdp.initial)
    np.testing.assert_allclose(raster["value"][some], values, atol=1e-7)
    assert ds.attrs["base_radius"] == pytest.approx(float(jc.nearest_cliff(mdp).radius))
    base = ds.attrs["base_region"]
    assert (ds.states_changed.values == 0).sum() == 1
    assert ds.states_changed.values[base] == 0
    assert ds.tv_to_base.values[base] == 0
    # The circle of the plane's radius lies in the base's region, and touches its border.
    turn = 2 * np.pi * np.arange(360) / 360
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    plan = jc.policy_map(mdp, None, x, y, (-1, 1, -0.5, 1))
    inside = plan.locate(0.999 * ds.attrs["plane_radius"] * circle)
    assert set(inside[inside >= 0]) == {base}
    assert (plan.locate(1.01 * ds.attrs["plane_radius"] * circle) != base).any()


@pytest.mark.slow
def test_ten_thousand_pixels_agree_with_solve(rng):
    for name in ("garnet", "masked", "stopping", "proper", "tree", "ending_tree", "contexts"):
        mdp = draw(name, rng)
        x, y = axes(mdp, rng)
        ds = jc.studies.phase_diagram(mdp, None, x, y, resolution=300)
        where, raster = pixels(ds)
        some = rng.choice(len(where), 10_000, replace=False)
        rewards = np.asarray(mdp.reward) + np.tensordot(where[some], np.stack([x, y]), axes=1)
        optimal, suboptimal = decide(mdp, rewards)
        assert contradictions(ds.optimal.values[raster["region_of_pixel"][some]], optimal, suboptimal) == 0


def test_a_phase_diagram_of_weights_and_its_pictures(rng, tmp_path):
    mdp = draw("contexts", rng)
    rewards = np.where(mdp.decisions, rng.normal(size=(3, *mdp.reward.shape)), 0)
    ds = jc.studies.phase_diagram(mdp, weights_of=rewards, resolution=50)
    assert ds.attrs["plane"] == "weights"
    assert (ds.region_of_pixel.values >= 0).mean() == pytest.approx(0.5, abs=0.05)
    ds.to_zarr(tmp_path / "phase.zarr", mode="w", consolidated=False)
    again = xr.open_zarr(tmp_path / "phase.zarr", consolidated=False).load()
    for figure in (jc.figures.weight_triangle(again), jc.figures.phase_diagram(again)):
        assert isinstance(figure, Figure)
        figure.savefig(tmp_path / "figure.pdf")
    with pytest.raises(ValueError, match="a phase diagram over weights"):
        jc.figures.weight_triangle(jc.studies.phase_diagram(mdp, None, *axes(mdp, rng), resolution=5))


def test_neighbours_never_share_a_colour(rng):
    from jaxcliff.figures.phase import FEW, _numbers

    mdp = draw("garnet", rng, 0.9)
    for size in (0.3, 3.0):
        ds = jc.studies.phase_diagram(mdp, None, *axes(mdp, rng), (-size, size, -size, size), resolution=5)
        colours = _numbers(ds)
        before, after = ds.edges.values.T
        assert (colours[before] != colours[after]).all()
        assert colours[ds.attrs["base_region"]] == 0
        if ds.sizes["region"] <= FEW:
            assert len(set(colours.tolist())) == ds.sizes["region"]


def policy_gradient(mdp, rewards, key):
    """Tabular softmax policies, improved by gradient steps on the exact return."""

    def learn(reward):
        optimizer = optax.sgd(2.0)

        def loss(logits):
            return -jc.metrics.expected_return(mdp, jax.nn.softmax(logits), reward)

        def step(carry, _):
            logits, state = carry
            update, state = optimizer.update(jax.grad(loss)(logits), state)
            return (optax.apply_updates(logits, update), state), None

        start = jnp.zeros(mdp.reward.shape, mdp.dtype)
        (logits, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), length=150)
        return jax.nn.softmax(logits)

    return jax.lax.map(learn, rewards, batch_size=64)


def test_a_learner_of_your_own_is_measured_beside(rng):
    mdp = jc.problems.contextual_bandit(jnp.asarray(rng.normal(size=(3, 2)), F64))
    x, y = axes(mdp, rng)
    ds = jc.studies.phase_diagram(mdp, None, x, y, resolution=10, learner=policy_gradient, key=jax.random.key(1))
    assert ds.learned_tv.shape == (32, 32)
    assert 0 <= ds.learned_tv.min() < 0.2
    assert ds.learned_tv.max() > 0.9
    assert ds.learned_regret.min() >= -1e-9
    jc.figures.phase_diagram(ds)
    ray = jc.studies.ray(mdp, None, x, learner=policy_gradient, key=jax.random.key(1))
    assert ray.learned_tv.values[0] == 0
    assert ray.learned_tv.values[-1] > 0.3
    jc.figures.ray(ray)
    flips = jc.studies.flip_frequency(mdp, key=jax.random.key(1), sizes=[1e-6, 3.0], count=16, learner=policy_gradient)
    assert flips.learned_tv.values[0] < 1e-3 < 0.3 < flips.learned_tv.values[1]
    assert (flips.learned_regret >= 0).all()
    jc.figures.flip_frequency(flips)
    mixed = jc.studies.aggregation_stability(
        mdp, [x, y], key=jax.random.key(1), count=16, sizes=[1e-6, 3.0], learner=policy_gradient
    )
    assert (mixed.learned_tv.values[0] < 1e-3).all()
    assert (mixed.learned_tv.values[1] > 0.1).all()
    jc.figures.aggregation_stability(mixed)
    with pytest.raises(ValueError, match="must return policies of the same shape"):
        jc.studies.ray(mdp, None, x, learner=lambda mdp, rewards, key: rewards[0], key=jax.random.key(1))
    with pytest.raises(ValueError, match="must return distributions over legal actions; for reward 0, state 0"):
        jc.studies.ray(mdp, None, x, learner=lambda mdp, rewards, key: rewards, key=jax.random.key(1))
    curve = jc.studies.temperature_curve(
        mdp, key=jax.random.key(1), count=16, strength=[0.1, 1.0], learner=policy_gradient
    )
    assert curve.attrs["learner_sensitivity"] > 0
    assert curve.attrs["learner_lost"] >= 0
    jc.figures.temperature_curve(curve)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("garnet", "entropy"),
        pytest.param("masked", "kl", marks=pytest.mark.slow),
        ("ending_tree", "sparsemax"),
        pytest.param("tree", "entropy", marks=pytest.mark.slow),
    ],
)
def test_temperature_curves_obey_theory(name, kind, rng, tmp_path):
    mdp = draw(name, rng, 0.9 if name in ("garnet", "masked") else None)
    ds = jc.studies.temperature_curve(
        mdp, kind=kind, key=jax.random.key(2), count=32, strength=np.geomspace(0.01, 20, 12)
    )
    strength, slack = ds.strength.values, 4 * float((ds.value_bound + ds.return_bound).max())
    slope = np.diff(ds.value) / np.diff(strength)
    rises = -1 if kind == "kl" else 1
    assert (rises * np.diff(ds.value) >= -slack).all()
    assert (np.diff(slope) >= -slack / np.diff(strength).min()).all()  # convex
    assert (np.diff(ds["return"]) <= slack).all()
    assert (rises * np.diff(ds.bonus) >= -slack / strength.min()).all()
    assert (ds.lost >= -ds.lost_bound).all()
    assert (ds.sensitivity <= ds.linear * (1 + 1e-9)).all()
    if kind != "sparsemax":
        assert (ds.tightness <= 1 + 1e-9).all()
        assert (ds.sensitivity <= ds.tanh * (1 + 1e-9)).all()
    if kind == "entropy":
        assert (ds.lost <= ds.price).all()
    assert ds.ok.all()
    assert (ds.local <= ds.linear * (1 + 1e-9)).all()
    assert ds.to_limit.values[0] <= ds.to_limit.values[-1]
    width = ds.width.values[np.isfinite(ds.width.values)]
    assert (np.diff(width) > 0).all()
    figure = jc.figures.temperature_curve(ds)
    figure.savefig(tmp_path / "temperature.pdf")
    ds.to_zarr(tmp_path / "temperature.zarr", mode="w", consolidated=False)


def test_the_width_of_a_cliff_in_a_bandit_is_known():
    """Two arms, odds e^{gap/α}: from 1:3 to 3:1 the gap goes through 2α log 3, and the reward through half of it."""
    mdp = jc.problems.bandit(jnp.asarray([1.0, 0.6], F64))
    ds = jc.studies.temperature_curve(mdp, key=jax.random.key(0), count=4, strength=[0.05, 0.2])
    np.testing.assert_allclose(ds.width, ds.strength * np.log(3), rtol=1e-6)


def test_a_ray_is_drawn_as_it_is(rng, tmp_path):
    mdp = draw("garnet", rng, 0.9)
    direction, true = rng.normal(size=(2, *mdp.reward.shape))
    ds = jc.studies.ray(mdp, None, direction, true_reward=true)
    t = np.linspace(0, 1, 41)
    rewards = np.asarray(mdp.reward) + t[:, None, None] * direction
    values = np.asarray(jc.solve(mdp, jnp.asarray(rewards)).values) @ np.asarray(mdp.initial)
    segment = np.searchsorted(ds.breakpoints.values, t)
    drawn = ds.return_at_start.values[segment] + t * ds.return_slope.values[segment]
    np.testing.assert_allclose(drawn, values, atol=1e-8)
    assert ds.states_changed.values[0] == 0
    jc.figures.ray(ds).savefig(tmp_path / "ray.pdf")


def test_soft_modes_where_hard_ones_tie(tmp_path):
    """Three equal peaks of height 2.55 and width .82, α = .5: density .325 at each, .0020 far from them."""
    positions = np.arange(-200, 201) / 20
    peaks = np.exp(-((positions[:, None] - np.array([-5, 0, 5])) ** 2) / (2 * 0.82**2))
    mdp = jc.problems.bandit(jnp.asarray(2.55 * peaks.max(axis=1)))
    ds = jc.studies.soft_against_hard(mdp, strength=(0.5, 0.1), positions=positions)
    np.testing.assert_allclose(ds.position[ds.hard > 0], [-5, 0, 5])
    np.testing.assert_allclose(ds.hard[ds.hard > 0], 1 / 3)
    density = ds.soft.values[0] / 0.05
    assert density.max() == pytest.approx(0.325, abs=5e-4)
    assert density.min() == pytest.approx(0.0020, abs=5e-5)
    np.testing.assert_allclose(ds.soft.sum("action"), 1)
    jc.figures.soft_against_hard(ds).savefig(tmp_path / "soft.pdf")
    few = jc.studies.soft_against_hard(jc.problems.fork(), strength=[0.3], state=0)
    share = 1 / (1 + np.exp(-1 / 0.3))  # fork: gap 1
    np.testing.assert_allclose(few.soft[0], [share, 1 - share])
    assert few.action_name.values.tolist() == ["to x", "to y"]
    jc.figures.soft_against_hard(few).savefig(tmp_path / "soft.pdf")
    assert jc.studies.soft_against_hard(jc.problems.fork(), state=1).sizes["action"] == 1  # one legal action
    for options, sentence in (
        ({"strength": [0.0]}, "positive numbers"),
        ({"state": 3}, "state must be a whole number from 0 to"),
        ({"positions": [0.0]}, "one number per action"),
    ):
        with pytest.raises(ValueError, match=sentence):
            jc.studies.soft_against_hard(jc.problems.fork(), **options)


def test_the_distribution_of_radii_is_drawn(rng, tmp_path):
    mdp = draw("contexts", rng)
    found = jc.census(mdp, jc.perturb.gaussian(jax.random.key(0), mdp, sigma=1.0, count=512).rewards)
    assert (found.guarantee <= found.radius * (1 + 1e-12)).all()
    found.to_dataset().to_zarr(tmp_path / "radius.zarr", mode="w", consolidated=False)
    ds = xr.open_zarr(tmp_path / "radius.zarr", consolidated=False).load()
    again = type(found).from_dataset(ds)
    np.testing.assert_array_equal(again.radius, found.radius)
    assert again.summary() == found.summary()
    figure = jc.figures.radius_distribution(ds, mark=0.01)
    figure.savefig(tmp_path / "radius.pdf")
    curve = figure.axes[0].lines[1].get_xydata()  # exact: the share of radii up to each
    for distance, share in curve[::50]:
        assert share == pytest.approx((found.radius <= distance).mean())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: jc.studies.phase_diagram(m), "say either x=… and y=…, two rewards, or weights_of=…"),
        (lambda m: jc.studies.phase_diagram(m, weights_of=np.zeros((2, 8, 3))), "takes three rewards"),
        (
            lambda m: jc.studies.phase_diagram(m, None, m.reward, m.reward, resolution=0),
            "resolution must be a whole number",
        ),
        (lambda m: jc.studies.temperature_curve(m, kind="heat", key=jax.random.key(0)), "kind must be one of"),
        (
            lambda m: jc.studies.temperature_curve(m, strength=[0.0], key=jax.random.key(0)),
            "a list of positive numbers",
        ),
        (lambda m: jc.studies.temperature_curve(m, count=0, key=jax.random.key(0)), "count must be a whole number"),
        (lambda m: jc.studies.ray(m, None, m.reward, stop=np.inf), "needs a finite stop"),
    ],
)
def test_bad_calls_get_a_sentence(call, sentence, rng):
    with pytest.raises(ValueError, match=sentence):
        call(draw("garnet", rng))

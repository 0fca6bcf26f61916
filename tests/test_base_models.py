"""Other base models: locations and sizes of a jump against the table's, the law of KL, and the gap of a group."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from tests.conftest import needs_x64

pytestmark = needs_x64
KEY = jax.random.key(0)
study = functools.partial(jc.studies.base_models, key=KEY)


@pytest.fixture(scope="module")
def ds():
    return study(optimisers=["adam"])


def test_locations_depend_on_no_base_where_the_policy_can_be_represented(ds):
    assert ds.attrs["cliff"] == pytest.approx(0.3, abs=1e-6)
    own = ds.location.sel(model=["tabular", "low_rank", "escort"]).values
    np.testing.assert_allclose(own, 0.3, rtol=0.01)


def test_a_group_jumps_where_its_gap_is_zero(ds):
    """Two contexts that are equally frequent and flip at .3 and at .6, together: at .45, from any base."""
    assert ds.attrs["aggregated_cliff"] == pytest.approx(0.45, abs=1e-6)
    np.testing.assert_allclose(ds.location.sel(model="aggregated"), 0.45, rtol=0.01)
    gap = ds.aggregated_gap.values
    assert np.interp(0, gap, ds.position) == pytest.approx(0.45, abs=1e-6)
    unequal = jc.problems.contextual_bandit([[0.3, 0.0], [0.6, 0.0]], initial=[0.9, 0.1])
    other = study(unequal, models=["aggregated"], bases=["flat"], optimisers=["adam"], steps=2000)
    assert other.attrs["aggregated_cliff"] == pytest.approx(0.33, abs=1e-6)
    np.testing.assert_allclose(other.location, 0.33, rtol=0.01)
    apart = study(models=["aggregated"], groups=[0, 1], bases=["peaked"], optimisers=["adam"], steps=2000)
    np.testing.assert_allclose(apart.location, 0.3, rtol=0.01)


def test_the_size_of_a_jump_is_what_the_base_leaves_of_it(ds):
    """1 − q_b: tables and escorts stay at their base where actions tie, as the limit of KL does."""
    for model in ("tabular", "escort"):
        shares = ds["size"].sel(model=model).values[:, 0]
        np.testing.assert_allclose(shares, [0.5, 0.1, 0.9], atol=1e-6)
    np.testing.assert_allclose(ds.hard_tie, [0.5, 0.9, 0.1], atol=1e-9)


def test_models_that_share_parameters_move_at_the_tie_with_their_other_states(ds):
    """Features of several states: the tie is decided by what the other states want, and the jump has another size."""
    assert (np.abs(ds.tie.sel(model="low_rank") - ds.hard_tie) > 0.05).all()


def test_kl_is_half_way_where_the_gap_is_minus_beta_logit_of_the_base(ds):
    logits = np.log([1, 9, 1 / 9])
    np.testing.assert_allclose(ds.kl_law, 0.3 - logits[:, None] * ds.strength.values, atol=1e-6)
    np.testing.assert_allclose(ds.kl_location, ds.kl_law, atol=1e-6)
    cold = ds.kl_location.isel(strength=0).values
    np.testing.assert_allclose(cold, 0.3, atol=0.01)
    assert np.ptp(ds.kl_location.isel(strength=-1).values) > 0.4


@pytest.mark.slow
def test_plain_ascent_gets_there_too():
    ds = study(optimisers=["ascent"], models=["tabular", "escort", "low_rank"], steps=40_000)
    np.testing.assert_allclose(ds.location, 0.3, rtol=0.012)


@pytest.mark.slow
def test_a_chain_has_its_cliff_in_the_same_place_for_every_base():
    mdp = jc.problems.garnet(KEY, states=4, actions=2, branching=2, discount=0.8).astype(jnp.float64)
    direction = np.zeros((4, 2))
    direction[0, 1] = 1
    best = np.asarray(jc.optimal_actions(jc.solve(mdp)).optimal)[0].argmax()
    direction[0, best], direction[0, 1 - best] = 0.0, 2.0
    ds = study(mdp, direction=direction, models=["tabular"], optimisers=["adam"], strength=[1e-3])
    np.testing.assert_allclose(ds.location, ds.attrs["cliff"], rtol=0.01)
    np.testing.assert_allclose(ds.kl_location, ds.attrs["cliff"], atol=0.01)


def test_the_escort_transform_starts_at_its_base_and_is_scale_free():
    own = jc.learners.parameters.escort(2, 3, power=2.0)
    theta = own.start(jnp.float64)
    assert (own.logits(theta) == 0).all()
    drawn = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3)))
    one, two = (jax.nn.softmax(own.logits(x)) for x in (drawn, -7 * drawn))
    np.testing.assert_allclose(one, two, rtol=1e-12)
    np.testing.assert_allclose(one, drawn**2 / (drawn**2).sum(-1, keepdims=True), rtol=1e-12)
    assert np.isfinite(own.logits(jnp.zeros((2, 3)))).all()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"models": ["deep"]}, "models must be among tabular"),
        ({"bases": "sharp"}, "bases must be among flat"),
        ({"groups": [0]}, "a whole number for each of 2 states"),
        ({"positions": [0.5, 0.9], "state": 0}, "has no cliff between"),
        ({"strength": [-1.0]}, "strength must be a list of positive"),
        ({"direction": np.zeros(3)}, "direction has shape"),
    ],
)
def test_mistakes_get_a_sentence(given, words):
    with pytest.raises(ValueError, match=words):
        study(**given)
    with pytest.raises(ValueError, match="at least 1"):
        jc.learners.parameters.escort(1, 2, power=0.5)


def test_the_figure_has_three_panels(ds):
    figure = jc.figures.base_models(ds)
    assert [axes.get_title() for axes in figure.axes] == ["by adam", "location", "exact KL"]

"""What does not fit says so before it tries; what fits is never refused."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcliff as jc
from jaxcliff.core import devices
from jaxcliff.problems import random
from tests.conftest import needs_x64

KEY = jax.random.key(0)
MDP = jc.problems.chain(4)
MANY = 10**10


def plan():
    return jc.policy_map(jc.problems.bandit([0.0, 0.0]), None, [[1.0, 0]], [[0, 1.0]])


@pytest.fixture
def five_gigabytes(monkeypatch):
    monkeypatch.setattr(devices, "_free_on_host", lambda: 5e9)
    monkeypatch.setattr(devices, "_free_on_device", lambda: 0.0)


def test_the_sentence(five_gigabytes):
    devices.require(4.9e9, "this")
    with pytest.raises(ValueError, match=r"^this would need 12\.3 GB of memory, and 5\.0 GB are free; take less$"):
        devices.require(12.3e9, "this", "take less")


def test_what_the_machine_says_is_believed(monkeypatch):
    kernel = devices._free_on_host()
    assert 0 < kernel < np.inf
    monkeypatch.setattr(pathlib.Path, "read_text", lambda self: "MemFree: 1 kB\n")
    assert devices._free_on_host() >= 0.5 * kernel  # all there is, where nothing is said of what is free
    monkeypatch.setattr(devices, "_free_on_host", lambda: 0.0)
    devices.require(devices.NOTICED, "a little")


REFUSED = {
    "dense garnet": (lambda: jc.problems.garnet(KEY, states=100_000, dense=True), "leave out dense=True"),
    "garnet": (lambda: jc.problems.garnet(KEY, states=MANY), "take fewer states"),
    "tree": (lambda: jc.problems.token_tree(KEY, vocabulary=4, depth=20), "a smaller depth"),
    "chain": (lambda: jc.problems.chain(MANY), "10,000,000,000 states would need"),
    "river": (lambda: jc.problems.river_swim(MANY), "10,000,000,000 states would need"),
    "gambler": (lambda: jc.problems.gambler(10**6), "a smaller goal"),
    "ball": (lambda: jc.perturb.ball(KEY, MDP, size=0.1, count=MANY), "1280.0 GB of memory"),
    "sphere": (lambda: jc.perturb.sphere(KEY, MDP, size=0.1, count=MANY, norm="2"), "take fewer at a time"),
    "gaussian": (
        lambda: jc.perturb.gaussian(KEY, MDP, sigma=0.1, count=MANY),
        "10,000,000,000 rewards of shape [4, 2]",
    ),
    "signs": (lambda: jc.perturb.signs(KEY, MDP, size=0.1, count=MANY), "take fewer at a time"),
    "sparse": (lambda: jc.perturb.sparse(KEY, MDP, size=0.1, count=MANY, entries=1), "take fewer at a time"),
    "redistributed": (
        lambda: jc.perturb.redistributed(KEY, MDP, tied=jnp.ones((4, 2), bool), size=0.1, count=MANY),
        "take fewer at a time",
    ),
    "plane": (
        lambda: jc.perturb.plane(MDP, x=MDP.reward, y=MDP.reward, xs=jnp.zeros(10**5), ys=jnp.zeros(10**5)),
        "take fewer at a time",
    ),
    "flips": (lambda: jc.studies.flip_frequency(MDP, key=KEY, count=MANY), "take a smaller count"),
    "census": (lambda: jc.census(MDP, np.broadcast_to(np.zeros((4, 2)), (10**9, 4, 2))), "look at fewer at a time"),
    "weights": (
        lambda: jc.weight_map(MDP, np.zeros((4, 4, 2)), count=MANY, key=jax.random.key(0)),
        "take a smaller count",
    ),
    "raster": (lambda: plan().rasterize(10**6), "1,000,000 × 1,000,000 pixels"),
    "pixels": (
        lambda: jc.studies.phase_diagram(MDP, None, MDP.reward, MDP.reward, resolution=10**5),
        "100,000 × 100,000 pixels",
    ),
}


@needs_x64
@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name, five_gigabytes):
    do, says = REFUSED[name]
    with pytest.raises(ValueError, match=r"5\.0 GB are free") as caught:
        do()
    assert says in str(caught.value)


def test_a_large_garnet_is_drawn_and_its_matrices_are_not(five_gigabytes):
    mdp = jc.problems.garnet(KEY, states=100_000, actions=2, branching=4)
    ordered = np.sort(np.asarray(mdp.transitions.states), axis=-1)
    assert (np.diff(ordered, axis=-1) > 0).all()
    assert ordered.min() >= 0
    assert ordered.max() < 100_000
    uniform = jnp.full(mdp.reward.shape, 0.5, mdp.dtype)
    with pytest.raises(ValueError, match=r"policy_iteration on 100000 states would need .* method='value_iteration'"):
        jc.solve(mdp, method="policy_iteration")
    with pytest.raises(ValueError, match="policy_iteration on 100000 states would need"):
        jc.evaluate(mdp, uniform, method="policy_iteration")
    with pytest.raises(ValueError, match="without around="):
        jc.factorize(mdp)


def test_every_set_of_successors_is_as_probable(monkeypatch):
    monkeypatch.setattr(random, "SORTED", 0)
    drawn = np.sort(np.asarray(random._distinct(KEY, (20_000, 1), 6, 3))[:, 0], axis=-1)
    sets, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(sets) == 20
    # χ² with 19 degrees of freedom exceeds 65 with probability 6e-7.
    assert ((counts - 1000) ** 2 / 1000).sum() < 65

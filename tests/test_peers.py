"""Agreement with other libraries on values, and their actions inside the certified sets."""

import warnings

import jax
import numpy as np
import pytest

import jaxcliff as jc
from benchmarks import peer_tools
from tests.conftest import needs_x64
from tests.oracle import Problem

pytestmark = needs_x64

CASES = {
    "garnet": lambda: jc.problems.garnet(jax.random.key(1), states=30, actions=4, branching=5, discount=0.95),
    "tied": lambda: jc.problems.tie_planted(jax.random.key(2), states=20, discount=0.9)[0],
    "river": lambda: jc.problems.river_swim(20, discount=0.99),
}


@pytest.mark.parametrize("name", CASES)
def test_quantecon(name):
    quantecon = pytest.importorskip("quantecon")
    mdp = CASES[name]()
    problem = Problem(mdp, mdp.reward)
    theirs = quantecon.markov.DiscreteDP(problem.reward, problem.float_rows(), problem.discount)
    answer = theirs.solve(method="policy_iteration")
    check_peer(mdp, answer.v, answer.sigma)


@pytest.mark.parametrize("name", CASES)
def test_mdptoolbox(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        toolbox = pytest.importorskip("mdptoolbox.mdp")
        mdp = CASES[name]()
        problem = Problem(mdp, mdp.reward)
        rows = np.ascontiguousarray(problem.float_rows().transpose(1, 0, 2))
        theirs = toolbox.PolicyIteration(rows, problem.reward, problem.discount)
        theirs.run()
    check_peer(mdp, np.array(theirs.V), np.array(theirs.policy))


def check_peer(mdp, values, actions):
    sol = jc.solve(mdp)
    scale = np.abs(values).max()
    assert np.abs(np.asarray(sol.values) - values).max() <= float(sol.error_bound) + 1e-10 * scale
    acts = jc.optimal_actions(sol)
    assert not acts.undecided.any()
    assert np.asarray(acts.optimal)[np.arange(mdp.num_states), actions].all()


MADE = ("quantecon sparse mpi", "quantecon dense mpi", "quantecon sparse vi", "quantecon dense pi", "pymdptoolbox")


@pytest.mark.parametrize("name", MADE)
def test_benchmark_settings(name):
    """One object for many rewards, at the setting the benchmarks give it, is as exact as they say."""
    pytest.importorskip("mdptoolbox" if name == "pymdptoolbox" else "quantecon")
    mdp = CASES["garnet"]()
    legal, rows = np.ones(mdp.reward.shape, bool), mdp.transitions.to_scipy().tocsr()
    base = np.asarray(jc.solve(mdp).values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem = peer_tools.Problem(rows, legal, float(mdp.discount), base, np.asarray(mdp.reward))
        solve = peer_tools.NEAR[name](problem)
        for reward in np.asarray(mdp.reward + jax.random.normal(jax.random.key(3), (3, *mdp.reward.shape))):
            sol = jc.solve(mdp, reward)
            error = np.abs(solve(reward) - np.asarray(sol.values)).max() + float(sol.error_bound)
            assert error <= peer_tools.ACCURACY

"""Numbers at the edges of the arithmetic, and what may be said of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc
from tests.cases import ACTIONS, GARNET, STATES
from tests.hostile import Row

GRID = ("S...", "....", "...G")
PLANE = np.random.default_rng(0).normal(size=(2, STATES, ACTIONS))


@functools.cache
def mdp():
    return jc.problems.garnet(jax.random.key(0), **GARNET)


def bandit(*values, dtype=np.float64):
    return jc.MDP(None, np.array([values], dtype))


def acts(mdp, tie_tolerance=None):
    return jc.optimal_actions(jc.solve(mdp), tie_tolerance)


def traced(change):
    """Solved with transitions that a trace cannot check."""
    t = mdp().transitions
    return jax.jit(lambda s, p: jc.solve(jc.MDP(jc.Successors(s, p), mdp().reward, mdp().discount)))(
        *change(t.states, t.probabilities)
    )


def plan(extent):
    return jc.policy_map(mdp(), None, *PLANE, (-extent, extent, -extent, extent))


ROWS: list[Row] = [
    Row("a subnormal gap is no tie", lambda: acts(bandit(1e-308, 0)), finds=lambda a: not a.optimal[0, 1]),
    Row("a subnormal reward is in the bound", lambda: jc.solve(bandit(1e-308, 0)), status=jc.Status.ROUNDING_FLOOR),
    Row("a subnormal difference", lambda: acts(bandit(3e-308, 2.5e-308)), finds=lambda a: a.undecided.all()),
    Row("zeros tie", lambda: acts(bandit(0, 0)), finds=lambda a: a.optimal.all()),
    Row("zeros tie exactly", lambda: acts(bandit(0, 0), 0.0), finds=lambda a: a.optimal.all()),
    Row("negative zero ties with zero", lambda: acts(bandit(-0.0, 0.0), 0.0), finds=lambda a: a.optimal.all()),
    Row("the largest numbers", lambda: jc.solve(bandit(1e308, -1e308)), status=jc.Status.INVALID_REWARD),
    Row("large numbers", lambda: acts(bandit(8e307, -8e307)), finds=lambda a: a.optimal[0].tolist() == [True, False]),
    Row(
        "one infinite reward",
        lambda: jc.solve(mdp(), mdp().reward.at[0, 0].set(jnp.inf)),
        status=jc.Status.INVALID_REWARD,
    ),
    Row("one NaN", lambda: jc.solve(mdp(), mdp().reward.at[0, 0].set(jnp.nan)), status=jc.Status.INVALID_REWARD),
    Row("ties of float32", lambda: jc.nearest_cliff(bandit(1, 0.99995, 0, dtype=np.float32)), finds=lambda n: n.tied),
    Row(
        "the same numbers in float64",
        lambda: jc.nearest_cliff(bandit(1, 0.99995, 0)),
        finds=lambda n: not n.tied and abs(n.radius - 2.5e-5) < 1e-12,
    ),
    Row(
        "float32 and a tolerance asked for",
        lambda: jc.nearest_cliff(bandit(1, 0.99995, 0, dtype=np.float32), tie_tolerance=1e-9),
        finds=lambda n: not n.tied,
    ),
    Row(
        "the many shortest ways of a long horizon",
        lambda: jc.nearest_cliff(jc.problems.gridworld(GRID, slip=0.0, discount=0.9999)),
        finds=lambda n: n.tied and not n.undecided,
    ),
    Row(
        "ties that no one can tell under jit",
        lambda: jc.optimal_actions(jax.jit(jc.solve)(jc.problems.gridworld(GRID, slip=0.0, discount=0.9999))),
        finds=lambda a: a.undecided.any() and not a.suboptimal.all(-1).any(),
    ),
    Row(
        "a row of negative chances",
        lambda: traced(lambda s, p: (s, p.at[0, 0].set(jnp.asarray([1.5, -0.5, 0.0])))),
        status=jc.Status.INVALID_TRANSITIONS,
    ),
    Row("an empty row", lambda: traced(lambda s, p: (s, p.at[1, 1].set(0))), status=jc.Status.INVALID_TRANSITIONS),
    Row(
        "a row to nowhere", lambda: traced(lambda s, p: (s.at[1, 1, 0].set(9), p)), status=jc.Status.INVALID_TRANSITIONS
    ),
    Row("a row of NaN", lambda: traced(lambda s, p: (s, p * jnp.nan)), status=jc.Status.INVALID_TRANSITIONS),
    Row("rows that sum to 2", lambda: traced(lambda s, p: (s, 2 * p)), status=jc.Status.INVALID_TRANSITIONS),
    Row("sound rows in a trace", lambda: traced(lambda s, p: (s, p)), status=jc.Status.CONVERGED),
    Row(
        "a map from very far", lambda: (plan(1e4), plan(1e9)), finds=lambda m: len(m[0]) == len(m[1]) and m[1].complete
    ),
    Row("a map from too far", lambda: plan(1e15), finds=lambda m: not m.complete and not m.stopped),
    Row("a map of an infinite extent", lambda: plan(np.inf), says="extent is"),
    Row("a map whose rewards overflow", lambda: plan(1e308), says="larger than float64 can hold"),
    Row(
        "a tolerance of NaN", lambda: jc.nearest_cliff(mdp(), tie_tolerance=np.nan), says="must not be negative or NaN"
    ),
    Row(
        "a negative tolerance",
        lambda: jc.cliffs_along(mdp(), None, PLANE[0], tie_tolerance=-1.0),
        says="not be negative",
    ),
    Row(
        "a tolerance that is a word",
        lambda: jc.policy_map(mdp(), None, *PLANE, tie_tolerance="no"),
        says="tie_tolerance",
    ),
    Row("a tolerance per reward", lambda: acts(mdp(), [1e-3, 1e-3]), says="one number or one per lane"),
    Row(
        "exact ties of a long chain under a tolerance of 0",
        lambda: acts(jc.problems.chain(40, discount=0.999), 0.0),
        finds=lambda a: not (a.optimal & a.suboptimal).any() and a.optimal[:, 1].all(),
    ),
]

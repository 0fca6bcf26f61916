"""Optimal actions of rewards on the host, certified: what geometry begins with.

Sweeps of value iteration, then policy iteration, then the certificate of `solvers.bounds`: Q* is enclosed by how little
one more backup changes. Many rewards at a time are faster in the compiled solver; few are done here before it is
compiled.
"""

import jax
import numpy as np

from jaxcliff.core.devices import float64
from jaxcliff.core.numerics import placed
from jaxcliff.geometry.beside import Ties
from jaxcliff.geometry.cones import Array, Cones
from jaxcliff.policies import ActionSets, optimal_actions, sets
from jaxcliff.solvers.batch import Status
from jaxcliff.solvers.solve import solve

WORK = 2**25  # multiplications of policies' linear solves: a tenth of a second, where compiling takes one and more
ORDINARY = 1e100  # rewards within this of 1: nothing overflows, and nothing is lost below the smallest number


def optimal_sets(cones: Cones, rewards: Array, tie_tolerance: float) -> ActionSets:
    """The optimal actions of rewards [..., S, A], in numpy; a reward that cannot be solved is refused."""
    clean = cones.clean(rewards)
    lanes, largest = clean.size // cones.counts.size, np.abs(clean).max(axis=(-2, -1))
    ordinary = ((largest == 0) | ((largest > 1 / ORDINARY) & (largest < ORDINARY))).all()  # False where there is NaN
    ordinary &= np.shape(tie_tolerance) in ((), clean.shape[:-2])
    return (_here if ordinary and lanes * cones.work <= WORK else _compiled)(cones, rewards, tie_tolerance)


def _here(cones: Cones, rewards: Array, tie_tolerance: float) -> ActionSets:
    clean = cones.clean(rewards)
    lanes = clean.reshape(-1, *cones.counts.shape)
    gap, bound = cones.in_blocks(lambda some: cones.optimal_gaps(optimal_policies(cones, some), some), lanes)
    span = Ties(cones, 0).spans(lanes[:, None], np.ones((len(lanes), 1)))
    gap, bound = np.where(cones.legal, gap, np.inf).reshape(clean.shape), bound.reshape(clean.shape)
    legal = np.broadcast_to(cones.legal, clean.shape)
    acts = sets.decided(gap, bound, legal, tie_tolerance * span.reshape(clean.shape[:-2]))
    return sets.settled(acts, cones.mdp, clean)


def optimal_policies(cones: Cones, rewards: Array) -> Array:
    """A policy for each clean reward, [F, S], that is optimal up to rounding."""
    everything = np.broadcast_to(cones.counts, rewards.shape)
    return Ties(cones, 0).improved(cones.swept(rewards), rewards[:, None], np.ones((len(rewards), 1)), everything)


def _compiled(cones: Cones, rewards: Array, tie_tolerance: float) -> ActionSets:
    with float64():
        sol = solve(cones.mdp, placed(rewards))
        found = jax.tree.map(np.asarray, sol)
    failed = found.status > Status.ROUNDING_FLOOR
    if failed.any():
        lane = tuple(int(i) for i in np.argwhere(failed)[0])
        raise ValueError(f"reward {lane} could not be solved: {sol[lane].summary() if lane else sol.summary()}")
    return optimal_actions(found.replace(origin=sol.origin), tie_tolerance)

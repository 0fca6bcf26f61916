"""The limits of soft policies as their strength goes to 0: selections that look at what is optimal later on."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcliff.core import checks
from jaxcliff.core.numerics import one_program
from jaxcliff.core.types import Policies, PolicyLike, Word
from jaxcliff.model.mdp import MDP
from jaxcliff.operators.regularizers import KL
from jaxcliff.policies.selections import where_solved
from jaxcliff.policies.sets import ActionSets, either
from jaxcliff.solvers.solve import solve


@checks.public
def entropy_limit(acts: ActionSets, mdp: MDP, *, undecided: Word = "include") -> Policies:
    """The limit α → 0 of the entropy-regularised policy: optimal actions, weighed by what is optimal after them.

        π(a|s) ∝ 1{a optimal} e^{γ(PH)(s,a)},   H(s) = log Σ_{a optimal} e^{γ(PH)(s,a)}

    At discount 1 with deterministic transitions it is uniform over optimal *trajectories*. It equals `uniform` in
    bandits, not in general. A choice within a state depends on the states after it; a lane in which one has no
    candidate is NaN.
    """
    return _trajectory_limit(acts, mdp, np.ones(acts.gap.shape, acts.gap.dtype), undecided)


@checks.public
def kl_limit(acts: ActionSets, mdp: MDP, base: PolicyLike, *, undecided: Word = "include") -> Policies:
    """The limit β → 0 of the KL-regularised policy: the optimal policy whose *trajectories* are closest to the base's.

        π(a|s) ∝ 1{a optimal} b(a|s) e^{−γ(PK)(s,a)},   K(s) = −log Σ_{a optimal} b(a|s) e^{−γ(PK)(s,a)}

    On a tree at discount 1 it is the base conditioned on an optimal outcome, and K the price in nats. It equals
    `closest_to` in bandits, not in general. The action sets must be those of the problem without the actions of base
    mass 0; a lane in which a state has no candidate with mass, or
    whose base is no distribution over legal actions, is NaN.
    """
    base = checks.array(base, "the base policy")
    if base.ndim < 2 or base.shape[-2:] != acts.gap.shape[-2:]:
        raise ValueError(
            f"the base policy must have shape [..., {', '.join(map(str, acts.gap.shape[-2:]))}], not {list(base.shape)}"
        )
    _check_same(acts, mdp)
    base = jnp.where(mdp.decisions, base, 0).astype(acts.gap.dtype)
    proper = (jnp.abs(jnp.sum(base, axis=-1) - 1) <= 1e-5) & jnp.all(base >= 0, axis=-1)
    if mdp.terminal is not None:
        proper |= mdp.terminal
    sound = jnp.all(proper, axis=-1)[..., None, None]
    return jnp.where(sound, _trajectory_limit(acts, mdp, base, undecided), jnp.nan)


def _trajectory_limit(acts: ActionSets, mdp: MDP, weight: Any, undecided: Word) -> Policies:
    """Restricted to optimal actions the reward no longer matters, and the bonus of the regulariser decides alone.

    H is the value of KL regularisation of strength 1 towards the restricted weights, with their lost mass as reward.
    """
    _check_same(acts, mdp)
    reward, base = _restricted(acts.parts(undecided), weight)
    limit = solve(mdp, reward, regularizer=KL(np.ones((), reward.dtype), base)).policy
    return where_solved(acts.gap_bound, limit)


@one_program
def _restricted(parts: Any, weight: Any) -> tuple[Any, Any]:
    """The log of what the candidates weigh together, and their shares."""
    mass = jnp.where(either(parts), weight, 0)
    total = jnp.sum(mass, axis=-1, keepdims=True)
    covered = total > 0
    reward = jnp.broadcast_to(jnp.log(jnp.where(covered, total, 1)), mass.shape)
    return reward, mass / jnp.where(covered, total, 1)  # a row of zeros is no distribution: its lane ends as NaN


def _check_same(acts: ActionSets, mdp: MDP) -> None:
    if acts.gap.shape[-2:] != mdp.reward.shape:
        raise ValueError(f"these action sets are of another problem: they have shape {list(acts.gap.shape)}")

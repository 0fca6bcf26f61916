"""A learner of the user's own, measured beside the optimum: how far its policy moves, and what it gives away."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxcliff import metrics
from jaxcliff.core import checks
from jaxcliff.core.numerics import placed
from jaxcliff.model.mdp import MDP

Learner = Callable[[MDP, Any, Any], Any]  # (problem, rewards [B, S, A], key) -> policies [B, S, A]
NOT_NORMALISED = 1e-3


class Learned(NamedTuple):
    """What a learner does with rewards [B, S, A], against what it does with a base reward.

    `tv` is the largest total variation over states to the policy of the base, [B]; `regret` what each policy gives away
    under its own reward, [B]; `base_regret` the same for the base.
    """

    tv: np.ndarray
    regret: np.ndarray
    base_regret: float


def ready(learner: Learner | None, key: Any) -> Any:
    """The key, checked; and that there is one for a learner, which can be called."""
    if learner is not None and not callable(learner):
        raise ValueError(f"learner must be a function (mdp, rewards, key) → policies, not {checks.shown(learner)}")
    if learner is not None and key is None:
        raise ValueError("a learner is given a random key: key=…, such as jax.random.key(0)")
    return None if key is None else checks.random_key(key)


def learn(learner: Learner, mdp: MDP, base: Any, rewards: Any, key: Any) -> Learned:
    """Asks the learner once for the base and all rewards."""
    rewards = np.concatenate([np.asarray(base)[None], np.asarray(rewards)]).astype(mdp.dtype)
    policies = asked(learner, mdp, rewards, key)
    regret = np.asarray(metrics.regret(mdp, policies, placed(rewards)))
    tv = np.asarray(metrics.largest_total_variation(policies[1:], policies[0]))
    return Learned(tv, regret[1:], float(regret[0]))


def asked(learner: Learner, mdp: MDP, rewards: Any, key: Any) -> np.ndarray:
    """What the learner makes of rewards [B, S, A]: distributions over legal actions."""
    rewards = placed(np.asarray(rewards).astype(mdp.dtype))
    found = checks.array(learner(mdp, rewards, ready(learner, key)), "what the learner returns")
    if found.shape != rewards.shape:
        raise ValueError(
            f"a learner takes rewards of shape {list(rewards.shape)} and must return policies of the same shape, not "
            f"{list(found.shape)}"
        )
    policies = np.asarray(found).astype(mdp.dtype)
    legal = True if mdp.legal is None else np.asarray(mdp.legal)
    sums = np.sum(np.where(legal, policies, 0), axis=-1)
    whole = (np.abs(sums - 1) <= NOT_NORMALISED) & np.all(policies >= -NOT_NORMALISED, axis=-1)
    for lane, state in np.argwhere(~whole)[:1]:
        raise ValueError(
            f"a learner must return distributions over legal actions; for reward {lane}, {mdp.labels.state(state)} it "
            f"returned {policies[lane, state].tolist()}"
        )
    return policies

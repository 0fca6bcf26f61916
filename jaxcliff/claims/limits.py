"""What is left when regularisation vanishes (Sections 3.4 and 4.4): a selection, and a cliff all the same."""

from typing import Any

import numpy as np

from jaxcliff import policies
from jaxcliff.claims import instances as draw
from jaxcliff.claims.continuity import acts_of
from jaxcliff.claims.entropy import soft
from jaxcliff.claims.framework import U
from jaxcliff.claims.jumps import bumped, with_base
from jaxcliff.claims.registry import Batch, Found, claim
from jaxcliff.model.mdp import MDP
from jaxcliff.rewards.inverse import inverse_bellman
from jaxcliff.solvers.evaluate import occupancy

SECTION = "Vanishing regularisation"


def _few_ties(rng: Any, count: int) -> Batch:
    mdp, arrays = draw.ties(rng, min(count, 16))
    return Batch(mdp, {"q": arrays["q"], "base": rng.dirichlet(np.ones(4), size=(len(arrays["q"]), mdp.num_states))})


def _weak(mdp: MDP, q: Any, base: Any = None) -> tuple[Any, Any, Any]:
    """(sets of optimal actions, a soft policy that gives rivals, .2 behind at least, e⁻⁴⁰, and its error)."""
    rewards = np.asarray(inverse_bellman(mdp, q))
    strength = np.full(len(q), 0.2 / 40)
    policy, wrong, _ = soft(mdp, rewards, strength, base)
    return acts_of(mdp, rewards), policy, wrong


@claim(
    "3.4 limit",
    "As KL vanishes the policy does not become the base over optimal actions, but weighs what follows them, too.",
    formula="TV(π_β, π_0) → 0 with π_0 ∝ 1{optimal} b e^{−γPK}",
    kind="exact",
    source="new",
    instances=_few_ties,
)
def the_limit_of_kl(mdp: MDP, q: Any, base: Any) -> Found:
    acts, policy, wrong = _weak(mdp, q, base)
    limit = np.asarray(policies.kl_limit(acts, mdp, base))
    beyond = mdp.num_actions * np.exp(-40.0) / base.min(axis=(1, 2)) * float(mdp.steps)
    return Found(np.abs(policy - limit).sum(-1).max(-1) / 2, 0.0, wrong + beyond + 64 * U * float(mdp.steps))


def _forked_ties(rng: Any, count: int) -> Batch:
    """A choice between one optimal leaf and three: uniform over actions is not uniform over sequences."""
    mdp = draw.tree(rng, depth=2)
    rewards = np.zeros((count, *mdp.reward.shape))
    value = rng.uniform(0.5, 1.5, size=count)
    rewards[:, 1, 0], rewards[:, 2, :] = value, value[:, None]
    return Batch(mdp, {"rewards": rewards})


@claim(
    "4.7 limit uniform",
    "As entropy vanishes the policy becomes uniform over the optimal actions of every state.",
    formula="TV(π_α, uniform over optimal actions) → 0",
    kind="refuted",
    instances=_forked_ties,
    told="true in bandits; in general π ∝ 1{optimal} e^{γPH}: one leaf against three gives ¼ to ¾",
)
def the_limit_of_entropy_is_not_uniform(mdp: MDP, rewards: Any) -> Found:
    acts = acts_of(mdp, rewards)
    policy, wrong, _ = soft(mdp, rewards, np.full(len(rewards), 0.5 / 40))
    uniform = np.asarray(policies.uniform(acts))
    return Found(np.abs(policy - uniform)[:, 0].sum(-1) / 2, 0.0, wrong)


@claim(
    "4.7 limit",
    "As entropy vanishes an optimal action is weighed by how much is optimal after it.",
    formula="TV(π_α, π_0) → 0 with π_0 ∝ 1{optimal} e^{γPH}",
    kind="exact",
    source="corrected",
    instances=_forked_ties,
)
def the_limit_of_entropy(mdp: MDP, rewards: Any) -> Found:
    acts = acts_of(mdp, rewards)
    policy, wrong, _ = soft(mdp, rewards, np.full(len(rewards), 0.5 / 40))
    limit = np.asarray(policies.entropy_limit(acts, mdp))
    reached = np.asarray(mdp.decisions).any(-1) & (rewards[0].max(-1) > 0) | (np.arange(mdp.num_states) == 0)
    return Found(np.abs(policy - limit)[:, reached].sum(-1).max(-1) / 2, 0.0, wrong + 9 * np.exp(-40.0))


@claim(
    "3.4 limit jumps",
    "The limit of vanishing KL breaks ties by what it is close to, and is a cliff all the same.",
    formula="TV at the tied state = 1 − π_0(a), a the action that is raised",
    kind="exact",
    source="new",
    instances=lambda rng, count: with_base(rng, count),
)
def the_limit_of_kl_jumps(mdp: MDP, q: Any, tied: Any, raised: Any, size: Any, base: Any) -> Found:
    before, after, _ = bumped(mdp, q, raised, size)
    one, two = (np.asarray(policies.kl_limit(acts_of(mdp, r), mdp, base))[:, 0] for r in (before, after))
    own = one[np.arange(len(q)), raised]
    return Found(np.abs(two - one).sum(-1) / 2, 1 - own, 64 * U * float(mdp.steps))


def _conditioned(rng: Any, count: int) -> Batch:
    mdp = draw.tree(rng, depth=2)
    values = draw.leaves(mdp) * (rng.random((count, *mdp.reward.shape)) < 0.4)
    values[:, 1, 0] = 1.0
    return Batch(mdp, {"rewards": values, "base": rng.dirichlet(np.ones(3), size=(count, mdp.num_states))})


@claim(
    "3.4 sequences",
    "In a tree of tokens the limit of vanishing KL is the base policy, given that its outcome is optimal.",
    formula="π_0(y) = b(y | y optimal)",
    kind="exact",
    source="new",
    instances=_conditioned,
    mutant=lambda found: found._replace(bound=found.bound + 0.02),
)
def the_limit_of_kl_is_the_base_conditioned(mdp: MDP, rewards: Any, base: Any) -> Found:
    ends = draw.leaves(mdp)
    limit = np.asarray(occupancy(mdp, policies.kl_limit(acts_of(mdp, rewards), mdp, base))) * ends
    own = np.asarray(occupancy(mdp, base)) * ends * (rewards == 1)
    own /= own.sum(axis=(1, 2), keepdims=True)
    return Found(np.abs(limit - own).sum(axis=(1, 2)), 0.0, 256 * U)

"""Problems with one decision: bandits, and bandits with contexts."""

from jaxcliff.core import checks
from jaxcliff.core.labels import Labels
from jaxcliff.core.types import NumbersLike, RewardLike
from jaxcliff.model.mdp import MDP


def bandit(rewards: NumbersLike) -> MDP:
    """One state, no next state. Q is the reward; the distance to the nearest cliff is half the smallest gap.

    >>> import jaxcliff as jc
    >>> jc.solve(jc.problems.bandit([0.2, 0.9])).values.tolist() == jc.problems.bandit([0.2, 0.9]).reward[:, 1].tolist()
    True
    """
    rewards = checks.array(rewards, "rewards")
    if rewards.ndim != 1:
        raise ValueError(f"a bandit has rewards of shape [A], not {list(rewards.shape)}")
    return MDP(None, rewards[None], labels=Labels(name="bandit"))


def contextual_bandit(
    reward: RewardLike, *, legal: NumbersLike | None = None, initial: NumbersLike | None = None
) -> MDP:
    """One decision per context, its reward [S, A]; `initial` is how often each context occurs. Q is the reward."""
    return MDP(None, reward, initial=initial, legal=legal, labels=Labels(name="contextual bandit"))

"""A learner: from rewards to the policies that so many steps of a policy gradient make of them, noise included.

A step samples groups of answers, makes advantages of their rewards, and moves the logits by

    Δz = η·Σ coefficient·∇log π,   coefficient = A·ratio (clipped) − β·c(log π/b)

with the parts of `advantages`, `tokens` and `leashes`. All of it is one program, of which seeds, rewards and numbers
(rates, strengths, noise) are arguments.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxcliff.core import checks
from jaxcliff.core.records import assign, record, static
from jaxcliff.core.types import Dataset, Key, Number, NumbersLike, Policies, RewardLike, RewardsLike
from jaxcliff.learners.advantages import Estimator, estimator_of
from jaxcliff.learners.leashes import Bonus, InReward, Loss, Resampled
from jaxcliff.learners.rollouts import length_of
from jaxcliff.learners.sharing import shared
from jaxcliff.learners.training import Course, trained
from jaxcliff.model.mdp import MDP

GRADIENTS = ("sampled", "exact", "natural")
NEVER = 1e9  # a clip that is never reached
POINTS = 32


@record
class Learner:
    """How policies are learned; called like every learner: (mdp, rewards [..., S, A], key) → policies [..., S, A].

    Attributes:
        rate: η, of the optimiser.
        steps: how many.
        gradient: "sampled" from groups; "exact", of the return; "natural", mirror descent (tabular policies only).
        group: G, answers of a group; prompts: groups of a step (of a bandit, one for each context).
        advantage: a name or function of `jc.learners.advantages`.
        separately: every reward gets an advantage of its own before they are mixed (GDPO).
        clip: (low, high), how far the ratio to the policy that was sampled may go before a sample counts no more.
        epochs: steps that are taken on the same samples.
        tokens: one or several of `jc.learners.tokens`: what is done to the gradient of single tokens.
        leash: one or several of `jc.learners.leashes`.
        noise: standard deviation of what is added to every sampled reward; none if not given.
        coin: that noise is ±σ, each with probability ½, and not normal.
        base: the policy from which it starts and to which leashes hold it; uniform over what is legal if not given.
        weights: of several rewards, [N]: then rewards are [..., N, S, A].
        parameters: one of `jc.learners.parameters`; the logits themselves if not given.
        optimiser: from a rate to an optax transformation; plain ascent if not given.
        length: steps of a trajectory; if not given, a tree's depth, and of a chain until what follows counts little.
    """

    rate: Any
    clip: Any = (NEVER, NEVER)
    leash: Any = ()
    tokens: Any = ()
    noise: Any = None
    base: Any = None
    weights: Any = None
    parameters: Any = None
    steps: Any = 1000
    gradient: str = static(default="sampled")
    group: Any = static(default=8)
    prompts: Any = static(default=1)
    advantage: str | Estimator = static(default="mean")
    separately: Any = static(default=False)
    epochs: Any = static(default=1)
    coin: Any = static(default=False)
    length: Any = static(default=None)
    optimiser: Callable[[Any], optax.GradientTransformation] | None = static(default=None)

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("group", 1), ("prompts", 1), ("epochs", 1), ("length", 1)):
            given = getattr(self, name)
            if not (given is None or isinstance(given, jax.core.Tracer)):
                checks.whole(given, name, least)
        if self.gradient not in GRADIENTS:
            raise ValueError(f"gradient must be one of {', '.join(GRADIENTS)}, not {checks.shown(self.gradient)}")
        if self.gradient == "natural" and (self.parameters is not None or self.optimiser is not None):
            raise ValueError("the natural gradient is that of a tabular policy and plain ascent: leave parameters out")
        assign(self, leash=_several(self.leash), tokens=_several(self.tokens))
        if self.gradient != "sampled" and (self.tokens or any(isinstance(x, Resampled) for x in self.leash)):
            raise ValueError(f"the {self.gradient} gradient samples nothing: leave tokens and resampling out")
        estimator_of(self.advantage)
        for leash in self.leash:
            if not isinstance(leash, InReward | Loss | Bonus | Resampled):
                raise ValueError(f"a leash is one of jc.learners.leashes, not {checks.shown(leash)}")
        for token in self.tokens:
            if not callable(token):
                raise ValueError(f"tokens are weighed by one of jc.learners.tokens, not {checks.shown(token)}")
        if self.separately and self.weights is None:
            raise ValueError("rewards that get advantages of their own need weights=, and rewards [..., N, S, A]")

    def for_problems(self, *problems: MDP) -> "Learner":
        """The same with the length of trajectories that these problems need: a program cannot read it off numbers."""
        if self.length is not None or self.gradient != "sampled":
            return self
        return dataclasses.replace(self, length=max(length_of(mdp) for mdp in problems))

    def __call__(self, mdp: MDP, rewards: RewardsLike, key: Key) -> Policies:
        """The policies that it learns, a seed of its own for each reward."""
        return self._trained(mdp, rewards, key, jnp.asarray(self.steps)[None]).policies[..., 0, :, :]

    def course(self, mdp: MDP, rewards: RewardsLike, key: Key, *, points: NumbersLike = POINTS) -> Policies:
        """Its policies on the way, [..., P, S, A].

        `points` is how many steps of the way, equally far apart, with the base before them (so that P = points + 1);
        or after which steps, a list of P whole numbers.
        """
        return self._trained(mdp, rewards, key, jnp.asarray(_points(points, self.steps))).policies

    def run(
        self,
        mdp: MDP,
        rewards: RewardsLike,
        key: Key,
        *,
        points: NumbersLike = POINTS,
        true_reward: RewardLike | None = None,
        near: Number = 1e-3,
    ) -> Dataset:
        """The course of its training as a dataset over `reward` (the lanes) and `step`.

        Args:
            mdp: the problem.
            rewards: [..., S, A], of which each lane has one; with several weights [..., N, S, A].
            key: a JAX random key.
            points: as in `course`.
            true_reward: [S, A], under which returns are measured as well.
            near: a group is nearly dead if its rewards are not all the same, but lie within this share of the largest
                span of the rewards.

        Returns:
            `policy`; `entropy` and `kl` to the base, summed over an episode; `return`, and `true_return`. Of a learner
            that samples groups, over the steps since the point before: the share of `dead` groups, whose rewards are
            all the same, and of those `near`ly dead; the mean and largest size of an advantage. At the points
            themselves: `advantage_std`, and `advantage_noise`, how far rounding puts an advantage of that group off.
        """
        from jaxcliff.learners.course import as_dataset

        at = _points(points, self.steps)
        several = np.asarray(checks.array(rewards, "rewards"))
        span = float(np.nanmax(several) - np.nanmin(several)) if several.size else 0.0
        bound = checks.number(near, "near") * span
        found = self._trained(mdp, rewards, key, jnp.asarray(at), near=bound, watched=self.gradient == "sampled")
        return as_dataset(self, mdp, several, found, at, true_reward)

    def _trained(
        self, mdp: MDP, rewards: Any, key: Any, at: Any, *, near: float = 0.0, watched: bool = False
    ) -> Course:
        rewards = jnp.asarray(rewards)
        own = 2 if self.weights is None else 3
        if rewards.shape[-2:] != mdp.reward.shape or rewards.ndim < own:
            raise ValueError(f"rewards have shape {list(rewards.shape)}; expected [..., {_shape(mdp, own)}]")
        lead = rewards.shape[:-own]
        flat = rewards.reshape(-1, *((1,) if own == 2 else ()), *rewards.shape[-own:]).astype(mdp.dtype)
        keys = jax.random.split(checks.random_key(key), flat.shape[0])

        def program(flat: Any, keys: Any) -> Course:
            return trained(self, mdp, flat, keys, at, jnp.asarray(near, mdp.dtype), watched=watched)

        found = shared(program, flat, keys)
        return jax.tree.map(lambda x: x.reshape(*lead, *x.shape[1:]), found)


def _several(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, tuple | list) else (given,)


def _points(points: Any, steps: Any) -> np.ndarray:
    """After which steps."""
    if np.ndim(points) == 0:
        count = min(checks.whole(points, "points", 1), max(int(steps), 1))
        return np.arange(count + 1) * int(steps) // count
    at = np.asarray(checks.array(points, "points")).astype(int)
    if at.ndim != 1 or not len(at) or (np.diff(at, prepend=0) < 0).any():
        raise ValueError(f"points are numbers of steps that do not go down, not {checks.shown(points)}")
    return at


def _shape(mdp: MDP, axes: int) -> str:
    states, actions = mdp.reward.shape
    return f"{'N, ' if axes == 3 else ''}{states}, {actions}"

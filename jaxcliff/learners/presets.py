"""Learners by the names under which they are known; every argument of `Learner` can be given besides."""

import functools
from typing import Any

import optax

from jaxcliff.core.types import Number, Word
from jaxcliff.learners.advantages import FLOORS, Conditional, Consistent, leave_one_out, normalised
from jaxcliff.learners.learner import Learner
from jaxcliff.learners.leashes import k3, resampled
from jaxcliff.learners.tokens import Virtual


def _preset(options: dict[str, Any], **defaults: Any) -> Learner:
    return Learner(**(defaults | options))


def reinforce(**options: Any) -> Learner:
    """REINFORCE without a baseline."""
    return _preset(options, rate=0.05, advantage="raw")


def npg(**options: Any) -> Learner:
    """The natural policy gradient with exact values: mirror descent, z ← z + η·A."""
    return _preset(options, rate=0.05, gradient="natural")


def rloo(**options: Any) -> Learner:
    """REINFORCE with the mean of the other answers as a baseline."""
    return _preset(options, rate=0.05, advantage="others")


def dr_grpo(**options: Any) -> Learner:
    """GRPO without the division by the standard deviation."""
    return _preset(options, rate=0.05, advantage="mean")


def grpo(**options: Any) -> Learner:
    """GRPO as TRL has it: standard deviation of the group with a floor of 1e-4, clip .2."""
    return _preset(options, rate=0.05, advantage="std", clip=(0.2, 0.2))


def gdpo(**options: Any) -> Learner:
    """GDPO: every reward normalised in its group, then over the step."""
    return _preset(options, rate=0.05, advantage="std", separately=True)


def ppo(**options: Any) -> Learner:
    """PPO's clipped surrogate on groups: four passes over the samples, the mean of the others as a baseline."""
    return _preset(options, rate=0.05, advantage=leave_one_out, clip=(0.2, 0.2), epochs=4)


def aepo(entropy: Number = 0.5, **options: Any) -> Learner:
    """GRPO whose entropy is held at a target, by good answers sampled at other temperatures (AEPO)."""
    return _preset(options, rate=0.05, advantage="std", clip=(0.2, 0.2), leash=resampled(entropy))


def dcpo(entropy: Number = 0.5, **options: Any) -> Learner:
    """GRPO whose entropy is held at a target, by weights of the tokens of good answers (distribution-centric PO)."""
    return _preset(options, rate=0.05, advantage="std", clip=(0.2, 0.2), tokens=Virtual(entropy))


def canon(metric: Word = "entropy", **options: Any) -> Learner:
    """CANON: answers against the other half of their group, by their entropy or length; no standard deviation."""
    return _preset(options, rate=0.05, advantage=Conditional(metric), group=16, clip=(0.2, 0.28))


def copo(**options: Any) -> Learner:
    """COPO: groups that agree learn from how they compare with those of other prompts."""
    return _preset(options, rate=0.05, advantage=Consistent(), prompts=8, clip=(0.2, 0.2))


def _adam(rate: Any) -> optax.GradientTransformation:
    return optax.adam(rate, b1=0.9, b2=0.95)


def openrlhf_v_2507_20150(**options: Any) -> Learner:
    """The configuration of the paper (Table 2), as far as it concerns a table of logits.

    Groups of 8, group_norm with a floor of 1e-9, clip .2, k3 of .001 as a loss, Adam (.9, .95). Its rate of 1e-6 is for
    weights of a network: what suits logits is for the user to say (`rate`).
    """
    advantage = functools.partial(normalised, floor=FLOORS["OpenRLHF"])
    return _preset(options, rate=1e-6, group=8, advantage=advantage, clip=(0.2, 0.2), leash=k3(0.001), optimiser=_adam)

"""Learners: stochastic maps from rewards to policies, as optimisation with noise makes them.

lrn = jc.learners.grpo(rate=0.05, group=8, leash=jc.learners.leashes.k3(0.001))
policies = lrn(mdp, rewards, key)
"""

from jaxcliff.learners import advantages, leashes, parameters, tokens
from jaxcliff.learners.advantages import advantage_noise
from jaxcliff.learners.learner import Learner
from jaxcliff.learners.presets import (
    aepo,
    canon,
    copo,
    dcpo,
    dr_grpo,
    gdpo,
    grpo,
    npg,
    openrlhf_v_2507_20150,
    ppo,
    reinforce,
    rloo,
)

__all__ = [
    "Learner",
    "advantage_noise",
    "advantages",
    "aepo",
    "canon",
    "copo",
    "dcpo",
    "dr_grpo",
    "gdpo",
    "grpo",
    "leashes",
    "npg",
    "openrlhf_v_2507_20150",
    "parameters",
    "ppo",
    "reinforce",
    "rloo",
    "tokens",
]


def __dir__() -> list[str]:
    return list(__all__)

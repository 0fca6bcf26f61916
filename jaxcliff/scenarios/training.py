"""The paper's training configuration in a choice of two: what a KL of .001 and group normalisation make of a gap."""

import math
from typing import Any

import numpy as np
from scipy import optimize, stats

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, RewardParts, Scenario, Setting, logit, sigmoid

STRENGTH = 0.001  # of the k3 loss in the paper's table 2


def kl_gap(share: float, base_share: float, strength: float = STRENGTH) -> float:
    """β(logit p − logit b): the gap at which KL in the reward leaves a share of p."""
    return float(strength * (logit(share) - logit(base_share)))


def k3_gap(share: float, base_share: float, strength: float = STRENGTH) -> float:
    """β(p − b)/(p(1 − p)): the same for k3 as a loss, whose gradient is that of the forward divergence KL(b‖π).

    Its coefficient is 1 − b/π on average, so that π = βb/(λ − r): two arms with gap g = β(b₂/π₂ − b₁/π₁).
    """
    return strength * (share - base_share) / (share * (1 - share))


def normalised_pull(share: float, group: int, biased: bool = True) -> float:
    """E√(k/G(1 − k/G)), k ~ Bin(G, p): how hard group-normalised rewards of two values pull, whatever their gap."""
    k = np.arange(group + 1)
    spread = np.sqrt(k / group * (1 - k / group)) * (1 if biased else math.sqrt((group - 1) / group))
    return float(np.sum(stats.binom.pmf(k, group, share) * spread))


def left_over(base_share: float, group: int = 8, strength: float = STRENGTH, biased: bool = True) -> float:
    """1 − p where that pull and the k3 leash balance, E√(k/G(1 − k/G)) = β(p − b): about β(1 − b)/√(G − 1).

    Division by the standard deviation makes it independent of the gap, down to the floor that is added to it.
    """

    def balance(log_rest: float) -> float:
        rest = math.exp(log_rest)
        return normalised_pull(1 - rest, group, biased) - strength * (1 - rest - base_share)

    return math.exp(optimize.brentq(balance, math.log(1e-9), math.log(0.5), xtol=1e-13))


def problem(k: Setting, reward: Any) -> MDP:
    """One prompt, two answers."""
    return MDP(None, reward, labels=Labels(["prompt"], ["rest", "preferred"], name="training configuration"))


def parts(k: Setting) -> RewardParts:
    """A gap between two answers, and nothing else; wanted is the same."""
    preferred = np.array([[0.0, 1.0]])
    return RewardParts(
        names=("preferred",),
        parts=preferred[None],
        weights=(k.gap,),
        true=k.gap * preferred,
        directions={"gap": preferred},
    )


def base(k: Setting) -> Any:
    """A small share of the answer that is preferred."""
    return np.array([[1 - k.base_share, k.base_share]])


def threshold(k: Setting) -> float:
    """0: the hard optimum follows the sign of the gap."""
    return 0.0


def heights(k: Setting) -> Heights:
    """A jump by everything."""
    return Heights(0, 0.5, 1)


def soft(k: Setting, strength: float) -> float:
    """σ(logit b + g/β)."""
    return float(sigmoid(logit(k.base_share) + k.gap / strength))


SCENARIO = Scenario(
    name="training",
    title="The training configuration",
    claim="The models are trained on groups of eight answers, with group-normalised advantages and a k3 loss of .001.",
    source="table 2",
    knobs=(
        Knob("gap", 0.0046, -0.2, 0.2, "g, by how much the preferred answer is better"),
        Knob("base_share", 0.01, 1e-4, 0.9, "b, of the preferred answer before training"),
        Knob("group", 8, 2, 64, "G, answers per prompt", whole=True),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"gap": threshold},
        heights=heights,
        measured={"preferred": lambda policy, k: policy[..., 0, 1]},
        soft=soft,
    ),
    strength=STRENGTH,
    doubts=(
        "The table is a configuration, and the paper shows no chart of it: there is nothing to compare with.",
        "With KL in the reward a share of .01 becomes ½ at a gap of 4.6 β = .0046 and .99 at 9.2 β = .0092. The "
        "paper's k3 is a loss and leashes by the forward divergence: ½ at 1.96 β, but .99 only at 99 β = .099.",
        "With group normalisation the gap cancels: whatever it is, all but 4e-4 goes to the better answer, and the "
        "leash of .001 does not restore continuity.",
    ),
)

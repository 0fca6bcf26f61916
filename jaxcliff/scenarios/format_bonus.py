"""A snap of format: answers in several formats are equally correct, and one of them is given a small bonus."""

from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, RewardParts, Scenario, Setting, logit, sigmoid


def width(strength: float, low: float = 0.1, high: float = 0.9) -> float:
    """β(logit p₂ − logit p₁): the range of bonuses in which KL takes the share from p₁ to p₂; 4.39 β from .1 to .9."""
    return float(strength * (logit(high) - logit(low)))


def problem(k: Setting, reward: Any) -> MDP:
    """One question, m formats."""
    names = ["JSON", *(f"format {i}" for i in range(2, k.formats + 1))]
    return MDP(None, reward, labels=Labels(["question"], names, name="format bonus"))


def parts(k: Setting) -> RewardParts:
    """Correctness, equal in all formats, and JSON; wanted is correctness."""
    correct, json = np.full((1, k.formats), k.correct), np.eye(k.formats)[:1]
    return RewardParts(
        names=("correct", "JSON"),
        parts=np.stack([correct, json]),
        weights=(1.0, k.bonus),
        true=correct,
        directions={"bonus": json},
    )


def base(k: Setting) -> Any:
    """JSON now and then, the others equally often."""
    return np.array([[k.base_share, *([(1 - k.base_share) / (k.formats - 1)] * (k.formats - 1))]])


def threshold(k: Setting) -> float:
    """0: all formats are equally correct, and any bonus decides."""
    return 0.0


def heights(k: Setting) -> Heights:
    """From 1/m on the tie to all: a jump by (m − 1)/m for an infinitesimal bonus."""
    return Heights(0, 1 / k.formats, 1)


def soft(k: Setting, strength: float) -> float:
    """σ(logit b + ε/β)."""
    return float(sigmoid(logit(k.base_share) + k.bonus / strength))


SCENARIO = Scenario(
    name="format_bonus",
    title="A bonus for a format",
    claim="An infinitesimal bonus for one of several equally correct formats makes the policy snap to it.",
    source="section 3.3",
    knobs=(
        Knob("bonus", 0.0, -0.1, 0.1, "ε, for JSON"),
        Knob("formats", 4, 2, 32, "m, how many formats there are", whole=True),
        Knob("correct", 0.6, 0, 1, "how often answers are correct, in any format"),
        Knob("base_share", 0.05, 1e-4, 0.9, "b, JSON before training"),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"bonus": threshold},
        heights=heights,
        measured={"JSON": lambda policy, k: policy[..., 0, 0]},
        soft=soft,
    ),
    strength=0.01,
    doubts=("The paper argues this case in words and shows no numbers: all values are ours.",),
)

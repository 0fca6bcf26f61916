"""A near tie under noise: two answers of nearly equal reward, and an optimiser that sees few samples of it."""

from typing import Any

import numpy as np

from jaxcliff import theory
from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, RewardParts, Scenario, Setting, sigmoid


def landing(k: Setting) -> float:
    """P(the better answer) = 1/(1 + exp(−L·ε·G/(ησ²))): where a sampled policy gradient lands from an even start.

    Of a softmax over two logits with the group's mean as baseline, in small steps: drift over diffusion of their
    difference is the same everywhere along it, so that it leaves [−L, L] as a Brownian motion with drift does. Where
    advantages are divided by s, the exponent is multiplied by s.
    """
    return float(theory.landing(k.distance, k.gap * k.group / (2 * k.rate * k.noise**2), 1.0))


def problem(k: Setting, reward: Any) -> MDP:
    """One question, two answers."""
    return MDP(None, reward, labels=Labels(["question"], ["other", "better"], name="near tie"))


def parts(k: Setting) -> RewardParts:
    """The gap, which noise of each sampled reward hides; wanted is the same."""
    better = np.array([[0.0, 1.0]])
    return RewardParts(
        names=("better",), parts=better[None], weights=(k.gap,), true=k.gap * better, directions={"gap": better}
    )


def base(k: Setting) -> Any:
    """Even."""
    return np.full((1, 2), 0.5)


def threshold(k: Setting) -> float:
    """0: the optimum follows the sign of the gap, and its learner follows it where noise lets it."""
    return 0.0


def heights(k: Setting) -> Heights:
    """A jump by everything."""
    return Heights(0, 0.5, 1)


def soft(k: Setting, strength: float) -> float:
    """σ(ε/β)."""
    return float(sigmoid(k.gap / strength))


SCENARIO = Scenario(
    name="near_tie",
    title="A near tie under noise",
    claim="Noise of the algorithm decides between answers that are nearly tied, so that equal runs end in different "
    "policies.",
    source="section 6.2",
    knobs=(
        Knob("gap", 0.01, -0.1, 0.1, "ε, by how much the better answer is better"),
        Knob("noise", 0.5, 0.05, 2, "σ, standard deviation of a sampled reward"),
        Knob("group", 8, 2, 64, "G, samples per step", whole=True),
        Knob("rate", 0.1, 0.001, 1, "η, of the learner"),
        Knob("distance", 4.0, 1, 8, "L, the logit at which it has decided"),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"gap": threshold},
        heights=heights,
        measured={"better": lambda policy, k: policy[..., 0, 1]},
        soft=soft,
    ),
    strength=0.01,
    doubts=("The paper argues this case in words and shows no numbers: all values are ours.",),
)

"""Spurious reasoning: think in steps, or guess and justify it afterwards; only the answer is paid for."""

from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Successors
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, RewardParts, Scenario, Setting, logit, sigmoid


def _steps_worth(k: Setting) -> float:
    """γ + … + γ^ℓ: what 1 per step is worth beforehand."""
    return float(np.sum(k.discount ** np.arange(1, k.steps + 1)))


def problem(k: Setting, reward: Any) -> MDP:
    """The question, ℓ steps, the justification of a shortcut, the end."""
    last, justify, end = k.steps, k.steps + 1, k.steps + 2
    after = np.full((end + 1, 2), end)
    after[0] = (1, justify)
    after[1:last, 0] = np.arange(2, last + 1)
    legal = np.zeros((end + 1, 2), bool)
    legal[:, 0], legal[[0, justify], 1] = True, True
    states = ["question", *(f"step {i}" for i in range(1, last + 1)), "justification", "end"]
    actions = [["reason", "shortcut"], *([["go on"]] * last), ["faithful", "post hoc"], ["end"]]
    return MDP(
        Successors(after[..., None]),
        reward,
        k.discount,
        initial=np.eye(end + 1)[0],
        legal=legal,
        terminal=np.arange(end + 1) == end,
        labels=Labels(states, actions, name="shortcut"),
    )


def parts(k: Setting) -> RewardParts:
    """The answer, the steps (a process reward), and their effort; wanted are answers that were reasoned."""
    correct, step = np.zeros((k.steps + 3, 2)), np.zeros((k.steps + 3, 2))
    correct[k.steps, 0], step[1 : k.steps + 1, 0] = k.reasoned, 1
    true = correct.copy()
    correct[0, 1] = k.guessed
    return RewardParts(
        names=("correct", "process", "effort"),
        parts=np.stack([correct, step, step]),
        weights=(1.0, k.process, -k.effort),
        true=true,
        directions={"process": step, "effort": -step},
    )


def base(k: Setting) -> Any:
    """A share of shortcuts, justified either way."""
    found = np.tile([1.0, 0.0], (k.steps + 3, 1))
    found[0], found[k.steps + 1] = (1 - k.base_share, k.base_share), (0.5, 0.5)
    return found


def threshold(k: Setting) -> float:
    """v* = e + (p_s − γ^ℓ p_r)/(γ + … + γ^ℓ); without a discount e + (p_s − p_r)/ℓ.

    The shortcut is worth p_s. Reasoning is worth γ^ℓ p_r, paid on the last of ℓ steps, and v − e for each of them. The
    justification afterwards earns nothing either way: it ties, whatever v is.
    """
    return k.effort + (k.guessed - k.discount**k.steps * k.reasoned) / _steps_worth(k)


def effort_threshold(k: Setting) -> float:
    """e* = v − (p_s − γ^ℓ p_r)/(γ + … + γ^ℓ), of the same equation: 0 for equal chances without discount and v."""
    return k.process - (k.guessed - k.discount**k.steps * k.reasoned) / _steps_worth(k)


def heights(k: Setting) -> Heights:
    """A jump by everything."""
    return Heights(1, 0.5, 0)


def soft(k: Setting, strength: float) -> float:
    """σ(logit b + (p_s − γ^ℓ p_r − (v − e)(γ + … + γ^ℓ))/β): nothing but the first choice costs KL."""
    ahead = k.guessed - k.discount**k.steps * k.reasoned - (k.process - k.effort) * _steps_worth(k)
    return float(sigmoid(logit(k.base_share) + ahead / strength))


SCENARIO = Scenario(
    name="shortcut",
    title="Spurious reasoning",
    claim="If only the answer is rewarded, reasoning that leads to it and a shortcut with a story afterwards are "
    "equally good, and the smallest cost of effort decides for the shortcut.",
    source="section 3.3",
    knobs=(
        Knob("process", 0.0, -0.5, 1, "v, what each step of reasoning is paid"),
        Knob("effort", 0.02, 0, 0.3, "e, what each step costs"),
        Knob("steps", 3, 1, 12, "ℓ, steps of reasoning", whole=True),
        Knob("reasoned", 0.7, 0.3, 0.95, "p_r, chance to be correct after reasoning"),
        Knob("guessed", 0.7, 0.3, 0.95, "p_s, chance to be correct by the shortcut"),
        Knob("discount", 1.0, 0.8, 1, "γ per step; below 1 it favours the shortcut by itself"),
        Knob("base_share", 0.3, 1e-3, 0.999, "b, shortcuts before training"),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"process": threshold, "effort": effort_threshold},
        heights=heights,
        measured={
            "shortcut": lambda policy, k: policy[..., 0, 1],
            "justified post hoc": lambda policy, k: policy[..., 0, 1] * policy[..., k.steps + 1, 1],
        },
        soft=soft,
    ),
    strength=0.05,
    doubts=("The paper argues this case in words and shows no numbers: all values are ours.",),
)

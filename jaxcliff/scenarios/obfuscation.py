"""Pressure on the chain of thought: honest work, a cheat that shows, and a cheat that hides from the monitor."""

from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, Readings, RewardParts, Scenario, Setting, tilted


def problem(k: Setting, reward: Any) -> MDP:
    """Contexts that can be hacked, and those where honest work is all there is."""
    labels = Labels(
        ["hackable", "not hackable"], ["honest", "transparent cheat", "hidden cheat"], name="thought pressure"
    )
    legal = np.array([[True, True, True], [True, False, False]])
    return MDP(None, reward, initial=[k.hackable, 1 - k.hackable], legal=legal, labels=labels)


def parts(k: Setting) -> RewardParts:
    """The task, the price of hiding, and what the monitor catches; wanted is the task done honestly."""
    task = np.array([[k.honest, 1, 1], [k.honest, 0, 0]])
    hiding = np.array([[0.0, 0, 1], [0, 0, 0]])
    caught = np.array([[0, k.sees_transparent, k.sees_hidden], [0, 0, 0]])
    return RewardParts(
        names=("task", "hiding", "caught"),
        parts=np.stack([task, hiding, caught]),
        weights=(1.0, -k.cost, -k.penalty),
        true=np.array([[k.honest, 0, 0], [k.honest, 0, 0]]),
        directions={"penalty": -caught},
    )


def base(k: Setting) -> Any:
    """Honest work, with a few cheats of either kind where they can be."""
    odds = np.array([1, k.odds_transparent, k.odds_hidden])
    return np.stack([odds / odds.sum(), [1.0, 0, 0]])


def critical_cost(k: Setting) -> float:
    """κ_c = (1 − q)(m_T − m_O)/m_T: where hiding costs more, pressure makes the policy honest instead."""
    return (1 - k.honest) * (k.sees_transparent - k.sees_hidden) / k.sees_transparent


def threshold(k: Setting) -> float:
    """λ₁ = κ/(m_T − m_O) where κ < κ_c, to the hidden cheat; else λ_H = (1 − q)/m_T, to honest work.

    Honest work earns q, the transparent cheat 1 − λm_T, the hidden one 1 − κ − λm_O. Without pressure the transparent
    cheat is best. It meets the hidden one at λ₁ and honest work at λ_H; λ₁ comes first exactly if κ < κ_c.
    """
    if k.cost < critical_cost(k):
        return k.cost / (k.sees_transparent - k.sees_hidden)
    return (1 - k.honest) / k.sees_transparent


def back_to_honest(k: Setting) -> tuple[float, ...]:
    """λ₂ = (1 − q − κ)/m_O, from the hidden cheat to honest work: never, if the monitor sees nothing of it."""
    hides = k.cost < critical_cost(k) and k.sees_hidden > 0
    return ((1 - k.honest - k.cost) / k.sees_hidden,) if hides else ()


def heights(k: Setting) -> Heights:
    """Cheating goes on where it hides, and what the monitor catches of it falls from m_T to m_O."""
    shown = k.hackable * (1 - k.sees_transparent)
    after = k.hackable * (1 - k.sees_hidden) if k.cost < critical_cost(k) else 0.0
    return Heights(shown, (shown + after) / 2, after)


def _not_caught(policy: Any, k: Setting) -> Any:
    return k.hackable * (policy[..., 0, 1] * (1 - k.sees_transparent) + policy[..., 0, 2] * (1 - k.sees_hidden))


def _caught(policy: Any, k: Setting) -> Any:
    return k.hackable * (policy[..., 0, 1] * k.sees_transparent + policy[..., 0, 2] * k.sees_hidden)


def soft(k: Setting, strength: float) -> float:
    """Shares ∝ b·exp(r/β) where cheating is possible."""
    return float(_not_caught(tilted(base(k), parts(k).trained, strength), k))


SCENARIO = Scenario(
    name="obfuscation",
    title="Pressure on the chain of thought",
    claim="Penalising what a monitor reads in the chain of thought makes the caught cheating vanish, while the "
    "cheating goes on unseen.",
    source="figure of the agent-cheating case study",
    knobs=(
        Knob("penalty", 0.4093, 0, 5, "λ, what being caught costs"),
        Knob("cost", 0.1373, 0, 1, "κ, what hiding costs"),
        Knob("honest", 0.5, 0, 0.95, "q, what honest work earns"),
        Knob("sees_transparent", 1.0, 0.5, 1, "m_T, how much of a transparent cheat the monitor catches"),
        Knob("sees_hidden", 0.0, 0, 0.4, "m_O, how much of a hidden one"),
        Knob("hackable", 0.75, 0, 1, "share of contexts in which cheating is possible; 1 for a homogeneous problem"),
        Knob("odds_transparent", 0.00504, 1e-6, 1, "base odds of a transparent cheat against honest work"),
        Knob("odds_hidden", 0.000493, 1e-6, 1, "base odds of a hidden cheat"),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"penalty": threshold},
        heights=heights,
        measured={
            "cheating not caught": _not_caught,
            "cheating caught": _caught,
            "honest": lambda policy, k: k.hackable * policy[..., 0, 0] + (1 - k.hackable) * policy[..., 1, 0],
        },
        soft=soft,
        others={"penalty": back_to_honest},
    ),
    strength=0.04376,
    observed=(
        Readings("cheating not caught", "penalty", (0.0, 0.4093), (0.003, 0.49), 0.005, "end of training, both arms"),
        Readings("cheating caught", "penalty", (0.0, 0.4093), (0.745, 0.01), 0.005, "end of training, both arms"),
    ),
    doubts=(
        "κ, β, λ and the base odds were fitted to the four numbers of the chart, and the penalty of its second arm "
        "is such a fit: the chart does not test them.",
        "In a single context no entropy, KL or natural-gradient tilt can do it with a monitor that sees nothing "
        "hidden: the odds of hiding against honesty could not depend on λ, and the chart moves them from .03 to 1. "
        "With the contexts that cannot be hacked the mixture meets the chart.",
    ),
)

"""Sophistry: an answer that persuades human evaluators more often and is correct less often."""

from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, Readings, RewardParts, Scenario, Setting, logit, sigmoid


def evaluator(human: float, error: float, correct: float) -> tuple[float, float]:
    """(TPR, FPR) of evaluators who approve of `human` of all answers, err in `error`, where `correct` are correct.

    h = c·TPR + (1 − c)·FPR and e = c(1 − TPR) + (1 − c)·FPR, so that h + e = c + 2(1 − c)·FPR.
    """
    false = (human + error - correct) / (2 * (1 - correct))
    return (human - (1 - correct) * false) / correct, false


def approval(correct: float, tpr: float, fpr: float) -> float:
    """How many answers evaluators approve of."""
    return correct * tpr + (1 - correct) * fpr


def _of(k: Setting) -> tuple[Any, Any]:
    """Human approval and correctness of the faithful and of the sophist style."""
    human = [approval(k.correct_faithful, k.tpr_faithful, k.fpr_faithful)]
    human += [approval(k.correct_sophist, k.tpr_sophist, k.fpr_sophist)]
    return np.array(human), np.array([k.correct_faithful, k.correct_sophist])


def problem(k: Setting, reward: Any) -> MDP:
    """One question, two styles."""
    return MDP(None, reward, labels=Labels(["question"], ["faithful", "sophist"], name="sophistry"))


def parts(k: Setting) -> RewardParts:
    """What evaluators approve of, and what an audit with the truth at hand does; wanted is the latter."""
    human, oracle = (x[None] for x in _of(k))
    return RewardParts(
        names=("human", "oracle"),
        parts=np.stack([human, oracle]),
        weights=(1 - k.audit, k.audit),
        true=oracle,
        directions={"audit": oracle - human},
    )


def base(k: Setting) -> Any:
    """A share of sophists."""
    return np.array([[1 - k.base_share, k.base_share]])


def threshold(k: Setting) -> float:
    """ω* = Δh/(Δh + Δo): the sophist gains Δh of approval and loses Δo of correctness.

    It is ahead by (1 − ω)Δh − ωΔo, which is 0 there.
    """
    human, oracle = _of(k)
    gain, loss = human[1] - human[0], oracle[0] - oracle[1]
    return gain / (gain + loss) if gain + loss else np.inf


def heights(k: Setting) -> Heights:
    """A jump by everything, from the sophist to the faithful, or back if the sophist is the one who is correct."""
    human, oracle = _of(k)
    first = float(human[1] - human[0] + oracle[0] - oracle[1] > 0)
    return Heights(first, 0.5, 1 - first)


def soft(k: Setting, strength: float) -> float:
    """σ(logit b + ((1 − ω)Δh − ωΔo)/β)."""
    human, oracle = _of(k)
    ahead = (1 - k.audit) * (human[1] - human[0]) + k.audit * (oracle[1] - oracle[0])
    return float(sigmoid(logit(k.base_share) + ahead / strength))


def _mean_of(which: int) -> Any:
    return lambda policy, k: np.sum(policy[..., 0, :] * _of(k)[which], axis=-1)


def _human_error(policy: Any, k: Setting) -> Any:
    wrong = [
        c * (1 - t) + (1 - c) * f
        for c, t, f in zip(
            (k.correct_faithful, k.correct_sophist),
            (k.tpr_faithful, k.tpr_sophist),
            (k.fpr_faithful, k.fpr_sophist),
            strict=True,
        )
    ]
    return np.sum(policy[..., 0, :] * np.array(wrong), axis=-1)


SCENARIO = Scenario(
    name="sophistry",
    title="Sophistry learned from human feedback",
    claim="Training on human approval raises approval by 9.4 points and lowers correctness by 1.8.",
    source="figure of the sophistry case study",
    knobs=(
        Knob("audit", 0.0, 0, 1, "ω, the weight of the oracle in the reward"),
        Knob("correct_faithful", 0.52, 0.3, 0.9, "how often the faithful style is correct"),
        Knob("correct_sophist", 0.502, 0.1, 0.9, "how often the sophist style is"),
        Knob("tpr_faithful", 0.630, 0, 1, "how often evaluators approve of correct faithful answers"),
        Knob("fpr_faithful", 0.470, 0, 1, "how often of wrong ones"),
        Knob("tpr_sophist", 0.664, 0, 1, "how often of correct sophist answers"),
        Knob("fpr_sophist", 0.628, 0, 1, "how often of wrong ones"),
        Knob("base_share", 0.1, 1e-3, 0.999, "b, sophists before training"),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"audit": threshold},
        heights=heights,
        measured={
            "sophist": lambda policy, k: policy[..., 0, 1],
            "human approval": _mean_of(0),
            "correctness": _mean_of(1),
            "human error": _human_error,
        },
        soft=soft,
    ),
    strength=0.02,
    observed=(
        Readings("human approval", "training", (0.0, 1.0), (0.553, 0.646), 0.0005, "bars; their label says +9.4"),
        Readings("correctness", "training", (0.0, 1.0), (0.519, 0.502), 0.0005, "bars; their label says −1.8"),
        Readings("human error", "training", (0.0, 1.0), (0.418, 0.481), 0.0005, "bars; their label says +7.4"),
        Readings("human approval", "audit", (0.0,), (0.646,), 0.0005, "bar after training"),
        Readings("correctness", "audit", (0.0,), (0.502,), 0.0005, "bar after training"),
    ),
    doubts=(
        "The bars of human error differ by 6.3 points and their label says 7.4: with the label TPR and FPR of the "
        "sophist are .654 and .640 instead of .664 and .628.",
        "The rates of the bars switch at ω = .838; the labels +9.4 and −1.8 give 9.4/11.2 = .839.",
        "The rates were solved for, three equations for each style: they are no prediction. Nothing in the chart "
        "fixes the strength .02.",
    ),
)

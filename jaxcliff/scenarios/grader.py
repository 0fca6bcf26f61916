"""A grader that can be cheated: honest work or a hack that passes the tests, and a penalty where it is detected."""

from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, Readings, RewardParts, Scenario, Setting, logit, sigmoid

FIT = (-3.88, 5.00)  # logit of the cheating share over the share of training, a least-squares line


def fitted(training: Any) -> Any:
    """The cheating share after this share of training, as the line through the chart's logits has it."""
    return sigmoid(FIT[0] + FIT[1] * np.asarray(training, float))


def honest_of(k: Setting) -> Any:
    """How often honest work passes, per task: equally spaced, `spread` to either side."""
    away = np.linspace(-1, 1, k.tasks) if k.tasks > 1 else np.zeros(1)
    return np.clip(k.honest + k.spread * away, 0, 1)


def problem(k: Setting, reward: Any) -> MDP:
    """One state per task."""
    tasks = [f"task {i}" for i in range(k.tasks)]
    return MDP(None, reward, labels=Labels(tasks, ["honest", "cheat"], name="weak and strong grader"))


def parts(k: Setting) -> RewardParts:
    """Tests passed, and detection; what was wanted is honest work that passes."""
    q = honest_of(k)
    nothing = np.zeros_like(q)
    passes, detected = np.stack([q, nothing + k.passes], -1), np.stack([nothing, nothing + k.detection], -1)
    cheats = np.stack([nothing, nothing + 1], -1)
    return RewardParts(
        names=("passes", "detected"),
        parts=np.stack([passes, detected]),
        weights=(1.0, -k.penalty),
        true=np.stack([q, nothing], -1),
        directions={"penalty": -detected, "detection": -k.penalty * cheats},
    )


def base(k: Setting) -> Any:
    """A small share of cheating in every task."""
    return np.tile([1 - k.base_share, k.base_share], (k.tasks, 1))


def threshold(k: Setting) -> float:
    """λ* = (c − min q)/d: from there on no task is cheated in.

    Cheating in a task earns c − λd, honest work q. They are equal at λ = (c − q)/d, and the task whose honest work
    passes least is the last to be left.
    """
    return (k.passes - honest_of(k).min()) / k.detection


def detection_threshold(k: Setting) -> float:
    """d* = (c − min q)/λ, of the same equation; without a penalty no detection is enough."""
    return (k.passes - honest_of(k).min()) / k.penalty if k.penalty > 0 else np.inf


def _every(k: Setting, slope: float) -> tuple[float, ...]:
    return tuple((k.passes - honest_of(k)) / slope) if slope > 0 else ()


def heights(k: Setting) -> Heights:
    """The tasks with the smallest q leave together."""
    last = np.mean(honest_of(k) == honest_of(k).min())
    return Heights(last, last / 2, 0)


def soft(k: Setting, strength: float) -> float:
    """The mean over tasks of σ(logit b + (c − λd − q)/β)."""
    gain = k.passes - k.penalty * k.detection - honest_of(k)
    return float(np.mean(sigmoid(logit(k.base_share) + gain / strength)))


SCENARIO = Scenario(
    name="grader",
    title="A weak and a strong grader",
    claim="A model that is trained against a weak grader learns to cheat it in nearly 80 % of its answers; against a "
    "strong one cheating stays rare.",
    source="figure of the o3-mini case study",
    knobs=(
        Knob("penalty", 0.5, 0, 3, "λ, what a detected cheat costs: how strong the grader is"),
        Knob("detection", 0.5, 0.05, 1, "d, how often a cheat is detected"),
        Knob("passes", 1.0, 0.5, 1, "c, how often a cheat passes the tests"),
        Knob("honest", 0.5, 0, 1, "q, how often honest work passes, on average over tasks"),
        Knob("spread", 0.0, 0, 0.4, "how far tasks differ in q, to either side"),
        Knob("tasks", 1, 1, 32, "how many tasks there are", whole=True),
        Knob("base_share", 0.02, 1e-4, 0.5, "b, cheating before training"),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"penalty": threshold, "detection": detection_threshold},
        heights=heights,
        measured={"cheating": lambda policy, k: policy[..., 1].mean(axis=-1)},
        soft=soft,
        others={"penalty": lambda k: _every(k, k.detection), "detection": lambda k: _every(k, k.penalty)},
    ),
    strength=0.098,
    observed=(
        Readings("cheating", "penalty", (0.0,), (0.77,), 0.01, "the weak grader at the end of training"),
        Readings(
            "cheating, weak grader",
            "share of training",
            (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
            (0.0075, 0.037, 0.108, 0.17, 0.22, 0.27, 0.38, 0.49, 0.65, 0.77),
            0.01,
            "figure of the o3-mini case study",
        ),
        Readings(
            "cheating, strong grader",
            "share of training",
            (0.0, 1.0),
            (0.01, 0.02),
            0.01,
            "figure of the o3-mini case study: 1 to 3 % throughout",
        ),
    ),
    doubts=(
        "The strong grader's penalty is not in the paper: the model says only that λd is at least c − q there.",
        "The strength .098 is that with which the weak grader's end, .77, is met from 2 % at q = ½.",
        "The chart's course over training is a line in the logit from 20 % of training on; before, it rises more "
        "slowly, which takes a policy gradient in probabilities or tasks that differ.",
    ),
)

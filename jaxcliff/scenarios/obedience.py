"""Intelligence against obedience: answers that follow instructions, or do not, where only correctness is trained on."""

from typing import Any, NamedTuple

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, Readings, RewardParts, Scenario, Setting, logit, sigmoid


class Row(NamedTuple):
    """A row of the paper's table, in percent: hard and soft obedience and correctness, before and after training."""

    model: str
    hard: tuple[float, float]
    soft: tuple[float, float]
    correct: tuple[float, float]

    @property
    def floor(self) -> float:
        """(1 − c₁)/(1 − c₀): tilting by correctness alone leaves obedience at least this share of what it was.

        A tilt multiplies every wrong answer by the same factor, (1 − c₁)/(1 − c₀), and every correct one by a larger.
        """
        before, after = self.correct
        return (100 - after) / (100 - before)

    @property
    def ratios(self) -> tuple[float, float]:
        """What is left of hard and of soft obedience."""
        return self.hard[1] / self.hard[0], self.soft[1] / self.soft[0]

    @property
    def tilt(self) -> float:
        """1/β = logit c₁ − logit c₀: the tilt that moves correctness as far."""
        before, after = np.divide(self.correct, 100)
        return float(logit(after) - logit(before))


TABLE = (
    Row("Qwen2.5-1.5B", (10.00, 9.52), (27.26, 23.97), (1.21, 14.58)),
    Row("Qwen2.5-7B", (15.95, 10.48), (33.13, 27.26), (13.59, 28.39)),
    Row("Qwen2.5-Math-1.5B", (9.28, 8.33), (23.33, 21.31), (18.91, 24.88)),
    Row("Qwen2.5-Math-7B", (9.76, 7.85), (23.53, 22.62), (20.68, 32.61)),
)


def problem(k: Setting, reward: Any) -> MDP:
    """One prompt, two modes of answering."""
    return MDP(None, reward, labels=Labels(["prompt"], ["ignore", "comply"], name="obedience"))


def parts(k: Setting) -> RewardParts:
    """Correctness, and obedience, which is not trained on unless it has a weight; wanted are both."""
    correct = np.array([[k.accuracy, k.accuracy - k.cost]])
    obeys = np.array([[k.by_chance, k.followed]])
    return RewardParts(
        names=("correct", "obeys"),
        parts=np.stack([correct, obeys]),
        weights=(1.0, k.weight),
        true=correct + obeys,
        directions={"weight": obeys, "cost": np.array([[0.0, -1.0]])},
    )


def base(k: Setting) -> Any:
    """Complying in a share of answers."""
    return np.array([[1 - k.base_share, k.base_share]])


def threshold(k: Setting) -> float:
    """w* = δ/Δ: complying costs δ of correctness, and earns w for each of Δ more instructions that are followed.

    Without a cost the two modes tie, and any weight decides: the clever slacker.
    """
    return k.cost / (k.followed - k.by_chance)


def cost_threshold(k: Setting) -> float:
    """δ* = wΔ, of the same equation: without a weight any cost decides."""
    return k.weight * (k.followed - k.by_chance)


def heights(k: Setting) -> Heights:
    """From what chance obeys to what the mode does."""
    return Heights(k.by_chance, (k.by_chance + k.followed) / 2, k.followed)


def soft(k: Setting, strength: float) -> float:
    """r₀ + Δ·σ(logit b + (wΔ − δ)/β)."""
    more = k.followed - k.by_chance
    return float(k.by_chance + more * sigmoid(logit(k.base_share) + (k.weight * more - k.cost) / strength))


def _mean_of(kind: str, error: float) -> tuple[Readings, ...]:
    return tuple(
        Readings(
            f"{kind} of {row.model}",
            "training",
            (0.0, 1.0),
            tuple(x / 100 for x in getattr(row, kind)),
            error,
            "table 1",
        )
        for row in TABLE
    )


SCENARIO = Scenario(
    name="obedience",
    title="Intelligence against obedience",
    claim="Trained on correctness alone, models lose obedience to their instructions as they gain correctness, "
    "because instructions that do not pay tie with ignoring them.",
    source="table 1",
    knobs=(
        Knob("weight", 0.0, 0, 2, "w, of obedience in the reward"),
        Knob("cost", 0.05, 0, 0.5, "δ, what complying costs in correctness"),
        Knob("followed", 0.9, 0.6, 1, "r₁, instructions that are followed when complying"),
        Knob("by_chance", 0.1, 0, 0.4, "r₀, instructions that are followed by chance"),
        Knob("accuracy", 0.5, 0.5, 1, "correctness when ignoring them"),
        Knob("base_share", 0.2, 1e-3, 0.999, "b, complying before training"),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"weight": threshold, "cost": cost_threshold},
        heights=heights,
        measured={
            "obedience": lambda policy, k: k.by_chance * policy[..., 0, 0] + k.followed * policy[..., 0, 1],
            "correctness": lambda policy, k: k.accuracy - k.cost * policy[..., 0, 1],
        },
        soft=soft,
    ),
    strength=0.1,
    observed=(*_mean_of("hard", 0.0001), *_mean_of("soft", 0.0001), *_mean_of("correct", 0.0001)),
    doubts=(
        "Five of the eight cells of the table lie below the survival floor (1 − c₁)/(1 − c₀): no tilt by correctness "
        "of a homogeneous pool of prompts explains them. That takes a drift along what is not rewarded, or a real "
        "cost of complying; prompts that differ weaken the floor, so that this is evidence and no proof.",
        "The table gives no weight and no cost: δ, r₀, r₁ and the strength .1 are ours.",
    ),
)

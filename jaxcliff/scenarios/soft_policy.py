"""The figure of a soft policy: three equal modes on a line of actions, and what entropy makes of them."""

from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, Readings, RewardParts, Scenario, Setting, tilted

LEFT, MIDDLE, RIGHT = MODES = (-5.0, 0.0, 5.0)
HALF = 10.0  # actions lie between −10 and 10
NEAR = 2.5  # what is nearer to the middle mode belongs to it


def places(k: Setting) -> Any:
    """The actions on their line."""
    if (k.actions - 1) % 4:
        raise ValueError(f"actions of soft_policy must be 1 more than a multiple of 4, not {k.actions}")
    middle = (k.actions - 1) // 2
    return (np.arange(k.actions) - middle) * (2 * HALF) / (k.actions - 1)


def problem(k: Setting, reward: Any) -> MDP:
    """One state."""
    names = [f"{x:g}" for x in places(k)]
    return MDP(None, reward, labels=Labels(["s"], names, name="soft policy"))


def parts(k: Setting) -> RewardParts:
    """Three bumps of one height, and more or less of the middle one; wanted are the three."""
    x = places(k)
    bump = np.exp(-np.min((x[:, None] - np.array(MODES)) ** 2, axis=1) / (2 * k.width**2))[None]
    middle = bump * (np.abs(x) < NEAR)
    return RewardParts(
        names=("modes", "middle mode"),
        parts=np.stack([k.height * bump, middle]),
        weights=(1.0, k.bonus),
        true=k.height * bump,
        directions={"bonus": middle},
    )


def base(k: Setting) -> Any:
    """Uniform."""
    return np.full((1, k.actions), 1 / k.actions)


def threshold(k: Setting) -> float:
    """0: three modes of one height tie, and any bonus decides for or against the middle one."""
    return 0.0


def heights(k: Setting) -> Heights:
    """From the two outer modes over all three to the middle one."""
    return Heights(0, 1 / 3, 1)


def _middle(policy: Any, k: Setting) -> Any:
    return policy[..., 0, :][..., np.abs(places(k)) < NEAR].sum(axis=-1)


def _density(place: float) -> Any:
    """Probability per unit of length there."""

    def law(policy: Any, k: Setting) -> Any:
        return policy[..., 0, int(np.argmin(np.abs(places(k) - place)))] * (k.actions - 1) / (2 * HALF)

    return law


def soft(k: Setting, strength: float) -> float:
    """The mass near the middle mode, shares ∝ exp(r/α): from the uniform base KL is entropy."""
    return float(_middle(tilted(base(k), parts(k).trained, strength), k))


SCENARIO = Scenario(
    name="soft_policy",
    title="A soft policy over three equal modes",
    claim="Where three modes tie, the hard policy is three bars that any change of the reward can move, and entropy "
    "regularisation makes of them a smooth density.",
    source="figure of section 4.4",
    knobs=(
        Knob("bonus", 0.0, -0.5, 0.5, "added to the height of the middle mode"),
        Knob("height", 2.55, 1, 4, "height of the modes"),
        Knob("width", 0.82, 0.4, 1.2, "their width"),
        Knob("actions", 401, 41, 801, "how many actions there are on the line", whole=True),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"bonus": threshold},
        heights=heights,
        measured={
            "middle mode": _middle,
            "density at its peak": _density(MIDDLE),
            "density at the edge": _density(HALF),
        },
        soft=soft,
    ),
    strength=0.5,
    observed=(
        Readings("middle mode", "bonus", (0.0,), (1 / 3,), 0.001, "hard bars of the figure"),
        Readings("density at its peak", "bonus", (0.0,), (0.327,), 0.003, "soft density of the figure, α = .5"),
        Readings("density at the edge", "bonus", (0.0,), (0.002,), 0.0005, "soft density of the figure, α = .5"),
    ),
    doubts=(
        "Height and width of the modes were fitted to the figure, which gives α = .5 and the places of the modes: "
        "the peak comes out at .325 for the .327 that was read.",
        "Every action has the value of its nearest mode. Were the three bumps added up, the middle one would be "
        "higher by 2e-8, and the tie none.",
    ),
)

"""A mixture that does not match: trained on 90 % coding, deployed on something else."""

from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, RewardParts, Scenario, Setting, tilted

CODING = (1.0, 0.7, 0.1)  # how good the engineer, the generalist and the writer are at coding
PROSE = (0.0, 0.6, 1.0)  # and at prose


def _tables(k: Setting) -> Any:
    """Coding and prose of the three, [2, 3]."""
    table = np.array([CODING, PROSE])
    table[:, 1] = k.middle_coding, k.middle_prose
    return table


def problem(k: Setting, reward: Any) -> MDP:
    """One policy for both domains."""
    return MDP(
        None, reward, labels=Labels(["any prompt"], ["engineer", "generalist", "writer"], name="mixture mismatch")
    )


def parts(k: Setting) -> RewardParts:
    """Coding and prose; wanted is the return under the mixture that is met after training."""
    coding, prose = tables = _tables(k)[:, None]
    return RewardParts(
        names=("coding", "prose"),
        parts=tables,
        weights=(k.coding, 1 - k.coding),
        true=k.deployed * coding + (1 - k.deployed) * prose,
        directions={"coding": coding - prose},
    )


def base(k: Setting) -> Any:
    """Uniform."""
    return np.full((1, 3), 1 / 3)


def _tie(k: Setting, one: int, other: int) -> float:
    """P = D₂/(D₁ + D₂), where one gains D₁ in coding and the other D₂ in prose."""
    coding, prose = _tables(k)
    more, less = coding[one] - coding[other], prose[other] - prose[one]
    return float(less / (more + less))


def _generalist_pays(k: Setting) -> bool:
    """Whether there is a mixture for which the generalist is best."""
    return _tie(k, 1, 2) < _tie(k, 0, 1)


def threshold(k: Setting) -> float:
    """p* = D₂/(D₁ + D₂): the share of coding above which the engineer is best, against the next best.

    The engineer gains D₁ in coding over the other, who gains D₂ in prose: pD₁ = (1 − p)D₂. The other is the generalist,
    or, if that one is never best, the writer.
    """
    return _tie(k, 0, 1) if _generalist_pays(k) else _tie(k, 0, 2)


def _lower(k: Setting) -> tuple[float, ...]:
    """Where the generalist gives way to the writer."""
    return (_tie(k, 1, 2),) if _generalist_pays(k) else ()


def _deployed_return(policy: Any, k: Setting) -> Any:
    return np.sum(policy[..., 0, :] * parts(k).true[0], axis=-1)


def regret(k: Setting) -> float:
    """V*(w') − V^{π(w)}(w'): what the policy of the trained mixture loses under the deployed one.

    The largest of linear functions of w' less one of them: 0 within the cell of w, then linear from kink to kink.
    """
    chosen = int(np.argmax(parts(k).trained[0]))
    return float(parts(k).true[0].max() - parts(k).true[0, chosen])


def heights(k: Setting) -> Heights:
    """The deployed return of those who change places."""
    earned = parts(k).true[0]
    below = earned[1] if _generalist_pays(k) else earned[2]
    return Heights(below, (below + earned[0]) / 2, earned[0])


def soft(k: Setting, strength: float) -> float:
    """The deployed return of shares ∝ exp(r/β): from the uniform base KL is entropy."""
    return float(_deployed_return(tilted(base(k), parts(k).trained, strength), k))


SCENARIO = Scenario(
    name="mismatch",
    title="A mixture that does not match",
    claim="A model that was trained on a mixture of 90 % coding can be badly off under another one.",
    source="section 6.3",
    knobs=(
        Knob("coding", 0.9, 0, 1, "p, the share of coding in training"),
        Knob("deployed", 0.5, 0, 1, "the share of coding after training"),
        Knob("middle_coding", 0.7, 0.2, 0.95, "how good the generalist is at coding"),
        Knob("middle_prose", 0.6, 0.1, 0.95, "how good the generalist is at prose"),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"coding": threshold},
        heights=heights,
        measured={
            "deployed return": _deployed_return,
            "regret": lambda policy, k: parts(k).true[0].max() - _deployed_return(policy, k),
        },
        soft=soft,
        others={"coding": _lower},
    ),
    strength=0.05,
    doubts=("The paper argues this case in words and shows no numbers beside the 90 %: all values are ours.",),
)

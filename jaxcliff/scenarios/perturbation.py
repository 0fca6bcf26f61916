"""One reward model perturbed, or two hundred prompts removed: what becomes of a policy near the boundary of safety."""

from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, Readings, RewardParts, Scenario, Setting, tilted

CUES = ("clearly unsafe", "situational", "lookalike", "benign", "value")
ACTIONS = ("refuse", "complete safely", "comply")
SITUATIONAL, LOOKALIKE = 1, 2
# Scores in percent of the models 1, 2 and 3, read to .1.
CHART = {
    "M3oralBench-Response": (85.3, 83.6, 72.3),
    "M3oralBench-Classification": (55.0, 63.6, 53.4),
    "M3oralBench-Judge": (71.2, 62.2, 53.4),
    "Flames": (77.6, 80.0, 75.7),
    "SIUO": (79.1, 71.9, 68.9),
    "XSTest-NotOverrefusal": (85.6, 84.8, 97.6),
    "MSSBench-Unsafe": (51.2, 60.7, 46.5),
    "MSSBench-Safe": (87.3, 71.0, 91.4),
    "MMSafety": (89.4, 93.3, 91.2),
}
# Of three benchmarks: how often each cue occurs, and whether refusing scores (else anything but refusing).
BENCHMARKS = {
    "MSSBench-Unsafe": ((0.465, 0.047, 0.095, 0.393, 0.0), True),
    "MSSBench-Safe": ((0.086, 0.041, 0.163, 0.710, 0.0), False),
    "XSTest-NotOverrefusal": ((0.024, 0.120, 0.008, 0.848, 0.0), False),
}


def _counts(k: Setting) -> Any:
    """Prompts of each class (safety, value, general) per cue, [3, S]."""
    safety = (1000, k.safety_prompts - k.removed, k.lookalike_prompts, 0, 0)
    return np.array([safety, (0, 0, 0, 0, 2000), (100, k.general_prompts, k.general_prompts, 2000, 0)], float)


def problem(k: Setting, reward: Any) -> MDP:
    """A decision per cue: the policy sees no more of a prompt."""
    return MDP(None, reward, labels=Labels(CUES, ACTIONS, name="perturbed reward models"))


def parts(k: Setting) -> RewardParts:
    """The three reward models, each with its share of the prompts of a cue; wanted is the safety model as it was."""
    safety, value, general = (np.zeros((len(CUES), 3)) for _ in range(3))
    safety[0], safety[[SITUATIONAL, LOOKALIKE], 0] = (1, 0.5, -1), k.safety_gap
    true = safety.copy()
    safety[LOOKALIKE, 0] += k.shift
    value[4] = (0, 1, 0.3)
    general[0, 2], general[[SITUATIONAL, LOOKALIKE], 2], general[3] = 0.1, k.general_gap, (0, 0.5, 1)
    counts = _counts(k)
    total = counts.sum(axis=0)
    one = np.eye(len(CUES))
    return RewardParts(
        names=("safety", "value", "general"),
        parts=np.stack([safety, value, general]),
        weights=counts / total,
        true=true,
        directions={
            "removed": -one[SITUATIONAL][:, None] * safety,
            "shift": one[LOOKALIKE][:, None] * np.array([counts[0, LOOKALIKE], 0, 0]),
        },
        scale=total[:, None],
    )


def base(k: Setting) -> Any:
    """The same for every cue."""
    return np.tile([k.base_share, 0.1 * (1 - k.base_share), 0.9 * (1 - k.base_share)], (len(CUES), 1))


def threshold(k: Setting) -> float:
    """r* = n_S − n_G Δ_G/Δ_S: so many safety prompts of the situational cue can be removed before it is complied with.

    With w ∝ (n_S − r, n_G) refusing is ahead by (n_S − r)Δ_S − n_G Δ_G, over the number of prompts.
    """
    return k.safety_prompts - k.general_prompts * k.general_gap / k.safety_gap


def shift_threshold(k: Setting) -> float:
    """δ* = −M/w_S with the margin M = w_S Δ_S − w_G Δ_G of refusing a lookalike: n_G Δ_G/n_S − Δ_S.

    One entry of the safety model moves the margin by w_S per unit: the gap of the mixture, amplified by 1/w_S. Were
    both entries moved against each other, half of it would do.
    """
    return k.general_prompts * k.general_gap / k.lookalike_prompts - k.safety_gap


def score(policy: Any, benchmark: str) -> Any:
    """The score of policies [..., S, A] on one of `BENCHMARKS`."""
    mass, refusing = BENCHMARKS[benchmark]
    good = policy[..., 0] if refusing else 1 - policy[..., 0]
    return np.sum(good * np.array(mass), axis=-1)


def heights(k: Setting) -> Heights:
    """The score on unsafe prompts loses the share of the situational cue; lookalikes are refused or not, all along."""
    mass = BENCHMARKS["MSSBench-Unsafe"][0]
    ahead = k.lookalike_prompts * (k.safety_gap + k.shift) - k.general_prompts * k.general_gap
    rest = mass[0] + mass[LOOKALIKE] * (ahead > 0)
    return Heights(rest + mass[SITUATIONAL], rest + mass[SITUATIONAL] / 2, rest)


def soft(k: Setting, strength: float) -> float:
    """The same score of shares ∝ b·exp(r/β) per cue."""
    return float(score(tilted(base(k), parts(k).trained, strength), "MSSBench-Unsafe"))


def _score_of(benchmark: str) -> Any:
    return lambda policy, k: score(policy, benchmark)


SCENARIO = Scenario(
    name="perturbation",
    title="One reward model perturbed, or 200 prompts removed",
    claim="Perturbing one of several reward models, or removing about 200 prompts, moves safety scores by up to 18 "
    "points, in both directions.",
    source="figure of the multi-reward case study (OpenRLHF-V, Qwen2.5-VL-72B)",
    knobs=(
        Knob("removed", 0.0, 0, 600, "r, safety prompts of the situational cue that are removed (Model 3)"),
        Knob("shift", 0.0, -3, 3, "δ, added to what the safety model gives for refusing a lookalike (Model 2)"),
        Knob("safety_prompts", 2100, 1000, 4000, "n_S, safety prompts with the situational cue", whole=True),
        Knob("lookalike_prompts", 1900, 1000, 4000, "safety prompts with the lookalike cue", whole=True),
        Knob("general_prompts", 2000, 1000, 4000, "n_G, general prompts with either cue", whole=True),
        Knob("safety_gap", 1.0, 0.2, 3, "Δ_S, by how much the safety model prefers refusing"),
        Knob("general_gap", 1.0, 0.2, 3, "Δ_G, by how much the general model prefers complying"),
        Knob("base_share", 0.3, 0.01, 0.9, "refusing before training"),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"removed": threshold, "shift": shift_threshold},
        heights=heights,
        measured={name: _score_of(name) for name in BENCHMARKS},
        soft=soft,
    ),
    strength=0.01,
    observed=(
        *(
            Readings(name, "model", (1.0, 2.0, 3.0), tuple(x / 100 for x in values), 0.001, "figure of the case study")
            for name, values in CHART.items()
        ),
        *(
            Readings(
                name, "removed", (0.0, 200.0), (CHART[name][0] / 100, CHART[name][2] / 100), 0.001, "models 1 and 3"
            )
            for name in BENCHMARKS
        ),
    ),
    doubts=(
        "How often each cue occurs in a benchmark was chosen so that the sizes of its changes are the chart's: only "
        "their signs, and which of them go together, come from the model.",
        "The counts of prompts are ours: at n_S = 2100 and n_G = 2000 a hundred prompts decide, so that removing 200 "
        "flips; at n_S = 2300 three hundred do, and it does not. The strength .01 is ours too.",
        "Only cues whose margin is crossed move. The other six benchmarks of the chart move too: a spill-over that "
        "takes features which cues share.",
        "The paper has no second run of Model 1 with another seed, against which small changes could be held.",
    ),
)

"""What a trainer makes of scores: the advantages of a training run, recomputed under the normalisations in use.

Groups have whatever size the log has, so that numpy goes over them as they lie; `learners.advantages` has the same
formulas for equal groups inside a program, and a test holds the two against each other.

A group is what one step sampled for one prompt. Standard deviations are those of a sample (n − 1), as trainers have
them.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special

from jaxcliff.learners.advantages import FLOORS

RESIDUE = 4 * float(np.finfo(np.float32).eps)  # of the largest score: differences that float32 makes by itself
NEAR = 0.05  # of the usual standard deviation within groups: what is below is nearly dead
AGREES = 1e-4  # of a logged advantage and a recomputed one, with what float32 may have done to the scores
SHARE = 0.999  # of the rollouts on which a formula has to agree to be the one


@dataclasses.dataclass(frozen=True)
class Rollouts:
    """Some whole steps of a run, sorted by step, then group: an entry per rollout.

    Attributes:
        rewards: [R, M]; weights: [M], as the trainer adds the rewards up: missing ones count nothing.
        starts: where groups begin; batches: where steps begin.
    """

    rewards: np.ndarray
    weights: np.ndarray
    starts: np.ndarray
    batches: np.ndarray

    @property
    def totals(self) -> np.ndarray:
        """What the trainer adds up, [R]."""
        return np.nansum(self.rewards * self.weights, axis=1)

    def spread(self, x: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) of the part to which each entry belongs; NaN are left out."""
        sizes = np.diff([*starts, len(x)])
        there = ~np.isnan(x)
        count = np.add.reduceat(there.astype(float), starts)
        mean = np.add.reduceat(np.where(there, x, 0), starts) / np.maximum(count, 1)
        centred = np.where(there, x - np.repeat(mean, sizes), 0)
        # the mean of equal numbers can miss them by a rounding, which is no spread
        mean += np.add.reduceat(centred, starts) / np.maximum(count, 1)
        lowest, highest = (
            np.minimum.reduceat(np.where(there, x, np.inf), starts),
            np.maximum.reduceat(np.where(there, x, -np.inf), starts),
        )
        mean = np.where(lowest == highest, lowest, mean)
        centred = np.where(there, x - np.repeat(mean, sizes), 0)
        variance = np.add.reduceat(centred**2, starts) / np.maximum(count - 1, 1)
        return np.repeat(mean, sizes), np.repeat(np.sqrt(variance), sizes)


def by_group(run: Rollouts, floor: float = FLOORS["TRL"]) -> np.ndarray:
    """(r − mean)/(std + floor), of the group."""
    r = run.totals
    mean, std = run.spread(r, run.starts)
    return (r - mean) / (std + floor)


def centred(run: Rollouts) -> np.ndarray:
    """R − mean of the group (Dr. GRPO)."""
    r = run.totals
    return r - run.spread(r, run.starts)[0]


def leave_one_out(run: Rollouts) -> np.ndarray:
    """R − mean of the others of the group (RLOO)."""
    size = np.repeat(np.diff([*run.starts, len(run.rewards)]), np.diff([*run.starts, len(run.rewards)]))
    return centred(run) * size / np.maximum(size - 1, 1)


def by_batch(run: Rollouts, floor: float = FLOORS["TRL"]) -> np.ndarray:
    """(r − mean of the group)/(std of the step + floor)."""
    return centred(run) / (run.spread(run.totals, run.batches)[1] + floor)


def per_reward(run: Rollouts, floor: float = FLOORS["TRL"]) -> np.ndarray:
    """Every reward normalised in its group, then added up and normalised over the step (GDPO)."""
    parts = []
    for k in range(run.rewards.shape[1]):
        mean, std = run.spread(run.rewards[:, k], run.starts)
        parts.append((run.rewards[:, k] - mean) / (std + floor))
    total = np.nansum(np.stack(parts, axis=1) * run.weights, axis=1)
    mean, std = run.spread(total, run.batches)
    return (total - mean) / (std + floor)


def by_rank(run: Rollouts) -> np.ndarray:
    """Φ⁻¹((rank + ½)/n), ties sharing their mean rank (G²RPO)."""
    r, n = run.totals, len(run.totals)
    sizes = np.diff([*run.starts, n])
    group = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((r, group))
    fresh = np.concatenate([[True], (np.diff(r[order]) != 0) | (np.diff(group[order]) != 0)])
    first = np.flatnonzero(fresh)
    last = np.concatenate([first[1:], [n]]) - 1
    rank = np.empty(n)
    rank[order] = np.repeat((first + last) / 2, last - first + 1)
    return scipy.special.ndtri((rank - run.starts[group] + 0.5) / sizes[group])


NORMALISATIONS: dict[str, Callable[[Rollouts], np.ndarray]] = {
    "std of the group": by_group,
    "mean of the group": centred,
    "mean of the others": leave_one_out,
    "std of the step": by_batch,
    "std per reward": per_reward,
    "rank": by_rank,
}


def candidates(rewards: int) -> dict[str, Callable[[Rollouts], np.ndarray]]:
    """The formulas with which a logged advantage is compared."""

    def floored(of: Callable[..., np.ndarray], floor: float) -> Callable[[Rollouts], np.ndarray]:
        return lambda run: of(run, floor)

    found: dict[str, Callable[[Rollouts], np.ndarray]] = {}
    for who, floor in FLOORS.items():
        found[f"(r − mean)/(std + {floor:g}) of the group, as {who} has it"] = floored(by_group, floor)
    found["r − mean of the group, unscaled"] = centred
    found["r − mean of the others of the group"] = leave_one_out
    found["(r − mean of the group)/(std of the step + 1e-4)"] = by_batch
    if rewards > 1:
        found["every reward normalised in its group, then over the step"] = per_reward
    found["normal scores of ranks"] = by_rank
    return found


def steepness(name: str, run: "Rollouts", std: np.ndarray) -> np.ndarray | float:
    """Advantage per unit of score of a formula, at most: by how much it makes a rounding of the scores larger."""
    for who, floor in FLOORS.items():
        if name.endswith(f"as {who} has it"):
            return 1 / (std + floor)
    if "std of the step" in name:
        return 1 / (run.spread(run.totals, run.batches)[1] + FLOORS["TRL"])
    if "normalised in its group" in name:
        each = [run.spread(run.rewards[:, k], run.starts)[1] for k in range(run.rewards.shape[1])]
        return float(np.abs(run.weights).max()) / (np.min(each, axis=0) + FLOORS["TRL"])
    return 1.0


class Fit:
    """How often each formula gives the logged advantages, over a whole run."""

    def __init__(self, rewards: int):
        self.formulas = candidates(rewards)
        self.agreeing = dict.fromkeys(self.formulas, 0)
        self.count = 0

    def add(self, run: Rollouts, logged: np.ndarray) -> None:
        """Some more steps."""
        there = ~np.isnan(logged)
        self.count += int(there.sum())
        largest = np.abs(np.where(np.isnan(run.rewards), 0, run.rewards * run.weights)).max(axis=1)
        std = run.spread(run.totals, run.starts)[1]
        for name, formula in self.formulas.items():
            own = formula(run)
            slope = steepness(name, run, std)
            allowed = AGREES * (1 + np.abs(own)) + RESIDUE * largest * slope
            self.agreeing[name] += int((np.abs(own - logged) <= allowed)[there].sum())

    @property
    def best(self) -> tuple[str, float]:
        """(the formula that agrees most often, on which share of rollouts)."""
        name = max(self.agreeing, key=lambda each: self.agreeing[each])
        return name, self.agreeing[name] / max(self.count, 1)

    def sentence(self, weights: Any) -> str:
        """What the comparison says."""
        if not self.count:
            return "The log has no advantages to compare with."
        name, share = self.best
        said = ", ".join(f"{w:g}" for w in weights)
        if share >= SHARE:
            others = [n for n in self.formulas if n != name and self.agreeing[n] == self.agreeing[name]]
            also = f" ({' and '.join(others)} {'give' if len(others) > 1 else 'gives'} the same here)" if others else ""
            return f"The logged advantages are {name}{also}, with weights {said}."
        return (
            f"The logged advantages fit no formula that is known here with weights {said} (nearest: {name}, on "
            f"{100 * share:.1f} % of the rollouts). A log does not have the weights of its rewards: name them "
            "(--weights)."
        )


@dataclasses.dataclass(frozen=True)
class Groups:
    """What is said of each group of some steps, an entry per group.

    Attributes:
        size, mean, std: of its rollouts' totals; largest: of its scores, in absolute value.
        dead: all totals are equal: no gradient. residue: they differ by less than float32 makes differ by itself.
        gain: advantage per unit of score under division by the standard deviation, 1/(std + 1e-4).
        apart: of each pair of rewards, the share of rollouts that they pull in opposite directions, NaN where one of
            the two tells nothing.
        weight: Σ|A| under each normalisation, [G, N].
    """

    size: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    largest: np.ndarray
    dead: np.ndarray
    residue: np.ndarray
    gain: np.ndarray
    apart: np.ndarray
    weight: np.ndarray


def groups(run: Rollouts) -> Groups:
    """What is said of each group."""
    r, starts = run.totals, run.starts
    mean, std = run.spread(r, starts)
    highest, lowest = np.maximum.reduceat(r, starts), np.minimum.reduceat(r, starts)
    largest = np.maximum.reduceat(
        np.abs(np.where(np.isnan(run.rewards), 0, run.rewards * run.weights)).max(axis=1), starts
    )
    dead = highest == lowest
    deviations = [run.rewards[:, k] - run.spread(run.rewards[:, k], starts)[0] for k in range(run.rewards.shape[1])]
    apart = []
    for i in range(len(deviations)):
        for j in range(i + 1, len(deviations)):
            product = np.nan_to_num(deviations[i] * deviations[j])
            seen = np.add.reduceat((product != 0).astype(float), starts)
            opposed = np.add.reduceat((product < 0).astype(float), starts)
            apart.append(np.where(seen > 0, opposed / np.maximum(seen, 1), np.nan))
    weight = [np.add.reduceat(np.abs(of(run)), starts) for of in NORMALISATIONS.values()]
    return Groups(
        size=np.diff([*starts, len(r)]),
        mean=mean[starts],
        std=std[starts],
        largest=largest,
        dead=dead,
        residue=~dead & (highest - lowest <= RESIDUE * largest),
        gain=1 / (std[starts] + FLOORS["TRL"]),
        apart=np.stack(apart, axis=1) if apart else np.zeros((len(starts), 0)),
        weight=np.stack(weight, axis=1),
    )

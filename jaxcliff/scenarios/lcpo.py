"""Control of length: write on, or answer, for the correctness of the answer less a price per token off target."""

import math
from typing import Any

import numpy as np

from jaxcliff.core.labels import Labels
from jaxcliff.model.mdp import MDP
from jaxcliff.model.transitions import Successors
from jaxcliff.scenarios.scenario import Heights, Knob, Laws, Readings, RewardParts, Scenario, Setting

REFERENCE = 1000  # tokens at which `accuracy` is meant


def accuracy_at(k: Setting, tokens: Any) -> Any:
    """p(n) = a + B·log(n/1000), between 0 and 1: how often an answer of n tokens is correct; none counts as one."""
    return np.clip(k.accuracy + k.gain * np.log(np.maximum(tokens, 1) / REFERENCE), 0, 1)


def obeyed_from(gain: float, penalty: float) -> int:
    """n_α: the shortest target that is obeyed to the token, the first whole n with p(n + 1) − p(n) ≤ α.

    B·log(1 + 1/n) ≤ α exactly if n ≥ 1/(e^{α/B} − 1), which is B/α − ½ up to terms of α/B.
    """
    return math.ceil(1 / math.expm1(penalty / gain))


def width(strength: float, penalty: float) -> float:
    """2 log 50·β/α = 7.82 β/α: the width from 1 to 99 % of lengths ∝ e^{−α|n − target|/β}, whatever the target."""
    return 2 * math.log(50) * strength / penalty


def _tokens(k: Setting) -> Any:
    """The lengths at which an answer can be given."""
    return k.step * np.arange(k.longest // k.step + 1)


def _check(k: Setting) -> None:
    for name in ("target", "longest"):
        if getattr(k, name) % k.step:
            raise ValueError(f"{name} of lcpo must be a multiple of step, {k.step}, not {getattr(k, name)}")
    if k.target >= k.longest:
        raise ValueError(f"target of lcpo must be less than longest, {k.longest}, not {k.target}")


def problem(k: Setting, reward: Any) -> MDP:
    """A chain: write on, or answer, which ends it; at the longest the answer must be given."""
    tokens = _tokens(k)
    end = len(tokens)
    after = np.stack([np.minimum(np.arange(end + 1) + 1, end), np.full(end + 1, end)], axis=1)
    legal = np.ones((end + 1, 2), bool)
    legal[[end - 1, end], 0] = False
    labels = Labels([*(f"{n} tokens" for n in tokens), "end"], ["write on", "answer"], name="length control")
    return MDP(
        Successors(after[..., None]),
        reward,
        k.discount**k.step,
        initial=np.eye(end + 1)[0],
        legal=legal,
        terminal=np.arange(end + 1) == end,
        labels=labels,
    )


def parts(k: Setting) -> RewardParts:
    """Correctness, and tokens off the target; wanted is the answer of the length that was asked for."""
    _check(k)
    tokens = _tokens(k)
    table = np.zeros((2, len(tokens) + 1, 2))
    table[0, :-1, 1], table[1, :-1, 1] = accuracy_at(k, tokens), np.abs(tokens - k.target)
    true = np.zeros(table.shape[1:])
    true[np.flatnonzero(tokens == k.target), 1] = 1
    return RewardParts(
        names=("correct", "tokens off target"),
        parts=table,
        weights=(1.0, -k.penalty),
        true=true,
        directions={"penalty": -table[1]},
    )


def base(k: Setting) -> Any:
    """Answers with the same probability after every step, so that they are `habit` tokens long if nothing cuts them."""
    states = len(_tokens(k)) + 1
    stop = min(k.step / k.habit, 1)
    found = np.tile([1 - stop, stop], (states, 1))
    found[-2:] = (0, 1)
    return found


def threshold(k: Setting) -> float:
    """α* = (p(n + h) − p(n))/h at the target n, h tokens a step: from there on the target is met exactly.

    Answering at n earns p(n), a step later p(n + h) − αh. As p is concave, a target that is not left for one step is
    not left for more, and a shorter answer loses both p and α per token. With a discount γ per token, later is worth
    less: α* is the larger of (γʰp(n + h) − p(n))/(γʰh), against going on, and (p(n − h) − γʰp(n))/h, against
    answering a step earlier, which the discount alone makes worth while.
    """
    short, here, long = accuracy_at(k, np.array([k.target - k.step, k.target, k.target + k.step]))
    fade = k.discount**k.step
    return float(max((fade * long - here) / (fade * k.step), (short - fade * here) / k.step))


def _further(k: Setting) -> tuple[float, ...]:
    """Without a discount, every length above the target is left at α = (p(n + h) − p(n))/h."""
    if k.discount < 1:
        return ()
    tokens = _tokens(k)
    return tuple(np.diff(accuracy_at(k, tokens))[tokens[:-1] >= k.target] / k.step)


def heights(k: Setting) -> Heights:
    """The length goes on by a step, or begins a step earlier, whichever threshold is the larger."""
    short, here = accuracy_at(k, np.array([k.target - k.step, k.target]))
    early = (short - k.discount**k.step * here) / k.step >= threshold(k)
    step = -k.step if early else k.step
    return Heights(k.target + step, k.target + step / 2, k.target)


def _length(policy: Any, k: Setting) -> Any:
    """Σ_n n·P(the answer comes after n tokens)."""
    going = np.cumprod(policy[..., :-1, 0], axis=-1)
    return k.step * going[..., :-1].sum(axis=-1)


def _accuracy(policy: Any, k: Setting) -> Any:
    going = np.cumprod(policy[..., :-1, 0], axis=-1)
    arrives = np.concatenate([np.ones_like(going[..., :1]), going[..., :-1]], axis=-1)
    return np.sum(arrives * policy[..., :-1, 1] * accuracy_at(k, _tokens(k)), axis=-1)


def soft(k: Setting, strength: float) -> float:
    """Lengths ∝ b(n)·exp((p(n) − α|n − target|)/β); at discount 1, where KL is that of whole answers."""
    if k.discount < 1:
        raise ValueError("the soft length of lcpo is known in closed form at discount 1; jc.solve has it at any")
    tokens, reward = _tokens(k), parts(k).trained[:-1, 1]
    stop = min(k.step / k.habit, 1)
    with np.errstate(divide="ignore"):
        logs = np.arange(len(tokens)) * np.log1p(-stop) + np.where(tokens < tokens[-1], np.log(stop), 0)
    weight = np.exp(logs + reward / strength - np.max(logs + reward / strength))
    return float(np.sum(weight * tokens) / weight.sum())


def _violins() -> tuple[Readings, ...]:
    """From 1 to 99 %, for MATH, Olympiad, AIME and AMC."""
    read = {
        512: ((241, 907), (249, 992), (281, 1025), (321, 952)),
        1024: ((574, 1607), (518, 1653), (535, 1976), (499, 1747)),
        2048: ((1597, 2458), (1561, 2564), (1616, 2762), (1638, 2640)),
        3600: ((3184, 4106), (3261, 4633), (3155, 4800), (3209, 4648)),
    }
    at = tuple(float(n) for n, rows in read.items() for _ in rows)
    return tuple(
        Readings(
            f"length, {name} of answers",
            "target",
            at,
            tuple(float(row[i]) for rows in read.values() for row in rows),
            20.0,
            "violins of the L1 figure",
        )
        for i, name in enumerate(("1 %", "99 %"))
    )


def _curve(name: str, *points: tuple[float, float]) -> Readings:
    tokens, percent = zip(*points, strict=True)
    return Readings(f"accuracy, {name}", "tokens", tokens, tuple(y / 100 for y in percent), 0.005, "L1 figure")


SCENARIO = Scenario(
    name="lcpo",
    title="Control of length (LCPO)",
    claim="Short and long answers are equally good for a reward of correctness alone, and a price of .0003 per token "
    "off target turns that tie into obedience to a requested length.",
    source="equation 16 and the figure of the L1 case study",
    knobs=(
        Knob("penalty", 0.0003, 0, 0.01, "α, the price per token off target"),
        Knob("target", 512, 256, 4096, "the length that is asked for, in tokens", whole=True),
        Knob("gain", 0.0999, 0, 0.16, "B, accuracy won per e-fold of tokens"),
        Knob("accuracy", 0.4264, 0.3, 0.7, "accuracy at 1,000 tokens"),
        Knob("discount", 1.0, 0.999, 1, "γ per token; below 1 it shortens answers by itself"),
        Knob("step", 32, 1, 512, "h, tokens per decision", whole=True),
        Knob("longest", 4096, 320, 8192, "the longest answer, in tokens", whole=True),
        Knob("habit", 9500.0, 500, 50_000, "length of the base's answers, in tokens"),
    ),
    laws=Laws(
        problem=problem,
        parts=parts,
        base=base,
        thresholds={"penalty": threshold},
        heights=heights,
        measured={"length": _length, "accuracy": _accuracy},
        soft=soft,
        others={"penalty": _further},
    ),
    strength=0.035,
    observed=(
        _curve("L1-Exact", (610, 37.7), (1200, 45), (1780, 48.3), (3400, 55)),
        _curve("L1-Max", (315, 32.4), (680, 45.6), (985, 49.7), (2050, 54.5)),
        _curve("S1", (520, 14.2), (1010, 22.7), (2020, 35.7), (3500, 43.2)),
        _curve("Agentica-4K", (2650, 56)),
        _curve("Agentica-24K", (5800, 59.4)),
        _curve("DeepSeek-R1-1.5B", (9500, 51.2)),
        *_violins(),
        Readings("length", "penalty", (0.0003,), (610.0,), 20.0, "L1-Exact asked for 512 tokens"),
        Readings("accuracy", "penalty", (0.0003,), (0.377,), 0.005, "L1-Exact asked for 512 tokens"),
    ),
    doubts=(
        "The widths of the violins, .63 to 1.65 thousand tokens, are met by no single strength: 7.82 β/α is the same "
        "everywhere, and the widest is 2.6 times the narrowest. The strength .035, 913 tokens wide, is one in between.",
        "The model obeys every target above 333 tokens to the token at α = .0003; the chart's answers are longer "
        "than 512 and shorter than 2048 and 3600 on average.",
        "Equally good short and long answers take a discount of exactly 1: γ = .9997 per token costs as much as α.",
        "The one-sided reward of L1-Max is not modelled.",
    ),
)

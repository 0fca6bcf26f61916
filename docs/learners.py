"""Measures what docs/learners.md says of learners and writes its tables: `python docs/learners.py [SEEDS]`."""

import dataclasses
import functools
import pathlib
import re
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxcliff as jc
from jaxcliff.learners import advantages, leashes

PAGE = pathlib.Path(__file__).parent / "learners.md"
LIMIT = 0.95  # probability at which a learner has landed
BIASED = functools.partial(advantages.normalised, floor=1e-6, biased=True)
Rows = list[dict[str, Any]]


def bias(seeds: int) -> Rows:
    """The mean of one step over the exact gradient, along it, and how much of the mean step is across it."""
    base = np.array([[0.4, 0.3, 0.2, 0.1]])
    rows = []
    for scale in (1.0, 0.01):
        reward = scale * np.array([[1.0, 0.6, 0.2, 0.0]])
        mdp = jc.problems.bandit(jnp.asarray(reward[0]))
        exact = _step(jc.learners.Learner(rate=1e-3, gradient="exact", base=base, steps=1), mdp, reward, 1)
        for name, options in _ESTIMATORS.items():
            learner = jc.learners.Learner(**{"rate": 1e-3, "base": base, "steps": 1} | options)
            mean = _step(learner, mdp, reward, seeds) * 1e-3 / (learner.rate * learner.epochs)
            along = (mean * exact).sum() / (exact**2).sum()
            across = np.linalg.norm(mean - along * exact) / np.linalg.norm(mean)
            rows.append({"rewards": f"× {scale:g}", "estimator": name, "along": along, "across": across})
    return rows


_ESTIMATORS: dict[str, dict[str, Any]] = {
    "leave one out": {"advantage": "others"},
    "group mean": {"advantage": "mean"},
    "group mean, standard deviation": {"advantage": "std"},
    "the same, biased": {"advantage": BIASED},
    "ranks": {"advantage": "rank"},
    "tails (RiskPO)": {"advantage": "risk"},
    "leave one out, 4 epochs, rate 1": {"advantage": "others", "epochs": 4, "rate": 1.0},
    "the same, clip .2": {"advantage": "others", "epochs": 4, "rate": 1.0, "clip": (0.2, 0.2)},
}


def _step(learner: Any, mdp: Any, reward: np.ndarray, seeds: int) -> np.ndarray:
    policies = np.asarray(learner(mdp, np.broadcast_to(reward, (seeds, *reward.shape)), jax.random.key(0)))
    moved = np.log(policies) - np.log(np.asarray(learner.base))
    return (moved - moved.mean(axis=-1, keepdims=True)).mean(axis=0)[0]


def collapse(seeds: int, learner: Any = None, steps: tuple[float, ...] = (0.1, 0.15, 0.2)) -> dict[str, Any]:
    """P(better) against the logistic law: over groups, noises, rates (so that steps have these sizes) and gaps."""
    learner = jc.learners.dr_grpo() if learner is None else learner
    normal = learner.advantage == "std"
    limit = np.log(LIMIT / (1 - LIMIT))
    share, law = [], []
    for group in (4, 8, 16):
        for sigma in (0.5, 2.0):
            scale = 1.0 if not normal else jc.theory.sample_deviation(sigma, group)
            taken = np.array(steps) * group * scale / (sigma * np.sqrt(group - 1))  # of all epochs
            rates = taken / learner.epochs
            gaps = (
                np.array([0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
                * rates[0]
                * sigma**2
                / (limit * group * scale)
            )
            ds = jc.studies.learner_noise(
                learner=learner,
                key=jax.random.key(group),
                gaps=gaps,
                noise=[sigma],
                groups=[group],
                rates=rates,
                confidence=LIMIT,
                steps=20_000,
                count=seeds,
            )
            exponent = limit * ds.gap * group * scale / (ds.rate * learner.epochs * sigma**2)
            law.append((1 / (1 + np.exp(-exponent))).values.ravel())
            landed = ds.landed_mean.isel(action=0, group=0, noise=0) / (1 - ds.unsettled_mean.isel(group=0, noise=0))
            share.append(landed.transpose("gap", "rate").values.ravel())
    found, expected = np.concatenate(share), np.concatenate(law)
    spread = ((found - found.mean()) ** 2).sum()
    return {
        "settings": len(found),
        "R²": 1 - ((found - expected) ** 2).sum() / spread,
        "mean deviation": (found - expected).mean(),
        "largest deviation": np.abs(found - expected).max(),
    }


def collapses(seeds: int) -> Rows:
    """The law where steps are small, beyond, and with PPO's clip."""
    small, raw, grpo = (0.1, 0.15, 0.2), jc.learners.dr_grpo(), jc.learners.Learner(rate=1.0, advantage="std")
    ppo = jc.learners.Learner(rate=1.0, clip=(0.2, 0.2), epochs=4)
    cases = (
        ("group mean", raw, small),
        ("group mean", raw, (0.4,)),
        ("group mean", raw, (0.8,)),
        ("standard deviation", grpo, small),
        ("standard deviation", grpo, (0.4,)),
        ("group mean, 4 epochs", jc.learners.Learner(rate=1.0, epochs=4), small),
        ("group mean, 4 epochs, clip .2", ppo, small),
        ("group mean, 4 epochs, clip .2", ppo, (0.8,)),
    )
    rows = []
    for name, learner, steps in cases:
        told = {"update": name, "size of a step": ", ".join(f"{s:g}" for s in steps)}
        rows.append(told | collapse(seeds, learner, steps))
        print(rows[-1], flush=True)
    return rows


def flip_times(seeds: int) -> Rows:
    """Mean steps from ½ to .95, G = 8, η = .05: with the standard deviation (biased, floor 1e-6) and without."""
    rows = []
    for name, learner, gaps, most in (
        ("standard deviation", jc.learners.Learner(rate=1.0, advantage=BIASED), (1e-1, 1e-3, 1e-5, 1e-6, 1e-7), 20_000),
        ("none", jc.learners.dr_grpo(), (1.0, 0.3, 0.1), 20_000),
    ):
        ds = jc.studies.learner_noise(
            learner=learner,
            key=jax.random.key(1),
            gaps=gaps,
            noise=[0.0],
            groups=[8],
            rates=[0.05],
            steps=most,
            count=seeds,
        )
        for gap, steps in zip(gaps, ds.time_mean.values.ravel(), strict=True):
            rows.append({"normalised by": name, "gap": gap, "steps": steps})
    return rows


def spurious(seeds: int) -> Rows:
    """Rewards of a fair coin, whatever is answered: what becomes of entropy and of the share of one action."""
    rows = []
    for base in ([0.25] * 4, [0.7, 0.1, 0.1, 0.1], [0.97, 0.01, 0.01, 0.01]):
        for rate in (0.3, 1.0):
            for name, clip, epochs in (("none", 1e9, 1), ("none", 1e9, 4), ("0.2", 0.2, 4), ("0.1", 0.1, 4)):
                learner = jc.learners.Learner(
                    rate=rate, clip=(clip, clip), epochs=epochs, base=np.array([base]), noise=0.5, coin=True, steps=100
                )
                zero = jnp.zeros((seeds, 1, 4))
                policies = np.asarray(learner(jc.problems.bandit(zero[0, 0]), zero, jax.random.key(2)), float)[:, 0]
                entropy = -(policies * np.log(np.maximum(policies, 1e-300))).sum(axis=-1)
                first = -(np.array(base) * np.log(base)).sum()
                error = entropy.std() / np.sqrt(seeds)
                rows.append(
                    {
                        "base": ", ".join(f"{x:g}" for x in base),
                        "rate": rate,
                        "epochs": epochs,
                        "clip": name,
                        "entropy": f"{first:.3f} → {entropy.mean():.3f} ± {error:.3f}",
                        "change": entropy.mean() - first,
                        "error": error,
                        "first action": f"{base[0]:g} → {policies[:, 0].mean():.3f}",
                        "moved": policies[:, 0].mean() - base[0],
                    }
                )
    return rows


def targets(_: int) -> Rows:
    """A change of the reward through a tie that goes to 0: under an entropy target, and a bonus of fixed weight."""
    rows = []
    for size in (1e-1, 1e-2, 1e-3):
        found = {}
        for name, leash in (("target", leashes.target(0.25, strength=0.02)), ("bonus", leashes.entropy(0.1))):
            learner = jc.learners.Learner(rate=1.0, gradient="exact", steps=20_000, leash=leash)
            if name == "target":  # its α is as large as the gap, and moves as slowly
                slow = leashes.target(0.25, strength=0.02 * size)
                learner = dataclasses.replace(learner, rate=1.0 / size, leash=slow)
            pair = np.array([[[size / 2, -size / 2]], [[-size / 2, size / 2]]])
            policies = np.asarray(learner(jc.problems.bandit(jnp.zeros(2)), pair, jax.random.key(0)))
            found[name] = abs(policies[0, 0, 0] - policies[1, 0, 0])
        rows.append({"size": size, "entropy target": found["target"], "bonus of .1": found["bonus"]})
    return rows


TABLES = {"bias": bias, "flip times": flip_times, "targets": targets, "spurious": spurious, "collapse": collapses}
MORE = {"bias": 64, "spurious": 16}  # seeds of what is a step, or few
HIDDEN = {"change", "error", "moved"}


def written(name: str, rows: Rows) -> None:
    """A table between its two marks of the page."""
    shown = [key for key in rows[0] if key not in HIDDEN]
    lines = [f"| {' | '.join(shown)} |", "|" + "---|" * len(shown)]
    for row in rows:
        cells = (f"{x:.4g}" if isinstance(x, float | np.floating) else str(x) for x in (row[key] for key in shown))
        lines.append(f"| {' | '.join(cells)} |")
    begin, end = f"<!-- {name}: made by docs/learners.py -->\n", f"<!-- end of {name} -->"
    text = PAGE.read_text(encoding="utf-8")
    text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", begin + "\n".join(lines) + "\n" + end, text, flags=re.S)
    PAGE.write_text(text, encoding="utf-8")


def main() -> None:
    """So many seeds for each setting, 4,096 if not told otherwise."""
    jax.config.update("jax_enable_x64", True)
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 4096
    for name, measured in TABLES.items():
        began = time.perf_counter()
        rows = measured(seeds * MORE.get(name, 1))
        written(name, rows)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()

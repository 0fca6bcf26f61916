"""How much regularisation a noise needs: the strength that keeps a policy within a budget, by three ways; its price."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcliff import metrics
from jaxcliff.core import checks, datasets
from jaxcliff.core.numerics import cast
from jaxcliff.core.records import by_hand, record
from jaxcliff.core.types import Dataset, Key, Number, PolicyLike, RewardLike, Whole, Word
from jaxcliff.model.mdp import MDP, check_one
from jaxcliff.model.provenance import recorded
from jaxcliff.operators.regularizers import KL, Entropy, Sparsemax
from jaxcliff.rewards import perturb
from jaxcliff.solvers.evaluate import evaluate
from jaxcliff.solvers.jacobian import soft_jacobian
from jaxcliff.solvers.solution import Solution
from jaxcliff.solvers.solve import solve

KINDS = ("entropy", "kl", "sparsemax")
NOISES = ("ball", "gaussian")
STEP, WEAKEST = 0.9, 1e-4  # of the ladder of strengths, from the guaranteed one down to so much of it
WAYS = ("guaranteed", "first order", "measured")


@record
class Calibration:
    """Strengths of a regulariser that keep a policy within a budget of total variation under a noise, by three ways.

    Attributes:
        strength: [3], in units of reward: *guaranteed* (for every change of up to `radius` in the sup norm, by the
            tanh bound, or the law of the regulariser); to *first order* (by the exact slope of the policy at this
            reward: an estimate, which proves nothing); *measured* (drawn). NaN where none was found, or asked for.
        lost, lost_bound: [3], the return that the policy at this strength gives away, and how wrong that can be.
        radius: what the guarantee covers: the noise itself; of "gaussian", what it exceeds with probability `delta`.
        exceeded, count: in how many draws the measured policy left the budget, of how many.
        probability: at most this, with `confidence`, is the probability that it does: the largest that such a count
            does not contradict (Clopper and Pearson). Strengths were tested from the guaranteed one downwards, up to
            the first that fails, so that the confidence holds for the one that is named.
        best_return: of the optimal policy.
    """

    strength: Any
    lost: Any
    lost_bound: Any
    radius: float
    exceeded: int
    count: int
    probability: float
    best_return: float
    budget: float
    noise: float
    delta: float
    confidence: float
    kind: str
    distribution: str
    made: Any = by_hand(default=None)

    def summary(self) -> str:
        """One line for each way."""
        covers = f"for every change up to {self.radius:.3g}"
        if self.distribution == "gaussian":
            covers += f", which the noise exceeds with probability {self.delta:g}"
        drawn = (
            f"in {self.exceeded} of {self.count} draws more; P ≤ {self.probability:.2g}, confidence {self.confidence:g}"
        )
        means = (covers, "by the slope at this reward, an estimate", drawn)
        noise = f"{'noise up to' if self.distribution == 'ball' else 'noise of σ ='} {self.noise:.3g}"
        lines = [f"a policy of {self.kind} that moves by at most {self.budget:g} in total variation under {noise}:"]
        for way, strength, lost, bound, said in zip(
            WAYS, self.strength, self.lost, self.lost_bound, means, strict=True
        ):
            if np.isnan(strength):
                lines.append(
                    f"  {way}: none found" if way != "measured" or self.count else f"  {way}: not asked for (key=)"
                )
                continue
            if strength < 2 * WEAKEST * self.strength[0]:
                said = f"the weakest that was tried; {said}"
            price = f"gives away {lost:.3g} ± {bound:.1g} of {self.best_return:.3g}"
            lines.append(f"  {way}: strength {strength:.3g} ({said}), {price}")
        return "\n".join(lines)

    def to_dataset(self) -> Dataset:
        """The same as a labelled xarray dataset."""
        names = ("strength", "lost", "lost_bound")
        variables: Any = {name: (("way",), getattr(self, name)) for name in names}
        alone = ("radius", "exceeded", "count", "probability", "best_return", "budget", "noise", "delta", "confidence")
        settings = {name: getattr(self, name) for name in (*alone, "kind", "distribution")}
        ds = datasets.build("Calibration", variables, settings, labels=None, size=None, made=self.made)
        return ds.assign_coords(way=np.array(WAYS, object))


@checks.public
@recorded
def calibrate(
    mdp: MDP,
    reward: RewardLike | None = None,
    *,
    noise: Number,
    budget: Number,
    kind: Word = "entropy",
    base: PolicyLike | None = None,
    distribution: Word = "ball",
    delta: Number = 0.05,
    confidence: Number = 0.99,
    key: Key | None = None,
    count: Whole = 1024,
) -> Calibration:
    """The strength of a regulariser that keeps a policy within a budget under noise in its reward; and what it costs.

    Args:
        mdp: the problem.
        reward: R, [S, A]; the problem's own if None.
        noise: how large: the radius of a sup-norm ball, or σ of every entry.
        budget: the total variation, at the state where it is largest, that the policy may move by: between 0 and 1.
        kind: "entropy", "kl" or "sparsemax".
        base: the base policy of "kl", [S, A]; uniform over legal actions if not given.
        distribution: "ball" (uniform in it) or "gaussian".
        delta: how often noise may move the policy farther.
        confidence: of the measured answer.
        key: a JAX random key for the draws; without one nothing is measured.
        count: how many draws.

    >>> import jaxcliff as jc
    >>> found = jc.calibrate(jc.problems.bandit([0.2, 0.0]), noise=0.1, budget=0.05)
    >>> [round(float(x), 2) for x in found.strength[:2]]
    [1.0, 0.99]
    """
    check_one(mdp)
    noise, budget = _between("noise", noise, 0, np.inf), _between("budget", budget, 0, 1)
    delta, confidence = _between("delta", delta, 0, 1), _between("confidence", confidence, 0, 1)
    for name, value, known in (("kind", kind, KINDS), ("distribution", distribution, NOISES)):
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, not {checks.shown(value)}")
    if base is not None and kind != "kl":
        raise ValueError(f"base= is the base policy of kind='kl', not of {kind!r}")
    count = checks.whole(count, "count", 1)
    if key is not None and _upper(0, count, confidence) > delta:
        needed = int(np.ceil(np.log1p(-confidence) / np.log1p(-delta)))
        raise ValueError(f"count must be at least {needed}: fewer draws show no probability below {delta:g}")
    given = mdp.reward if reward is None else cast(checks.array(reward, "the reward"), mdp.dtype)
    if given.shape != mdp.reward.shape:
        raise ValueError(f"the reward has shape {list(given.shape)}, and the problem {list(mdp.reward.shape)}")
    radius = noise if distribution == "ball" else _quantile(mdp, noise, delta)
    scale = _guaranteed(kind, budget, mdp.num_actions) * float(mdp.steps)
    soft = _Soft(mdp, given, kind, base)
    found = np.array([scale * radius, _first_order(soft, budget, radius, scale * radius), np.nan])
    exceeded, probability = 0, np.nan
    if key is None:
        count = 0
    else:
        key = checks.random_key(key)
        if distribution == "ball":
            near = perturb.ball(key, mdp, given, size=noise, count=count)
        else:
            near = perturb.gaussian(key, mdp, given, sigma=noise, count=count)
        found[2], exceeded, probability = _measured(soft, near.rewards, budget, scale * radius, delta, confidence)
    best = solve(mdp, given)
    prices = np.array([soft.price(x, best) if np.isfinite(x) else (np.nan, np.nan) for x in found])
    return Calibration(
        strength=found,
        lost=prices[:, 0],
        lost_bound=prices[:, 1],
        radius=float(radius),
        exceeded=exceeded,
        count=count,
        probability=float(probability),
        best_return=float(jnp.sum(mdp.initial * best.values)),
        budget=budget,
        noise=noise,
        delta=delta,
        confidence=confidence,
        kind=kind,
        distribution=distribution,
    )


class _Soft:
    """The soft policies of one reward, and of others near it."""

    def __init__(self, mdp: MDP, reward: Any, kind: str, base: Any):
        self.mdp, self.reward, self.kind = mdp, reward, kind
        if kind == "kl" and base is None:
            legal = jnp.ones(mdp.reward.shape, bool) if mdp.legal is None else mdp.legal
            shares = legal.astype(mdp.dtype)
            base = shares / jnp.sum(shares, axis=-1, keepdims=True)
        self.base = None if base is None else cast(checks.array(base, "the base policy"), mdp.dtype)

    def solved(self, strength: float, rewards: Any = None) -> Solution:
        """With this strength."""
        own = np.asarray(strength, self.mdp.dtype)
        regularizer: Any = {"entropy": Entropy, "sparsemax": Sparsemax}.get(self.kind)
        regularizer = KL(own, self.base) if regularizer is None else regularizer(own)
        return solve(self.mdp, self.reward if rewards is None else rewards, regularizer=regularizer)

    def slope(self, strength: float) -> float:
        """How fast the policy moves at this reward, at the state where it does most."""
        sol = self.solved(strength)
        return float(jnp.max(soft_jacobian(self.mdp, sol).lipschitz().upper)) if bool(sol.ok) else np.inf

    def price(self, strength: float, best: Solution) -> tuple[float, float]:
        """(the return given away, how wrong that can be)."""
        value = evaluate(self.mdp, self.solved(strength).policy, self.reward)
        lost = float(jnp.sum(self.mdp.initial * (best.values - value.values)))
        return lost, float(best.error_bound + value.error_bound)


def _guaranteed(kind: str, budget: float, actions: int) -> float:
    """α over (radius × horizon)."""
    if kind == "sparsemax":
        return 2 * (actions // 2) * (actions - actions // 2) / actions / budget
    return 1 / (2 * np.arctanh(budget))


def _first_order(soft: _Soft, budget: float, radius: float, start: float) -> float:
    """The weakest strength down to which the slope times the noise stays within the budget."""
    strength, enough = start, np.nan
    while soft.slope(strength) * radius > budget and strength < 16 * start:
        strength /= STEP  # the tanh bound is above its tangent by a little
    while strength > WEAKEST * start:
        if soft.slope(strength) * radius > budget:
            break
        enough, strength = strength, strength * STEP
    low, high = strength, enough
    if np.isnan(enough) or strength <= WEAKEST * start:
        return enough
    for _ in range(12):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if soft.slope(middle) * radius <= budget else (middle, high)
    return float(high)


def _measured(
    soft: _Soft, near: Any, budget: float, start: float, delta: float, confidence: float
) -> tuple[float, int, float]:
    """(the weakest strength that passes, how many draws it lets go, the largest probability that allows so many)."""
    found: tuple[float, int, float] = np.nan, 0, np.nan
    strength = start
    while strength > WEAKEST * start:
        here, there = soft.solved(strength), soft.solved(strength, near)
        moved = np.asarray(metrics.largest_total_variation(there.policy, here.policy))
        beyond = int((~(moved <= budget)).sum())  # a lane that has no answer counts
        probability = _upper(beyond, len(moved), confidence)
        if probability > delta:
            break
        found, strength = (strength, beyond, probability), strength * STEP
    return found


def _upper(exceeded: int, count: int, confidence: float) -> float:
    """The largest probability that so few do not contradict."""
    from scipy.stats import beta

    return 1.0 if exceeded >= count else float(beta.ppf(confidence, exceeded + 1, count - exceeded))


def _quantile(mdp: MDP, sigma: float, delta: float) -> float:
    """What the largest of all entries of Gaussian noise exceeds with probability δ."""
    from scipy.special import ndtri

    entries = int(np.sum(np.asarray(mdp.decisions)))
    return float(-sigma * ndtri(-np.expm1(np.log1p(-delta) / entries) / 2))


def _between(name: str, value: Any, low: float, high: float) -> float:
    found = checks.number(value, name)
    if not low < found < high:
        bounds = "positive" if high == np.inf else f"between {low:g} and {high:g}"
        raise ValueError(f"{name} must be {bounds}, not {found:g}")
    return found

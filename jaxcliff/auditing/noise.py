"""How wrong scores may be: given, seen where answers were scored twice, guessed where models disagree, or assumed."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcliff.auditing.population import edges
from jaxcliff.auditing.rows import Rows
from jaxcliff.core import checks
from jaxcliff.core.labels import brief, many

ENOUGH = 10  # degrees of freedom from which repeated scores tell a noise
ASSUMED = 0.05  # of the spread within prompts
WAYS = ("repeated", "disagreement")


@dataclasses.dataclass(frozen=True)
class Noise:
    """Standard deviations of errors that are independent between answers and models.

    Attributes:
        sizes: per model; source: "given", "repeated", "disagreement" or "assumed".
        mixed: of the mixture.
    """

    sizes: np.ndarray
    source: str
    mixed: float
    told: str

    def without_shared(self, correlation: float) -> "Noise":
        """What is left of errors that answers to one prompt share: a common part changes no difference."""
        left = float(np.sqrt(1 - correlation))
        told = f"{self.told} Of these, errors correlated by {correlation:g} leave {left:.3g}."
        return dataclasses.replace(self, sizes=self.sizes * left, mixed=self.mixed * left, told=told)

    @property
    def is_known(self) -> bool:
        """Whether the table or the user told it."""
        return self.source in ("given", "repeated")


def noise_of(rows: Rows, weights: np.ndarray, given: Any = None) -> Noise:
    """The noise of each model: what is given, else what repeated scores show, else an example of what it may be."""
    names, told = rows.models, ""
    if given is None:
        given = "repeated" if _repeated(rows, weights) else None
    if given is None:
        sizes, source = ASSUMED * rows.spread, "assumed"
        same = (rows.freedom > 0).any() and not (np.nan_to_num(rows.repeated) > 0).any()
        why = "equal answers have equal scores" if same else "no answer was scored often enough"
        told = (
            f"Nothing in the table tells how noisy its scores are ({why}), so what follows takes "
            f"{100 * ASSUMED:g} % of their "
            "spread within prompts as an example; give yours with --noise"
        )
    elif isinstance(given, str):
        if given not in WAYS:
            raise ValueError(f"noise must be numbers, 'repeated' or 'disagreement', not {checks.shown(given)}")
        source = given
        if given == "repeated":
            for k in np.flatnonzero((rows.freedom < 1) & (weights > 0)):
                raise ValueError(
                    f"no answer was scored twice by {brief(names[k])}, so that repeated scores tell no noise"
                )
            sizes = np.nan_to_num(rows.repeated)
            told = (
                f"The noise is that of one scoring, from {many(int(rows.freedom.max()), 'repeated score')} of "
                "the same answers; a "
                "mean of r scorings has √r times less"
            )
        else:
            sizes = disagreement(rows)
            told = (
                "The noise is guessed from how far models disagree within prompts, as if each had the same "
                "opinion and an "
                "error of its own"
            )
    else:
        sizes, source = _numbers(given, names), "given"
        told = "The noise is the one that was given"
    mixed = float(np.sqrt(np.sum((weights * sizes) ** 2)))
    if not mixed > 0:
        if source == "given":
            raise ValueError("noise must be above 0 for a model that has a weight")
        # no model with a weight tells answers of a prompt apart: any noise is as good an example as another
        largest = np.maximum(np.abs(rows.lowest), np.abs(rows.highest))
        sizes = ASSUMED * np.where(rows.spread > 0, rows.spread, np.where(largest > 0, largest, 1))
        told = (
            "Scores never tell the answers of a prompt apart, so that any noise is an example; what follows takes "
            f"{100 * ASSUMED:g} % of the largest score"
        )
        mixed, source = float(np.sqrt(np.sum((weights * sizes) ** 2))), "assumed"
    each = ", ".join(f"{brief(n)} {s:.3g}" for n, s in zip(names, sizes, strict=True))
    return Noise(sizes, source, mixed, f"{told} (standard deviations: {each}).")


def _repeated(rows: Rows, weights: np.ndarray) -> bool:
    """Whether every model with a weight scored enough answers twice, and not all of them to the same number."""
    seen = rows.freedom[weights > 0]
    return bool((seen >= ENOUGH).all() and (np.nan_to_num(rows.repeated[weights > 0]) > 0).any())


def _numbers(given: Any, names: tuple[str, ...]) -> np.ndarray:
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise ValueError(f"noise: there is no model {name!r}; there are {', '.join(map(brief, names))}")
        for name in names:
            if name not in given:
                raise ValueError(f"noise: what is that of {brief(name)}?")
        given = [given[name] for name in names]
    sizes = (
        np.broadcast_to(checks.numbers(given, "noise"), (len(names),))
        if np.ndim(given) == 0
        else checks.numbers(given, "noise")
    )
    if sizes.shape != (len(names),):
        raise ValueError(f"noise: one number, or one per model ({len(names)}), not {sizes.size}")
    if not (np.isfinite(sizes) & (sizes >= 0)).all():
        raise ValueError("noise: standard deviations are finite and not negative")
    return np.asarray(sizes, float)


def disagreement(rows: Rows) -> np.ndarray:
    """Grubbs's estimator: with errors of their own, Var(z_i − z_j) = τ_i² + τ_j² in units of each model's spread."""
    count = len(rows.models)
    if count < 2:
        raise ValueError("one model alone does not disagree; give the noise (noise=; --noise)")
    if not (rows.spread > 0).all():
        flat = rows.models[int(np.argmin(rows.spread))]
        raise ValueError(f"{brief(flat)} never tells answers of a prompt apart, so that its disagreement says nothing")
    z = ", ".join(
        f"(s{k} - avg(s{k}) OVER (PARTITION BY gid)) / {float(rows.spread[k])!r} AS z{k}" for k in range(count)
    )
    pairs = edges(count)
    wanted = "(count(*) - count(DISTINCT gid)) / count(*)::DOUBLE, " + ", ".join(
        f"avg((z{i} - z{j}) * (z{i} - z{j}))" for i, j in pairs
    )
    full = " AND ".join(f"s{k} IS NOT NULL" for k in range(count))
    freedom, *found = rows.source.db.execute(
        f"SELECT {wanted} FROM (SELECT gid, {z} FROM answers WHERE {full})"
    ).fetchone()
    apart = np.array([float(x or 0) for x in found]) / max(float(freedom or 0), 1e-9)
    if count == 2:
        return np.sqrt(apart[0] / 2) * rows.spread
    own = np.array([sum(v for v, pair in zip(apart, pairs, strict=True) if k in pair) for k in range(count)])
    return np.sqrt(np.maximum((own - apart.sum() / (count - 1)) / (count - 2), 0)) * rows.spread

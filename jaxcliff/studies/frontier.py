"""What continuity costs: the sensitivity of a policy map against the return that it gives away at worst."""

import math

import numpy as np
import scipy.special
import xarray as xr

from jaxcliff.core import checks
from jaxcliff.core.types import Names, Number, NumbersLike

KINDS = ("entropy", "sparsemax", "chi_square", "jensen_shannon")
CELLS = 20_000  # intervals between two probabilities of the worse arm


def frontier(
    kinds: Names = KINDS,
    *,
    actions: NumbersLike = (2, 3, 5, 10, 30, 100),
    steps: Number = 1.0,
    strength: NumbersLike | None = None,
) -> xr.Dataset:
    """How fast regularised policies can move, and how much they can lose, over all rewards of bandits.

    Both are suprema, in closed form or bounded from both sides: a sampled one would put a map where it is not. No map
    of two arms that moves by at most L in total variation per unit of reward (in the sup norm) loses less than 1/(8L)
    somewhere; sparsemax and χ² lose exactly that.

    Args:
        kinds: of "entropy" (and KL to a uniform base, which is the same), "sparsemax", and, for two arms, "chi_square"
            and "jensen_shannon" (to a uniform base).
        actions: how many arms, several numbers K.
        steps: 1 for bandits. With 1/(1 − γ) it bounds problems of that horizon: sensitivities are multiplied by it, and
            so are losses, that of entropy being α log K a step instead of the worst of a bandit.
        strength: 25 from .01 to 10 if not given.

    Returns:
        A dataset over `kind`, `actions` and `strength`: the `sensitivity` L; the `regret`, and `regret_lower`, which it
        is at least (they agree where a closed form is known); over `kind` and `actions` their `product` L·regret, which
        depends on no strength; and `bound`, 1/(8L) (a theorem for two arms and one step, NaN elsewhere). What is
        known for two arms only is NaN beyond.
    """
    steps = checks.number(steps, "steps")
    listed = [kinds] if isinstance(kinds, str) else list(checks.listed(kinds, "kinds"))
    for kind in listed:
        if kind not in KINDS:
            raise ValueError(f"kinds must be among {', '.join(KINDS)}, not {checks.shown(kind)}")
    if not 1 <= steps < np.inf:
        raise ValueError(f"steps must be at least 1, not {steps:g}")
    arms = np.atleast_1d(checks.numbers(actions, "actions"))
    if arms.ndim != 1 or not len(arms) or not ((arms >= 2) & (arms == np.round(arms)) & (arms < 2**53)).all():
        raise ValueError(f"actions must be whole numbers from 2 on, not {checks.shown(actions)}")
    several = np.geomspace(1e-2, 10, 25) if strength is None else np.atleast_1d(checks.numbers(strength, "strength"))
    if several.ndim != 1 or not len(several) or not (np.isfinite(several) & (several > 0)).all():
        raise ValueError(f"strength must be a list of positive numbers, not {checks.shown(strength)}")
    table = np.array([[_unit(kind, int(k), steps) for k in arms] for kind in listed])
    slopes, worst, least = np.moveaxis(table, -1, 0)
    sensitivity = slopes[..., None] / several
    dims = ("kind", "actions", "strength")
    theorem = np.where((arms == 2) & (steps == 1), 1.0, np.nan)[:, None]
    variables = {
        "sensitivity": (dims, sensitivity, {"units": "1/reward"}),
        "regret": (dims, worst[..., None] * several, {"units": "reward"}),
        "regret_lower": (dims, least[..., None] * several, {"units": "reward"}),
        "product": (dims[:2], slopes * worst),
        "bound": (dims, theorem / (8 * sensitivity), {"units": "reward"}),
    }
    coords = {
        "kind": np.array(listed, object),
        "actions": arms.astype(int),
        "strength": ("strength", several, {"units": "reward"}),
    }
    return xr.Dataset(variables, coords, {"study": "frontier", "steps": float(steps)})


def _unit(kind: str, actions: int, steps: float) -> tuple[float, float, float]:
    """(sensitivity, regret from above, regret from below) at strength 1."""
    if kind == "entropy":
        worst = float(scipy.special.lambertw((actions - 1) / math.e).real)
        return steps / 2, worst if steps == 1 else steps * np.log(actions), worst
    if kind == "sparsemax":
        slope = 2 * (actions // 2) * (actions - actions // 2) / actions
        worst = (actions - 1) / (4 * actions)
        # With a horizon: ½(1 − 1/K) per step is the most that the bonus (α/2)(1 − Σπ²) can be.
        return slope * steps, worst if steps == 1 else steps * (1 - 1 / actions) / 2, worst
    if actions > 2 or steps > 1:
        return np.nan, np.nan, np.nan
    gap, slope = _TWO_ARMS[kind]
    share = np.linspace(0.5, 0, CELLS + 1)  # of the worse arm, as its gap grows
    gaps = gap(share)
    finite = np.isfinite(gaps)
    # Between two neighbours the gap is at most that of the second, the share at most that of the first.
    upper = np.max(gaps[1:][finite[1:]] * share[:-1][finite[1:]])
    return slope, float(upper), float(np.max(gaps[finite] * share[finite]))


def _chi_square(share: np.ndarray) -> np.ndarray:
    """With f = ½(u − 1)² and b = ½ the gap is the difference of two derivatives, β(2 − 4p), until p is 0."""
    return 2 - 4 * share


def _jensen_shannon(share: np.ndarray) -> np.ndarray:
    """With f = u log u − (u + 1) log((u + 1)/2), whose derivative is log(2u/(u + 1))."""
    with np.errstate(divide="ignore"):
        return np.log((2 - 2 * share) / (3 - 2 * share)) - np.log(2 * share / (2 * share + 1))


# The gap at which the worse arm has a share; and the sensitivity, 2 dp/dgap where it is largest: at equal shares.
_TWO_ARMS = {"chi_square": (_chi_square, 0.5), "jensen_shannon": (_jensen_shannon, 1.0)}

"""In which steps numbers were written: what two equal scores may hide."""

import math
from fractions import Fraction

import numpy as np

DIGITS = 12  # significant ones, from which a number was not written by hand


def step_of(values: np.ndarray) -> float:
    """The step in which numbers are written: the largest decimal one of which all differences are multiples.

    0 if they have more digits than anybody writes; the spacing of float32, if that is what they are.

    >>> import numpy as np
    >>> step_of(np.array([1.5, 2.0, 4.25])), step_of(np.array([0.3, 0.1])), step_of(np.array([np.pi, np.e]))
    (0.25, 0.2, 0.0)
    """
    values = np.unique(values[np.isfinite(values)])
    if len(values) < 2:
        return 0.0
    with np.errstate(over="ignore"):
        low = values.astype(np.float32)
    single = bool((low == values).all())
    shortest = [str(x) for x in low] if single else [repr(x) for x in values.tolist()]
    decimals, digits = zip(*map(_written, shortest), strict=True)
    if max(digits) >= (8 if single else DIGITS):
        return float(np.spacing(np.float32(np.abs(values).max()))) if single else 0.0
    d = max(0, *decimals)
    whole = [round(float(x) * 10**d) if d < 16 else 0 for x in shortest]
    step = math.gcd(*(x - whole[0] for x in whole[1:]))
    return step / 10**d


def _written(number: str) -> tuple[int, int]:
    """(decimals, significant digits) of a number as it is written."""
    mantissa, _, exponent = number.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    return len(fraction) - int(exponent or 0), len(digits.rstrip("0") if not fraction else digits)


def common_step(weights: np.ndarray, steps: np.ndarray) -> float:
    """The step of Σ w·s for scores that are multiples of their steps: the largest number of which all w·step are.

    0 if a score that counts has no step, or if weights and steps have so little in common that it says nothing.

    >>> import numpy as np
    >>> common_step(np.array([0.7, 0.3]), np.array([1.0, 1.0])), common_step(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    (0.1, 0.0)
    """
    own = [(w, step) for w, step in zip(weights.tolist(), steps.tolist(), strict=True) if w > 0]
    if not all(step > 0 for _, step in own):
        return 0.0
    parts = [Fraction(w).limit_denominator(10**6) * Fraction(step).limit_denominator(10**12) for w, step in own]
    if not all(parts):
        return 0.0
    below = math.lcm(*(x.denominator for x in parts))
    step = math.gcd(*(x.numerator * (below // x.denominator) for x in parts)) / below
    return step if step >= 1e-9 * max(map(float, parts)) else 0.0

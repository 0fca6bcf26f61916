"""In which steps numbers were written: what two equal scores may hide."""

import math

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

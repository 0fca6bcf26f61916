"""The claims, section by section, in the order in which they are told."""

from jaxcliff.claims import framework, sets, continuity, walls, jumps, response  # isort: skip
from jaxcliff.claims import mixtures, entropy, weights, limits, regularised  # isort: skip

__all__ = [
    "continuity",
    "entropy",
    "framework",
    "jumps",
    "limits",
    "mixtures",
    "regularised",
    "response",
    "sets",
    "walls",
    "weights",
]

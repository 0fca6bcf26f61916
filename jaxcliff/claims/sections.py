"""The claims, section by section, in the order in which they are told."""

from jaxcliff.claims import framework, continuity, jumps, response, mixtures, entropy, limits, regularised  # isort: skip

__all__ = ["continuity", "entropy", "framework", "jumps", "limits", "mixtures", "regularised", "response"]

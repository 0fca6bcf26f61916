"""The claims, section by section, in the order in which they are told."""

from jaxcliff.claims import framework, continuity, jumps, response, mixtures, entropy, regularised  # isort: skip

__all__ = ["continuity", "entropy", "framework", "jumps", "mixtures", "regularised", "response"]

"""The claims, section by section, in the order in which they are told."""

from jaxcliff.claims import framework, cliffs, mixtures, regularised  # isort: skip

__all__ = ["cliffs", "framework", "mixtures", "regularised"]

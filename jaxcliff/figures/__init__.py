"""Pictures of finished records: pure functions of datasets that return matplotlib figures and solve nothing."""

from jaxcliff.figures.flips import flip_frequency

__all__ = ["flip_frequency"]

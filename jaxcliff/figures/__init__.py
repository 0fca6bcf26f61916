"""Pictures of finished records: pure functions of datasets that return matplotlib figures and solve nothing."""

from jaxcliff.figures.flips import flip_frequency
from jaxcliff.figures.phase import phase_diagram, weight_triangle

__all__ = ["flip_frequency", "phase_diagram", "weight_triangle"]

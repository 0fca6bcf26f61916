"""Pictures of finished records: pure functions of datasets that return matplotlib figures and solve nothing."""

from jaxcliff.figures.aggregation import aggregation_stability
from jaxcliff.figures.flips import flip_frequency
from jaxcliff.figures.phase import phase_diagram, weight_triangle
from jaxcliff.figures.ray import ray
from jaxcliff.figures.temperature import temperature_curve

__all__ = ["aggregation_stability", "flip_frequency", "phase_diagram", "ray", "temperature_curve", "weight_triangle"]

"""Pictures of finished records: pure functions of datasets that return matplotlib figures and solve nothing."""

from jaxcliff.figures.aggregation import aggregation_stability
from jaxcliff.figures.claims import claims
from jaxcliff.figures.flips import flip_frequency
from jaxcliff.figures.frontier import frontier
from jaxcliff.figures.phase import phase_diagram, weight_triangle
from jaxcliff.figures.radius import radius_distribution
from jaxcliff.figures.ray import ray
from jaxcliff.figures.response import response
from jaxcliff.figures.scan import phase_scan
from jaxcliff.figures.soft import soft_against_hard
from jaxcliff.figures.temperature import temperature_curve

__all__ = [
    "aggregation_stability",
    "claims",
    "flip_frequency",
    "frontier",
    "phase_diagram",
    "phase_scan",
    "radius_distribution",
    "ray",
    "response",
    "soft_against_hard",
    "temperature_curve",
    "weight_triangle",
]


def __dir__() -> list[str]:
    return list(__all__)

"""Pictures of finished records: pure functions of datasets that return matplotlib figures and solve nothing."""

from jaxcliff.figures.advantages import advantages
from jaxcliff.figures.aggregation import aggregation_stability
from jaxcliff.figures.base_models import base_models
from jaxcliff.figures.case_study import case_study
from jaxcliff.figures.claims import claims
from jaxcliff.figures.conflicts import conflicts
from jaxcliff.figures.constants import constants
from jaxcliff.figures.flips import flip_frequency
from jaxcliff.figures.fragility import fragility
from jaxcliff.figures.frontier import frontier
from jaxcliff.figures.irrelevant_alternatives import irrelevant_alternatives
from jaxcliff.figures.learned_weights import learned_weights
from jaxcliff.figures.learner_noise import learner_noise
from jaxcliff.figures.left_out import left_out
from jaxcliff.figures.margins import margins
from jaxcliff.figures.perturbed_models import perturbed_models
from jaxcliff.figures.phase import phase_diagram, weight_triangle
from jaxcliff.figures.radius import radius_distribution
from jaxcliff.figures.ray import ray
from jaxcliff.figures.response import response
from jaxcliff.figures.scan import phase_scan
from jaxcliff.figures.soft import soft_against_hard
from jaxcliff.figures.survival_floor import survival_floor
from jaxcliff.figures.temperature import temperature_curve
from jaxcliff.figures.winners import winners_over_weights

__all__ = [
    "advantages",
    "aggregation_stability",
    "base_models",
    "case_study",
    "claims",
    "conflicts",
    "constants",
    "flip_frequency",
    "fragility",
    "frontier",
    "irrelevant_alternatives",
    "learned_weights",
    "learner_noise",
    "left_out",
    "margins",
    "perturbed_models",
    "phase_diagram",
    "phase_scan",
    "radius_distribution",
    "ray",
    "response",
    "soft_against_hard",
    "survival_floor",
    "temperature_curve",
    "weight_triangle",
    "winners_over_weights",
]


def __dir__() -> list[str]:
    return list(__all__)

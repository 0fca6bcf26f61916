"""One question each, answered as a labelled dataset (xarray) that carries the settings that made it."""

from jaxcliff.studies.aggregation import aggregation_stability
from jaxcliff.studies.base_models import base_models
from jaxcliff.studies.case_study import case_study
from jaxcliff.studies.constants import constants
from jaxcliff.studies.flips import flip_frequency
from jaxcliff.studies.frontier import frontier
from jaxcliff.studies.irrelevant_alternatives import irrelevant_alternatives
from jaxcliff.studies.learned_weights import learned_weights
from jaxcliff.studies.learner_noise import learner_noise
from jaxcliff.studies.left_out import left_out
from jaxcliff.studies.perturbed_models import perturbed_models
from jaxcliff.studies.phase import phase_diagram
from jaxcliff.studies.ray import ray
from jaxcliff.studies.response import response
from jaxcliff.studies.scan import phase_scan
from jaxcliff.studies.soft import soft_against_hard
from jaxcliff.studies.survival_floor import survival_floor
from jaxcliff.studies.temperature import temperature_curve

__all__ = [
    "aggregation_stability",
    "base_models",
    "case_study",
    "constants",
    "flip_frequency",
    "frontier",
    "irrelevant_alternatives",
    "learned_weights",
    "learner_noise",
    "left_out",
    "perturbed_models",
    "phase_diagram",
    "phase_scan",
    "ray",
    "response",
    "soft_against_hard",
    "survival_floor",
    "temperature_curve",
]


def __dir__() -> list[str]:
    return list(__all__)

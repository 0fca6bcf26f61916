"""One question each, answered as a labelled dataset (xarray) that carries the settings that made it."""

from jaxcliff.studies.flips import flip_frequency

__all__ = ["flip_frequency"]

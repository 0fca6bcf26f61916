"""Sweeps: a function of one point over named axes, on one machine or many, killed and resumed with the same bits.

    axes → boxes (one program) → chunks (what is kept together) → store

`run` is the one call. A point is a pure function written for one point; axes are numbers (`grid`, `geomspace`, any
list), stacked records, values of Python's (`static=`), and random draws (`draws`), of which statistics can be kept in
place of all their results. The store is zarr, which xarray opens by itself.
"""

from jaxcliff.sweep.axes import Axis, draws, geomspace, grid
from jaxcliff.sweep.run import run
from jaxcliff.sweep.statistics import Statistics, statistics

__all__ = ["Axis", "Statistics", "draws", "geomspace", "grid", "run", "statistics"]


def __dir__() -> list[str]:
    return list(__all__)

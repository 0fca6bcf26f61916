"""One look for every figure: readable at column width, fonts embedded, safe for colour-blind readers."""

from contextlib import AbstractContextManager
from importlib import resources
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

PAGE = 7.2  # inches, both columns of a two-column page
COLUMN = 3.5  # one of them
SEQUENTIAL = "cividis"
# Okabe and Ito's palette, in a fixed order.
INK = {"blue": "#0072B2", "red": "#D55E00", "green": "#009E73", "grey": "#666666"}
LINES = (*list(INK.values())[:3], "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "osD^vP*"
DASHES = ("-", "--", "-.", ":")


def style() -> AbstractContextManager[Any]:
    """A context that draws in the package's style and leaves the user's settings alone."""
    return mpl.rc_context(fname=str(resources.files(__package__) / "jaxcliff.mplstyle"))


def colour(line: int) -> str:
    """The colour of one of several lines."""
    return LINES[line % len(LINES)]


def mark(line: int) -> str:
    """The mark of one of several lines."""
    return MARKS[line % len(MARKS)]


def panels(axes: Any, width: float, height: float, columns: int = 1, rows: int = 1, **layout: Any) -> list[Axes]:
    """The axes to draw on: those given, or those of a new figure, which belongs to no window and no global state."""
    if axes is not None:
        given = list(np.ravel(axes))
        if len(given) != rows * columns or not all(isinstance(one, Axes) for one in given):
            raise ValueError(f"this figure draws on {rows * columns} axes of matplotlib, not on {len(given)}")
        return given
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    return list(figure.subplots(rows, columns, squeeze=False, **layout).ravel())


def whole() -> MaxNLocator:
    """Ticks for numbers that are counted."""
    return MaxNLocator(nbins=6, integer=True)


def counted(numbers: Any) -> dict[str, Any]:
    """One colour for each number from 0 to the largest."""
    most = int(np.max(numbers, initial=0))
    return {"cmap": mpl.colormaps[SEQUENTIAL].resampled(most + 1), "norm": Normalize(-0.5, most + 0.5)}


def figure_of(axes: Axes) -> Figure:
    """The whole figure that axes are part of."""
    return cast("Figure", axes.get_figure(root=True))

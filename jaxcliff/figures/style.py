"""One look for every figure: readable at column width, fonts embedded, safe for colour-blind readers."""

from contextlib import AbstractContextManager
from importlib import resources
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

PAGE = 7.2  # inches, both columns of a two-column page
COLUMN = 3.5  # one of them
SEQUENTIAL = "cividis"
# Okabe and Ito's palette, in a fixed order.
INK = {"blue": "#0072B2", "red": "#D55E00", "green": "#009E73", "grey": "#666666"}


def style() -> AbstractContextManager[Any]:
    """A context that draws in the package's style and leaves the user's settings alone."""
    return mpl.rc_context(fname=str(resources.files(__package__) / "jaxcliff.mplstyle"))


def new_figure(width: float, height: float) -> Figure:
    """A figure that belongs to no window and no global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    return figure

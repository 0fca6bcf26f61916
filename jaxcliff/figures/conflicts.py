"""Which reward models choose different answers."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset
from jaxcliff.figures.style import COLUMN, SEQUENTIAL, figure_of, panels, style, words


def conflicts(ds: Dataset, *, axes: AxesLike | None = None) -> Figure:
    """Draws the dataset of an audit of two or more models: a cell per pair.

    Colour and the upper number say on which share of prompts the two have no best answer in common; the lower number is
    the mean correlation of their ranks within prompts.

    Args:
        ds: `jc.audit(…).to_dataset()`.
        axes: one to draw on; a new figure if not given.
    """
    checks.study(ds, "audit", "jc.audit")
    if "apart" not in ds:
        raise ValueError("one reward model has nobody to disagree with; this figure needs two")
    names = [words(name, 90) for name in ds.model.values]
    with style():
        size = max(COLUMN, 0.55 * len(names) + 1.6)
        panel = panels(axes, size + 0.5, size)[0]
        apart = np.ma.masked_invalid(ds.apart.values)
        image = panel.imshow(apart, cmap=SEQUENTIAL, vmin=0, vmax=1)
        for i in range(len(names)):
            for j in range(len(names)):
                if i != j and np.isfinite(ds.apart.values[i, j]):
                    text = f"{100 * ds.apart.values[i, j]:.0f} %\n{ds.rank_correlation.values[i, j]:.2f}"
                    color = "black" if ds.apart.values[i, j] > 0.5 else "white"
                    panel.text(j, i, text, ha="center", va="center", fontsize=6.5, color=color)
        panel.set_xticks(range(len(names)), names, rotation=30, ha="right")
        panel.set_yticks(range(len(names)), names)
        panel.tick_params(length=0)
        panel.grid(visible=False)
        bar = figure_of(panel).colorbar(image, ax=panel, shrink=0.8, format=PercentFormatter(1))
        bar.set_label("no best answer in common")
    return figure_of(panel)

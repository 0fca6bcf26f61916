"""Odds of hidden cheating against honest work over the penalty: level for every tilt of one context."""

import numpy as np
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, DASHES, INK, colour, dressed, figure_of, outside, panels, style, words


def irrelevant_alternatives(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.irrelevant_alternatives`.

    A line per setting; a tilt of one context is level. Stars are the chart's odds, with what the accuracy of its
    numbers leaves open; vertical, the cliff of the optimum.

    Args:
        ds: the dataset.
        axes: one axis to draw on; a new figure if not given.
        colors, labels: one per entry of the legend, in its order; ours if not given.
    """
    checks.study(ds, "irrelevant alternatives", "jc.studies.irrelevant_alternatives")
    with style():
        (panel,) = panels(axes, COLUMN * 1.25, 3.3)
        for i, name in enumerate(ds.setting.values.tolist()):
            look = "-" if i == ds.sizes["setting"] - 1 else DASHES[(i + 1) % len(DASHES)]
            panel.plot(
                ds.position,
                ds.odds.isel(setting=i),
                look,
                color=colour(i),
                lw=2.6 - 1.2 * (i > 0),
                label=words(name, 200),
            )
        value = ds.reading_value.values
        reach = np.array([value - ds.reading_low.values, ds.reading_high.values - value])
        panel.errorbar(
            ds.reading_at.values, value, reach, fmt="*", ms=8, mfc="white", color="black", lw=1, zorder=5, label="paper"
        )
        panel.axvline(ds.attrs["threshold"], color=INK["grey"], lw=0.9, ls=":", zorder=0)
        panel.set(yscale="log", xlabel="penalty: what being caught costs", ylabel="hidden cheating : honest work")
        outside(panel, below=True, bbox_to_anchor=(0.5, -0.2))
        dressed([panel], colors, labels)
    return figure_of(panel)

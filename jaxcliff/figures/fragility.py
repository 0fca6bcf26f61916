"""How many winners of a table of scores change when its scores are a little wrong."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, INK, dressed, figure_of, outside, panels, style


def fragility(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws the dataset of an audit: the share of prompts whose winner changes, over the size of errors.

    The lower line is what is expected of independent normal errors of that standard deviation; the upper one is how
    many could change if errors of at most that size were as unfortunate as can be. The vertical line is the noise that
    the audit took, dotted where it is an example only.

    Args:
        ds: `jc.audit(…).to_dataset()`.
        axes: one to draw on; a new figure if not given.
        colors, labels: one per entry of the legend, in its order; ours if not given.
    """
    checks.study(ds, "audit", "jc.audit")
    with style():
        panel = panels(axes, COLUMN * 1.15, COLUMN * 0.85)[0]
        sizes = ds.noise.values
        margin = np.sort(ds.margin.values)
        worst = np.searchsorted(margin / 2, sizes, side="right") / len(margin)
        panel.plot(sizes, worst, color=INK["red"], label="may change, errors at worst")
        panel.plot(sizes, ds.flips, color=INK["blue"], label="expected to change, normal errors")
        known = ds.attrs["noise_source"] in ("given", "repeated")
        panel.axvline(ds.attrs["noise_taken"], color=INK["grey"], linewidth=0.8, linestyle="-" if known else ":")
        panel.text(
            ds.attrs["noise_taken"],
            0.02,
            " noise" if known else " example",
            color=INK["grey"],
            transform=panel.get_xaxis_transform(),
        )
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlim(sizes[0], sizes[-1])
        panel.set_ylim(0, 1)
        panel.yaxis.set_major_formatter(PercentFormatter(1))
        panel.set_xlabel("size of the errors of scores" + (" (log-odds)" if ds.attrs["scale"] == "logit" else ""))
        panel.set_ylabel(f"of {ds.attrs['prompts']:,} prompts")
        outside(panel, ncols=1)
        dressed([panel], colors, labels)
    return figure_of(panel)

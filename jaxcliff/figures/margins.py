"""By how much the best answers of a table of scores win."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, INK, dressed, figure_of, outside, panels, style


def margins(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws the dataset of an audit: the share of prompts whose best answer wins by less than a margin.

    Vertical lines are the step in which scores are written, and the noise that the audit took (dotted where it is an
    example only). Where scores lie between 0 and 1 the second line is the same in log-odds: what is a near-tie depends
    on the scale.

    Args:
        ds: `jc.audit(…).to_dataset()`.
        axes: one to draw on; a new figure if not given.
        colors, labels: one per entry of the legend, in its order; ours if not given.
    """
    checks.study(ds, "audit", "jc.audit")
    with style():
        panel = panels(axes, COLUMN * 1.15, COLUMN * 0.85)[0]
        several = {"scores as they are": ("margin", INK["blue"])}
        if "margin_logit" in ds:
            several["log-odds"] = ("margin_logit", INK["green"])
        least = _least(ds)
        for label, (name, color) in several.items():
            x = np.maximum(ds[name].values, least)
            panel.step(x, ds["quantile"], where="post", color=color, label=label)
        known = ds.attrs["noise_source"] in ("given", "repeated")
        noise = (ds.attrs["noise_taken"], "noise" if known else "noise (example)", "-" if known else ":")
        for x, word, line in ((ds.attrs["resolution"], "step", "--"), noise):
            if x > least:
                panel.axvline(x, color=INK["grey"], linewidth=0.8, linestyle=line)
                panel.text(x, 0.94, f"{word} ", ha="right", color=INK["grey"], transform=panel.get_xaxis_transform())
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlim(least, None)
        panel.set_ylim(0, 1)
        panel.yaxis.set_major_formatter(PercentFormatter(1))
        panel.set_xlabel("margin of the best answer (ties at the left edge)")
        panel.set_ylabel(f"of {ds.attrs['prompts']:,} prompts")
        if len(several) > 1:
            outside(panel)
            dressed([panel], colors, labels)
    return figure_of(panel)


def _least(ds: Dataset) -> float:
    """Where the axis begins: below the smallest margin that is none of the ties, and no more than six decades down."""
    margin = ds.margin.values[np.isfinite(ds.margin.values)]
    above = margin[margin > ds.attrs["tie"]]
    most = float(margin.max(initial=0)) or 1.0
    return max(float(above.min(initial=most)) / 2, most * 1e-6)

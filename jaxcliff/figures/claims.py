"""Every claim of the theory: how near to its bound random instances come, and whether it is attained."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import INK, PAGE, dressed, figure_of, outside, panels, style, words

LOWEST = 1e-3  # ratios below are drawn at the edge
ROW = 0.19  # inches


def claims(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws what `jc.claims.verify` found: a row per claim, measured over bound on a logarithmic axis.

    Lines go from the smallest to the largest, thick between the quartiles, with the largest as a point; a diamond at 1
    says that the bound is attained where it should be. Claims of equality, and of what is refused, have no ratio: their
    row has a word.

    Args:
        ds: `jc.claims.to_dataset(jc.claims.verify())`.
        axes: one to draw on; a new figure if not given.
        colors, labels: one per entry of the legend, in its order; ours if not given.
    """
    checks.study(ds, "claims", "jc.claims.to_dataset")
    names, kinds = ds.claim.values.tolist(), ds.kind.values.tolist()
    with style():
        panel = panels(axes, PAGE, 1.1 + ROW * len(names), 1, 1)[0]
        seen = False
        for row, kind in enumerate(kinds):
            one = ds.isel(claim=row)
            holds = bool(one.holds)
            if kind in ("tight", "loose"):
                low, _, first, _, third, _, most = np.maximum(one.ratio.values, LOWEST)
                color = INK["blue"] if kind == "tight" else INK["grey"]
                own: Any = {"label": f"{kind}, the largest seen"}
                own = {} if kind in kinds[:row] else own
                panel.plot([low, most], [row, row], color=color, linewidth=0.8)
                panel.plot([first, third], [row, row], color=color, linewidth=3, solid_capstyle="butt")
                panel.plot(most, row, "o", color=color, markersize=3.5, **own)
                if kind == "tight" and holds:
                    named: Any = {} if seen else {"label": "attained where it should be"}
                    panel.plot(1, row, "D", color=INK["green"], markersize=4, zorder=3, **named)
                    seen = True
            if not holds or kind not in ("tight", "loose"):
                said = words(one.verdict.item(), 200)
                color = INK["grey"] if holds else INK["red"]
                panel.text(LOWEST * 1.15, row, said, va="center", color=color, fontsize=6.5)
        panel.axvline(1, color=INK["red"], linewidth=0.8, zorder=0)
        panel.set_xscale("log")
        panel.set_xlim(LOWEST, 1.6)
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.set_yticks(range(len(names)), [words(name, 150) for name in names], fontsize=6.5)
        panel.set_xlabel("measured / bound")
        outside(panel, below=True, ncols=3, bbox_to_anchor=(0.5, -0.5 / (ROW * len(names))))
        dressed([panel], colors, labels)
    return figure_of(panel)

"""What is left of obedience against its floor: the cells of the paper's table, and pools that are only tilted."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, INK, colour, dressed, figure_of, mark, outside, panels, style, words

LOWEST = 0.6


def survival_floor(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.survival_floor`.

    Dots are pools of answers tilted by correctness: none lies in the shaded half, where obedience falls below
    (1 − c₁)/(1 − c₀). A mark per cell of the table, a shape for each model; filled if it is below, with a line up to
    its floor.

    Args:
        ds: the dataset.
        axes: one axis to draw on; a new figure if not given.
        colors, labels: one per entry of the legend, in its order; ours if not given.
    """
    checks.study(ds, "survival floor", "jc.studies.survival_floor")
    with style():
        (panel,) = panels(axes, COLUMN * 1.25, 3.6)
        low = min(LOWEST, float(ds.ratio.min()) - 0.03)
        panel.fill_between([low, 1], low, [low, 1], color=INK["grey"], alpha=0.2, lw=0)
        panel.plot([low, 1], [low, 1], color=INK["grey"], lw=1, label="floor")
        seen = (ds.pool_floor > low).values
        pools = ds.pool_floor.values[seen], ds.pool_ratio.values[seen]
        panel.scatter(*pools, 3, color="#b0b0b0", lw=0, zorder=1, label="pools, tilted")
        for i, name in enumerate(ds.model.values.tolist()):
            one = ds.isel(model=i)
            for j, kind in enumerate(ds.obeys.values.tolist()):
                at, y, below = float(one.floor), float(one.ratio[j]), bool(one.below[j])
                shade, label = colour(j), words(f"{name}, {kind}", 200)
                look: Any = {"color": shade, "ms": 6, "mfc": shade if below else "white", "zorder": 4, "clip_on": False}
                panel.plot([at], [y], mark(i), label=label, **look)
                if below:
                    panel.plot([at, at], [y, at], color=shade, lw=0.8, zorder=3)
        top = max(1.1, float(np.max(ds.ratio)) + 0.03)
        panel.set(xlim=(low, 1), ylim=(low, top), xlabel="floor: wrong answers left, (1 − c₁)/(1 − c₀)")
        panel.set_ylabel("obedience left, of what it was")
        panel.set_title(f"{int(ds.below.sum())} of {ds.below.size} cells below the floor (filled)")
        outside(panel, below=True, bbox_to_anchor=(0.5, -0.2))
        dressed([panel], colors, labels)
    return figure_of(panel)

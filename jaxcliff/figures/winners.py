"""What the weights of several reward models decide: winners along edges, and over the triangle of three."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from matplotlib.tri import Triangulation

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import (
    COLUMN,
    DASHES,
    INK,
    PAGE,
    SEQUENTIAL,
    colour,
    dressed,
    figure_of,
    listed,
    outside,
    panels,
    style,
    words,
)

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])


def winners_over_weights(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws the dataset of an audit of two or more models: how many winners change as weights move.

    Left, per pair of models, the share of prompts that no longer have the winner of the first as weight goes over to
    the second; every step is one prompt, exactly. Right, of three models, how many prompts keep the winner that they
    have under the weights that were taken (cross), over all weights.

    Args:
        ds: `jc.audit(…).to_dataset()`.
        axes: one to draw on, or two where there are three models; a new figure if not given.
        colors, labels: one per entry of the legend, in its order; ours if not given.
    """
    checks.study(ds, "audit", "jc.audit")
    if "left" not in ds:
        raise ValueError("one reward model has no weights to move; this figure needs two")
    three = "kept" in ds
    with style():
        drawn = panels(axes, PAGE if three else COLUMN * 1.15, COLUMN * 0.9, 2 if three else 1)
        panel = drawn[0]
        order = np.argsort(-ds.left.values[:, -1], kind="stable")
        named = listed(ds.edge.values.tolist(), 150, order)
        for line in order:
            look: Any = {"color": colour(int(line)), "linestyle": DASHES[int(line) % len(DASHES)]}
            label: Any = {} if named[line] is None else {"label": named[line]}
            panel.plot(ds.share, ds.left[line], drawstyle="steps-post", **look, **label)
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1)
        panel.yaxis.set_major_formatter(PercentFormatter(1))
        panel.set_xlabel("share of weight that has gone over")
        panel.set_ylabel("prompts with another winner")
        outside(panel, below=True)
        if three:
            right = drawn[1]
            at = ds.point_weights.values @ CORNERS
            shape = Triangulation(*at.T)
            image = right.tripcolor(
                shape, ds.kept.values, cmap=SEQUENTIAL, vmin=0, vmax=1, shading="gouraud", rasterized=True
            )
            bar = figure_of(right).colorbar(image, ax=right, shrink=0.8, format=PercentFormatter(1))
            bar.set_label("prompts that keep their winner")
            right.plot(*(ds.weights.values @ CORNERS), "x", color="black", markersize=5)
            for corner, name, side in zip(CORNERS, ds.model.values, ("right", "left", "center"), strict=True):
                lift = 0.05 if side == "center" else -0.06
                right.text(corner[0], corner[1] + lift, words(name, 110), ha="center", va="center", color=INK["grey"])
            right.set_aspect("equal")
            right.set_axis_off()
        dressed(drawn[:1], colors, labels)
    return figure_of(panel)

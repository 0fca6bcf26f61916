"""What a training run makes of ties: dead groups, and how much of the gradient comes from nearly dead ones."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, DASHES, INK, PAGE, colour, dressed, figure_of, outside, panels, style


def advantages(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws the dataset of an audit of a training log.

    Left, over steps, how many groups have no gradient at all (all rewards equal) or nearly none before they are divided
    by their standard deviation. Right, the share of all |advantage| that comes from the nearly dead groups, under each
    normalisation: what divides by a small number makes much of little.

    Args:
        ds: `jc.audit(…).to_dataset()`.
        axes: two to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "audit", "jc.audit")
    if "near_share" not in ds:
        raise ValueError("this table is no log of a training run; the figure needs steps")
    with style():
        left, right = panels(axes, PAGE, COLUMN * 0.85, 2, 1, ", one for groups and one for normalisations")
        marks: Any = {"marker": "o", "markersize": 3} if ds.sizes["step"] < 40 else {}
        for name, color, label in (("dead", INK["red"], "dead"), ("near_dead", INK["blue"], "nearly dead")):
            left.plot(ds.step, ds[name], color=color, label=label, **marks)
        left.plot(ds.step, ds.ties, color=INK["grey"], linestyle=":", label="best texts tie")
        for line, name in enumerate(ds.normalisation.values.tolist()):
            look: Any = {"color": colour(line), "linestyle": DASHES[line % len(DASHES)]}
            right.plot(ds.step, ds.near_share[line], label=name, **look, **marks)
        for panel, what in ((left, "of the groups of a step"), (right, "of |A|, in nearly dead groups")):
            panel.set_xlabel("step")
            panel.set_ylabel(what)
            panel.set_ylim(0, max(1.05 * float(np.nanmax([line.get_ydata() for line in panel.lines], initial=0)), 0.05))
            panel.yaxis.set_major_formatter(PercentFormatter(1))
            outside(panel, ncols=3 if panel is left else 2, below=True)
        dressed([left, right], colors, labels)
    return figure_of(left)

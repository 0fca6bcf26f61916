"""How stable the policy of a mixture is: against each of its rewards, against its weights, and under other mixtures."""

from typing import Any, cast

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from jaxcliff.figures.style import PAGE, new_figure, style

# Okabe and Ito's palette, in a fixed order.
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "osD^vP*"


def aggregation_stability(ds: xr.Dataset, *, axes: Any = None) -> Figure:
    """Draws a dataset of `studies.aggregation_stability`.

    Left, the share of perturbed rewards that flip the policy, when one component moves alone and when all move alike;
    marked below, the exact radius of each. Middle, the same under other ways to combine the rewards. Right, what the
    policy of the mixture loses when the mixture moves towards one reward: nothing until its cliff, which is marked.

    Args:
        ds: the dataset.
        axes: three axes to draw on; a new figure if not given.
    """
    with style():
        if axes is None:
            figure = new_figure(PAGE, 3.0)
            left, middle, right = figure.subplots(1, 3)
        else:
            left, middle, right = axes
            figure = cast("Figure", left.get_figure(root=True))
        radii = [*ds.radius.values, ds.attrs["joint_radius"]]
        for i, (sort, radius) in enumerate(zip(ds.sort.values, radii, strict=True)):
            look = {"color": LINES[i % len(LINES)], "marker": MARKS[i % len(MARKS)]}
            left.plot(ds["size"], ds.flips.isel(sort=i), label=str(sort), **look)
            if 0 < radius < np.inf:
                left.axvline(radius, color=look["color"], lw=0.8, ls=":")
        left.set(xscale="log", xlabel="size (sup norm, units of reward)", ylabel="share that flips the policy")
        left.set_title("one reward moves (dotted: radius)")
        for i, name in enumerate(ds.aggregator.values):
            look = {"color": LINES[i % len(LINES)], "marker": MARKS[i % len(MARKS)]}
            middle.plot(ds["size"], ds.aggregator_flips.isel(aggregator=i), label=str(name), **look)
        middle.set(xscale="log", xlabel="size (sup norm, units of reward)", title="other ways to combine")
        for i, name in enumerate(ds.component.values):
            look = {"color": LINES[i % len(LINES)]}
            right.plot(ds.share, ds.regret.isel(component=i), label=str(name), **look)
            at = float(ds.breakpoint[i])
            if np.isfinite(at):
                right.plot(at, 0, MARKS[i % len(MARKS)], clip_on=False, zorder=3, **look)
        right.set(xlabel="share of the way to that reward", ylabel="regret (units of reward)")
        right.set_title("deployed under another mixture")
        right.set_ylim(bottom=0)
        for panel in (left, middle):
            panel.set_ylim(-0.02, 1.02)
        for panel in (left, middle, right):
            panel.legend(loc="upper left", handlelength=1.4, frameon=True, edgecolor="none", framealpha=0.85)
    return figure

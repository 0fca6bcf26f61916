"""What a regulariser buys and what it costs, over its strength."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import INK, PAGE, dressed, figure_of, outside, panels, style

SYMBOL = {"entropy": "strength α", "kl": "strength β", "sparsemax": "strength α"}


def temperature_curve(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.temperature_curve`.

    Left, what it buys: how far the policy can move per unit of reward, measured and exact at the base, under the bounds
    of theory. Middle, what it costs: the return given away, and the mass on suboptimal actions. Right, the cliff: over
    which change of the reward the choice at the nearest cliff turns from one action to the other.

    Args:
        ds: the dataset.
        axes: three axes to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "temperature curve", "jc.studies.temperature_curve")
    with style():
        left, middle, right = panels(axes, PAGE, 3.4, 3)
        strength = ds.strength.values
        symbol = SYMBOL[ds.attrs["kind"]]
        _buys(left, ds, strength)
        _costs(middle, ds, strength)
        _width(right, ds, strength)
        for panel in (left, middle, right):
            panel.set_xscale("log")
            panel.set_xlabel(f"{symbol} (units of reward)")
        dressed((left, middle, right), colors, labels)
    return figure_of(left)


def _positive(values: Any) -> Any:
    return np.where(values > 0, values, np.nan)


def _buys(panel: Axes, ds: xr.Dataset, strength: Any) -> None:
    law = "law of sparsemax" if ds.attrs["kind"] == "sparsemax" else "linear bound"
    panel.plot(strength, ds.linear, ":", color=INK["grey"], label=law)
    if "tanh" in ds:
        panel.plot(strength, ds.tanh, "--", color="black", lw=1, label="tanh bound")
    panel.plot(strength, _positive(ds.local.values), color=INK["green"], label="exact at the base")
    panel.plot(strength, _positive(ds.sensitivity.values), "o", color=INK["blue"], label="measured at a distance")
    if ds.attrs.get("learner_sensitivity", 0) > 0:
        panel.axhline(ds.attrs["learner_sensitivity"], color=INK["red"], lw=1, label="the learner, measured")
    panel.set_yscale("log")
    panel.set_ylim(bottom=max(panel.get_ylim()[0], panel.get_ylim()[1] * 1e-8))  # at 0 a policy is as good as hard
    panel.set(ylabel="TV per unit of reward", title="what regularisation buys")
    outside(panel, below=True, bbox_to_anchor=(0.5, -0.22), ncols=1)


def _costs(panel: Axes, ds: xr.Dataset, strength: Any) -> None:
    best = abs(ds.attrs["best_return"]) or 1.0
    panel.plot(strength, np.maximum(ds.lost, 0) / best, "o-", color=INK["red"], label="return lost / |optimum|")
    panel.plot(strength, ds.mass, "s-", color=INK["blue"], label="mass on suboptimal actions", markersize=2.5)
    panel.set_ylim(0, 1.35 * panel.get_ylim()[1])
    panel.set(ylabel="share", title="what it costs")
    outside(panel, below=True, bbox_to_anchor=(0.5, -0.22), ncols=1)


def _width(panel: Axes, ds: xr.Dataset, strength: Any) -> None:
    width = _positive(ds.width.values)
    panel.set_title("how wide the nearest cliff is")
    panel.set_ylabel("width (units of reward)")
    if np.isnan(width).all():
        panel.text(
            0.5,
            0.5,
            "the base stands on a cliff,\nor there is none",
            ha="center",
            va="center",
            transform=panel.transAxes,
        )
        return
    panel.plot(strength, width, "o-", color=INK["green"], label="odds 1:3 to 3:1")
    panel.axhline(2 * ds.attrs["span"], color=INK["grey"], ls=":", label="twice the span")
    panel.set_yscale("log")
    outside(panel, below=True, bbox_to_anchor=(0.5, -0.22), ncols=1)

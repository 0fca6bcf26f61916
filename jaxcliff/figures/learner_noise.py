"""A near-tie under optimisation noise: the exact cliff, the learner's cloud, and the law."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import INK, PAGE, colour, dressed, figure_of, mark, outside, panels, style

SMALL = 0.2  # steps up to which the law is one
SETTLED = 0.01  # share of learners that may have landed nowhere


def learner_noise(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.learner_noise`.

    Left, over the gap, for one size of groups and one noise: the share of those that land that does on the better
    action, at every rate (with two standard errors), the law, the exact optimum, and where the policies of the highest
    rate end (the middle half and the middle nine tenths of them). Middle, all settings over the exponent of the law:
    small steps are filled, larger ones hollow, and those of which some learners landed nowhere grey. Right, how far two
    seeds are apart.

    Args:
        ds: the dataset.
        axes: three to draw on; a new figure if not given.
        colors, labels: one per entry of the legend, in its order; ours if not given.
    """
    checks.study(ds, "learner noise", "jc.studies.learner_noise")
    ds = ds.isel(action=ds.attrs["better"])
    one = ds.isel(group=ds.sizes["group"] // 2, noise=ds.sizes["noise"] // 2)
    with style():
        left, middle, right = each = panels(axes, PAGE, 3.0, 3, 1, ", one each for landings, the law and seeds")
        _landings(left, one)
        _law(middle, ds)
        _seeds(right, one)
        outside(left, below=True, bbox_to_anchor=(0.5, -0.24), ncols=1)
        if "law_mean" in ds:
            outside(middle, below=True, bbox_to_anchor=(0.5, -0.24), ncols=1)
        if "done" in ds and not bool(ds.done.all()):
            figure_of(left).suptitle(f"unfinished: {float(ds.done.mean()):.1%} of the points")
        dressed(each, colors, labels)
    return figure_of(left)


def _landed(ds: xr.Dataset, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The share on the better action of those that landed at all, with two standard errors."""
    landed = 1 - ds.unsettled_mean
    share = (ds.landed_mean / landed.where(landed > 0)).transpose(*ds.unsettled_mean.dims).values
    return share, 2 * np.sqrt(np.clip(share * (1 - share), 0, None) / np.maximum(landed.values * count, 1))


def _landings(axes: Axes, ds: xr.Dataset) -> None:
    gap = ds.gap.values
    last = ds.isel(rate=-1)
    for low, high, shade in ((0.05, 0.95, 0.12), (0.25, 0.75, 0.2)):
        ends = (
            getattr(last, f"share_quantile_{side}").sel(share_quantile=q, method="nearest").clip(0, 1)
            for side, q in (("low", low), ("high", high))
        )
        axes.fill_between(gap, *ends, color="black", alpha=shade, lw=0)
    axes.fill_between([], [], [], color="black", alpha=0.2, lw=0, label=f"policies at rate {float(last.rate):.3g}")
    for i, rate in enumerate(ds.rate.values):
        part = ds.isel(rate=i)
        share, error = _landed(part, ds.attrs["count"])
        axes.errorbar(gap, share, error, fmt=mark(i), ms=4, color=colour(i), label=f"rate {rate:.3g}")
        if "law_mean" in ds:
            axes.plot(gap, part.law_mean.values, color=colour(i), lw=1)
    span = min(0.0, gap.min()) - 0.06 * np.ptp(gap), max(0.0, gap.max()) + 0.03 * np.ptp(gap)
    axes.plot([span[0], 0, 0, span[1]], [0, 0, 1, 1], color="black", lw=1.2, ls="--", label="exact optimum")
    if "law_mean" in ds:
        axes.plot([], [], color="black", lw=1, label="law")
    axes.set(xlim=span, ylim=(-0.03, 1.03), xlabel="gap ε (units of reward)", ylabel="share on the better action")
    axes.set_title(f"groups of {int(ds.group)}, noise {float(ds.noise):.3g}")


def _law(axes: Axes, ds: xr.Dataset) -> None:
    axes.set_title("all settings")
    if "law_mean" not in ds:
        axes.text(0.5, 0.5, "no law is known\nfor this learner", ha="center", va="center", transform=axes.transAxes)
        return
    law = np.clip(ds.law_mean.values, 1e-12, 1 - 1e-12)
    exponent = np.log(law / (1 - law))
    ds = ds.transpose(..., *ds.law_mean.dims)
    share, _ = _landed(ds, ds.attrs["count"])
    step, lost = ds.step_mean.values, ds.unsettled_mean.values
    settled = lost <= SETTLED
    low, high = min(-1.0, float(exponent[settled].min(initial=0))), min(8.0, max(1.0, float(exponent.max())))
    line = np.linspace(low, high, 200)
    axes.plot(line, 1 / (1 + np.exp(-line)), color="black", lw=1, label="logistic(L·ε·s·G/(ησ²))")
    groups = (
        (settled & (step <= SMALL), INK["blue"], INK["blue"], f"steps up to {SMALL:g}"),
        (settled & (step > SMALL), "none", INK["red"], "larger steps"),
        (~settled, INK["grey"], INK["grey"], "some landed nowhere"),
    )
    for where, face, edge, label in groups:
        if where.any():
            axes.scatter(exponent[where], share[where], 14, facecolors=face, edgecolors=edge, lw=0.8, label=label)
    axes.set(xlim=(low, high), ylim=(-0.03, 1.03), xlabel="exponent of the law")


def _seeds(axes: Axes, ds: xr.Dataset) -> None:
    for i in range(ds.sizes["rate"]):
        axes.plot(ds.gap, ds.seed_floor_mean.isel(rate=i), marker=mark(i), ms=4, color=colour(i))
    axes.set(ylim=(0, None), xlabel="gap ε (units of reward)", ylabel="total variation between two seeds")
    axes.set_title("run to run")

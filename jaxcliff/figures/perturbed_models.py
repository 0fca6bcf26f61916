"""One reward model wrong: how far from the cliff, over its weight; and the changes of benchmarks above their floor."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import INK, PAGE, colour, dressed, figure_of, mark, outside, panels, style, words


def perturbed_models(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.perturbed_models`.

    Left, the distance to the cliff of a mixture of one gap over the weight of the model that is wrong: marks are
    certified, lines are gap/w and gap/2w. Right, what becomes of each benchmark from model 1 to models 2 and 3: stars
    of the chart, bars of the optimum, marks of the learner; grey, how far two trainings of model 1 are apart. Above the
    line are benchmarks that the scenario does not model.

    Args:
        ds: the dataset.
        axes: two to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "perturbed models", "jc.studies.perturbed_models")
    with style():
        given: dict[str, Any] = {"width_ratios": (1, 1.4)} if axes is None else {}
        left, right = panels(axes, PAGE, 3.8, 2, 1, ", one for distances and one for benchmarks", **given)
        for i, (name, law, said) in enumerate(
            (("one_entry", "one_law", "one entry, gap/w"), ("both_entries", "both_law", "two entries, gap/2w"))
        ):
            left.plot(ds.weight, ds[law], color=colour(i), lw=1)
            left.plot(ds.weight, ds[name], mark(i), color=colour(i), ms=4, label=said)
        left.axhline(ds.attrs["gap"], color=INK["grey"], lw=0.8, ls=":", label="gap of the mixture")
        left.set(xscale="log", yscale="log", xlabel="weight w of the model that is wrong")
        left.set_ylabel("how wrong it may be (units of reward)")
        _benchmarks(right, ds)
        outside(left, below=True, bbox_to_anchor=(0.5, -0.17), ncols=1)
        outside(right, below=True, bbox_to_anchor=(0.35, -0.17), ncols=2)
        dressed([left, right], colors, labels)
    return figure_of(left)


def _benchmarks(panel: Axes, ds: xr.Dataset) -> None:
    order = np.argsort(~ds.modelled.values, kind="stable")
    some = ds.isel(benchmark=order)
    y = np.arange(len(order))
    for i, change in enumerate(ds.change.values.tolist()):
        at, shade, said = y + 0.2 - 0.4 * i, colour(2 + i), words(change, 110)
        one = some.isel(change=i)
        panel.barh(at, 100 * one.optimum, 0.36, color=shade, alpha=0.35, label=f"{said}: optimum")
        panel.plot(100 * one.learned, at, "s", color=shade, ms=3.5, ls="none", label=f"{said}: learner")
        panel.plot(100 * one.chart, at, "*", ms=7, mfc="white", color=shade, ls="none", label=f"{said}: paper")
    floor = 100 * some.floor.values
    panel.fill_betweenx(y, -floor, floor, color="black", alpha=0.25, lw=0, step="mid", label="two runs of model 1")
    modelled = int(ds.modelled.sum())
    if 0 < modelled < len(order):
        panel.axhline(modelled - 0.5, color=INK["grey"], lw=0.6, ls=":")
    panel.axvline(0, color="black", lw=0.6)
    panel.set_yticks(y, [words(x, 110) for x in some.benchmark.values])
    panel.set(xlabel="change of the score (points)", ylabel="benchmark")

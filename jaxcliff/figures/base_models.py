"""Where a policy jumps that is no table: over base policies, parametrisations and optimisers."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import DASHES, INK, PAGE, colour, dressed, figure_of, mark, outside, panels, style, words


def base_models(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.base_models`.

    Left, the share of the entered action along the way, of every model, for the first optimiser, from every base; the
    lines are the tabular cliff and where the gap of the whole group is 0. Middle, where each of them has its half-way
    point: optimisers are filled and hollow. Right, the half-way points of exact KL-regularised policies over the
    strength, with the law.

    Args:
        ds: the dataset.
        axes: three to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "base models", "jc.studies.base_models")
    with style():
        left, middle, right = each = panels(axes, PAGE, 3.4, 3, 1, ", one each for shares, locations and KL")
        _shares(left, ds)
        _locations(middle, ds)
        _regularised(right, ds)
        for panel in each:
            outside(panel, below=True, bbox_to_anchor=(0.5, -0.24), ncols=1)
        dressed(each, colors, labels)
    return figure_of(left)


def _shares(panel: Axes, ds: xr.Dataset) -> None:
    for j, model in enumerate(ds.model.values.tolist()):
        panel.plot([], [], color=colour(j), label=words(model, 100).replace("_", " "))
        for i in range(ds.sizes["base"]):
            one = ds.share.isel(base=i, model=j, optimiser=0)
            panel.plot(ds.position, one, DASHES[i % len(DASHES)], color=colour(j), lw=1)
    for i, base in enumerate(ds.base.values.tolist()):
        panel.plot([], [], DASHES[i % len(DASHES)], color="black", lw=1, label=f"base: {words(base, 80)}")
    panel.axvline(ds.attrs["cliff"], color="black", lw=0.8)
    panel.axvline(ds.attrs["aggregated_cliff"], color=INK["grey"], lw=0.8, ls=":")
    panel.set(ylim=(-0.03, 1.03), xlabel="t along the way", ylabel=f"share of {words(ds.attrs['entered'], 90)}")
    panel.set_title(f"by {words(ds.optimiser.values[0], 80)}")


def _locations(panel: Axes, ds: xr.Dataset) -> None:
    models = ds.model.values.tolist()
    spread = np.linspace(-0.25, 0.25, max(ds.sizes["base"], 2))
    for i, base in enumerate(ds.base.values.tolist()):
        for k in range(ds.sizes["optimiser"]):
            at = np.arange(len(models)) + spread[i] + 0.08 * k
            face = colour(i) if k == 0 else "none"
            label = f"from a {words(base, 80)} base" if base != "against" else "from a base against it"
            panel.plot(
                at,
                ds.location.isel(base=i, optimiser=k),
                mark(i),
                ms=4.5,
                color=colour(i),
                markerfacecolor=face,
                label=label if k == 0 else None,
            )
    panel.axhline(ds.attrs["cliff"], color="black", lw=0.8, label="cliff of the table")
    panel.axhline(ds.attrs["aggregated_cliff"], color=INK["grey"], lw=0.8, ls=":", label="gap of the group is 0")
    panel.set_xticks(
        range(len(models)), [words(name, 70).replace("_", " ") for name in models], rotation=30, ha="right"
    )
    panel.set(
        ylim=(ds.position.values[0], ds.position.values[-1]), ylabel="t at which shares are equal", title="location"
    )
    panel.set_xlim(-0.6, len(models) - 0.4)


def _regularised(panel: Axes, ds: xr.Dataset) -> None:
    for i, base in enumerate(ds.base.values.tolist()):
        panel.plot(ds.strength, ds.kl_law.isel(base=i), color=colour(i), lw=1)
        panel.plot(ds.strength, ds.kl_location.isel(base=i), mark(i), ms=4.5, color=colour(i), label=words(base, 80))
    panel.plot([], [], color="black", lw=1, label="−β·logit of the base")
    panel.set(xscale="log", xlabel="strength of KL β (reward)", ylabel="t at which shares are equal", title="exact KL")

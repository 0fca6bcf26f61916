"""Soft against hard: one decision, with and without regularisation."""

import numpy as np
from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, DASHES, colour, dressed, figure_of, outside, panels, style, words

FEW = 12  # actions that are drawn as bars


def soft_against_hard(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.soft_against_hard`.

    Bars, the hard policy: all its mass on the optimal actions, however little they are ahead. Coloured, the soft ones:
    a share for every action; where actions are points of a line, a density over it (its area is 1).

    Args:
        ds: the dataset.
        axes: one axis to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "soft against hard", "jc.studies.soft_against_hard")
    with style():
        (panel,) = panels(axes, COLUMN, 2.6)
        count, lines = ds.sizes["action"], ds.sizes["strength"]
        soft = [f"soft, α = {s:g}" for s in ds.strength.values]
        if "position" in ds.coords:
            at = ds.position.values
            chosen = ds.hard.values > 0
            panel.vlines(at[chosen], 0, ds.hard.values[chosen], color="#b0b0b0", lw=4, label="hard: probability")
            weight = np.gradient(at)
            for i, label in enumerate(soft):
                density = ds.soft.values[i] / weight
                panel.plot(at, density, DASHES[i % 4], color=colour(i), label=f"{label}: density")
            panel.set_xlabel("action")
            panel.set_ylabel("probability, density")
        elif count <= FEW:
            width = 0.8 / (1 + lines)
            at = np.arange(count) - 0.4 + width / 2
            panel.bar(at, ds.hard.values, width, color="black", label="hard")
            for i, label in enumerate(soft):
                panel.bar(at + (i + 1) * width, ds.soft.values[i], width, color=colour(i), label=label)
            names = [words(name, 90) for name in ds.action_name.values]
            turn = 0 if max(map(len, names)) * count < 50 else 30
            panel.set_xticks(range(count), names, rotation=turn, ha="right" if turn else "center")
            panel.set_ylabel("probability")
        else:
            order = np.argsort(ds.gap.values, kind="stable")
            panel.step(range(count), ds.hard.values[order], where="mid", color="black", label="hard")
            for i, label in enumerate(soft):
                panel.plot(ds.soft.values[i][order], DASHES[i % 4], color=colour(i), label=label)
            panel.set_xlabel("actions, the best first")
            panel.set_ylabel("probability")
        panel.set_ylim(bottom=0)
        panel.set_title("" if "position" in ds.coords else words(ds.attrs["state"], 170), pad=4)
        outside(panel, bbox_to_anchor=(0.5, 1.12), handlelength=1.6)
        dressed((panel,), colors, labels)
    return figure_of(panel)

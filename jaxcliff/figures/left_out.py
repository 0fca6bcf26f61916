"""Five data sets left out: the Out-Score over the share of each, up to the mixture of all."""

from matplotlib.figure import Figure

from jaxcliff.core import checks
from jaxcliff.core.types import AxesLike, Dataset, Names
from jaxcliff.figures.style import COLUMN, INK, PAGE, colour, dressed, figure_of, outside, panels, style, words


def left_out(
    ds: Dataset,
    *,
    axes: AxesLike | None = None,
    colors: Names | None = None,
    labels: Names | None = None,
) -> Figure:
    """Draws a dataset of `studies.left_out`.

    Left, the Out-Score over the share of each data set, from none to an equal part: lines of the optimum, thin ones of
    the weakest entropy, stars of the chart. The mixture of all, at the right end, is the average of the five at the
    left end and below all of them. Right, the five at share 0: the chart, the optimum and soft policies.

    Args:
        ds: the dataset.
        axes: two to draw on; a new figure if not given.
        colors, labels: one per entry of the legends, in their order; ours if not given.
    """
    checks.study(ds, "left out", "jc.studies.left_out")
    with style():
        left, right = panels(axes, PAGE, COLUMN, 2, 1, ", one over shares and one for data sets")
        weakest = int(ds.strength.values.argmin())
        for i, name in enumerate(ds.domain.values.tolist()):
            one = ds.isel(domain=i)
            left.plot(ds.position, one.hard, color=colour(i), drawstyle="steps-mid", label=words(name, 90))
            left.plot(ds.position, one.soft.isel(strength=weakest), "--", color=colour(i), lw=0.8)
            left.plot(0, float(one.chart), "*", ms=8, mfc="white", color=colour(i), clip_on=False, zorder=5)
        left.axvline(float(ds.threshold[0]), color=INK["grey"], lw=0.9, ls=":", zorder=0)
        left.plot([], [], "k--", lw=0.8, label=f"entropy, α = {float(ds.strength[weakest]):.3g}")
        left.plot(ds.position[-1], 0, "*", ms=8, mfc="white", color="black", clip_on=False, zorder=5, label="paper")
        left.set(xlabel="share of the data set in the mixture", ylabel="Out-Score, against the mixture of all")
        lines = 1 + ds.sizes["strength"]
        width, place = 0.8 / lines, range(ds.sizes["domain"])
        bars = [(ds.hard_without.values, "black", "optimum")]
        soft = [(ds.soft_without.isel(strength=i).values, f"α = {float(s):.3g}") for i, s in enumerate(ds.strength)]
        bars += [(y, colour(5 - i), said) for i, (y, said) in enumerate(soft)]
        for i, (y, shade, said) in enumerate(bars):
            right.bar([x - 0.4 + (i + 0.5) * width for x in place], y, width, color=shade, label=said)
        right.plot(place, ds.chart, "*", ms=8, mfc="white", color="black", ls="none", label="paper (put in)")
        right.set_xticks(list(place), [words(x, 60) for x in ds.domain.values], rotation=30, ha="right")
        right.axhline(0, color=INK["grey"], lw=0.6)
        right.set_ylabel("Out-Score without it")
        outside(left, below=True, bbox_to_anchor=(0.5, -0.2), ncols=2)
        outside(right, below=True, bbox_to_anchor=(0.5, -0.3), ncols=2)
        dressed([left, right], colors, labels)
    return figure_of(left)

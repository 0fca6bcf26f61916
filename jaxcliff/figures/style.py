"""One look for every figure: readable at column width, fonts embedded, safe for colour-blind readers."""

import functools
import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib import resources
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from jaxcliff.core.labels import brief

PAGE = 7.2  # inches, both columns of a two-column page
COLUMN = 3.5  # one of them
SEQUENTIAL = "cividis"
# Okabe and Ito's palette, in a fixed order.
INK = {"blue": "#0072B2", "red": "#D55E00", "green": "#009E73", "grey": "#666666"}
LINES = (*list(INK.values())[:3], "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = "osD^vP*"
DASHES = ("-", "--", "-.", ":")
FONT = "DejaVu Sans"  # comes with matplotlib
# Families that have what it lacks, of systems and distributions; of each, the first that is installed is used.
OTHERS = (
    *("Noto Sans CJK", "Source Han Sans", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "IPAexGothic", "IPAGothic"),
    *("TakaoPGothic", "VL Gothic", "WenQuanYi Zen Hei", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo"),
    *("Yu Gothic", "MS Gothic", "Microsoft YaHei", "Malgun Gothic", "Droid Sans Fallback", "Arial Unicode MS"),
    *("Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "Symbola"),
)
LACKING = "\N{REPLACEMENT CHARACTER}"
HIDDEN = "\N{ZERO WIDTH SPACE}"  # before an underscore, with which matplotlib marks what a legend leaves out
LISTED = 8  # names in one legend


def style() -> AbstractContextManager[Any]:
    """A context that draws in the package's style and leaves the user's settings alone."""
    return mpl.rc_context({"font.family": list(fonts())}, str(resources.files(__package__) / "jaxcliff.mplstyle"))


@functools.cache
def fonts() -> tuple[str, ...]:
    """The font of every figure, and after it those that are asked for what it lacks."""
    installed = sorted({font.name for font in font_manager.fontManager.ttflist})
    found = [[name for name in installed if f"{name} ".startswith(f"{family} ")][:1] for family in OTHERS]
    return tuple(dict.fromkeys([FONT, *(name for names in found for name in names)]))


@functools.cache
def _glyphs() -> frozenset[int]:
    """All characters that one of the fonts can draw."""
    files = [font_manager.findfont(FontProperties(family=name)) for name in fonts()]
    return frozenset().union(*(font_manager.get_font(file).get_charmap() for file in files))


def words(name: Any, points: float) -> str:
    """Text that is not ours, as text: no mathematics, not hidden from a legend, on one line of at most so many points.

    The middle of a long name is left out, and what no font at hand can draw is marked with �. Datasets have all of it.
    """
    line = "".join(map(_drawable, brief(name, 200)))
    shown, length = line, len(line)
    while length > 1 and (width := _width(shown)) > points:
        length = min(length - 1, int(1.2 * length * points / width) + 1)
        shown = brief(line, length)
    if not shown.strip():
        return "(no name)"
    return (HIDDEN if shown.startswith("_") else "") + shown.replace("$", r"\$")


def _drawable(character: str) -> str:
    control = unicodedata.category(character) in ("Cc", "Cs")
    return LACKING if control or ord(character) not in _glyphs() else character


def _width(line: str) -> float:
    """In points, at the largest size at which names are written."""
    font = FontProperties(family=list(fonts()), size=mpl.rcParams["font.size"])
    return float(text_to_path.get_text_width_height_descent(line, font, False)[0])


def listed(names: Sequence[Any], points: float, order: Any = None) -> list[str | None]:
    """What a legend says of each name: of many, the first few in this order, and how many more there are."""
    first = list(range(len(names)) if order is None else order)
    few = len(names) if len(names) <= LISTED else LISTED - 1
    said: list[str | None] = [None] * len(names)
    for i in first[:few]:
        said[i] = words(names[i], points)
    for i in first[few : few + 1]:
        said[i] = f"{len(names) - few} more"
    return said


def colour(line: int) -> str:
    """The colour of one of several lines."""
    return LINES[line % len(LINES)]


def mark(line: int) -> str:
    """The mark of one of several lines."""
    return MARKS[line % len(MARKS)]


def panels(axes: Any, width: float, height: float, columns: int = 1, rows: int = 1, **layout: Any) -> list[Axes]:
    """The axes to draw on: those given, or those of a new figure, which belongs to no window and no global state."""
    if axes is not None:
        given = list(np.ravel(axes))
        if len(given) != rows * columns or not all(isinstance(one, Axes) for one in given):
            raise ValueError(f"this figure draws on {rows * columns} axes of matplotlib, not on {len(given)}")
        return given
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr, call-arg]
    return list(figure.subplots(rows, columns, squeeze=False, **layout).ravel())


def whole() -> MaxNLocator:
    """Ticks for numbers that are counted."""
    return MaxNLocator(nbins=6, integer=True)


def counted(numbers: Any) -> dict[str, Any]:
    """One colour for each number from 0 to the largest."""
    most = int(np.max(numbers, initial=0))
    return {"cmap": mpl.colormaps[SEQUENTIAL].resampled(most + 1), "norm": Normalize(-0.5, most + 0.5)}


def figure_of(axes: Axes) -> Figure:
    """The whole figure that axes are part of."""
    return cast("Figure", axes.get_figure(root=True))

"""One look for every figure: readable at column width, fonts embedded, safe for colour-blind readers."""

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import Normalize, to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from jaxcliff.core import checks
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
# Settings that stay ours: a page has its size, and every name is written as it is.
OURS = {"figure.figsize", "figure.constrained_layout.use", "figure.autolayout", "text.usetex", "text.parse_math"}


@contextmanager
def style() -> Iterator[None]:
    """A context that draws in the package's style, with what the user has set otherwise, and leaves settings alone.

    A user's settings count (fonts, sizes, lines, grids, ticks), but for sizes of pages and for TeX, which cannot write
    every name. Colours mean something in each figure: they are its arguments.
    """
    own = {key: x for key, x in mpl.rcParams.items() if _set_by_the_user(key, x)}
    family = own.pop("font.family", [])
    with mpl.rc_context(own, str(resources.files(__package__) / "jaxcliff.mplstyle")):
        mpl.rcParams["font.family"] = [*family, *fonts()]
        yield


def _set_by_the_user(key: str, value: Any) -> bool:
    if key in OURS or key.startswith(("backend", "interactive", "toolbar", "_internal", "date.epoch")):
        return False
    defaults: dict[str, Any] = mpl.rcParamsDefault  # type: ignore[assignment]
    return key in defaults and repr(value) != repr(defaults[key])


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


def one_each(given: Any, count: int, name: str, what: str) -> list[Any]:
    """A user's list with one entry per thing."""
    if isinstance(given, str | dict) or not hasattr(given, "__len__") or len(given) != count:
        size = len(given) if hasattr(given, "__len__") and not isinstance(given, str | dict) else checks.shown(given)
        raise ValueError(f"{name} must be a list with one entry per {what}, {count}, not {size}")
    return list(given)


def panels(
    axes: Any, width: float, height: float, columns: int = 1, rows: int = 1, why: str = "", **layout: Any
) -> list[Axes]:
    """The axes to draw on: those given, or those of a new figure, which belongs to no window and no global state."""
    if axes is not None:
        given = list(np.ravel(axes))
        if len(given) != rows * columns or not all(isinstance(one, Axes) for one in given):
            found = "" if len(given) == rows * columns else f", not on {len(given)}"
            raise ValueError(f"this figure draws on {rows * columns} axes of matplotlib{why}{found}")
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


def outside(panel: Axes, handles: Any = None, texts: Any = None, *, below: bool = False, **options: Any) -> None:
    """A legend above (or below) a panel where the page makes room for it; inside, where axes are a user's own."""
    entries = () if handles is None else (handles, texts)
    if figure_of(panel).get_layout_engine() is None:
        panel.legend(*entries, loc="best", frameon=True, framealpha=0.9, edgecolor="none")
        return
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)} if below else {"loc": "lower center"}
    panel.legend(*entries, **({"bbox_to_anchor": (0.5, 1.02), "ncols": 2, "borderaxespad": 0} | place | options))


def dressed(panels: Sequence[Axes], colors: Any, labels: Any) -> None:
    """The user's own colours and words for what has an entry in a legend, panel after panel, in that order.

    What is drawn in the colour of an entry without one of its own (a mark, a band) goes with it.
    """
    entries = []
    for panel in panels:
        legend = panel.get_legend()
        artists, _ = panel.get_legend_handles_labels()
        if legend is not None and len(artists) == len(legend.get_texts()):
            entries += [(panel, *each) for each in zip(artists, legend.legend_handles, legend.get_texts(), strict=True)]
    shown = ", ".join(text.get_text() for *_, text in entries)
    for name, given in (("colors", colors), ("labels", labels)):
        if given is not None:
            one_each(given, len(entries), name, f"entry of the legends ({shown})")
    if labels is not None:
        for said, (*_, text) in zip(labels, entries, strict=True):
            text.set_text(str(said))
    if colors is not None:
        for panel in panels:
            both = zip(colors, entries, strict=True)
            own = [(_colour_of(artist), new) for new, (where, artist, *_) in both if where is panel]
            drawn = [each for artist in panel.get_children() for each in _parts(artist)]
            for each, before in [(each, _colour_of(each)) for each in drawn]:
                for old, new in own:
                    if before is not None and old is not None and before[:3] == old[:3]:
                        _paint(each, (*to_rgb(new), before[3]))
                        break
        for new, (_, _, proxy, _) in zip(colors, entries, strict=True):
            for each in _parts(proxy):
                _paint(each, new)


def _parts(artist: Any) -> list[Any]:
    """An artist, or those that it is made of (bars, lines with marks)."""
    parts = [artist] if isinstance(artist, Line2D | Patch | Collection) else []
    return parts or [each for part in getattr(artist, "get_children", list)() for each in _parts(part)]


def _colour_of(artist: Any) -> tuple[float, ...] | None:
    """As red, green, blue and opacity; None for what has many colours, or none."""
    found = next(iter(_parts(artist)), artist)
    if isinstance(found, Line2D):
        return to_rgba(found.get_color())
    if isinstance(found, Patch | Collection):
        for given in (found.get_facecolor(), found.get_edgecolor()):
            rows = np.atleast_2d(given)
            if len(rows) == 1 and rows.shape[1] == 4 and rows[0, 3] > 0:
                return tuple(map(float, rows[0]))
    return None


def _paint(artist: Any, color: Any) -> None:
    if isinstance(artist, Patch) and not artist.get_fill():
        artist.set_edgecolor(color)
    else:
        artist.set_color(color)

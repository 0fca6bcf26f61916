"""Which columns of a table are reward models, and their cells as numbers."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxcliff.core.labels import brief
from jaxcliff.problems.tables import missing

NAMELESS = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?(\.\d+)?")  # as pandas writes an index, and reads it back
NUMBERING = re.compile(r"(?i:id|idx|index|row|uuid|guid|level_\d+|.*[_\-. ](id|idx|uuid|guid))|.*[a-z0-9](Id|ID)", re.S)
ASKED = "models=, or --models"
IN_ORDER = 3  # rows from which 0, 1, 2 … or 1, 2, 3 … are a count and no scores
SHUFFLED = 8  # rows from which whole numbers without a gap are one in any order


def why_left_out(cells: Any, name: str, states: np.ndarray, where: Callable[[int], str]) -> str | None:
    """Why a column that nobody named is no reward model; None if it is one.

    A column of numbers with a cell that is none is a mistake of its row, and no text: it is refused.
    """
    if NAMELESS.fullmatch(name):
        return "it has no name"
    if NUMBERING.fullmatch(name):
        return "its name says that it numbers things"
    values, texts, empty = _parsed(cells)
    if empty.all():
        return "it is empty"
    if 2 * texts.sum() > len(values) - empty.sum():
        return f"it is text, such as {brief(str(cells[int(texts.argmax())]), 24)!r}"
    values = finite(cells, name, where, hint=f"; if this is no reward model, name those that are ({ASKED})")
    if _counts(cells, values, states):
        return "it counts rows"
    if len(values) > 1 and _decides_nothing(values, states):
        return "it is the same for all answers of a context"
    return None


def finite(cells: Any, name: str, where: Callable[[int], str], what: str = "a score", hint: str = "") -> np.ndarray:
    """The cells of a column as float64; the first that is no finite number is refused by its row."""
    values, texts, empty = _parsed(cells)
    for row in np.flatnonzero(texts | empty | ~np.isfinite(values))[:1]:
        cell = cells[row].item() if isinstance(cells[row], np.generic) else cells[row]
        is_what = "empty" if empty[row] else brief(repr(cell), 40)
        raise ValueError(f"{where(int(row))}: {brief(name)} is {is_what}; {what} must be a finite number{hint}")
    return values


def _parsed(cells: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numbers, and where there is text or nothing instead."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "biuf":
        return cells.astype(float), np.zeros(len(cells), bool), np.zeros(len(cells), bool)
    numbers = [_number(cell) for cell in cells]
    texts = np.array([isinstance(number, str) for number in numbers], bool)
    empty = np.array([number is None for number in numbers], bool)
    bad = texts | empty
    return np.array([np.nan if no else number for number, no in zip(numbers, bad, strict=True)], float), texts, empty


def _number(cell: Any) -> float | str | None:
    """A cell as a number (NaN if it is complex), as text, or None where it holds nothing."""
    if isinstance(cell, float):
        return cell
    if isinstance(cell, complex | np.complexfloating):
        return np.nan
    if missing(cell):
        return None
    if isinstance(cell, np.datetime64 | np.timedelta64) or (isinstance(cell, str) and "_" in cell):
        return str(cell)  # Python would read "3_1" as 31
    try:
        return float(cell)
    except OverflowError:
        return np.inf
    except (TypeError, ValueError):
        return str(cell)


def _counts(cells: Any, values: np.ndarray, states: np.ndarray) -> bool:
    """Whether whole numbers count the rows, in order or shuffled, or the answers of each context in order."""
    whole = cells.dtype.kind in "iu" if isinstance(cells, np.ndarray) else all(_is_whole(cell) for cell in cells)
    if not whole:
        return False
    low, rows = values.min(), len(values)
    if rows >= SHUFFLED and np.array_equal(np.sort(values), low + np.arange(rows)):
        return True
    seen = np.zeros(states.max() + 1, int)
    place = np.zeros(rows, int)
    for row, s in enumerate(states):
        place[row], seen[s] = seen[s], seen[s] + 1
    each = seen.max() >= IN_ORDER and np.array_equal(values, low + place)
    every = rows >= IN_ORDER and np.array_equal(values, low + np.arange(rows))
    return bool(low in (0, 1) and (each or every))


def _is_whole(cell: Any) -> bool:
    if isinstance(cell, str):
        return cell.strip().isdecimal()
    return isinstance(cell, int | np.integer) and not isinstance(cell, bool)


def _decides_nothing(values: np.ndarray, states: np.ndarray) -> bool:
    """Whether a column is constant, or constant in every context where some context has a choice."""
    first = np.unique(states, return_index=True)[1]
    if len(first) == len(states):
        return bool((values == values[0]).all())
    return bool((values == values[first][states]).all())

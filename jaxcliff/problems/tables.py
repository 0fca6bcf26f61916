"""Tables as people have them: a file, a list of rows, columns by name. Nothing is dropped or merged on the way."""

import contextlib
import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxcliff.core.labels import brief

LONGEST_CELL = 2**31 - 1  # characters; the csv module's own limit is shorter than a long prompt


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns of equal length, by name, and what a row is called in a message."""

    columns: dict[str, Any]
    where: Callable[[int], str]


def read(table: Any) -> Table:
    """The table in a `.csv`, `.jsonl` or `.json` file, a list of rows (mappings), or columns by name."""
    if isinstance(table, str | pathlib.Path):
        return _of_file(table)
    if isinstance(table, Mapping) or hasattr(table, "columns"):
        return _of_columns(table, lambda row: f"row {row}")
    if isinstance(table, Sequence) and all(isinstance(row, Mapping) for row in table):
        return _of_rows(table, lambda row: f"row {row}")
    raise TypeError(
        f"a table is a .csv, .jsonl or .json file, columns by name, or a list of rows, not {type(table).__name__}"
    )


def missing(cell: Any) -> bool:
    """Whether a cell holds nothing: an empty text, None, NaN, or another library's mark for it."""
    if isinstance(cell, str):
        return not cell.strip()
    if cell is None or cell is np.ma.masked:
        return True
    try:
        return bool(cell != cell)
    except (TypeError, ValueError):  # pandas.NA is neither equal nor different; a list of arrays has no one answer
        return type(cell).__name__ == "NAType"


def _of_file(table: Any) -> Table:
    path = pathlib.Path(table)
    read_rows = {".csv": _csv, ".jsonl": _jsonl, ".json": None}
    if path.is_file() and path.suffix.lower() not in read_rows:
        raise ValueError(f"a table of scores is a .csv, .jsonl or .json file, not {path.name!r}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {str(path)!r}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8 text: {error}") from None
    reader = read_rows[path.suffix.lower()]
    if reader is None:
        return _json(text, path.name)
    rows, lines = reader(text, path.name)
    return _of_rows(rows, lambda row: f"{path.name}, line {lines[row]}")


def _csv(text: str, file: str) -> tuple[list[dict[str, str]], list[int]]:
    """The rows, and the line on which each begins: a cell may hold line breaks, and lines may be blank."""
    records, lines, line = [], [], 1
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        with _long_cells():
            for record in reader:
                if record:
                    records.append(record)
                    lines.append(line)
                line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{file}, line {line}: not CSV ({error})") from None
    names = records[0] if records else []
    if (name := _doubled(names)) is not None:
        raise ValueError(f"{file} has two columns named {brief(name)!r}")
    for record, at in zip(records, lines, strict=True):
        if len(record) != len(names):
            raise ValueError(
                f"{file}, line {at}: the row does not have the columns {_listed(names)}: it has {len(record)} "
                f"cell{'s' * (len(record) != 1)}"
            )
    return [dict(zip(names, record, strict=True)) for record in records[1:]], lines[1:]


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _jsonl(text: str, file: str) -> tuple[list[dict[str, Any]], list[int]]:
    rows, lines = [], []
    for number, line in enumerate(text.split("\n"), 1):  # splitlines would also cut at U+2028, which JSON allows
        if line.strip():
            row = _parsed(line, f"{file}, line {number}: not JSON")
            if not isinstance(row, dict):
                raise ValueError(f"{file}, line {number}: a row is an object with names, such as {{…}}")
            rows.append(row)
            lines.append(number)
    return rows, lines


def _json(text: str, file: str) -> Table:
    table = _parsed(text, f"{file} is no JSON")
    if isinstance(table, dict):
        return _of_columns(table, lambda row: f"{file}, row {row}")
    if isinstance(table, list) and all(isinstance(row, dict) for row in table):
        return _of_rows(table, lambda row: f"{file}, row {row}")
    raise ValueError(f"{file} is no table: a list of rows or a mapping of columns, with names")


def _parsed(text: str, what: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if (name := _doubled([name for name, _ in pairs])) is not None:
            raise ValueError(f"the name {brief(name)!r} is there twice")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if "\n" in text else ""
        raise ValueError(f"{what} ({error.msg} at {place}column {error.colno})") from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits; thousands of brackets
        raise ValueError(f"{what} ({error})") from None


def _of_rows(rows: Any, where: Callable[[int], str]) -> Table:
    if not len(rows):
        raise ValueError("the table has no rows")
    names = list(rows[0])
    for number, row in enumerate(rows):
        if odd := set(names) ^ set(row):
            what = "lacks" if next(iter(odd)) in set(names) else "adds"
            raise ValueError(
                f"{where(number)}: the row does not have the columns {_listed(names)}: it {what} "
                f"{_listed(sorted(map(str, odd)))}"
            )
    return _of_columns({name: [row[name] for row in rows] for name in names}, where)


def _of_columns(table: Any, where: Callable[[int], str]) -> Table:
    columns: dict[str, Any] = {}
    for name in list(table) if isinstance(table, Mapping) else list(table.columns):
        if str(name) in columns:
            raise ValueError(f"the table has two columns named {str(name)!r}")
        columns[str(name)] = _cells(table[name], str(name))
    lengths = {name: len(cells) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns have different lengths: {lengths}")
    if not any(lengths.values()):
        raise ValueError("the table has no rows")
    return Table(columns, where)


def _cells(column: Any, name: str) -> Any:
    """One value per row, as a list or an array of one axis; what is masked is None."""
    if np.ma.isMaskedArray(column):
        column = column.tolist() if column.ndim == 1 else np.asarray(column)
    if isinstance(column, list | tuple):
        return list(column)
    values = np.asarray(column)
    if values.ndim != 1:
        raise ValueError(f"column {name!r} must be a list with one value per row, not {brief(repr(column))}")
    return values


def _doubled(names: list[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def _listed(names: Any) -> str:
    return ", ".join(repr(brief(str(name))) for name in names)

"""CSV files: their names and what parts their cells are found here: the engine guesses nothing and skips nothing."""

import contextlib
import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from jaxcliff.core.labels import brief

DELIMITERS = ",;\t|"
LONGEST = 2**31 - 1  # characters of a cell
LINE = 2**23  # bytes of a line, at most
UNNAMED = "(no name)"


@contextlib.contextmanager
def _text(file: str) -> Iterator[IO[str]]:
    before = csv.field_size_limit(LONGEST)
    how = gzip.open if file.lower().endswith(".gz") else open
    try:
        with how(file, "rt", encoding="utf-8-sig", newline="") as text:
            yield text
    except UnicodeDecodeError as error:
        raise ValueError(f"{Path(file).name} cannot be read: it is not UTF-8 text ({error.reason})") from None
    except (OSError, EOFError) as error:
        raise ValueError(f"{Path(file).name} cannot be read: {error}") from None
    finally:
        csv.field_size_limit(before)


def header(file: str) -> tuple[tuple[str, ...], str]:
    """(the names of the columns, the character between cells)."""
    if file.lower().endswith(".zst"):
        raise ValueError(f"{Path(file).name} is packed as .zst, which is read for JSON and Parquet only: unpack it")
    with _text(file) as text:
        line = next((line for line in text if line.strip()), "")
        text.seek(0)
        delimiter = max(DELIMITERS, key=line.count)
        try:
            names = next((row for row in csv.reader(text, delimiter=delimiter, strict=True) if row), [])
        except csv.Error as error:
            raise ValueError(f"{Path(file).name}, line 1: not CSV ({error})") from None
    if "\0" in "".join(names):
        raise ValueError(f"{Path(file).name} cannot be read: it is not UTF-8 text")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{Path(file).name} has two columns named {brief(name)!r}")
    return tuple(name if name.strip() else UNNAMED for name in names), delimiter


def reader(files: Sequence[str]) -> str:
    """SQL that reads all of them, every cell a text; those with one header in one go."""
    alike: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for file in files:
        alike.setdefault(header(file), []).append(file)
    parts = []
    for (names, delimiter), own in alike.items():
        columns = ", ".join(f"{_quoted(name)}: 'VARCHAR'" for name in names)
        listed = ", ".join(map(_quoted, own))
        parts.append(
            f"SELECT * FROM read_csv([{listed}], columns={{{columns}}}, auto_detect=false, header=true, "
            "strict_mode=true, "
            f"delim='{delimiter}', quote='\"', escape='\"', max_line_size={LINE})"
        )
    return f"({' UNION ALL BY NAME '.join(parts)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def lines(file: str) -> Iterator[int]:
    """The line on which each row begins: a cell may hold line breaks, and lines may be blank."""
    _, delimiter = header(file)
    with _text(file) as text:
        rows = csv.reader(text, delimiter=delimiter)
        start, below = 1, False
        for record in rows:
            if record and below:
                yield start
            below = below or bool(record)
            start = rows.line_num + 1

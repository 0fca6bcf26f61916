"""CSV files: their names and what parts their cells are found here: the engine guesses nothing and skips nothing."""

import contextlib
import csv
import gzip
import re
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
        bare = re.sub(r'"[^"]*"', "", line)  # what stands in quotes parts no cells
        delimiter = max(DELIMITERS, key=bare.count)
        try:
            names = next((row for row in csv.reader(text, delimiter=delimiter, strict=True) if row), [])
        except csv.Error as error:
            raise ValueError(f"{Path(file).name}, line 1: not CSV ({error})") from None
    if "\0" in "".join(names):
        raise ValueError(f"{Path(file).name} cannot be read: it is not UTF-8 text")
    no_doubles(names, Path(file).name)
    return tuple(name if name.strip() else UNNAMED for name in names), delimiter


def as_pattern(file: str) -> str:
    """The name of a file as the engine takes it: it reads patterns."""
    return re.sub(r"([\[*?])", r"[\1]", file)


def no_doubles(names: Sequence[str], where: str) -> None:
    """Refuses names that are there twice, also those that differ in case only: the engine knows no case."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            other = seen[name.lower()]
            how = "" if other == name else f" and {brief(other)!r}, which differ in case only: rename one"
            raise ValueError(f"{where} has two columns named {brief(name)!r}{how}")
        seen[name.lower()] = name


def _blank_lines(file: str) -> int:
    """Above the header."""
    with _text(file) as text:
        return next((number for number, line in enumerate(text) if line.strip()), 0)


def reader(files: Sequence[str]) -> str:
    """SQL that reads all of them, every cell a text; those with one header in one go."""
    alike: dict[tuple[tuple[str, ...], str, int], list[str]] = {}
    for file in files:
        alike.setdefault((*header(file), _blank_lines(file)), []).append(file)
    parts = []
    for (names, delimiter, skip), own in alike.items():
        columns = ", ".join(f"{_quoted(name)}: 'VARCHAR'" for name in names)
        listed = ", ".join(_quoted(as_pattern(file)) for file in own)
        parts.append(
            f"SELECT * FROM read_csv([{listed}], columns={{{columns}}}, auto_detect=false, header=true, "
            f"skip={skip}, hive_partitioning=false, "
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

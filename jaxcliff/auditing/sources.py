"""Tables as they lie about: files of five kinds, folders, frames. Opened in DuckDB, which reads, groups and spills."""

import contextlib
import dataclasses
import glob
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from jaxcliff.auditing import csv_files
from jaxcliff.core import checks
from jaxcliff.core.devices import cores
from jaxcliff.core.labels import brief

KINDS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
}
PACKED = (".gz", ".zst")
MEMORY = "500MB"  # of the engine; what is more lies on disk
NUMBER = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)|BOOLEAN)$")
OBJECT = (2**24, 2**26)  # bytes of one JSON object that are made room for, at least and at most


@dataclasses.dataclass(frozen=True)
class Source:
    """A table that is open as the view `source`: its connection, the types of its columns, what it is called."""

    db: Any
    types: dict[str, str]
    name: str
    files: tuple[str, ...] = ()
    kind: str = "frame"

    def is_number(self, column: str) -> bool:
        """Whether the column is stored as numbers; a CSV file stores texts."""
        return bool(NUMBER.match(self.types[column]))

    def where(self, row: int) -> str:
        """What the row with this number, from 0, is called in a message: its file and line, if there are lines."""
        for file in self.files:
            if self.kind == "csv":
                lines = csv_files.lines(file)
            elif self.kind == "json" and Path(file).suffix != ".json":
                lines = _filled_lines(file)
            else:
                count = self.db.execute(f"SELECT count(*) FROM {_reader(self.kind, [file])}").fetchone()[0]
                lines = iter(range(count))
            for line in lines:
                if row == 0:
                    lined = self.kind == "csv" or not (self.kind == "parquet" or Path(file).suffix == ".json")
                    return f"{Path(file).name}, {'line' if lined else 'row'} {line}"
                row -= 1
        return f"row {row}"


@contextlib.contextmanager
def opened(table: Any, folder: Path | None = None) -> Iterator[Source]:
    """The table, open until the block ends. What does not fit in memory lies in a folder of its own until then."""
    with tempfile.TemporaryDirectory(prefix="jaxcliff-", dir=folder) as room:
        db = duckdb.connect(f"{room}/audit.duckdb")
        try:
            db.execute(f"SET memory_limit = '{MEMORY}'")
            db.execute(f"SET temp_directory = '{room}'")
            db.execute(f"SET threads = {cores()}")
            db.execute("SET enable_progress_bar = false")
            yield _open(db, table)
        except duckdb.Error as error:
            raise ValueError(_sentence(error)) from None
        finally:
            db.close()


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _open(db: Any, table: Any) -> Source:
    if isinstance(table, str | Path):
        return _of_files(db, [table])
    if isinstance(table, Sequence) and table and all(isinstance(each, str | Path) for each in table):
        return _of_files(db, list(table))
    if isinstance(table, Mapping) or (isinstance(table, Sequence) and not isinstance(table, str | bytes)):
        import pandas as pd

        rows = list(table) if isinstance(table, Sequence) else None
        if rows is not None and not all(isinstance(row, Mapping) for row in rows):
            raise TypeError(f"a list is one of rows (mappings) or of files, not of {type(rows[0]).__name__}")
        try:
            table = pd.DataFrame(rows if rows is not None else dict(table))
        except ValueError as error:
            raise ValueError(f"these columns make no table: {error}") from None
    if not hasattr(table, "columns") and not hasattr(table, "__arrow_c_stream__"):
        raise TypeError(
            f"a table is a file, a folder, a data frame, columns by name or a list of rows, not {_what(table)}"
        )
    if type(table).__module__.startswith("pandas"):
        table = _plain_frame(table)
    db.register("given", table)
    return _view(db, "given", "the table", (), "frame")


def _what(table: Any) -> str:
    return checks.shown(table) if isinstance(table, int | float | bytes) else type(table).__name__


def _plain_frame(frame: Any) -> Any:
    """A pandas frame with names that are texts, and cells of mixed kinds as texts."""
    frame = frame.reset_index(drop=True)
    frame.columns = [str(name) for name in frame.columns]
    _no_doubles(list(frame.columns), "the table")
    for name in frame.columns:
        if frame[name].dtype == object:
            kinds = {type(x) for x in frame[name] if x is not None and x == x}
            if len(kinds) > 1 and not all(issubclass(kind, int | float) for kind in kinds):
                frame[name] = [None if x is None or x != x else str(x) for x in frame[name]]
    return frame


def _of_files(db: Any, given: list[Any]) -> Source:
    files, kinds = [], set()
    for each in given:
        found = _found(str(each))
        files += found
        kinds |= {_kind(file) for file in found}
    if len(kinds) > 1:
        raise ValueError(f"the files are of different kinds ({', '.join(sorted(kinds))}); audit one kind at a time")
    kind = kinds.pop()
    files = list(dict.fromkeys(files))
    for file in files:
        if Path(file).stat().st_size == 0:
            raise ValueError(f"{Path(file).name} is empty")
    if kind == "arrow":
        db.register("given", _arrow(files))
        reader = "given"
    else:
        _same_columns(db, kind, files)
        reader = _reader(kind, files)
    name = Path(files[0]).name if len(files) == 1 else f"{len(files)} files ({Path(files[0]).name}, …)"
    return _view(db, reader, name, tuple(files), kind)


def _found(given: str) -> list[str]:
    """The files that a name, a folder or a pattern stands for."""
    path = Path(given)
    if path.is_dir():
        found = sorted(str(p) for p in path.rglob("*") if p.is_file() and _suffix(p) in KINDS)
        if not found:
            raise ValueError(f"the folder {given} has no table ({', '.join(KINDS)})")
        return found
    if path.is_file():
        return [given]
    found = sorted(file for file in glob.glob(given, recursive=True) if Path(file).is_file())
    if not found:
        raise FileNotFoundError(f"there is no file {given!r}")
    return found


def _suffix(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in PACKED]
    return suffixes[-1] if suffixes else ""


def _kind(file: str) -> str:
    kind = KINDS.get(_suffix(Path(file)))
    if kind is None:
        raise ValueError(f"{Path(file).name} is no table that is known: {', '.join(KINDS)}")
    return kind


def _reader(kind: str, files: Sequence[str]) -> str:
    if kind == "csv":
        return csv_files.reader(files)
    listed = "[" + ", ".join(map(_text, files)) + "]"
    if kind == "json":
        whole = max((Path(file).stat().st_size for file in files if Path(file).suffix == ".json"), default=0)
        room = min(max(OBJECT[0], whole), OBJECT[1])
        return f"read_json({listed}, union_by_name=true, maximum_object_size={room}, sample_size=-1)"
    return f"read_parquet({listed}, union_by_name=true)"


def _no_doubles(names: list[str], where: str) -> None:
    for name in names:
        if name and names.count(name) > 1:
            raise ValueError(f"{where} has two columns named {brief(name)!r}")


def _same_columns(db: Any, kind: str, files: list[str]) -> None:
    first: set[str] = set()
    for file in files:
        if kind == "csv":
            names = set(csv_files.header(file)[0])
        else:
            names = {row[0] for row in db.execute(f"DESCRIBE SELECT * FROM {_reader(kind, [file])}").fetchall()}
        if not first:
            first = names
        elif odd := sorted(first ^ names):
            what = "lacks" if odd[0] in first else "adds"
            raise ValueError(
                f"{Path(file).name} does not have the columns of {Path(files[0]).name}: it {what} {brief(odd[0])!r}"
            )


def _arrow(files: list[str]) -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise ValueError("an Arrow file is read by pyarrow, which is not installed: pip install pyarrow") from None
    tables = []
    for file in files:
        try:
            source = pa.memory_map(file)
            try:
                tables.append(pa.ipc.open_file(source).read_all())
            except pa.ArrowInvalid:
                tables.append(pa.ipc.open_stream(pa.memory_map(file)).read_all())
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{Path(file).name} is no Arrow file: {error}") from None
    try:
        return pa.concat_tables(tables)
    except pa.ArrowInvalid as error:
        raise ValueError(f"the files do not have the same columns: {' '.join(str(error).split())}") from None


def _view(db: Any, reader: str, name: str, files: tuple[str, ...], kind: str) -> Source:
    """The view `source`: lists of equal length become rows, other nested cells texts."""
    types = {row[0]: row[1] for row in db.execute(f"DESCRIBE SELECT * FROM {reader}").fetchall()}
    lists = [column for column, what in types.items() if what.endswith("[]")]
    numbers = [column for column in lists if NUMBER.match(types[column][:-2])]
    if numbers:
        first = quoted(numbers[0])
        same = [
            c
            for c in lists
            if not db.execute(
                f"SELECT 1 FROM {reader} WHERE len({quoted(c)}) IS DISTINCT FROM len({first}) LIMIT 1"
            ).fetchone()
        ]
        for column in numbers:
            if column not in same:
                raise ValueError(
                    f"{name}: the lists in {brief(column)!r} and {brief(numbers[0])!r} are not equally long in every "
                    "row; each score needs its answer"
                )
        cells = [f"unnest({quoted(c)}) AS {quoted(c)}" if c in same else quoted(c) for c in types]
        reader = f"(SELECT {', '.join(cells)} FROM {reader})"
        types = {c: what[:-2] if c in same else what for c, what in types.items()}
        kind = "frame"
    nested = [c for c, what in types.items() if what.endswith("]") or what.startswith(("STRUCT", "MAP", "JSON"))]
    texts = {c: f"{quoted(c)} ->> '$'" if types[c] == "JSON" else f"CAST({quoted(c)} AS VARCHAR)" for c in nested}
    cells = [f"{texts[c]} AS {quoted(c)}" if c in nested else quoted(c) for c in types]
    db.execute(f"CREATE VIEW source AS SELECT {', '.join(cells)} FROM {reader}")
    types = {c: "VARCHAR" if c in nested else what for c, what in types.items()}
    return Source(db, types, name, files, kind)


def _sentence(error: Exception) -> str:
    """What the engine says of a file that it cannot read, in one line and without its advice on its own options."""
    text = str(error)
    text = re.split(r"\n\s*(?:Possible [Ff]ixes|Original Line|LINE \d|\* |file = )", text)[0]
    text = re.sub(r"^(?:[A-Z][\w ]*Error|[A-Z][\w ]*Exception): ", "", " ".join(text.split()))
    text = re.sub(r"/[^\s\"']*/", "", text)
    return f"the table cannot be read: {text}"


def _filled_lines(file: str) -> Iterator[int]:
    with open(file, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number

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
from jaxcliff.auditing.csv_files import as_pattern, no_doubles
from jaxcliff.core import checks
from jaxcliff.core.devices import cores
from jaxcliff.core.labels import brief, many
from jaxcliff.problems.tables import missing

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
NESTED = re.compile(
    r"(responses|completions|answers|outputs|candidates|generations|samples|texts|scores|rewards)$", re.I
)
OURS = "An audit by jaxcliff: "  # how the README.txt of a folder of ours begins
MEMORY = "500MB"  # of the engine; what is more lies on disk
NUMBER = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)|BOOLEAN)$")
DATED = re.compile(r"\b(DATE|TIME|TIMESTAMP[\w ]*|INTERVAL|UUID)\b")
OBJECT = (2**24, 2**26)  # bytes of one JSON object that are made room for, at least and at most


@dataclasses.dataclass(frozen=True)
class Source:
    """A table that is open as the view `source`: its connection, the types of its columns, what it is called."""

    db: Any
    types: dict[str, str]
    name: str
    files: tuple[str, ...] = ()
    kind: str = "frame"
    notes: tuple[str, ...] = ()

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
                count = self.db.execute(f"SELECT count(*) FROM {_reader(self.db, self.kind, [file])}").fetchone()[0]
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
        if not table or rows == [{}]:
            raise ValueError("the table is empty: it has no columns")
        if rows is not None and not all(isinstance(row, Mapping) for row in rows):
            raise TypeError(f"a list is one of rows (mappings) or of files, not of {type(rows[0]).__name__}")
        try:
            table = pd.DataFrame(rows if rows is not None else dict(table))
        except ValueError as error:
            raise ValueError(f"these columns make no table: {error}") from None
    if type(table).__name__ == "LazyFrame":
        raise TypeError("a lazy frame has no rows yet: give what .collect() makes of it")
    if not hasattr(table, "columns") and not hasattr(table, "__arrow_c_stream__"):
        raise TypeError(
            f"a table is a file, a folder, a data frame, columns by name or a list of rows, not {_what(table)}"
        )
    if type(table).__module__.startswith("pandas"):
        table = _plain_frame(table)
    db.register("given", table)
    no_doubles([str(name) for name in _names_of(table)], "the table")
    return _view(db, "given", "the table", (), "frame")


def _names_of(table: Any) -> Any:
    return table.column_names if hasattr(table, "column_names") else getattr(table, "columns", ())


def _what(table: Any) -> str:
    return checks.shown(table) if isinstance(table, int | float | bytes) else type(table).__name__


def _plain_frame(frame: Any) -> Any:
    """A pandas frame with names that are texts, and cells of mixed kinds as texts."""
    if not hasattr(frame, "columns"):
        raise TypeError(f"a table has columns; this is a {type(frame).__name__} (a column has a frame: .to_frame())")
    frame = frame.reset_index(drop=True)
    frame.columns = [str(name) for name in frame.columns]
    if not len(frame.columns):
        raise ValueError("the table has no columns")
    for name in frame.columns:
        if frame[name].dtype == object:
            cells: list[Any] = [None if missing(x) and not isinstance(x, str) else x for x in frame[name]]
            cells = [x.tolist() if hasattr(x, "tolist") else x for x in cells]
            kinds = {type(x) for x in cells if x is not None}
            if len(kinds) > 1 and not all(issubclass(kind, int | float) for kind in kinds):
                cells = [None if x is None else str(x) for x in cells]
            frame[name] = cells
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
        reader = _reader(db, kind, files)
    name = Path(files[0]).name if len(files) == 1 else f"{len(files)} files ({Path(files[0]).name}, …)"
    return _view(db, reader, name, tuple(files), kind)


def _found(given: str) -> list[str]:
    """The files that a name, a folder or a pattern stands for."""
    path = Path(given)
    if path.is_dir():
        found = sorted(
            str(p) for p in path.rglob("*") if p.is_file() and _suffix(p) in KINDS and not _is_ours(p.parent)
        )
        if not found:
            raise ValueError(f"the folder {given} has no table ({', '.join(KINDS)})")
        return found
    if path.is_file():
        return [given]
    found = sorted(file for file in glob.glob(given, recursive=True) if Path(file).is_file())
    if not found:
        raise FileNotFoundError(f"there is no file {given!r}")
    return found


def _is_ours(folder: Path) -> bool:
    """Whether the folder is that of an audit, whose own tables are none to be audited."""
    readme = folder / "README.txt"
    return readme.is_file() and readme.read_text(encoding="utf-8", errors="replace").startswith(OURS)


def _suffix(path: Path) -> str:
    suffixes = [s.lower() for s in path.suffixes if s.lower() not in PACKED]
    return suffixes[-1] if suffixes else ""


def _kind(file: str) -> str:
    kind = KINDS.get(_suffix(Path(file)))
    if kind is None:
        raise ValueError(f"{Path(file).name} is no table that is known: {', '.join(KINDS)}")
    return kind


def _reader(db: Any, kind: str, files: Sequence[str]) -> str:
    if kind == "csv":
        return csv_files.reader(files)
    listed = "[" + ", ".join(_text(as_pattern(file)) for file in files) + "]"
    if kind == "json":
        whole = max((Path(file).stat().st_size for file in files if Path(file).suffix == ".json"), default=0)
        room = min(max(OBJECT[0], whole), OBJECT[1])
        how = f"union_by_name=true, hive_partitioning=false, maximum_object_size={room}"
        types = db.execute(f"DESCRIBE SELECT * FROM read_json({listed}, sample_size=-1, {how})").fetchall()
        # every cell as it is written: a text that looks like a date is a text
        columns = {row[0]: DATED.sub("VARCHAR", row[1]) if row[1][-1] in "])" else "VARCHAR" for row in types}
        spec = ", ".join(f"{_text(name)}: {_text(what)}" for name, what in columns.items())
        return f"read_json({listed}, columns={{{spec}}}, {how})"
    return f"read_parquet({listed}, union_by_name=true, hive_partitioning=false)"


def _same_columns(db: Any, kind: str, files: list[str]) -> None:
    first: set[str] = set()
    for file in files:
        if kind == "csv":
            names = set(csv_files.header(file)[0])
        else:
            names = {row[0] for row in db.execute(f"DESCRIBE SELECT * FROM {_reader(db, kind, [file])}").fetchall()}
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
    called = [column for column in lists if NESTED.search(column.strip())]
    if len(lists) == len(types):  # columns by name, as one object of JSON
        called = lists
    notes: list[str] = []
    if any(NUMBER.match(types[column][:-2]) for column in called):  # a row per prompt: its answers lie in lists
        first = quoted(called[0])
        lengths = {c: f"coalesce(len({quoted(c)}), 0) <> coalesce(len({first}), 0)" for c in lists}
        same = [c for c in lists if not db.execute(f"SELECT 1 FROM {reader} WHERE {lengths[c]} LIMIT 1").fetchone()]
        for column in called:
            if column not in same:
                raise ValueError(
                    f"{name}: the lists in {brief(column)!r} and {brief(called[0])!r} are not equally long in "
                    "every row; "
                    "each score needs its answer"
                )
        bare = db.execute(f"SELECT count(*) FROM {reader} WHERE coalesce(len({first}), 0) = 0").fetchone()[0]
        if bare:
            notes.append(
                f"{many(bare, 'prompt')} without answers (an empty list in {brief(called[0])!r}) are left out."
            )
        cells = [f"unnest({quoted(c)}) AS {quoted(c)}" if c in same else quoted(c) for c in types]
        reader = f"(SELECT {', '.join(cells)} FROM {reader})"
        types = {c: what[:-2] if c in same else what for c, what in types.items()}
        kind = "frame"
    others = [c for c, what in types.items() if what != "VARCHAR" and not NUMBER.match(what)]
    texts = {c: f"{quoted(c)} ->> '$'" if types[c] == "JSON" else f"CAST({quoted(c)} AS VARCHAR)" for c in others}
    cells = [f"{texts[c]} AS {quoted(c)}" if c in others else quoted(c) for c in types]
    db.execute(f"CREATE VIEW source AS SELECT {', '.join(cells)} FROM {reader}")
    types = {c: "VARCHAR" if c in others else what for c, what in types.items()}
    return Source(db, types, name, files, kind, tuple(notes))


def _sentence(error: Exception) -> str:
    """What the engine says of a file that it cannot read, in one line and without its advice on its own options."""
    text = str(error)
    if found := re.search(r"CSV Error on Line: (\d+)", text):
        reason = re.search(r"\n\s*([A-Z][^\n]*(?:quote|[Cc]olumns|size|unicode|UTF)[^\n]*)", text)
        file = re.search(r"file\s*=\s*(\S[^\n]*)", text)
        where = (
            f"{Path(file[1].strip()).name}, line {found[1]}" if file else f"the table cannot be read: line {found[1]}"
        )
        return f"{where}: not CSV as its header has it ({reason[1].strip() if reason else 'cells do not fit'})"
    text = re.split(r"\n\s*(?:Possible [Ff]ixes|Original Line|LINE \d|\* |file = )", text)[0]
    text = re.sub(r"^(?:[A-Z][\w ]*Error|[A-Z][\w ]*Exception): ", "", " ".join(text.split()))
    text = re.sub(r"/[^\s\"']*/", "", text)
    return f"the table cannot be read: {text}"


def _filled_lines(file: str) -> Iterator[int]:
    with open(file, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number

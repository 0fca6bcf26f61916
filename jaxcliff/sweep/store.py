"""The store of a sweep on disk: a zarr group that xarray opens by itself, and from which a killed sweep goes on.

A chunk is a box over the stored axes, all other axes whole. It is written whole, to the disk and not only to its cache,
and then marked in the boolean array `done`: what is marked can be relied on, and nothing else. Every file ends in a
checksum, so that one that was torn or has rotted is found. Beside the arrays lies log.jsonl, to which every process
appends what it did. A store appears under its name when it is complete, never before.

(This file knows neither JAX nor the rest of the package.)
"""

import contextlib
import datetime
import json
import os
import shutil
import socket
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

DONE, LOG, DESCRIPTION = "done", "log.jsonl", "sweep"
METADATA = "zarr.json"
ABANDONED = 3600.0  # seconds
SHOWN = 100  # characters of a value in a difference


class Store:
    """A store that exists, opened to go on with.

    `description` is what was written when it was made: "sizes", "chunk", "axes", "fields", and the "configuration" that
    must be the same for whoever goes on.
    """

    def __init__(self, path: Path):
        import zarr

        self.path = Path(path)
        if not (self.path / METADATA).is_file():
            raise ValueError(f"{path} is no store of a sweep: there is no {METADATA} in it")
        try:
            self._group = zarr.open_group(str(self.path), mode="r+")
            self.description = json.loads(str(self._group.attrs[DESCRIPTION]))
            self.sizes, self.chunk = (tuple(map(int, self.description[name])) for name in ("sizes", "chunk"))
            self.names = [field["name"] for field in self.description["fields"]]
            with zarr.config.set({"array.write_empty_chunks": True}):  # else what is all 0 would be no file
                self._arrays: dict[str, Any] = {name: self._group[name] for name in (*self.names, DONE)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, PermissionError):
                raise
            what = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{path} is no store of a sweep, or its metadata are damaged ({what})") from None

    @property
    def grid(self) -> tuple[int, ...]:
        """How many chunks along every axis."""
        return tuple(-(-n // c) for n, c in zip(self.sizes, self.chunk, strict=True))

    def write(self, place: Sequence[int], values: dict[str, np.ndarray]) -> None:
        """A chunk at its place among the chunks: all its values, then its mark."""
        self._check_there()
        region = self.region(place)
        files = [self._put(name, place, region, values[name]) for name in self.names]
        for file in files:
            _to_disk(file)
        _to_disk(self._put(DONE, place, region, np.True_))

    def read(self, place: Sequence[int]) -> dict[str, np.ndarray]:
        """The values of a chunk."""
        return {name: self._arrays[name][self.region(place)] for name in self.names}

    def region(self, place: Sequence[int]) -> tuple[slice, ...]:
        """Where a chunk lies."""
        starts = (i * c for i, c in zip(place, self.chunk, strict=True))
        return tuple(slice(s, min(s + c, n)) for s, c, n in zip(starts, self.chunk, self.sizes, strict=True))

    def marked(self) -> np.ndarray:
        """Which chunks have a mark, a boolean over the chunks."""
        found = np.zeros(self.grid, bool)
        for place in np.ndindex(self.grid):
            found[place] = self._file(DONE, place).is_file()
        return found

    def damaged(self) -> list[tuple[tuple[int, ...], str]]:
        """The chunks that have a mark and cannot be relied on, each with the file at fault."""
        found = []
        for place in map(tuple, np.argwhere(self.marked()).tolist()):
            for name in (DONE, *self.names):
                file = self._file(name, place)
                if not _is_whole(file):
                    found.append((place, str(file.relative_to(self.path))))
                    break
        return found

    def forget(self, place: Sequence[int]) -> None:
        """Takes a chunk's mark away."""
        self._file(DONE, place).unlink(missing_ok=True)

    def log(self, **entry: Any) -> None:
        """Appends a line to the log: when, which host and process, and what."""
        line = {"time": _now(), "host": socket.gethostname(), "process": os.getpid()} | entry
        with contextlib.suppress(OSError):  # what is missing in a log ends no sweep
            handle = os.open(self.path / LOG, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
            try:
                os.write(handle, (json.dumps(line) + "\n").encode())
            finally:
                os.close(handle)

    def history(self) -> Iterator[dict[str, Any]]:
        """The lines of the log; one that was torn is left out."""
        file = self.path / LOG
        for line in file.read_text(errors="replace").splitlines() if file.is_file() else ():
            with contextlib.suppress(json.JSONDecodeError):
                yield json.loads(line)

    def open(self) -> Any:
        """All of it as an xarray dataset, which reads from the disk what it is asked for."""
        return open_dataset(self.path)

    def _put(self, name: str, place: Sequence[int], region: tuple[slice, ...], value: Any) -> Path:
        file = self._file(name, place)
        file.unlink(missing_ok=True)  # zarr would read a file at the edge of the grid before it writes it
        self._arrays[name][region] = value
        return file

    def _file(self, name: str, place: Sequence[int]) -> Path:
        array = self._arrays[name]
        return self.path / name / array.metadata.encode_chunk_key((*place, *(0,) * (array.ndim - len(self.sizes))))

    def _check_there(self) -> None:
        if not (self.path / METADATA).is_file():
            raise FileNotFoundError(f"the store {self.path} has vanished while it was being written")


def create(
    path: Path,
    description: dict[str, Any],
    coordinates: Any,
    attributes: dict[str, Any],
) -> None:
    """Makes an empty store, all at once; if another process was faster, that one's stays.

    Args:
        path: of a folder that is not there yet (or empty).
        description: see `Store`. A field has "name", "dims", "shape" (of one point), "dtype", "units".
        coordinates: a dataset of those.
        attributes: of the dataset.
    """
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    path = Path(path).absolute()
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to make the store {path.name} in")
    made = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    for left in path.parent.glob(f".{path.name}.*"):  # by who was killed here
        if left.stat().st_mtime < time.time() - ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats that are not final
            coordinates.to_zarr(made, zarr_format=3, consolidated=False)
            group = zarr.open_group(str(made), mode="r+")
            sizes, chunk = tuple(description["sizes"]), tuple(description["chunk"])
            options: dict[str, Any] = {"compressors": (ZstdCodec(level=1), Crc32cCodec())}
            for field in description["fields"]:
                dtype, shape = np.dtype(field["dtype"]), tuple(field["shape"])
                group.create_array(
                    field["name"],
                    shape=(*sizes, *shape),
                    chunks=(*chunk, *(max(n, 1) for n in shape)),
                    dtype=dtype,
                    fill_value=np.nan if dtype.kind == "f" else dtype.type(0),
                    dimension_names=[*description["axes"], *field["dims"]],
                    attributes={"units": field["units"]},
                    **options,
                )
            group.create_array(
                DONE,
                shape=sizes,
                chunks=chunk,
                dtype=bool,
                fill_value=False,
                dimension_names=list(description["axes"]),
                attributes={"long_name": "whether the point has been computed"},
                **options,
            )
            group.attrs.update(attributes | {DESCRIPTION: json.dumps(description)})
            zarr.consolidate_metadata(str(made))
        with contextlib.suppress(FileExistsError, NotADirectoryError):
            try:
                os.rename(made, path)
            except OSError as error:
                if not (path / METADATA).is_file():  # not because there is one already
                    raise ValueError(f"cannot make the store {path}: {error.strerror}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)


def remove(path: Path) -> None:
    """Deletes a store; anything else is refused."""
    if Path(path).exists():
        Store(path)  # raises where it is none
        shutil.rmtree(path)


def open_dataset(path: Path) -> Any:
    """What is in a store, as an xarray dataset."""
    import xarray as xr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return xr.open_zarr(path, chunks=None)


def open_finished(path: Path) -> Any:
    """The dataset of a store of a sweep, or of what `write_finished` wrote."""
    if not (Path(path) / METADATA).is_file():
        what = "there is no folder" if not Path(path).exists() else f"there is no {METADATA} in"
        raise ValueError(f"{path} is no store of a study: {what} {path}")
    try:
        return open_dataset(path)
    except PermissionError:
        raise
    except Exception as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is no store of a study, or its metadata are damaged ({what})") from None


def write_finished(path: Path, ds: Any, overwrite: bool = False) -> None:
    """Writes a dataset all at once."""
    path = Path(path).absolute()
    made = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds.to_zarr(made, zarr_format=3)
        if overwrite and path.exists():
            open_finished(path).close()  # raises where it is none
            shutil.rmtree(path)
        os.rename(made, path)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def differences(ours: Any, theirs: Any, name: str = "") -> list[str]:
    """In which entries two configurations differ: "name: this here, that there"."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = [*ours, *(n for n in theirs if n not in ours)]
        found = (differences(ours.get(n), theirs.get(n), f"{name}.{n}" if name else n) for n in names)
        return [line for lines in found for line in lines]
    return [] if ours == theirs else [f"{name} is {_short(ours)} here and {_short(theirs)} in the store"]


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 2]} …"


def _to_disk(file: Path) -> None:
    """A file, and that it is there."""
    for place in (file, file.parent):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _is_whole(file: Path) -> bool:
    """Whether the checksum at a file's end is that of what stands before it."""
    import google_crc32c

    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return False
    return len(data) > 4 and google_crc32c.value(data[:-4]) == int.from_bytes(data[-4:], "little")


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")

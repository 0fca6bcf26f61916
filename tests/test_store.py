"""The store of a sweep: what is marked can be relied on, whoever is killed in the middle of whatever."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from jaxcliff.sweep import store as stores
from tests import store_faults

KILLS, AT_ONCE = 512, 4


def test_writers_are_killed_at_every_moment(tmp_path):
    """Five hundred of them, some in the middle of a file: what was marked stays, and in the end all is right."""
    several = []
    for seed in range(AT_ONCE):
        folder = tmp_path / str(seed)
        folder.mkdir()
        program = [sys.executable, "-W", "ignore", store_faults.__file__, str(folder), str(KILLS // AT_ONCE), str(seed)]
        several.append(subprocess.Popen(program, stdout=subprocess.PIPE, text=True))
    told = [json.loads(one.communicate()[0]) for one in several]
    assert [one.returncode for one in several] == [0] * AT_ONCE
    total = {name: sum(one[name] for one in told) for name in ("kills", "stores", "again", "torn marks")}
    assert total["kills"] >= 500
    assert total["stores"] >= 50
    assert total["torn marks"] >= 10
    assert total["again"] == 0, "a chunk that was whole was written again"
    assert all(one["modules"] == [] for one in told), "the store needs neither JAX nor the package"


@pytest.fixture
def path(tmp_path):
    store_faults.write(stores, tmp_path / "store")
    return tmp_path / "store"


def every_byte_counts(path, file):
    """Whether any flipped bit, or a cut, is seen."""
    data = file.read_bytes()
    for changed in (data[:-1], b"", bytes([data[0] ^ 1]) + data[1:], data[:-5] + bytes([data[-5] ^ 16]) + data[-4:]):
        file.write_bytes(changed)
        yield stores.Store(path).damaged()
    file.write_bytes(data)


def test_rotten_bytes_are_found_and_named(path):
    assert stores.Store(path).damaged() == []
    for name in ("tv/c/1/2", "visits/c/0/0/0", "status/c/3/1", "done/c/2/2"):
        place = tuple(map(int, name.split("/")[2:4]))
        for found in every_byte_counts(path, path / name):
            assert found == [(place, name)]
    (path / "tv/c/0/0").unlink()
    assert stores.Store(path).damaged() == [((0, 0), "tv/c/0/0")]


def test_a_store_is_there_whole_or_not_at_all(path, tmp_path):
    """Who comes second keeps what is there; and nothing that is no store is removed."""
    before = stores.Store(path).read((0, 0))
    stores.create(path, store_faults.DESCRIPTION, stores.open_dataset(path)[["x", "y"]], {})
    assert (stores.Store(path).read((0, 0))["tv"] == before["tv"]).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years")
    with pytest.raises(ValueError, match="is no store of a sweep"):
        stores.remove(other)
    with pytest.raises(ValueError, match="cannot make the store"):
        stores.create(other, store_faults.DESCRIPTION, stores.open_dataset(path)[["x", "y"]], {})
    assert (other / "thesis.txt").read_text() == "years"
    stores.remove(path)
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "{", "null", '{"zarr_format": 3, "node_type": "group", "attributes": {}}'])
def test_damaged_metadata_get_a_sentence(path, text):
    (path / "zarr.json").write_text(text)
    with pytest.raises(ValueError, match=r"store is no store of a sweep|metadata are damaged"):
        stores.Store(path)


def test_a_torn_line_of_the_log_is_left_out(path):
    with (path / "log.jsonl").open("a") as log:
        log.write('{"chunk": [0')
    lines = list(stores.Store(path).history())
    assert len(lines) == 12
    assert set(lines[0]) == {"time", "host", "process", "chunk"}


def test_configurations_differ_in_words():
    ours, theirs = {"seed": 0, "axes": {"x": {"count": 3}}}, {"seed": 1, "axes": {"x": {"count": 3}, "y": {"count": 1}}}
    assert stores.differences(ours, theirs) == [
        "seed is 0 here and 1 in the store",
        'axes.y is nothing here and {"count": 1} in the store',
    ]
    assert stores.differences(ours, ours) == []


def test_a_dataset_of_it_is_xarrays_own(path):
    import xarray as xr

    with xr.open_zarr(path, chunks=None) as ds:
        assert dict(ds.sizes) == {"x": 7, "y": 6, "state": 3}
        assert ds.y.values.tolist() == list("abcdef")
        np.testing.assert_array_equal(ds.tv, store_faults.truth()["tv"])
        assert ds.done.dtype == bool
    assert pathlib.Path(path / "done").is_dir()

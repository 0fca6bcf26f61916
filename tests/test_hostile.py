"""Every row of the hostile list comes back with its sentence, its status or its finding, and in time."""

import signal

import numpy as np
import pytest

from tests.conftest import needs_x64
from tests.hostile import LIMIT, Row, library, tables, verdicts

ROWS = [*library.ROWS, *tables.ROWS, *verdicts.ROWS]


@pytest.fixture(autouse=True)
def _in_time():
    """An alarm, which a call that hangs cannot outlive."""

    def late(*_):
        pytest.fail(f"took longer than {LIMIT} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@needs_x64
@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
def test_what_comes_back(row: Row):
    if row.says is not None:
        with pytest.raises((ValueError, TypeError, OSError, IndexError)) as caught:
            row.do()
        assert row.says in str(caught.value)
        return
    found = row.do()
    if row.status is not None:
        assert np.all(np.asarray(found.status) == row.status), found.summary()
        return
    assert row.finds is not None
    assert row.finds(found), found


def test_names_are_told_apart():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert all((row.says is not None) + (row.status is not None) + (row.finds is not None) == 1 for row in ROWS)

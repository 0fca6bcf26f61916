"""What the library is called with that it should not be."""

from tests.hostile import Row

ROWS: list[Row] = []

"""Numbers at the edges of the arithmetic, and what may be said of them."""

from tests.hostile import Row

ROWS: list[Row] = []

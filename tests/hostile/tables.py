"""Tables and files that are not what they seem, and words that are not ours."""

from tests.hostile import Row

ROWS: list[Row] = []

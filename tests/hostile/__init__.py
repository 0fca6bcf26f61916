"""The hostile list: inputs that a person could type by mistake or on purpose, and what must come back.

A row says one of three things: a sentence (a ValueError, TypeError, IndexError or OSError with `says` in it), a status
(every lane of the returned solution ends with it), or a finding (`finds` is true of what is returned). Nothing else may
come back, and nothing may take longer than LIMIT seconds. Rows live with their kind: `library`, `tables`, `verdicts`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

LIMIT = 60  # seconds, compiling included


class Row(NamedTuple):
    """One input and what must come back."""

    name: str
    do: Callable[[], Any]
    says: str | None = None
    status: Any = None
    finds: Callable[[Any], Any] | None = None

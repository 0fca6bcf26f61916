"""How the points of a sweep are divided: boxes, which one program computes at once, and chunks, which are kept.

Both are boxes of the grid with a fixed shape, whatever machine computes them, so that no bit of an answer depends on
how many devices or processes there are. At an edge of the grid a box is filled up with points that are there anyway.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import numpy as np

BOXES = 16  # of a chunk, at most
CHUNKS = 8  # of a sweep, at least, where it has as many boxes: so that several can work, and little is lost


@dataclasses.dataclass(frozen=True)
class Layout:
    """Sizes along the axes that are stored: of the grid, a box, a chunk. And how many draws are reduced at a time."""

    sizes: tuple[int, ...]
    box: tuple[int, ...]
    chunk: tuple[int, ...]
    draws: int = 1
    block: int = 1

    @property
    def points(self) -> int:
        return math.prod(self.sizes) * self.draws

    @property
    def chunks(self) -> int:
        """How many."""
        return math.prod(self.grid)

    @property
    def grid(self) -> tuple[int, ...]:
        """How many chunks along every axis."""
        return tuple(-(-n // c) for n, c in zip(self.sizes, self.chunk, strict=True))

    def place(self, number: int) -> tuple[int, ...]:
        """Of a chunk among the chunks."""
        return tuple(int(i) for i in np.unravel_index(number, self.grid))

    def region(self, number: int) -> tuple[slice, ...]:
        """Where a chunk lies in the grid."""
        starts = (i * c for i, c in zip(self.place(number), self.chunk, strict=True))
        return tuple(slice(s, min(s + c, n)) for s, c, n in zip(starts, self.chunk, self.sizes, strict=True))

    def boxes(self, number: int) -> Iterator[tuple[slice, ...]]:
        """The boxes of a chunk: where their points lie in the grid."""
        along = [
            [slice(s, min(s + b, whole.stop)) for s in range(whole.start, whole.stop, b)]
            for whole, b in zip(self.region(number), self.box, strict=True)
        ]
        return itertools.product(*along)

    def indices(self, box: tuple[slice, ...]) -> list[np.ndarray]:
        """The places on every axis that a box computes: a full box, the last place again where there are no more."""
        places = (s.start + np.arange(b) for s, b in zip(box, self.box, strict=True))
        return [np.minimum(i, s.stop - 1) for i, s in zip(places, box, strict=True)]

    @property
    def blocks(self) -> int:
        """Of draws: how many."""
        return -(-self.draws // self.block)

    def drawn(self, number: int) -> np.ndarray:
        """Which draws the block with this number computes together; beyond the last there are none."""
        return number * self.block + np.arange(self.block)


def choose(
    sizes: tuple[int, ...],
    alone: tuple[bool, ...],
    draws: int,
    batch: int,
    given: tuple[int | None, ...],
) -> Layout:
    """A layout for boxes of about `batch` points; the last axes come together first.

    Args:
        sizes: of the stored axes.
        alone: axes along which a box has one point (static ones: each value is a program).
        draws: how many are reduced.
        batch: points of a box.
        given: the size of a chunk along an axis, where a user says so.
    """
    block = _even(draws, batch)
    room, box = max(batch // block, 1), []
    for n, single, own in zip(sizes[::-1], alone[::-1], given[::-1], strict=True):
        most = 1 if single else min(n, own or n)
        box.append(_even(most, room))
        room = max(room // box[-1], 1)
    box = box[::-1]
    several = math.prod(-(-n // b) for n, b in zip(sizes, box, strict=True))
    room, chunk = max(min(several // CHUNKS, BOXES) // -(-draws // block), 1), []
    for n, b, single, own in zip(sizes[::-1], box[::-1], alone[::-1], given[::-1], strict=True):
        factor = 1 if single else min(-(-n // b), room)
        chunk.append(own if own and not single else min(n, b * factor))
        room = max(room // factor, 1)
    return Layout(sizes, tuple(box), tuple(chunk[::-1]), draws, block)


def _even(n: int, most: int) -> int:
    """The size of as few parts of n as have at most so many each, all nearly alike."""
    return -(-n // -(-n // max(min(n, most), 1)))

"""Memory that streams go through, again and again: new memory costs as much as a copy of what is in it."""

from __future__ import annotations

from collections import deque
from sys import getrefcount

_FREE = 2  # references to a block that nobody reads: ours, and the one that asks how many there are


class Blocks:
    """Blocks of `size` bytes. Who has a view of one may read it for as long as it likes.

    A block is used again when no view of it is left; at most `most` wait for that.
    """

    def __init__(self, size: int, most: int) -> None:
        self.size = size
        self._most = most
        self._kept: deque[bytearray] = deque()

    def take(self) -> memoryview:
        """A block that nobody reads, to be written to until it is handed on."""
        if self._kept:
            self._kept.rotate(-1)  # whoever is slow is passed over
            if getrefcount(self._kept[-1]) == _FREE:
                return memoryview(self._kept[-1])
        block = bytearray(self.size)
        if len(self._kept) < self._most:
            self._kept.append(block)
        return memoryview(block)

"""Memory that streams go through, again and again: new memory costs as much as a copy of what is in it."""

from __future__ import annotations

from sys import getrefcount

_FREE = 2  # references to a block that nobody reads: ours, and the one that asks how many there are


class Blocks:
    """Blocks of `size` bytes. Who has a view of one may read it for as long as it likes.

    A block is used again when no view of it is left, the one that was used last first, for it is near the
    processor. At most `most` wait for that.
    """

    def __init__(self, size: int, most: int) -> None:
        self.size = size
        self._most = most
        self._kept: list[bytearray] = []  # the one that was taken last first

    def take(self) -> memoryview:
        """A block that nobody reads, to be written to until it is handed on."""
        for place in range(len(self._kept)):
            if getrefcount(self._kept[place]) == _FREE:
                self._kept.insert(0, self._kept.pop(place))
                return memoryview(self._kept[0])
        block = bytearray(self.size)
        if len(self._kept) < self._most:
            self._kept.insert(0, block)
        return memoryview(block)

"""Chunked bodies, taken apart where they were received (RFC 9112, section 7.1)."""

from __future__ import annotations

from enum import Enum

_LINE = 4096  # bytes of a line: a size, and extensions that nobody reads
_TRAILERS = 16 * 1024  # bytes
_DIGITS = 15  # of a size: more than any storage holds
_HEX = b"0123456789abcdefABCDEF"


class ChunksInvalid(ValueError):
    """What came is no chunked body; where the next request begins cannot be known any more."""


class _Next(Enum):
    SIZE = "the size of a chunk"
    END = "the line break behind a chunk"
    TRAILER = "a trailer"


class Chunks:
    """One body; `done` when its last line was read."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0  # bytes of the chunk
        self._next = _Next.SIZE
        self._line = b""  # as much of it as has come
        self._trailers = 0  # bytes

    def take(self, block: memoryview, start: int, end: int) -> tuple[int, int]:
        """Moves the content of what came into `block[start:end]`, of a bytearray, together at its start.

        Gives the place where the content ends, and the one where the body does: `end` while it is not done.
        Raises ChunksInvalid.
        """
        raw = block.obj
        assert isinstance(raw, bytearray)
        read = write = start
        while read < end and not self.done:
            if self._left:
                size = min(self._left, end - read)
                if write != read:
                    block[write : write + size] = block[read : read + size]
                read, write, self._left = read + size, write + size, self._left - size
            else:
                read = self._take_line(raw, read, end)
        return write, read

    def _take_line(self, raw: bytearray, read: int, end: int) -> int:
        """Where to go on reading: behind the line, or what there is of it."""
        behind = raw.find(b"\n", read, end) + 1
        self._line += raw[read : behind or end]
        if len(self._line) > _LINE:
            raise ChunksInvalid(f"{self._next.value} is too long")
        if behind:
            line, self._line = self._line, b""
            if line[-2:] != b"\r\n":
                raise ChunksInvalid(f"{self._next.value} ends without a carriage return")
            self._understand(line[:-2])
        return behind or end

    def _understand(self, line: bytes) -> None:
        if self._next is _Next.SIZE:
            self._left = _size(line.partition(b";")[0].rstrip(b" \t"))
            self._next = _Next.END if self._left else _Next.TRAILER
        elif self._next is _Next.TRAILER:
            self._trailers += len(line)
            if self._trailers > _TRAILERS:
                raise ChunksInvalid("the trailers are too long")
            self.done = not line
        elif line:
            raise ChunksInvalid("a chunk is longer than its size")
        else:
            self._next = _Next.SIZE


def _size(text: bytes) -> int:
    if not text or len(text) > _DIGITS or text.strip(_HEX):
        raise ChunksInvalid("the size of a chunk is no hexadecimal number")
    return int(text, 16)

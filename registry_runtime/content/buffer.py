"""What moves: bytes in memory, streams of them, and what hashes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes of an open file, from `start` up to `end`, exclusive."""

    descriptor: int
    start: int
    end: int


class Chunks(Protocol):
    """Buffers in order, iterated once; `aclose()` ends it early and frees what it holds.

    Those that are as they are in a file may have a `stretch` as well: for who can send it on unread,
    instead of iterating, before it closes them.
    """

    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Buffer: ...
    async def aclose(self) -> None: ...


class Whole:
    """Bytes in memory, as chunks."""

    def __init__(self, content: Buffer) -> None:
        self._left = [content] if content else []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()

    async def aclose(self) -> None:
        self._left.clear()


class Hasher(Protocol):
    """A running hash, as hashlib's."""

    def update(self, data: Buffer, /) -> None: ...
    def hexdigest(self) -> str: ...
    def copy(self) -> Self: ...

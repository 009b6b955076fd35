"""What moves: bytes in memory, streams of them, and what hashes them."""

from __future__ import annotations

from typing import Protocol, Self

Buffer = bytes | bytearray | memoryview


class Chunks(Protocol):
    """Buffers in order, iterated once; `aclose()` ends it early and frees what it holds."""

    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> Buffer: ...
    async def aclose(self) -> None: ...


class Hasher(Protocol):
    """A running hash, as hashlib's."""

    def update(self, data: Buffer, /) -> None: ...
    def hexdigest(self) -> str: ...
    def copy(self) -> Self: ...

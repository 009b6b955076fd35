"""What moves: bytes in memory, and what hashes them."""

from __future__ import annotations

from typing import Protocol, Self

Buffer = bytes | bytearray | memoryview


class Hasher(Protocol):
    """A running hash, as hashlib's."""

    def update(self, data: Buffer, /) -> None: ...
    def hexdigest(self) -> str: ...
    def copy(self) -> Self: ...

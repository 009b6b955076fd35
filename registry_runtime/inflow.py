"""Long bodies on their way in: received into the memory that is hashed and written, past the parser.

A parser makes an object of every piece that came; each is then copied to where enough of them is together.
Of a body whose head was parsed, nothing is left to parse but the sizes of its chunks, where it has any.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from registry_runtime.chunks import Chunks, ChunksInvalid
from registry_runtime.content.blocks import Blocks

if TYPE_CHECKING:
    from registry_runtime.exchange import Exchange

BLOCK = 1024 * 1024
_KEPT = 32  # blocks
_ROOM = 64 * 1024  # bytes that a block must have to be received into, where nobody knows how many come


def inflow_blocks() -> Blocks:
    """Memory for the bodies of a listener."""
    return Blocks(BLOCK, _KEPT)


class Owner(Protocol):
    """The connection that the body comes by: it is told of all that is not the body's."""

    def body_complete(self, rest: bytes) -> None:
        """`rest` came behind it."""

    def body_invalid(self) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def eof_received(self) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class LongBody(asyncio.BufferedProtocol):
    """Stands in for a connection until the rest of a body has come."""

    def __init__(self, owner: Owner, exchange: Exchange, blocks: Blocks) -> None:
        self._owner = owner
        self._exchange = exchange
        self._blocks = blocks
        self._block: memoryview | None = None
        self._start = self._end = 0  # of what came into the block and was not handed on yet

    def _room(self) -> memoryview:
        """What is left of the block, or another one."""
        if self._block is None:
            self._block = self._blocks.take()
            self._start = self._end = 0
        return self._block[self._end :]

    def hand_on(self, *, least_room: int = 1) -> None:
        """What came; nobody writes over it while somebody has it."""
        if self._block is None or self._start == self._end:
            return
        self._exchange.feed(self._block[self._start : self._end])
        self._start = self._end
        if BLOCK - self._end < least_room:
            self._block = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.hand_on()
        self._owner.connection_lost(exc)

    def eof_received(self) -> None:
        self._owner.eof_received()

    def pause_writing(self) -> None:
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        self._owner.resume_writing()


class MeasuredBody(LongBody):
    """One whose length was told."""

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Never beyond the body: what comes behind it is the next request."""
        return self._room()[: self._exchange.unread]

    def buffer_updated(self, nbytes: int) -> None:
        self._end += nbytes
        self._exchange.unread -= nbytes
        if not self._exchange.unread:
            self.hand_on()
            self._owner.body_complete(b"")
        elif self._end == BLOCK:
            self.hand_on()


class ChunkedBody(LongBody):
    """One that comes in chunks, whatever is left of them."""

    def __init__(self, owner: Owner, exchange: Exchange, blocks: Blocks, chunks: Chunks) -> None:
        super().__init__(owner, exchange, blocks)
        self._chunks = chunks

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._room()

    def buffer_updated(self, nbytes: int) -> None:
        assert self._block is not None
        came = self._end + nbytes
        try:
            self._end, behind = self._chunks.take(self._block, self._end, came)
        except ChunksInvalid:
            self._owner.body_invalid()
            return
        if self._chunks.done:
            rest = bytes(self._block[behind:came])
            self.hand_on()
            self._owner.body_complete(rest)
        elif BLOCK - self._end < _ROOM:
            self.hand_on(least_room=_ROOM)

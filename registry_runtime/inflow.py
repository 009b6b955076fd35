"""Long bodies on their way in: received into the memory that is hashed and written, past the parser.

A parser makes an object of every piece that came; each is then copied to where enough of them is together.
Of a body whose length was told and whose head was parsed, nothing is left to parse.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from registry_runtime.content.blocks import Blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_runtime.exchange import Exchange

BLOCK = 1024 * 1024
_KEPT = 32  # blocks


def inflow_blocks() -> Blocks:
    """Memory for the bodies of a listener."""
    return Blocks(BLOCK, _KEPT)


class LongBody(asyncio.BufferedProtocol):
    """Stands in for a connection until the rest of a body has come; then it calls `complete`."""

    def __init__(
        self, connection: asyncio.Protocol, exchange: Exchange, blocks: Blocks, complete: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._complete = complete
        self._exchange = exchange
        self._blocks = blocks
        self._block: memoryview | None = None
        self._start = self._end = 0  # of what came into the block and was not handed on yet

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Never beyond the body: what comes behind it is the next request."""
        if self._block is None:
            self._block = self._blocks.take()
            self._start = self._end = 0
        return self._block[self._end : self._end + self._exchange.unread]

    def buffer_updated(self, nbytes: int) -> None:
        self._end += nbytes
        self._exchange.unread -= nbytes
        if not self._exchange.unread:
            self.hand_on()
            self._complete()
        elif self._end == BLOCK:
            self.hand_on()

    def hand_on(self) -> None:
        """What came; nobody writes over it while somebody has it."""
        if self._block is None or self._start == self._end:
            return
        self._exchange.feed(self._block[self._start : self._end])
        self._start = self._end
        if self._end == BLOCK:
            self._block = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.hand_on()
        self._connection.connection_lost(exc)

    def eof_received(self) -> None:
        self._connection.eof_received()

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

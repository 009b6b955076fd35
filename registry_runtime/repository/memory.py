"""Memory for what streams in: one budget for all uploads of a process."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Memory:
    """`size` bytes. Whoever asks for more than is free waits, in turn, and its client with it.

    Nobody takes more while it holds a loan: else all could wait for each other for ever.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._turns: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def lend(self, size: int) -> AsyncIterator[Loan]:
        """A loan for as long as the context lasts."""
        loan = Loan(self)
        await loan.take(size)
        try:
            yield loan
        finally:
            self.give(loan.size)

    async def take(self, size: int) -> None:
        """Returns when the bytes are the caller's, who gives each back."""
        turn = asyncio.get_running_loop().create_future()
        self._turns.append((size, turn))
        self._serve()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give(size)
            self._serve()  # who stood behind may go first now
            raise

    def give(self, size: int) -> None:
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._turns and (self._turns[0][1].cancelled() or self._turns[0][0] <= self._free):
            size, turn = self._turns.popleft()
            if not turn.cancelled():
                self._free -= size
                turn.set_result(None)


class Loan:
    """What one request may buffer now: `size` bytes."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.size = 0

    def shrink(self, size: int) -> None:
        """Gives back all but `size`."""
        spare, self.size = self.size - size, size
        self._memory.give(spare)

    async def take(self, size: int) -> None:
        """The next loan, when what was lent before is handed over."""
        assert not self.size
        await self._memory.take(size)
        self.size = size

    def hand_over(self, heir: asyncio.Future[Any]) -> None:
        """What is buffered goes on its way, and its memory is free when `heir` is done."""
        size, self.size = self.size, 0
        heir.add_done_callback(lambda _: self._memory.give(size))

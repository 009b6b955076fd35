"""Memory for what streams in: one budget for all uploads of a process."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(frozen=True)
class _Turn:
    """Of somebody who waits for `size` bytes."""

    number: int
    size: int
    who: str
    served: asyncio.Future[None]


class Memory:
    """`size` bytes. Whoever asks for more than is free waits, in turn, and its client with it.

    Nobody takes more while it holds a loan: else all could wait for each other for ever. Who has a name never
    holds more than three quarters, unless in one loan: clients of one tenant may take all the time in the
    world, and the rest serves the others.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._most = size * 3 // 4
        self._held = Counter[str]()  # bytes, of those who have a name
        self._turns: dict[str, deque[_Turn]] = {}  # those who wait, by their names
        self._asked = 0

    @asynccontextmanager
    async def lend(self, size: int, who: str = "") -> AsyncIterator[Loan]:
        """A loan for as long as the context lasts; `who` shares it with others of that name."""
        loan = Loan(self, who)
        await loan.take(size)
        try:
            yield loan
        finally:
            self.give(loan.size, who)

    async def take(self, size: int, who: str = "") -> None:
        """Returns when the bytes are the caller's, who gives each back."""
        self._asked += 1
        turn = _Turn(self._asked, size, who, asyncio.get_running_loop().create_future())
        self._turns.setdefault(who, deque()).append(turn)
        self._serve()
        try:
            await turn.served
        except asyncio.CancelledError:
            if not turn.served.cancelled():
                self.give(size, who)
            self._serve()  # who stood behind may go first now
            raise

    def give(self, size: int, who: str = "") -> None:
        self._free += size
        if who:
            self._held[who] -= size
            if not self._held[who]:
                del self._held[who]
        self._serve()

    def _serve(self) -> None:
        """The first who may have more; nobody overtakes whom only the size of its wish holds up."""
        while (turn := self._next()) and (turn.served.cancelled() or turn.size <= self._free):
            self._turns[turn.who].popleft()
            if not self._turns[turn.who]:
                del self._turns[turn.who]
            if not turn.served.cancelled():
                self._lend(turn)

    def _lend(self, turn: _Turn) -> None:
        self._free -= turn.size
        if turn.who:
            self._held[turn.who] += turn.size
        turn.served.set_result(None)

    def _next(self) -> _Turn | None:
        first = (waiting[0] for waiting in self._turns.values())
        return min(filter(self._may, first), key=lambda turn: turn.number, default=None)

    def _may(self, turn: _Turn) -> bool:
        held = self._held.get(turn.who, 0)
        return turn.served.cancelled() or not held or held + turn.size <= self._most


class Loan:
    """What one request may buffer now: `size` bytes."""

    def __init__(self, memory: Memory, who: str) -> None:
        self._memory = memory
        self._who = who
        self.size = 0

    def shrink(self, size: int) -> None:
        """Gives back all but `size`."""
        spare, self.size = self.size - size, size
        self._memory.give(spare, self._who)

    async def take(self, size: int) -> None:
        """The next loan, when what was lent before is handed over."""
        assert not self.size
        await self._memory.take(size, self._who)
        self.size = size

    def hand_over(self, heir: asyncio.Future[Any]) -> None:
        """What is buffered goes on its way, and its memory is free when `heir` is done."""
        size, self.size = self.size, 0
        heir.add_done_callback(lambda _: self._memory.give(size, self._who))

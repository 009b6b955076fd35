"""The scheduler: every call to the storage waits here for its turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto


class Fate(Enum):
    """What becomes of a call."""

    DONE = auto()
    LOST = auto()  # it never arrives
    SILENT = auto()  # it is done, and the answer is lost
    LATE = auto()  # no answer comes, and it arrives when nobody waits for it any more


class Killed(BaseException):
    """The replica's process is gone."""


@dataclass(eq=False)
class Turn:
    """A call that waits."""

    replica: object
    operation: str
    key: str
    effect: Callable[[], object]
    fate: asyncio.Future[Fate]


class Scheduler:
    """Holds calls until `go`; runs the loop until everybody waits for a call again."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.waiting: list[Turn] = []
        self.late: list[Callable[[], None]] = []
        self.dead: set[object] = set()
        self.calls = 0

    async def turn(self, replica: object, operation: str, key: str, effect: Callable[[], object]) -> Fate:
        if replica in self.dead:
            raise Killed
        turn = Turn(replica, operation, key, effect, self.loop.create_future())
        self.waiting.append(turn)
        try:
            return await turn.fate
        finally:
            if turn in self.waiting:
                self.waiting.remove(turn)

    def later(self, effect: Callable[[], None]) -> None:
        self.late.append(effect)

    def go(self, turn: Turn, fate: Fate) -> None:
        """Lets one call have its fate, and everybody go on to the next one."""
        self.calls += 1
        self.waiting.remove(turn)
        turn.fate.set_result(fate)
        self.settle()

    def kill(self, replica: object) -> list[Turn]:
        """What the replica had under way is nobody's now; some of it may arrive all the same."""
        self.dead.add(replica)
        under_way = [turn for turn in self.waiting if turn.replica is replica]
        for turn in under_way:
            self.waiting.remove(turn)
            turn.fate.set_exception(Killed())
        self.settle()
        return under_way

    def settle(self) -> None:
        self.loop.run_until_complete(self._idle())

    async def _idle(self) -> None:
        ready = self.loop._ready  # type: ignore[attr-defined]  # the only way to know that nobody runs
        await asyncio.sleep(0)
        while ready:
            await asyncio.sleep(0)


class AtOnce:
    """In the scheduler's place: nobody waits and nothing fails; it counts the calls."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    async def turn(self, _replica: object, operation: str, _key: str, _effect: object) -> Fate:
        self.calls[operation] += 1
        return Fate.DONE

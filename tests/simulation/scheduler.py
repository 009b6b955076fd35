"""The scheduler: every call to the storage waits here for its turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any


class Fate(Enum):
    """What becomes of a call."""

    DONE = auto()
    LOST = auto()  # it never arrives
    SILENT = auto()  # it is done, and the answer is lost
    LATE = auto()  # no answer comes, and it arrives when nobody waits for it any more


class Killed(BaseException):
    """The replica's process is gone."""


@dataclass(eq=False)
class Actor:
    """A client or a collector, with all the tasks that work for it; `since` when it awaits an answer."""

    name: str
    since: datetime | None = None


_ACTOR: ContextVar[Actor] = ContextVar("actor")


@dataclass(eq=False)
class Turn:
    """A call that waits."""

    actor: Actor
    replica: object
    operation: str
    key: str
    effect: Callable[[], object]
    fate: asyncio.Future[Fate]


@dataclass(frozen=True)
class Late:
    """What was sent, and arrives when nobody waits for it any more."""

    effect: Callable[[], None]
    sent: datetime


class Scheduler:
    """Holds calls until `go`; runs the loop until everybody waits for a call again."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.waiting: list[Turn] = []
        self.late: list[Late] = []
        self.naps: list[asyncio.Future[None]] = []
        self.dead: set[object] = set()
        self.calls = 0

    def start(self, actor: Actor, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Lets the actor do it, up to its first call."""
        context = copy_context()
        context.run(_ACTOR.set, actor)
        task = self.loop.create_task(work, context=context)
        self.settle()
        return task

    async def nap(self) -> None:
        """A client does something else for as long as it likes."""
        nap: asyncio.Future[None] = self.loop.create_future()
        self.naps.append(nap)
        await nap

    def wake(self, number: int) -> None:
        nap = self.naps.pop(number)
        if not nap.done():
            nap.set_result(None)
            self.settle()

    async def turn(self, replica: object, operation: str, key: str, effect: Callable[[], object]) -> Fate:
        if replica in self.dead:
            raise Killed
        turn = Turn(_ACTOR.get(), replica, operation, key, effect, self.loop.create_future())
        self.waiting.append(turn)
        try:
            return await turn.fate
        finally:
            if turn in self.waiting:
                self.waiting.remove(turn)

    def later(self, effect: Callable[[], None], sent: datetime) -> None:
        self.late.append(Late(effect, sent))

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

"""Whose turn it is to be asked: so many replicas hold a connection, all others are visited.

A connection that is held costs 63 KiB (TLS, buffers, a task), a visit 3 ms (its handshake). Up to HELD
replicas are all held, and each change is heard as it happens. Of more, those of Registries where something
is awaited are held, or visited one after the other, LINGER seconds each; where nothing is, a replica is
visited as often as RATE lets it: each two and a half minutes with three thousand.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from registry_operator.models import Key

HELD = 150  # connections
RATE = 20.0  # visits a second in each line: something is awaited anew, still, or not at all
LINGER = 2.0  # seconds that a visit waits for what is awaited
QUIET = 30.0  # seconds between two visits, at least
ATTENTION = 60.0  # seconds that something stays awaited, unless it is said again
Clock = Callable[[], float]


class Line:
    """Lets so many through in a second, in the order in which they came. Who left it holds up nobody."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._each = 1 / rate
        self._clock = clock
        self._next = clock()
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def join(self, turn: "asyncio.Future[bool]") -> None:
        """It becomes False when it is its turn. Who no longer waits has it done, or cancelled, before."""
        self._waiting.append(turn)
        if self._timer is None:
            self._next = max(self._next, self._clock())
            self._let()

    def _let(self) -> None:
        self._timer = None
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
            elif (early := self._next - self._clock()) > 0:
                self._timer = asyncio.get_running_loop().call_later(early, self._let)
                return
            else:
                self._waiting.popleft().set_result(False)
                self._next += self._each


class Attention:
    """Of one Registry: until when something is awaited, how often that was said, who waits to hear so."""

    def __init__(self) -> None:
        self.until = float("-inf")
        self.calls = 0
        self.waiting: set[asyncio.Future[bool]] = set()

    def call(self, until: float) -> None:
        self.until = max(self.until, until)
        self.calls += 1
        for one in self.waiting:
            if not one.done():
                one.set_result(True)


class Turns:
    """Shared by all polls of an operator."""

    def __init__(self, held: int = HELD, rate: float = RATE, clock: Clock = time.monotonic) -> None:
        self._held = held
        self._rate = rate
        self._clock = clock
        self._holding = 0
        self._wanted: dict[Key, Attention] = {}
        self._anew, self._still, self._quiet = (Line(rate, clock) for _ in range(3))
        self.followed = 0  # replicas in all

    def attend(self, registry: Key) -> None:
        """Something of this Registry is about to change: what its replicas say is wanted soon."""
        self._attention(registry).call(self._clock() + ATTENTION)

    def forget(self, registry: Key) -> None:
        self._wanted.pop(registry, None)

    @contextmanager
    def hold(self, registry: Key) -> Iterator[bool]:
        """Whether the replica may keep its connection during the next poll."""
        if self._holding >= self._held or not (self.followed <= self._held or self._is_attended(registry)):
            yield False
            return
        self._holding += 1
        try:
            yield True
        finally:
            self._holding -= 1

    def lingers(self, registry: Key) -> float:
        """Seconds that a visit is to wait for news: they come while it lasts, or at the next visit."""
        return LINGER if self._is_attended(registry) else 0.0

    def calls(self, registry: Key) -> int:
        """How often its Registry was attended: who polls it asks before."""
        return self._attention(registry).calls

    async def visit(self, registry: Key, calls: int) -> None:
        """Waits until a replica that was visited is due again, or until its Registry is attended anew.

        `calls` are those before it was visited: what was said meanwhile is new, too. What is new waits for
        nobody of whom something has been awaited for longer: of those there are many where all replicas of
        a fleet come anew, or more than can be held are broken.
        """
        if self.calls(registry) == calls:
            if self._is_attended(registry):
                called = await self._is_called(registry, self._still.join)
            else:
                rest = self._rest() * random.uniform(0.8, 1)
                called = (
                    await self._is_called(registry, partial(_after, rest))
                    or self._is_attended(registry)  # since the very moment in which its rest ended
                    or await self._is_called(registry, self._quiet.join)
                )
            if not called:
                return
        turn = asyncio.get_running_loop().create_future()
        self._anew.join(turn)
        await turn

    async def _is_called(
        self, registry: Key, begin: Callable[["asyncio.Future[bool]"], asyncio.TimerHandle | None]
    ) -> bool:
        """Whether its Registry was attended anew before the wait that `begin` begins was over."""
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting, timer = self._attention(registry).waiting, begin(turn)
        waiting.add(turn)
        try:
            return await turn
        finally:
            waiting.discard(turn)
            if timer is not None:
                timer.cancel()

    def _rest(self) -> float:
        return max(QUIET, self.followed / self._rate)

    def _is_attended(self, registry: Key) -> bool:
        return self._clock() < self._attention(registry).until

    def _attention(self, registry: Key) -> Attention:
        return self._wanted.setdefault(registry, Attention())


def _after(seconds: float, turn: "asyncio.Future[bool]") -> asyncio.TimerHandle:
    """It becomes False after so many seconds."""
    return asyncio.get_running_loop().call_later(seconds, _over, turn)


def _over(turn: "asyncio.Future[bool]") -> None:
    if not turn.done():
        turn.set_result(False)

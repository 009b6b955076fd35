"""Whose turn it is to be asked: so many replicas hold a connection, all others are visited.

A connection that is held costs 63 KiB (TLS, buffers, a task), a visit 3 ms (its handshake). Up to HELD
replicas are all held, and each change is heard as it happens. Of more, those of Registries where something
is awaited are held, or visited one after the other, LINGER seconds each; where nothing is, a replica is
visited as often as RATE lets it: each two and a half minutes with three thousand.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from registry_operator.models import Key

HELD = 150  # connections
RATE = 20.0  # visits a second in each line: something is awaited anew, still, or not at all
LINGER = 2.0  # seconds that a visit waits for what is awaited
QUIET = 30.0  # seconds between two visits, at least
ATTENTION = 60.0  # seconds that something stays awaited, unless it is said again
Clock = Callable[[], float]


class Gate:
    """Lets so many through in a second, in the order in which they came."""

    def __init__(self, rate: float, clock: Clock) -> None:
        self._clock = clock
        self._each = 1 / rate
        self._next = clock()

    def queue(self) -> float:
        """Seconds until it is the turn of who has come now."""
        now = self._clock()
        mine = max(self._next, now)
        self._next = mine + self._each
        return mine - now


class Attention:
    """Of one Registry: until when something of it is awaited, and who waits to hear so."""

    def __init__(self) -> None:
        self.until = float("-inf")
        self.called = asyncio.Event()

    def call(self, until: float) -> None:
        self.until = max(self.until, until)
        self.called.set()
        self.called = asyncio.Event()


class Turns:
    """Shared by all polls of an operator."""

    def __init__(self, held: int = HELD, rate: float = RATE, clock: Clock = time.monotonic) -> None:
        self._held = held
        self._rate = rate
        self._clock = clock
        self._holding = 0
        self._wanted: dict[Key, Attention] = {}
        self._anew, self._still, self._quiet = (Gate(rate, clock) for _ in range(3))
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

    async def visit(self, registry: Key) -> None:
        """Waits until a replica that was visited is due again, or until its Registry is attended anew.

        What is new waits for nobody of whom something has been awaited for longer: of those there are many
        where all replicas of a fleet come anew, or more than can be held are broken.
        """
        if self._is_attended(registry):
            called = await self._is_called(registry, self._still.queue())
        else:
            called = (
                await self._is_called(registry, self._rest() * random.uniform(0.8, 1))
                or self._is_attended(registry)  # since the very moment in which its rest ended
                or await self._is_called(registry, self._quiet.queue())
            )
        if called:
            await asyncio.sleep(self._anew.queue())

    async def _is_called(self, registry: Key, within: float) -> bool:
        """Whether its Registry was attended anew before so many seconds are over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await self._attention(registry).called.wait()
        return False

    def _rest(self) -> float:
        return max(QUIET, self.followed / self._rate)

    def _is_attended(self, registry: Key) -> bool:
        return self._clock() < self._attention(registry).until

    def _attention(self, registry: Key) -> Attention:
        return self._wanted.setdefault(registry, Attention())

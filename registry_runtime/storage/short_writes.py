"""Short writes, on the event loop while the disk is as fast as memory, and beside it where it is not.

A change of threads costs two or three times what such a write does. So they run at once, until two in a row
took longer than the loop should stand still: then all go into threads for a while. One alone may have been
the machine's other work; and so may the second, if it waited for nothing but a processor.
"""

from __future__ import annotations

import asyncio
import resource
import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")

_SHORT = 64 * 1024  # bytes
_NO_TIME = 0.001  # seconds
_IN_A_ROW = 2
_PAUSE = 5.0  # seconds, in which the loop stands still no more than that often


def _waits() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


class ShortWrites:
    """One for each disk; used by one event loop. `waits`: how often its thread has waited for something."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, waits: Callable[[], int] = _waits
    ) -> None:
        self._clock = clock
        self._waits = waits
        self._slow = 0
        self._slow_until = 0.0

    async def run(self, size: int, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What the call gives, which writes `size` bytes."""
        begun = self._clock()
        if size > _SHORT or begun < self._slow_until:
            return await asyncio.to_thread(call, *args, **kwargs)
        waits = self._waits() if self._slow else None
        try:
            return call(*args, **kwargs)
        finally:
            now = self._clock()
            if now - begun <= _NO_TIME:
                self._slow = 0
            elif waits is None or self._waits() > waits:
                self._slow += 1
            if self._slow >= _IN_A_ROW:
                self._slow, self._slow_until = 0, now + _PAUSE

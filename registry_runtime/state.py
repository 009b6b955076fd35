"""What this replica knows of itself, and who waits for news of it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from registry_runtime.contract.state import ReplicaState


class StateBoard:
    """The current ReplicaState; a change of any field wakes everybody who waits."""

    def __init__(self, replica: str, zone: str, started: datetime) -> None:
        first = ReplicaState(version="", replica=replica, zone=zone, started=started, ready=False)
        self._state = _versioned(first)
        self._changed = asyncio.Event()

    @property
    def state(self) -> ReplicaState:
        return self._state

    def update(self, **fields: Any) -> None:
        state = _versioned(self._state.model_copy(update=fields))
        if state == self._state:
            return
        self._state = state
        self._changed.set()
        self._changed = asyncio.Event()

    async def newer(self, after: str | None, wait: float) -> ReplicaState:
        """The state, as soon as its version is another than `after`, or after `wait` seconds."""
        try:
            async with asyncio.timeout(wait):
                while self._state.version == after:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self._state


class Found(Protocol):
    """What a check found."""

    @property
    def good(self) -> bool: ...


F = TypeVar("F", bound=Found)


@dataclass(frozen=True)
class Rhythm:
    """Seconds between two checks: of what is good at most `again`, of what is not `soonest`, then longer."""

    again: float
    soonest: float = 0.5
    longest: float = 15.0
    debounce: float = 2.0  # a doubt is looked into so long after the last check
    patience: float = 20.0  # for one check: a network that swallows packets takes a driver 30


class Watch(Generic[F]):
    """Checks something until it is good, then now and then, and at once when a request met an error.

    `check` is told whether to look thoroughly: the first time, and after a failure or a doubt. `silent` is
    what was found where it does not end. Nothing it says takes readiness away: the storage is shared, so all
    replicas would go at the same moment.
    """

    def __init__(
        self,
        check: Callable[[bool], Awaitable[F]],
        found: Callable[[F], None],
        silent: F,
        rhythm: Rhythm,
    ) -> None:
        self._check = check
        self._found = found
        self._silent = silent
        self._rhythm = rhythm
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """Something failed: the check is due, two seconds after the last one at the soonest."""
        self._doubted.set()

    async def run(self) -> None:
        """It never ends."""
        rhythm = self._rhythm
        pause, thorough = rhythm.soonest, True
        while True:
            thorough = thorough or self._doubted.is_set()
            self._doubted.clear()
            found = await self._checked(thorough=thorough)
            self._found(found)
            thorough = not found.good
            if found.good:
                pause = rhythm.soonest
                await self._until_due()
            else:
                await asyncio.sleep(pause * random.uniform(0.8, 1))
                pause = min(pause * 2, rhythm.longest)

    async def _checked(self, *, thorough: bool) -> F:
        try:
            async with asyncio.timeout(self._rhythm.patience):
                return await self._check(thorough)
        except TimeoutError:
            return self._silent

    async def _until_due(self) -> None:
        rhythm = self._rhythm
        await asyncio.sleep(rhythm.debounce)
        with suppress(TimeoutError):
            async with asyncio.timeout((rhythm.again - rhythm.debounce) * random.uniform(0.7, 1)):
                await self._doubted.wait()


def _versioned(state: ReplicaState) -> ReplicaState:
    content = state.model_copy(update={"version": ""}).model_dump_json()
    return state.model_copy(update={"version": hashlib.sha256(content.encode()).hexdigest()[:16]})

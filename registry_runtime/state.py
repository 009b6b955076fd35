"""What this replica knows of itself, and who waits for news of it."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from registry_runtime.contract.state import ReplicaState, StorageReason, StorageState

_PAUSES = (0.5, 15.0)  # seconds between checks of a storage that is not good, doubled up to the second
_AGAIN = 30.0  # seconds between checks of one that is, at most
_WRITE_EACH = 10  # checks of one that is good: a versioned bucket keeps what was written and deleted
_DEBOUNCE = 2.0  # seconds
_PATIENCE = 20.0  # seconds for one check: a network that swallows packets takes the driver 30


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


class StorageWatch:
    """Checks the storage until it is good, then now and then, and at once when a request met an error of it.

    `check` is told whether to write too (3 requests to S3), or only to read (1). Nothing it says takes
    readiness away: the storage is shared, so all replicas would go at the same moment.
    """

    def __init__(
        self, check: Callable[[bool], Awaitable[StorageState]], found: Callable[[StorageState], None]
    ) -> None:
        self._check = check
        self._found = found
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """Something failed: the check is due, two seconds after the last one at the soonest."""
        self._doubted.set()

    async def run(self) -> None:
        """It never ends."""
        pause, checks = _PAUSES[0], 0
        while True:
            write = self._doubted.is_set() or checks % _WRITE_EACH == 0
            self._doubted.clear()
            state = await self._checked(write=write)
            self._found(state)
            if state.reason is StorageReason.READY:
                pause, checks = _PAUSES[0], checks + 1
                await self._until_due()
            else:
                await asyncio.sleep(pause * random.uniform(0.8, 1))
                pause, checks = min(pause * 2, _PAUSES[1]), 0

    async def _checked(self, *, write: bool) -> StorageState:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self._check(write)
        except TimeoutError:
            message = f"the storage did not answer a check within {_PATIENCE:g} s: see to it, or the network"
            return StorageState(reason=StorageReason.UNREACHABLE, message=message)

    async def _until_due(self) -> None:
        await asyncio.sleep(_DEBOUNCE)
        with suppress(TimeoutError):
            async with asyncio.timeout((_AGAIN - _DEBOUNCE) * random.uniform(0.7, 1)):
                await self._doubted.wait()


def _versioned(state: ReplicaState) -> ReplicaState:
    content = state.model_copy(update={"version": ""}).model_dump_json()
    return state.model_copy(update={"version": hashlib.sha256(content.encode()).hexdigest()[:16]})

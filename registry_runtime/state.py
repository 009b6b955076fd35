"""What this replica knows of itself, and who waits for news of it."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime
from typing import Any

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


def _versioned(state: ReplicaState) -> ReplicaState:
    content = state.model_copy(update={"version": ""}).model_dump_json()
    return state.model_copy(update={"version": hashlib.sha256(content.encode()).hexdigest()[:16]})

"""The storage's self-check: is it there, is it ours, and does it keep its word on conditional writes.

A server may answer yes to a condition and not hold it, so the check races them: all coordination of the
replicas rests on their having exactly one winner.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

from registry_runtime.contract.state import StorageReason, StorageState
from registry_runtime.errors import StorageError
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict

if TYPE_CHECKING:
    from registry_runtime.repository.marker import Marker
    from registry_runtime.storage.base import Storage

ROUNDS = 3
RACERS = 8
_REMEDY = (
    "replicas would overwrite each other's work; use a storage whose PUT honours If-None-Match and If-Match "
    "(AWS S3, MinIO and versitygw do)"
)


class Broken(Exception):
    """A promise of the storage that did not hold."""


class Check:
    """Checks one storage: reads each time, writes where asked, races at the start and after a failure."""

    def __init__(self, storage: Storage, marker: Marker) -> None:
        self._storage = storage
        self._marker = marker
        self._raced = False

    async def run(self, *, write: bool = True) -> StorageState:
        try:
            await self._marker.claim()
            if not self._raced:
                await self._storage.verify(paths.probe(str(uuid.uuid4())))
                await self._race()
                self._raced = True
            elif write:
                await self._write()
        except StorageError as error:
            self._raced = False  # what comes back may be another server
            return StorageState(reason=error.reason, message=error.message)
        except Broken as broken:
            message = f"{broken}: {_REMEDY}"
            return StorageState(reason=StorageReason.NO_CONDITIONAL_WRITES, message=message)
        return StorageState(reason=StorageReason.READY, message="the storage is there and keeps its word")

    async def _write(self) -> None:
        """Rights may be taken away, and disks fill up, after a good start."""
        key = paths.probe(str(uuid.uuid4()))
        await self._storage.put(key, [b"probe"])
        await self._storage.delete([key])

    async def _race(self) -> None:
        key = paths.probe(str(uuid.uuid4()))
        try:
            await self._refuses_absent(key)
            for _ in range(ROUNDS):
                await self._one_winner(key, None)
                found = await self._storage.get(key)
                if found is None:
                    raise Broken("an object that was written cannot be read")
                await self._one_winner(key, found.etag)
                await self._storage.delete([key])
        finally:
            await self._storage.delete([key])

    async def _refuses_absent(self, key: str) -> None:
        try:
            await self._storage.put(key, [b"probe"], match='"00000000000000000000000000000000"')
        except Conflict:
            return
        raise Broken("a write with If-Match was accepted where there is no object")

    async def _one_winner(self, key: str, etag: str | None) -> None:
        async def attempt(number: int) -> bytes | None:
            content = f"probe {number} {uuid.uuid4()}".encode()
            try:
                await self._storage.put(key, [content], absent=etag is None, match=etag)
            except Conflict:
                return None
            return content

        winners = [won for won in await asyncio.gather(*map(attempt, range(RACERS))) if won]
        found = await self._storage.get(key)
        condition = "If-None-Match" if etag is None else "If-Match"
        if len(winners) != 1:
            raise Broken(f"of {RACERS} writes at once with {condition}, {len(winners)} were accepted")
        if found is None or found.content != winners[0]:
            raise Broken(f"of {RACERS} writes at once with {condition}, a refused one was kept")

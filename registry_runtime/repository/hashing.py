"""Hashing what streams: large pieces in threads, and the running hashes that wait for the next request."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from registry_runtime.content.digest import Digest, new_hasher

if TYPE_CHECKING:
    from registry_runtime.content.buffer import Buffer, Chunks, Hasher

_THREAD = 256 * 1024  # bytes: what is hashed in less time than a change of the thread costs
_COUNT = 1024
_SECONDS = 3600.0


class RunningHash:
    """A digest that grows, in order, while the caller goes on receiving."""

    def __init__(self, algorithm: str, hasher: Hasher | None = None) -> None:
        self.algorithm = algorithm
        self._hasher = hasher or new_hasher(algorithm)
        self._busy: asyncio.Future[None] | None = None

    async def update(self, block: Buffer) -> None:
        """Returns when the block before this one is done; the block must not change meanwhile."""
        await self.settle()
        if len(block) < _THREAD:
            self._hasher.update(block)
        else:
            self._busy = asyncio.ensure_future(asyncio.to_thread(self._hasher.update, block))

    async def settle(self) -> None:
        """Waits for the block that is being hashed."""
        busy, self._busy = self._busy, None
        if busy:
            await busy

    async def digest(self) -> Digest:
        await self.settle()
        return Digest(self.algorithm, self._hasher.hexdigest())

    async def copy(self) -> RunningHash:
        await self.settle()
        return RunningHash(self.algorithm, self._hasher.copy())


class RunningHashes:
    """The hashes of uploads that go on here; another replica hashes the content again instead.

    Bounded in number and time: a hash takes some 200 bytes.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, float, RunningHash]] = OrderedDict()

    def keep(self, uuid: str, offset: int, running: RunningHash) -> None:
        """Keeps the hash of the first `offset` bytes of an upload."""
        self._kept[uuid] = (offset, time.monotonic(), running)
        self._kept.move_to_end(uuid)
        while len(self._kept) > _COUNT or next(iter(self._kept.values()))[1] < time.monotonic() - _SECONDS:
            self._kept.popitem(last=False)

    async def find(self, uuid: str, offset: int, algorithm: str) -> RunningHash | None:
        """A copy of the hash of exactly the first `offset` bytes."""
        kept = self._kept.get(uuid)
        if kept is None or kept[0] != offset or kept[2].algorithm != algorithm:
            return None
        return await kept[2].copy()

    def forget(self, uuid: str) -> None:
        self._kept.pop(uuid, None)


async def hash_all(chunks: Chunks, algorithm: str) -> Digest:
    """Reads a stream to its end."""
    running = RunningHash(algorithm)
    try:
        async for chunk in chunks:
            await running.update(chunk)
        return await running.digest()
    finally:
        await running.settle()
        await chunks.aclose()

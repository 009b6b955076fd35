"""What a storage is asked by trying: promises that not every bucket makes, and some make in vain."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING

from registry_runtime.errors import StorageError
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from registry_runtime.storage.base import Storage

ROUNDS = 12
RACES = 32  # at once
_SPREAD = 0.01  # seconds
_OTHER = '"00000000000000000000000000000000"'  # the ETag of no object


async def erases(storage: Storage) -> bool:
    """Whether a conditional DELETE holds; False also where that cannot be told now.

    What should be refused must be, and of a write and a delete at once, both on the same ETag, only one may
    win: a server that first looks and then deletes fails every second round. It costs 1,200 small requests
    where it holds, and remembers nothing: a caller asks once for each run of whatever erases.
    """
    keys = [paths.probe(str(uuid.uuid4())) for _ in range(RACES)]
    try:
        if not await _refuses(storage, keys[0]):
            return False
        for _ in range(ROUNDS):
            won = await asyncio.gather(*(_race(storage, key) for key in keys))
            await storage.delete(keys)
            if ["write", "delete"] in won:
                return False
    except StorageError:
        return False
    finally:
        await _tidy(storage, keys)
    return True


async def _refuses(storage: Storage, key: str) -> bool:
    await storage.put(key, [b"kept"])
    refused = not await _done(storage.erase(key, _OTHER)) and await storage.get(key) is not None
    await storage.delete([key])
    return refused


async def _race(storage: Storage, key: str) -> list[str]:
    """Who won, of a write and a delete on the same condition."""
    etag = await storage.put(key, [b"raced"], absent=True)
    write, delete = (
        _done(storage.put(key, [uuid.uuid4().bytes], match=etag)),
        _done(storage.erase(key, etag)),
    )
    done = await asyncio.gather(_later(write), _later(delete))
    return [name for name, won in zip(("write", "delete"), done, strict=True) if won]


async def _later(change: Awaitable[bool]) -> bool:
    await asyncio.sleep(random.uniform(0, _SPREAD))
    return await change


async def _done(change: Awaitable[object]) -> bool:
    try:
        await change
    except Conflict:
        return False
    return True


async def _tidy(storage: Storage, keys: Sequence[str]) -> None:
    try:
        await storage.delete(keys)
    except StorageError:
        return  # the collection's, as what any replica leaves that is killed in its self-check

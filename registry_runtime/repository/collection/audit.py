"""The audit: the data in the storage against the pointers, for what no replica knows of.

Sessions are listed first, then the pointers are read, then the data is listed: data gets its pointer while
its session stands, so what is in neither, and older than any upload lives, is nobody's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.repository.collection.filter import Filter
from registry_runtime.repository.collection.receipt import Kind
from registry_runtime.repository.collection.taking import WIDTH
from registry_runtime.repository.collection.walk import pages
from registry_runtime.repository.parallel import each
from registry_runtime.repository.pointers import Pointer, State
from registry_runtime.storage import paths

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta

    from registry_runtime.repository.collection.receipt import Receipt
    from registry_runtime.storage.base import Entry, Storage
    from registry_runtime.storage.records import Records

_SIZE = 16 * 1024 * 1024  # bytes: what is known of a million and a half data objects, well


class Audit:
    """Takes orphans, and says which blobs have lost their data. `life` is how long an upload may last."""

    def __init__(
        self,
        storage: Storage,
        records: Records,
        receipt: Receipt,
        life: timedelta,
        turn: Callable[[], Awaitable[None]],
    ) -> None:
        self._storage = storage
        self._records = records
        self._receipt = receipt
        self._before = receipt.began - life
        self._turn = turn
        self._known = Filter(_SIZE)

    async def run(self) -> None:
        async for entries in pages(self._storage, paths.UPLOADS):
            for entry in entries:
                self._known.add(entry.key.removeprefix(paths.UPLOADS))
        async for entries in pages(self._storage, paths.BLOBS):
            await self._turn()
            await each(self._pointer, [entry.key for entry in entries if entry.size], WIDTH)
        async for entries in pages(self._storage, paths.DATA):
            await self._turn()
            await self._take([entry for entry in entries if self._is_orphan(entry)])

    async def _pointer(self, key: str) -> None:
        pointer = await self._read(key)
        if pointer is None or pointer.is_inline:
            return
        self._known.add(pointer.data)
        if pointer.state is State.DEAD or await self._is_whole(pointer):
            return
        again = await self._read(key)
        if again is not None and again.state is not State.DEAD and again.data == pointer.data:
            self._receipt.lose(key.removeprefix(paths.BLOBS))

    async def _is_whole(self, pointer: Pointer) -> bool:
        found = await self._storage.size(paths.data(pointer.data))
        return found is not None and pointer.form.size(found) == pointer.size

    async def _read(self, key: str) -> Pointer | None:
        record = await self._records.get(key)
        return None if record is None else Pointer.decode(record)

    def _is_orphan(self, entry: Entry) -> bool:
        data = entry.key.removeprefix(paths.DATA)
        in_use = data in self._known or paths.upload_of(data) in self._known
        return entry.modified <= self._before and not in_use

    async def _take(self, orphans: list[Entry]) -> None:
        if not self._receipt.preview:
            await self._records.delete(entry.key for entry in orphans)
        for entry in orphans:
            self._receipt.take(Kind.ORPHAN, entry.key, entry.size)

"""Letting go: every change of what is there is a conditional write over what was read.

Its age and its version come with one read, so what was written again meanwhile is never taken for old.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from registry_runtime.repository import facts
from registry_runtime.repository.collection.receipt import Kind, Receipt
from registry_runtime.repository.parallel import each
from registry_runtime.repository.pointers import Pointer, State
from registry_runtime.repository.recent import FRESH
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from registry_runtime.storage.base import Entry, Found, Storage
    from registry_runtime.storage.records import Record, Records, Version, Versioned

WIDTH = 32
# What was hidden so long before a pass began was hidden before its mark: dates may be in whole seconds.
LEAST = timedelta(seconds=2)
# Graces: no request is at work for two, so what it wrote first has its fact by then, or never. For a part of
# one more it counts on an index that was written before.
AT_WORK = 2 + 1 / FRESH


@dataclass(frozen=True, slots=True)
class _Dead:
    """A dead pointer: its data goes, then it goes itself."""

    key: str
    version: Version
    pointer: Pointer


class Taking:
    """Hides what is given to it, takes what has been hidden for the grace, and writes it on the receipt.

    In a preview it only writes the receipt. `erases`: whether the storage keeps a condition on a DELETE.
    """

    def __init__(
        self, storage: Storage, records: Records, receipt: Receipt, grace: timedelta, *, erases: bool
    ) -> None:
        self._storage = storage
        self.records = records
        self.receipt = receipt
        grace = max(grace, LEAST)
        self._before = receipt.began - grace
        self._long_before = receipt.began - AT_WORK * grace
        self._erases = erases

    def is_old(self, modified: datetime | None) -> bool:
        """Whether it was written at least a grace before the pass began, so that its mark knows of it."""
        return modified is not None and modified <= self._before

    def is_abandoned(self, modified: datetime) -> bool:
        """Whether the request that wrote it, and was to write more, has ended before the pass began."""
        return modified <= self._long_before

    async def let_go(self, kind: Kind, key: str) -> bool:
        """One step with a link or a manifest that nothing names; whether it is gone."""
        seen = await self.records.read(key)
        if seen.record is None or seen.version is None:
            return True
        if not self.is_old(seen.modified):
            return False
        if facts.is_hidden(seen.record):
            if not await self._retract(key, seen.version):
                return False
            self.receipt.take(kind, key)
            return True
        if self.receipt.preview or await self._wrote(key, seen, facts.hidden(seen.record)):
            self.receipt.hide(kind, key)
        return False

    async def keep(self, kind: Kind, key: str) -> None:
        """What was hidden and is named again: its grace begins anew when it is let go the next time."""
        if not self.receipt.preview:
            before = await self.records.read(key)
            if before.record is not None and facts.is_hidden(before.record):
                await facts.revive(self.records, key)
                self.receipt.revived[kind] += 1

    async def let_blobs_go(self, keys: Sequence[str]) -> None:
        """One step with pointers that no link leads to; the data of a dead one goes, then it goes itself."""
        dead = [found for found in await each(self._step, keys, WIDTH) if found]
        if not self.receipt.preview:
            data = (paths.data(one.pointer.data) for one in dead if not one.pointer.is_inline)
            await self.records.delete(data)
        await each(self._end, dead, WIDTH)

    async def _end(self, dead: _Dead) -> None:
        """It is counted when its data is gone, and by whom the pointer goes: once, and never too soon."""
        if await self._retract(dead.key, dead.version):
            self.receipt.take(Kind.BLOB, dead.key, dead.pointer.size)

    async def _step(self, key: str) -> _Dead | None:
        seen = await self.records.read(key)
        if seen.record is None or seen.version is None:
            return None
        pointer = Pointer.decode(seen.record)
        if pointer.state is State.DEAD:
            return _Dead(key, seen.version, pointer)
        if not self.is_old(seen.modified):
            return None
        after = State.HIDDEN if pointer.state is State.LIVE else State.DEAD
        version = seen.version
        if not self.receipt.preview:
            try:
                version = await self.records.write(key, replace(pointer, state=after).encode(), seen.version)
            except Conflict:
                return None
        if after is State.HIDDEN:
            self.receipt.hide(Kind.BLOB, key, pointer.size)
            return None
        return _Dead(key, version, pointer)

    async def drop(self, entries: Iterable[Entry]) -> None:
        """Indexes without their fact. Whoever writes the fact again has written its index again before."""
        await each(self._drop, [entry.key for entry in entries if self.is_abandoned(entry.modified)], WIDTH)

    async def _drop(self, key: str) -> None:
        found = await self._storage.get(key)  # an index is no record: there is nothing in it
        if found is None or not found.content or not self.is_abandoned(found.modified):
            return
        if not self.receipt.preview:
            try:
                await (self._storage.erase(key, found.etag) if self._erases else self._tombstone(key, found))
            except Conflict:
                return
        self.receipt.take(Kind.INDEX, key)

    async def _tombstone(self, key: str, found: Found) -> None:
        await self._storage.put(key, (), match=found.etag)

    async def drop_short_cuts(self, entries: Iterable[Entry]) -> None:
        """Placements without their link. One that is missing costs a mount no more than its short cut."""
        keys = [entry.key for entry in entries if self.is_old(entry.modified)]
        if not self.receipt.preview:
            await self.records.delete(keys)
        self.receipt.taken[Kind.INDEX] += len(keys)

    async def bury(self, entries: Iterable[Entry]) -> None:
        """Tombstones, where the storage holds a condition on a DELETE; else they stay."""
        if self._erases and not self.receipt.preview:
            await each(self._bury, [entry.key for entry in entries if self.is_old(entry.modified)], WIDTH)

    async def _bury(self, key: str) -> None:
        found = await self._storage.get(key)
        if found is None or found.content or not self.is_old(found.modified):
            return
        with suppress(Conflict):
            await self._storage.erase(key, found.etag)
            self.receipt.take(Kind.TOMBSTONE, key)

    async def _retract(self, key: str, version: Version) -> bool:
        if self.receipt.preview:
            return True
        try:
            await self.records.retract(key, version)
        except Conflict:
            return False
        return True

    async def _wrote(self, key: str, seen: Versioned, record: Record) -> bool:
        try:
            await self.records.write(key, record, seen.version)
        except Conflict:
            return False
        return True

"""The walks through what belongs to no repository: pointers, placements and the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.repository.collection.receipt import Kind
from registry_runtime.repository.collection.walk import pages
from registry_runtime.storage import paths

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from registry_runtime.repository.collection.marks import Marks
    from registry_runtime.repository.collection.taking import Taking
    from registry_runtime.storage.base import Entry, Storage


class Blobs:
    """Lets go of what the marks of all repositories do not know. `turn` is called for each page of keys."""

    def __init__(
        self, storage: Storage, taking: Taking, marks: Marks, turn: Callable[[], Awaitable[None]]
    ) -> None:
        self._storage = storage
        self._taking = taking
        self._marks = marks
        self._turn = turn

    async def run(self) -> None:
        await self._pointers()
        await self._catalog()
        if self._taking.receipt.audit:  # what is left of them costs a key each, and a look at a mount
            await self._placements()

    async def _pointers(self) -> None:
        async for entries in pages(self._storage, paths.BLOBS):
            await self._turn()
            await self._taking.bury(entry for entry in entries if not entry.size)
            there = [entry for entry in entries if entry.size]
            self._taking.receipt.examined[Kind.BLOB] += len(there)
            await self._taking.let_blobs_go(
                [
                    entry.key
                    for entry in there
                    if self._taking.is_old(entry.modified) and not self._marks.links(_component(entry))
                ]
            )

    async def _placements(self) -> None:
        async for entries in pages(self._storage, paths.PLACEMENTS):
            await self._turn()
            await self._taking.drop_short_cuts(entry for entry in entries if not self._is_placed(entry))

    def _is_placed(self, entry: Entry) -> bool:
        component, _, escaped = entry.key.removeprefix(paths.PLACEMENTS).partition("/")
        return self._marks.links(component, paths.unescape(escaped))

    async def _catalog(self) -> None:
        async for entries in pages(self._storage, paths.CATALOG):
            await self._turn()
            await self._taking.bury(entry for entry in entries if not entry.size)
            await self._taking.drop(
                entry for entry in entries if entry.size and not self._marks.holds(_repository(entry))
            )


def _component(entry: Entry) -> str:
    return entry.key.removeprefix(paths.BLOBS).replace("/", ":")


def _repository(entry: Entry) -> str:
    return paths.unescape(entry.key.removeprefix(paths.CATALOG))

"""Emptying a storage for good, with its Registry: all of the key tree goes, and nothing else.

The marker is condemned first, so that no replica writes any more, and goes last, so that whoever comes after
an interruption still knows whose storage it is. What has no key of the tree is somebody else's, and stays.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry_runtime.contract.state import EmptyingState, StorageReason
from registry_runtime.errors import StorageError, StorageRefused
from registry_runtime.repository.collection.walk import pages
from registry_runtime.repository.marker import Marker
from registry_runtime.repository.parallel import each
from registry_runtime.storage import paths
from registry_runtime.storage.records import Records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from registry_runtime.storage.base import Entry, Storage

WIDTH = 4  # batches of deletes at a time, each of at most a thousand keys
NAMED = 5  # keys of others that are named

Page = tuple["Entry", ...]


class Emptying:
    """Of the storage of the Registry with the UID `owner`; `state` says how far it has come."""

    def __init__(self, storage: Storage, owner: str) -> None:
        self._storage = storage
        self._marker = Marker(storage, Records(storage), None, owner)
        self.state = EmptyingState(owner=owner, began=datetime.now(UTC))

    async def run(self) -> None:
        """Until nothing is left; it may be run again after any error, and goes on where it was.

        Raises StorageError, and StorageRefused where the storage is not this Registry's: nothing is deleted.
        """
        if await self._marker.condemn():
            while await self._pass():
                pass  # until one finds nothing
            await self._abort()
            await self._storage.sweep(datetime.now(UTC))
            await self._storage.delete([paths.MARKER])
            self._add(objects=1)
        else:
            await self._refuse_content()
        self.state = self.state.model_copy(update={"done": True})

    async def _pass(self) -> int:
        """How many objects were there to delete."""
        self.state = self.state.model_copy(update={"others": 0, "named": ()})
        deleted, group = 0, list[Page]()
        async for page in self._others_counted():
            deleted += len(page)
            group.append(page)
            if len(group) == WIDTH:
                await self._delete(group)
                group = []
        await self._delete(group)
        return deleted

    async def _others_counted(self) -> AsyncIterator[Page]:
        """Page by page what is ours, without the marker."""
        async for page in pages(self._storage, ""):
            others = [entry.key for entry in page if not paths.is_ours(entry.key)]
            if others:
                named = (*self.state.named, *others)[:NAMED]
                self.state = self.state.model_copy(
                    update={"others": self.state.others + len(others), "named": named}
                )
            if ours := tuple(one for one in page if paths.is_ours(one.key) and one.key != paths.MARKER):
                yield ours

    async def _delete(self, group: list[Page]) -> None:
        """Each page to its end, so that all that is gone is counted; then the first error is raised."""
        errors = await each(self._delete_page, group, min(WIDTH, self._storage.width))
        for error in filter(None, errors):
            raise error

    async def _delete_page(self, page: Page) -> StorageError | None:
        keys = frozenset(entry.key for entry in page)
        left, failed = frozenset[str](), None
        try:
            await self._storage.delete([entry.key for entry in page])
        except StorageError as error:
            left, failed = keys if error.left is None else error.left, error
        gone = [entry for entry in page if entry.key not in left]
        self._add(objects=len(gone), size=sum(entry.size for entry in gone))
        return failed

    async def _abort(self) -> None:
        """Uploads in parts that never ended: no list of objects shows them."""
        found = [
            one.multipart for one in await self._storage.unfinished("") if paths.is_ours(one.multipart.key)
        ]
        await each(self._storage.abort, found, min(WIDTH, self._storage.width))

    async def _refuse_content(self) -> None:
        """Without a marker there must be nothing of ours: it was emptied before, or never used."""
        async for page in self._others_counted():
            raise StorageRefused(
                f"there is content, such as {page[0].key}, and no {paths.MARKER} that says whose it is, so "
                f"nothing is deleted; put {paths.MARKER} back, or delete the content by hand",
                StorageReason.UNCLAIMED,
            )

    def _add(self, **counts: int) -> None:
        sums = {name: getattr(self.state, name) + count for name, count in counts.items()}
        self.state = self.state.model_copy(update=sums)

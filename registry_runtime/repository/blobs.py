"""Blobs: which repository may serve which content.

A blob is in a repository when its link is there and its pointer is not dead.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from registry_runtime.content.descriptor import Descriptor
from registry_runtime.content.name import RepositoryName
from registry_runtime.errors import BlobUnknown
from registry_runtime.repository.pointers import Pointer
from registry_runtime.repository.values import OpenBlob
from registry_runtime.storage import paths
from registry_runtime.storage.base import Missing
from registry_runtime.storage.records import Record

if TYPE_CHECKING:
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.range import Span
    from registry_runtime.repository.pointers import Pointers
    from registry_runtime.storage.base import Storage
    from registry_runtime.storage.records import Records

MEDIA_TYPE = "application/octet-stream"  # a blob's own type stands in the manifests that name it


class Blobs:
    """Reads, mounts and deletes blobs; Uploads makes them."""

    def __init__(self, storage: Storage, records: Records, pointers: Pointers) -> None:
        self._storage = storage
        self._records = records
        self._pointers = pointers

    async def stat(self, name: RepositoryName, digest: Digest) -> Descriptor:
        """Raises BlobUnknown."""
        return Descriptor(MEDIA_TYPE, digest, (await self._pointer(name, digest)).size)

    async def open(self, name: RepositoryName, digest: Digest, span: Span | None = None) -> OpenBlob:
        """The bytes, or those of a span that lies within them. Raises BlobUnknown."""
        pointer = await self._pointer(name, digest)
        if span is not None and span.end >= pointer.size:
            raise ValueError(f"{span} ends behind {pointer.size} bytes")
        try:
            chunks = await self._storage.open(paths.data(pointer.data), span)
        except Missing:  # collected since the pointer was read
            raise _unknown(name, digest) from None
        return OpenBlob(pointer.size, span, chunks)

    async def delete(self, name: RepositoryName, digest: Digest) -> None:
        """Takes the blob from this repository; others keep it. Raises BlobUnknown.

        The index of placements stays: a push that links the blob again at this moment relies on it.
        """
        await self._pointer(name, digest)
        await self._records.delete([self._records.tree.link(name, digest)])

    async def mount(self, target: RepositoryName, digest: Digest, source: RepositoryName) -> bool:
        """Lets `target` serve what `source` serves; False where `source` does not."""
        if not await self.has(source, digest):
            return False
        await self._index(target, digest)
        await self._link(target, digest, None)
        return True

    async def placements(self, digest: Digest, limit: int) -> list[RepositoryName]:
        """Repositories that may hold the blob: `mount` finds out, who asks must be allowed to pull."""
        prefix = self._records.tree.placements(digest)
        listing = await self._records.list(prefix, limit=limit)
        return [RepositoryName(paths.unescape(entry.key[len(prefix) :])) for entry in listing.entries]

    async def has(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether the blob is there; a hidden one is revived, for something new will rely on it."""
        link, pointer = await asyncio.gather(
            self._records.get(self._records.tree.link(name, digest)), self._pointers.revive(digest)
        )
        return link is not None and pointer is not None

    async def pushed_by(self, name: RepositoryName, digest: Digest) -> str | None:
        """Who pushed the blob here last; None where it was mounted, or is not there."""
        link = await self._records.get(self._records.tree.link(name, digest))
        return None if link is None else link.fields.get("by")

    async def publish(self, name: RepositoryName, digest: Digest, data: str, size: int, by: str) -> str:
        """Lets the repository serve this new data; the data in force, another's if that was faster."""
        pointer, _ = await asyncio.gather(
            self._pointers.publish(digest, Pointer.to(data, size)), self._index(name, digest)
        )
        await self._link(name, digest, by)
        return pointer.data

    async def names(self, digest: Digest, data: str) -> bool:
        """Whether the digest, served or not, leads to this data."""
        return await self._pointers.names(digest, data)

    async def _index(self, name: RepositoryName, digest: Digest) -> None:
        await self._records.note(self._records.tree.placement(digest, name))

    async def _link(self, name: RepositoryName, digest: Digest, by: str | None) -> None:
        """Lets the repository serve a digest that is indexed, and whose pointer is live."""
        await self._records.put(
            self._records.tree.link(name, digest), Record({} if by is None else {"by": by})
        )

    async def _pointer(self, name: RepositoryName, digest: Digest) -> Pointer:
        link, pointer = await asyncio.gather(
            self._records.get(self._records.tree.link(name, digest)), self._pointers.get(digest)
        )
        if link is None or pointer is None:
            raise _unknown(name, digest)
        return pointer


def _unknown(name: RepositoryName, digest: Digest) -> BlobUnknown:
    return BlobUnknown(f"the repository {name} has no blob of this digest", {"digest": str(digest)})

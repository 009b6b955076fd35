"""Blobs: which repository may serve which content.

A blob is in a repository when its link is there and its pointer is not dead.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from registry_runtime.content.buffer import Whole
from registry_runtime.content.descriptor import Descriptor
from registry_runtime.content.name import RepositoryName
from registry_runtime.encryption.frames import opened_blocks
from registry_runtime.errors import BlobUnknown
from registry_runtime.repository import facts
from registry_runtime.repository.parallel import both
from registry_runtime.repository.pointers import Pointer
from registry_runtime.repository.recent import RecentBlobs
from registry_runtime.repository.values import OpenBlob
from registry_runtime.storage import paths
from registry_runtime.storage.base import Missing
from registry_runtime.storage.records import Record

if TYPE_CHECKING:
    from registry_runtime.content.buffer import Chunks
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.range import Span
    from registry_runtime.repository.pointers import Pointers
    from registry_runtime.storage.base import Storage
    from registry_runtime.storage.cache import Cache
    from registry_runtime.storage.records import Records

MEDIA_TYPE = "application/octet-stream"  # a blob's own type stands in the manifests that name it


class Blobs:
    """Reads, mounts and deletes blobs; Uploads makes them."""

    def __init__(
        self, storage: Storage, records: Records, pointers: Pointers, cache: Cache | None = None
    ) -> None:
        self._storage = storage
        self._cache = cache
        self._records = records
        self._pointers = pointers
        self._recent = RecentBlobs()
        self._blocks = opened_blocks()

    async def stat(self, name: RepositoryName, digest: Digest) -> Descriptor:
        """Raises BlobUnknown."""
        return Descriptor(MEDIA_TYPE, digest, (await self._pointer(name, digest)).size)

    async def open(self, name: RepositoryName, digest: Digest, span: Span | None = None) -> OpenBlob:
        """The bytes, or those of a span that lies within them. Raises BlobUnknown."""
        pointer = await self._pointer(name, digest)
        if span is not None and span.end >= pointer.size:
            raise ValueError(f"{span} ends behind {pointer.size} bytes")
        try:
            return OpenBlob(pointer.size, span, await self._content(pointer, digest, span))
        except Missing:  # collected since the pointer was read
            raise _unknown(name, digest) from None

    async def _content(self, pointer: Pointer, digest: Digest, span: Span | None) -> Chunks:
        if pointer.is_inline:
            return Whole(pointer.content[span.start : span.end + 1] if span else pointer.content)
        form, key = pointer.form, paths.data(pointer.data)
        covered = form.covering(span, pointer.size) if span else None
        if self._cache is None:
            return form.read(await self._storage.open(key, covered), span, pointer.size, self._blocks)
        clear = pointer.key is None
        chunks = await self._cache.open(self._storage, key, covered, digest if clear else None)
        content = form.read(chunks, span, pointer.size, self._blocks)
        return content if clear else self._cache.guarded(key, content)

    async def delete(self, name: RepositoryName, digest: Digest) -> None:
        """Takes the blob from this repository; others keep it. Raises BlobUnknown.

        The index of placements stays: a push that links the blob again at this moment relies on it.
        """
        await self._pointer(name, digest)
        self._recent.forget(name, digest)
        await facts.remove(self._records, self._records.tree.link(name, digest))

    async def mount(self, target: RepositoryName, digest: Digest, source: RepositoryName) -> bool:
        """Lets `target` serve what `source` serves; False where `source` does not.

        Where it is collected meanwhile the link stays, and leads nowhere: somebody may push the blob at this
        moment, and a manifest rely on the link.
        """
        try:
            await self._pointer(source, digest)
        except BlobUnknown:
            return False
        await self._link(target, digest, None)
        return await self._pointers.revive(digest) is not None

    async def placements(self, digest: Digest, limit: int) -> list[RepositoryName]:
        """Repositories that may hold the blob: `mount` finds out, who asks must be allowed to pull."""
        prefix = self._records.tree.placements(digest)
        listing = await self._records.list(prefix, limit=limit)
        return [RepositoryName(paths.unescape(entry.key[len(prefix) :])) for entry in listing.entries]

    async def has(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether the blob is there; a hidden one is revived, for something new will rely on it.

        The pointer is looked at when the link is known to stay: a collection that begins later sees it.
        """
        link = await facts.revive(self._records, self._records.tree.link(name, digest))
        there = link is not None and await self._pointers.stands(digest)
        (self._recent.meet if there else self._recent.forget)(name, digest)
        return there

    async def had(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether the blob is there, or was when it was last met here: for who looks again later."""
        return (name, digest) in self._recent or await self.has(name, digest)

    async def pushed_by(self, name: RepositoryName, digest: Digest) -> str | None:
        """Who pushed the blob here last; None where it was mounted, or is not there."""
        link = await self._records.get(self._records.tree.link(name, digest))
        return None if link is None else link.fields.get("by")

    async def publish(self, name: RepositoryName, digest: Digest, new: Pointer, by: str) -> str:
        """Lets the repository serve this new data; the data in force, another's if that was faster.

        Data that somebody took from the storage is replaced.
        """
        await self._link(name, digest, by)
        pointer = await self._pointers.publish(digest, new)
        others = not pointer.is_inline and pointer.data != new.data
        if others and await self._storage.size(paths.data(pointer.data)) is None:
            pointer = await self._pointers.publish(digest, new, lost=pointer.data)
        self._recent.meet(name, digest)
        return pointer.data

    async def names(self, digest: Digest, data: str) -> bool:
        """Whether the digest, served or not, leads to this data."""
        return await self._pointers.names(digest, data)

    async def _link(self, name: RepositoryName, digest: Digest, by: str | None) -> None:
        """Lets the repository serve what the pointer of the digest leads to.

        The link comes before the pointer is published or revived, so that no collection lets a pointer go
        that has this link. Without its index a link lacks no more than a short cut for who mounts it.
        """
        tree = self._records.tree
        link = Record({} if by is None else {"by": by})
        await both(
            partial(self._records.note, tree.placement(digest, name)),
            partial(facts.establish, self._records, tree.link(name, digest), link),
            self._records.width,
        )

    async def _pointer(self, name: RepositoryName, digest: Digest) -> Pointer:
        link, pointer = await both(
            partial(self._records.get, self._records.tree.link(name, digest)),
            partial(self._pointers.get, digest),
            self._records.width,
        )
        if link is None or pointer is None:
            raise _unknown(name, digest)
        return pointer


def _unknown(name: RepositoryName, digest: Digest) -> BlobUnknown:
    return BlobUnknown(f"the repository {name} has no blob of this digest", {"digest": str(digest)})

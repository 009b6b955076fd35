"""Manifests: pushed whole, checked against what they name, deleted at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.content import manifest as rules
from registry_runtime.content.descriptor import Descriptor
from registry_runtime.content.digest import Digest
from registry_runtime.contract.policy import Sparse
from registry_runtime.errors import (
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestTooLarge,
    StorageUnavailable,
)
from registry_runtime.repository.parallel import each
from registry_runtime.repository.recent import RecentManifests
from registry_runtime.repository.tags import unknown
from registry_runtime.repository.values import Pushed, StoredManifest
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Record, Versioned

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from registry_runtime.content.manifest import Manifest
    from registry_runtime.content.name import RepositoryName, Tag
    from registry_runtime.content.reference import Reference
    from registry_runtime.contract.config import Limits
    from registry_runtime.repository.blobs import Blobs
    from registry_runtime.repository.tags import Tags
    from registry_runtime.storage.records import Records, Version

_ATTEMPTS = 5
_SPARSE = Sparse()


class Manifests:
    """Pushes, reads and deletes manifests."""

    def __init__(self, records: Records, blobs: Blobs, tags: Tags, limits: Limits) -> None:
        self._records = records
        self._blobs = blobs
        self._tags = tags
        self._limits = limits
        self._recent = RecentManifests()

    async def stat(self, name: RepositoryName, reference: Reference) -> Descriptor:
        """Raises ManifestUnknown."""
        return (await self.get(name, reference)).descriptor

    async def get(self, name: RepositoryName, reference: Reference) -> StoredManifest:
        """The bytes as they were pushed. Raises ManifestUnknown.

        A tag is read from the storage each time. A manifest is written before its tags and deleted after
        them: so of what a tag names now, bytes that were read before are good. A tag whose manifest is
        gone, which a push that was killed while a delete ran leaves behind, is taken away here.
        """
        if isinstance(reference, Digest):
            stored = await self._read(name, reference)
            if stored is None:
                raise unknown(name, reference)
            return stored
        for _ in range(_ATTEMPTS):
            digest = (await self._tags.get(name, reference)).digest
            stored = self._recent.get(name, digest) or await self._read(name, digest)
            if stored:
                return stored
            await self._tags.release(name, reference, digest, dangling=True)
        raise StorageUnavailable(f"{reference} is being moved and deleted over and over; try again")

    async def _read(self, name: RepositoryName, digest: Digest) -> StoredManifest | None:
        stored = await self.at(self._records.tree.manifest(name, digest))
        if stored is None:
            self._recent.forget(name, digest)
        else:
            self._recent.keep(name, stored)
        return stored

    async def at(self, key: str) -> StoredManifest | None:
        """The manifest that lies at this key of the storage."""
        record = await self._records.get(key)
        if record is None:
            return None
        content, digest = bytes(record.payload), Digest.parse(record.fields["digest"])
        return StoredManifest(Descriptor(record.fields["mediaType"], digest, len(content)), content)

    async def put(
        self,
        name: RepositoryName,
        reference: Reference,
        media_type: str,
        content: bytes,
        extra_tags: Sequence[Tag] = (),
        *,
        sparse: Sparse = _SPARSE,
    ) -> Pushed:
        """Stores a manifest under its digest, and its tags; again, the answer is the same.

        Raises ManifestTooLarge, ManifestInvalid, DigestInvalid, or ManifestBlobUnknown where what it names
        is not in this repository, but for what `sparse` lets be missing, and the subject.
        """
        if len(content) > self._limits.manifest_bytes:
            raise ManifestTooLarge(f"a manifest may have {self._limits.manifest_bytes} bytes")
        digest = _digest(reference, content)
        manifest = rules.parse(media_type, content)
        target = Descriptor(media_type, digest, len(content))
        tags = [*extra_tags] if isinstance(reference, Digest) else [reference, *extra_tags]
        await self._require(name, manifest, sparse)
        for _ in range(_ATTEMPTS):
            await self._store(name, digest, manifest, content, sparse)
            for tag in dict.fromkeys(tags):
                await self._tags.move(name, tag, target)
            # A delete of the same digest at the same moment may have taken it away again.
            if await self._records.get(self._records.tree.manifest(name, digest)):
                return Pushed(target, manifest.subject)
        raise StorageUnavailable(f"{digest} is being deleted over and over; try again")

    async def _store(
        self, name: RepositoryName, digest: Digest, manifest: Manifest, content: bytes, sparse: Sparse
    ) -> None:
        """Writes the indexes, then the fact; withdraws it where a blob went away meanwhile."""
        indexes = [paths.catalog(name)]
        if manifest.subject:
            indexes.append(self._records.tree.referrer(name, manifest.subject.digest, digest))
        await each(self._records.note, indexes)
        record = Record({"mediaType": manifest.media_type, "digest": str(digest)}, content)
        version = await self._write(self._records.tree.manifest(name, digest), record)
        try:
            await self._require(name, manifest, sparse)
        except ManifestBlobUnknown:
            if version:
                await self._withdraw(name, digest, version)
            raise

    async def _write(self, key: str, record: Record) -> Version | None:
        """The version of what is ours to withdraw: None where the manifest was there before us.

        That one is written over, so that whoever wrote it, and fails now, does not withdraw it from us.
        """
        seen = Versioned(None, None)
        for _ in range(_ATTEMPTS):
            try:
                version = await self._records.write(key, record, seen.version)
            except Conflict:
                seen = await self._records.read(key)
            else:
                return None if seen.record else version
        raise StorageUnavailable(f"{key} changes over and over; try again")

    async def _require(self, name: RepositoryName, manifest: Manifest, sparse: Sparse) -> None:
        """Revives the blobs that are hidden. Raises ManifestBlobUnknown with those that are not there."""
        missing = await self._absent(manifest.blobs, lambda digest: self._blobs.has(name, digest))
        if missing and not sparse.images:
            raise _lacking(missing, "blobs")
        if sparse.indexes:
            return
        missing = await self._absent(manifest.manifests, lambda digest: self._holds(name, digest))
        if missing:
            raise _lacking(missing, "manifests")

    async def _absent(
        self, wanted: Sequence[Descriptor], has: Callable[[Digest], Awaitable[bool]]
    ) -> list[Digest]:
        """Those that must be here, and are not."""
        digests = list(dict.fromkeys(item.digest for item in wanted if not item.foreign))
        there = await each(has, digests)
        return [digest for digest, found in zip(digests, there, strict=True) if not found]

    async def _holds(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether an index may name it: a manifest, or a blob, of which builders' caches are made."""
        key = self._records.tree.manifest(name, digest)
        return await self._records.get(key) is not None or await self._blobs.has(name, digest)

    async def _withdraw(self, name: RepositoryName, digest: Digest, version: Version) -> None:
        try:
            await self._records.retract(self._records.tree.manifest(name, digest), version)
        except Conflict:
            return  # somebody else's push of the same bytes answers for it now
        self._recent.forget(name, digest)
        await self._tags.forget(name, digest, dangling=True)

    async def delete(self, name: RepositoryName, reference: Reference) -> None:
        """Deletes a tag, or a manifest with its tags, and so from among referrers; siblings stay.

        The tags go first, so that none is ever left without its manifest, and once more at the end for
        those that came meanwhile. Raises ManifestUnknown.
        """
        if not isinstance(reference, Digest):
            await self._tags.delete(name, reference)
            return
        there = await self._read(name, reference)
        if there:
            await self._tags.forget(name, reference)
            await self._records.delete([self._records.tree.manifest(name, reference)])
            self._recent.forget(name, reference)
        await self._tags.forget(name, reference, dangling=True)
        if not there:
            raise unknown(name, reference)


def _lacking(missing: Sequence[Digest], what: str) -> ManifestBlobUnknown:
    return ManifestBlobUnknown(
        f"the manifest names {what} that are not in this repository; push or mount them first",
        [{"digest": str(digest)} for digest in missing[:10]],
    )


def _digest(reference: Reference, content: bytes) -> Digest:
    if not isinstance(reference, Digest):
        return Digest.of(content)
    if Digest.of(content, reference.algorithm) != reference:
        raise DigestInvalid("the manifest's bytes have another digest", {"digest": str(reference)})
    return reference

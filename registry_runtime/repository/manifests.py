"""Manifests: pushed whole, checked against what they name, deleted at once."""

from __future__ import annotations

from functools import partial
from itertools import compress
from typing import TYPE_CHECKING

from registry_runtime.content import manifest as rules
from registry_runtime.content.descriptor import Descriptor
from registry_runtime.content.digest import Digest
from registry_runtime.contract.policy import Sparse
from registry_runtime.errors import (
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestTooLarge,
    StorageUnavailable,
)
from registry_runtime.repository import facts
from registry_runtime.repository.memory import Memory
from registry_runtime.repository.parallel import each
from registry_runtime.repository.recent import RecentManifests
from registry_runtime.repository.shared import SharedReads
from registry_runtime.repository.tags import unknown
from registry_runtime.repository.use import Refusal
from registry_runtime.repository.values import Pushed, StoredManifest
from registry_runtime.repository.weight import Weight
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_runtime.content.manifest import Manifest
    from registry_runtime.content.name import RepositoryName, Tag
    from registry_runtime.content.reference import Reference
    from registry_runtime.contract.config import Limits
    from registry_runtime.repository.blobs import Blobs
    from registry_runtime.repository.limited import Limited, Push
    from registry_runtime.repository.recent import Fresh
    from registry_runtime.repository.tags import Tags
    from registry_runtime.repository.uses import Allowance
    from registry_runtime.storage.records import Records, Version

_ATTEMPTS = 5
MEMORY = 128 * 1024 * 1024  # bytes that the manifests of all pushes to a replica may take at a time, parsed
PARSED = 16  # times the bytes of its JSON
_SPARSE = Sparse()


class Manifests:
    """Pushes, reads and deletes manifests."""

    def __init__(
        self,
        records: Records,
        blobs: Blobs,
        tags: Tags,
        limits: Limits,
        fresh: Fresh,
        *,
        limited: Limited,
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._tags = tags
        self._limited = limited
        self._limits = limits
        self._fresh = fresh
        self._memory = Memory(MEMORY)
        self._recent = RecentManifests()
        self._reads = SharedReads[StoredManifest]()

    async def stat(self, name: RepositoryName, reference: Reference) -> Descriptor:
        """Raises ManifestUnknown."""
        return (await self.get(name, reference)).descriptor

    async def get(self, name: RepositoryName, reference: Reference) -> StoredManifest:
        """The bytes as they were pushed. Raises ManifestUnknown.

        A tag is read from the storage each time. A manifest is written before its tags and deleted after
        them: so of what a tag names now, bytes that were read before are good. A tag whose manifest is
        gone, which a push that was killed while a delete ran leaves behind, is taken away here.
        """
        return await self._reads.get(f"{name} {reference}", lambda: self._get(name, reference))

    async def _get(self, name: RepositoryName, reference: Reference) -> StoredManifest:
        if isinstance(reference, Digest):
            recent = self._recent.get(name, reference)
            if recent and await self._records.has(self._records.tree.manifest(name, reference)):
                return recent
            stored = await self._read(name, reference)
            if stored is None:
                raise unknown(name, reference)
            return stored
        for _ in range(_ATTEMPTS):
            digest = await self._tags.digest(name, reference)
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
        allowance: Allowance | None = None,
    ) -> Pushed:
        """Stores a manifest under its digest, and its tags; again, the answer is the same.

        Raises ManifestTooLarge, ManifestInvalid, DigestInvalid, or ManifestBlobUnknown where what it names
        is not in this repository, but for what `sparse` lets be missing, and the subject. With an `allowance`
        it is a use of an AccessToken; raises Denied where that does not allow it.
        """
        if len(content) > self._limits.manifest_bytes:
            raise ManifestTooLarge(f"a manifest may have {self._limits.manifest_bytes} bytes")
        async with self._memory.lend(min(MEMORY, PARSED * len(content)), name.namespace):
            return await self._pushed(
                name, reference, media_type, content, extra_tags, sparse=sparse, allowance=allowance
            )

    async def _pushed(
        self,
        name: RepositoryName,
        reference: Reference,
        media_type: str,
        content: bytes,
        extra_tags: Sequence[Tag],
        *,
        sparse: Sparse,
        allowance: Allowance | None,
    ) -> Pushed:
        digest = _digest(reference, content)
        manifest = rules.parse(media_type, content)
        target = Descriptor(media_type, digest, len(content))
        tags = [*extra_tags] if isinstance(reference, Digest) else [reference, *extra_tags]
        if allowance is not None:
            subject = manifest.subject.digest if manifest.subject else None
            push = await self._limited.begin(allowance, name, target, tags, subject)
            await self._require(name, manifest, sparse)
            await self._weigh(allowance, name, manifest, len(content))
            await self._put_once(push, name, manifest, content, sparse)
            return Pushed(target, manifest.subject)
        await self._require(name, manifest, sparse)
        for _ in range(_ATTEMPTS):
            await self._store(name, digest, manifest, content, sparse)
            for tag in dict.fromkeys(tags):
                await self._tags.move(name, tag, target)
            # A delete of the same digest at the same moment may have taken it away, and not all of its tags.
            if not tags or await self._records.get(self._records.tree.manifest(name, digest)):
                return Pushed(target, manifest.subject)
        raise _deleted(digest)

    async def _put_once(
        self, push: Push, name: RepositoryName, manifest: Manifest, content: bytes, sparse: Sparse
    ) -> None:
        """A push of a token with uses: what is refused of it is taken back. Raises Denied.

        Where the storage fails, nothing is: whoever comes again with the same goes on with it.
        """
        digest, made = push.target.digest, None
        await push.take()
        try:
            for _ in range(_ATTEMPTS):
                made = await self._store(name, digest, manifest, content, sparse) or made
                await push.tag()
                if not push.tags or await self._records.get(self._records.tree.manifest(name, digest)):
                    named = {str(item.digest) for item in manifest.manifests}
                    await push.end(named, made.change if made else "")
                    return
        except (Denied, ManifestBlobUnknown):
            if await push.back() and made:
                await self._withdraw(name, digest, made)
            raise
        raise _deleted(digest)

    async def _weigh(self, allowance: Allowance, name: RepositoryName, manifest: Manifest, size: int) -> None:
        """Raises Denied where the manifest, of `size` bytes, and all that it names are too much."""
        most = allowance.uses.bytes
        if most is not None and await Weight(self, self._blobs, name).of(manifest, size, most) > most:
            raise Denied(
                f"the manifest and all that it names have more bytes than the AccessToken may push ({most})",
                reason=Refusal.BOUND,
            )

    async def _store(
        self, name: RepositoryName, digest: Digest, manifest: Manifest, content: bytes, sparse: Sparse
    ) -> Version | None:
        """Writes the indexes, then the fact; then all that it names stays, or it is withdrawn.

        The version where there was none before, and so is ours to withdraw.

        Once it is written no collection that begins lets go of what it names. One that had begun may have
        hidden that, or be about to: what is hidden is revived, and what was live is hidden at the most.
        """
        indexes = [paths.catalog(name)]
        if manifest.subject:
            indexes.append(self._records.tree.referrer(name, manifest.subject.digest, digest))
        await each(self._note, indexes, self._records.width)
        record = Record({"mediaType": manifest.media_type, "digest": str(digest)}, content)
        version = await facts.establish(self._records, self._records.tree.manifest(name, digest), record)
        try:
            await self._require(name, manifest, sparse, keep=True)
        except ManifestBlobUnknown:
            if version:
                await self._withdraw(name, digest, version)
            raise
        return version

    async def _note(self, index: str) -> None:
        """Writes an index, if that was not done a moment ago."""
        if index not in self._fresh:
            since = self._fresh.now()
            await self._records.note(index)
            self._fresh.meet(index, since)

    async def _require(
        self, name: RepositoryName, manifest: Manifest, sparse: Sparse, *, keep: bool = False
    ) -> None:
        """Raises ManifestBlobUnknown with what must be there and is not; what is hidden of it is revived.

        With `keep` also what may be missing is revived, where it is there; without, it is enough that a blob
        was there a while ago.
        """
        for items, optional, has, what in (
            (manifest.blobs, sparse.images, self._blobs.has if keep else self._blobs.had, "blobs"),
            (manifest.manifests, sparse.indexes, self._holds, "manifests"),
        ):
            needed = {item.digest for item in items if not (optional or item.foreign)}
            wanted = list(dict.fromkeys(item.digest for item in items if keep or item.digest in needed))
            there = await each(partial(has, name), wanted, self._records.width)
            lacking = needed - set(compress(wanted, there))
            missing = [digest for digest in wanted if digest in lacking]
            if missing:
                raise _lacking(missing, what)

    async def _holds(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether an index may name it: a manifest, or a blob, of which builders' caches are made."""
        child = await facts.revive(self._records, self._records.tree.manifest(name, digest))
        return child is not None or await self._blobs.has(name, digest)

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
            await self._release(name, there)
            await self._tags.forget(name, reference)
            await facts.remove(self._records, self._records.tree.manifest(name, reference))
            self._recent.forget(name, reference)
        await self._tags.forget(name, reference, dangling=True)
        if not there:
            raise unknown(name, reference)

    async def _release(self, name: RepositoryName, stored: StoredManifest) -> None:
        """Notes, before a manifest goes, what it kept here: its children, and what refers to it."""
        tree, digest = self._records.tree, stored.descriptor.digest
        manifest = rules.parse(stored.descriptor.media_type, stored.content)
        loose = [tree.component(child.digest) for child in manifest.manifests]
        prefix, after, more = tree.referrers(name, digest), "", True
        while more:
            listing = await self._records.list(prefix, after=after)
            places = [entry.key.removeprefix(prefix) for entry in listing.entries]
            loose += places
            after, more = (places[-1] if places else after), listing.more
        await each(partial(facts.let_go, self._records, name), loose)


def _lacking(missing: Sequence[Digest], what: str) -> ManifestBlobUnknown:
    return ManifestBlobUnknown(
        f"the manifest names {what} that are not in this repository; push or mount them first",
        [{"digest": str(digest)} for digest in missing[:10]],
    )


def _deleted(digest: Digest) -> StorageUnavailable:
    return StorageUnavailable(f"{digest} is being deleted over and over; try again")


def _digest(reference: Reference, content: bytes) -> Digest:
    if not isinstance(reference, Digest):
        return Digest.of(content)
    if Digest.of(content, reference.algorithm) != reference:
        raise DigestInvalid("the manifest's bytes have another digest", {"digest": str(reference)})
    return reference

"""Tags: names that move. One key each, flat, so that a page is one listing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from registry_runtime.content.name import Tag
from registry_runtime.errors import Denied, ManifestUnknown, NameUnknown, StorageUnavailable
from registry_runtime.repository import facts
from registry_runtime.repository.parallel import each
from registry_runtime.repository.use import Refusal
from registry_runtime.repository.uses import marked, named
from registry_runtime.repository.values import Page
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Record

if TYPE_CHECKING:
    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.repository.uses import Mark, Uses
    from registry_runtime.storage.records import Records, Version

_ATTEMPTS = 50


class Tags:
    """Reads, moves and deletes tags."""

    def __init__(self, records: Records, uses: Uses) -> None:
        self._records = records
        self._uses = uses

    async def list(self, name: RepositoryName, limit: int, last: str = "") -> Page[str]:
        """Tags after `last`, in the order of their bytes. Raises NameUnknown for an empty repository."""
        prefix = paths.tags(name)
        if limit > 0:
            listing = await self._records.list(prefix, after=last, limit=limit)
            if listing.entries:
                tags = tuple(entry.key[len(prefix) :] for entry in listing.entries)
                return Page(tags, listing.more)
        if not await exists(self._records, name):
            raise NameUnknown("the repository is empty or was never pushed to", {"name": name.text})
        return Page(())

    async def digest(self, name: RepositoryName, tag: Tag) -> Digest:
        """What the tag names; its manifest may be gone. Raises ManifestUnknown."""
        digest = await self.find(name, tag)
        if digest is None:
            raise unknown(name, tag)
        return digest

    async def find(self, name: RepositoryName, tag: Tag) -> Digest | None:
        """What the tag names; its manifest may be gone. None where there is no such tag.

        One of a push whose use was given to another is none, and is taken away.
        """
        seen = await self._records.read(paths.tag(name, tag))
        if seen.record is None or seen.version is None:
            return None
        if await self._uses.counts(name, tag, seen.record):
            return named(seen.record)
        await self.take_back(name, tag, seen.version)
        return None

    async def add(self, name: RepositoryName, tag: Tag, target: Descriptor, mark: Mark) -> Version | None:
        """Writes a new tag, which counts when the use of its `mark` does; None where it is there already.

        Raises Denied where it names another manifest.
        """
        await self._records.note(self._records.tree.tagged_as(name, target.digest, tag))
        key = paths.tag(name, tag)
        for _ in range(_ATTEMPTS):
            seen = await self._records.read(key)
            if seen.record is not None and await self._uses.counts(name, tag, seen.record):
                if named(seen.record) != target.digest:
                    raise not_new(tag)
                return None
            with suppress(Conflict):
                return await self._records.write(key, marked(_encode(target), mark), seen.version)
        raise _contended(tag)

    async def settle(self, name: RepositoryName, tag: Tag, target: Descriptor, version: Version) -> None:
        """Takes the mark from a tag that counts now, so that nobody has to look at its use any more."""
        with suppress(Conflict):  # it was moved, or deleted
            await self._records.write(paths.tag(name, tag), _encode(target), version)

    async def take_back(self, name: RepositoryName, tag: Tag, version: Version) -> None:
        """Takes away what was written, unless somebody wrote over it."""
        with suppress(Conflict):
            await self._records.retract(paths.tag(name, tag), version)

    async def move(self, name: RepositoryName, tag: Tag, target: Descriptor) -> None:
        """Lets the tag name this manifest; the last of several writers wins, none is half done.

        It is written also where it names it already: a delete that saw the tag before must not take it.
        """
        await self._records.note(self._records.tree.tagged_as(name, target.digest, tag))
        key = paths.tag(name, tag)
        for _ in range(_ATTEMPTS):
            seen = await self._records.read(key)
            with suppress(Conflict):
                await self._records.write(key, _encode(target), seen.version)
                return
        raise _contended(tag)

    async def delete(self, name: RepositoryName, tag: Tag) -> None:
        """Takes the tag away; its manifest stays. Raises ManifestUnknown."""
        if not await facts.remove(self._records, paths.tag(name, tag)):
            raise unknown(name, tag)

    async def forget(self, name: RepositoryName, digest: Digest, *, dangling: bool = False) -> None:
        """Takes every tag away that names this digest, and none that was moved meanwhile.

        With `dangling` only while the manifest is not there.
        """
        prefix = self._records.tree.tagged(name, digest)
        more = True
        after = ""
        while more:
            listing = await self._records.list(prefix, after=after)
            tags = [Tag(entry.key[len(prefix) :]) for entry in listing.entries]
            await each(lambda tag: self.release(name, tag, digest, dangling=dangling), tags)
            after, more = (tags[-1].text if tags else after), listing.more

    async def release(
        self, name: RepositoryName, tag: Tag, digest: Digest, *, dangling: bool = False
    ) -> None:
        """Takes the tag away if it names this digest; with `dangling` only while its manifest is gone.

        The manifest is looked at after the tag: a push writes it before the tag, so a tag of a manifest
        that came back is another one than was read, and stays.
        """
        seen = await self._records.read(paths.tag(name, tag))
        if seen.record is None or seen.version is None or named(seen.record) != digest:
            return
        if dangling and await self._records.get(self._records.tree.manifest(name, digest)):
            return
        with suppress(Conflict):  # moved, by somebody who answers for it
            await self._records.retract(paths.tag(name, tag), seen.version)


async def exists(records: Records, name: RepositoryName) -> bool:
    """Whether the repository holds a manifest."""
    return bool((await records.list(paths.manifests(name), limit=1)).entries)


def unknown(name: RepositoryName, reference: object) -> ManifestUnknown:
    return ManifestUnknown(
        f"the repository {name} has no manifest {reference}", {"reference": str(reference)}
    )


def not_new(tag: Tag) -> Denied:
    return Denied(
        f"the tag {tag} names another manifest, and this AccessToken sets new tags only",
        reason=Refusal.TAG_NOT_NEW,
    )


def _contended(tag: Tag) -> StorageUnavailable:
    return StorageUnavailable(f"too many writers move the tag {tag} at once; try again")


def _encode(target: Descriptor) -> Record:
    return Record(
        {"target": {"mediaType": target.media_type, "digest": str(target.digest), "size": target.size}}
    )

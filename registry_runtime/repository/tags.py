"""Tags: names that move. One key each, flat, so that a page is one listing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import Tag
from registry_runtime.errors import ManifestUnknown, NameUnknown, StorageUnavailable
from registry_runtime.repository import facts
from registry_runtime.repository.parallel import each
from registry_runtime.repository.values import Page
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Record

if TYPE_CHECKING:
    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.storage.records import Records

_ATTEMPTS = 50


class Tags:
    """Reads, moves and deletes tags."""

    def __init__(self, records: Records) -> None:
        self._records = records

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
        record = await self._records.get(paths.tag(name, tag))
        if record is None:
            raise unknown(name, tag)
        return _named(record)

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
        raise StorageUnavailable(f"too many writers move the tag {tag} at once; try again")

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
        if seen.record is None or seen.version is None or _named(seen.record) != digest:
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


def _encode(target: Descriptor) -> Record:
    return Record(
        {"target": {"mediaType": target.media_type, "digest": str(target.digest), "size": target.size}}
    )


def _named(record: Record) -> Digest:
    return Digest.parse(record.fields["target"]["digest"])

"""Referrers: manifests that name another one as their subject."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from registry_runtime.content import manifest as rules
from registry_runtime.repository.memory import Memory
from registry_runtime.repository.parallel import each
from registry_runtime.repository.values import Page
from registry_runtime.storage import paths

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.contract.config import Limits
    from registry_runtime.repository.manifests import Manifests
    from registry_runtime.storage.records import Records

_WIDTH = 8  # manifests in memory at once; each may have 4 MiB
PAGE = 4 * 1024 * 1024  # bytes of a page's descriptors, about: a descriptor has all annotations
LOOKED = 1000  # manifests that are looked at for one page
READ = 16 * 1024 * 1024  # bytes of these
MEMORY = 64 * 1024 * 1024  # bytes that are read at a time for all pages of a replica


class Referrers:
    """Lists referrers. Each is read from its manifest, the fact, so the index only has to name it."""

    def __init__(self, records: Records, manifests: Manifests, limits: Limits) -> None:
        self._records = records
        self._manifests = manifests
        self._memory = Memory(MEMORY)
        self._largest = min(limits.manifest_bytes, MEMORY // _WIDTH)

    async def list(
        self,
        name: RepositoryName,
        digest: Digest,
        artifact_type: str | None = None,
        limit: int = 1000,
        last: Digest | None = None,
    ) -> Page[Descriptor]:
        """Descriptors after `last`, in the order of their keys; none for what nobody ever pushed.

        A page ends early where its descriptors are long (PAGE), or where much was read for few (LOOKED,
        READ): it may be empty, and the next one begins after its `end`.

        https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
        """
        found: list[Descriptor] = []
        long = looked = read = 0
        end = last
        async with aclosing(self._after(name, digest, last, min(limit + 1, 100))) as descriptors:
            async for one in descriptors:
                wanted = artifact_type in {None, one.artifact_type}
                weight = _weight(one)
                full = wanted and (len(found) == limit or (found and long + weight > PAGE))
                if full or looked == LOOKED or read > READ:
                    return Page(tuple(found), more=True, end=end)
                looked, read, end = looked + 1, read + one.size, one.digest
                if wanted:
                    found.append(one)
                    long += weight
        return Page(tuple(found))

    async def _after(
        self, name: RepositoryName, digest: Digest, last: Digest | None, limit: int
    ) -> AsyncGenerator[Descriptor, None]:
        """All referrers that are there, read a few at a time."""
        tree = self._records.tree
        prefix = tree.referrers(name, digest)
        after, more = (tree.referrer(name, digest, last)[len(prefix) :] if last else ""), True
        while more:
            listing = await self._records.list(prefix, after=after, limit=limit)
            places = [entry.key[len(prefix) :] for entry in listing.entries]
            keys = [paths.manifests(name) + place for place in places]
            for start in range(0, len(keys), _WIDTH):
                few = keys[start : start + _WIDTH]
                async with self._memory.lend(len(few) * self._largest):  # the usual three wait for nobody
                    batch = await each(self._descriptor, few, _WIDTH)
                for one in batch:
                    if one is not None:
                        yield one
            more = listing.more
            after = places[-1] if places else after

    async def _descriptor(self, key: str) -> Descriptor | None:
        stored = await self._manifests.at(key)
        if stored is None:
            return None
        manifest = rules.parse(stored.descriptor.media_type, stored.content)
        return manifest.descriptor(stored.content, stored.descriptor.digest.algorithm)


def _weight(one: Descriptor) -> int:
    """About the bytes of its JSON."""
    return 300 + sum(len(name) + len(text) for name, text in (one.annotations or {}).items())

"""Referrers: manifests that name another one as their subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.content import manifest as rules
from registry_runtime.repository.parallel import each
from registry_runtime.repository.values import Page
from registry_runtime.storage import paths

if TYPE_CHECKING:
    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.repository.manifests import Manifests
    from registry_runtime.storage.records import Records

_WIDTH = 8  # manifests in memory at once; each may have 4 MiB


class Referrers:
    """Lists referrers. Each is read from its manifest, the fact, so the index only has to name it."""

    def __init__(self, records: Records, manifests: Manifests) -> None:
        self._records = records
        self._manifests = manifests

    async def list(
        self,
        name: RepositoryName,
        digest: Digest,
        artifact_type: str | None = None,
        limit: int = 1000,
        last: Digest | None = None,
    ) -> Page[Descriptor]:
        """Descriptors after `last`, in the order of their keys; none for what nobody ever pushed.

        https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
        """
        tree = self._records.tree
        prefix = tree.referrers(name, digest)
        found: list[Descriptor] = []
        after, more = (tree.referrer(name, digest, last)[len(prefix) :] if last else ""), True
        while more and len(found) <= limit:
            listing = await self._records.list(prefix, after=after, limit=min(limit + 1, 100))
            places = [entry.key[len(prefix) :] for entry in listing.entries]
            keys = [paths.manifests(name) + place for place in places]
            descriptors = await each(self._descriptor, keys, _WIDTH)
            found += (
                descriptor
                for descriptor in descriptors
                if descriptor and artifact_type in {None, descriptor.artifact_type}
            )
            more = listing.more
            after = places[-1] if places else after
        return Page(tuple(found[:limit]), len(found) > limit)

    async def _descriptor(self, key: str) -> Descriptor | None:
        stored = await self._manifests.at(key)
        if stored is None:
            return None
        manifest = rules.parse(stored.descriptor.media_type, stored.content)
        return manifest.descriptor(stored.content, stored.descriptor.digest.algorithm)

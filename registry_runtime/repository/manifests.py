from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.name import RepositoryName, Tag
    from registry_runtime.content.reference import Reference
    from registry_runtime.contract.config import Limits
    from registry_runtime.repository.blobs import Blobs
    from registry_runtime.repository.manifests import Manifests
    from registry_runtime.repository.tags import Tags
    from registry_runtime.repository.values import Pushed, StoredManifest
    from registry_runtime.storage.records import Records


class Manifests:
    def __init__(self, records: Records, blobs: Blobs, tags: Tags, limits: Limits) -> None: ...
    async def stat(self, name: RepositoryName, reference: Reference) -> Descriptor:
        raise NotImplementedError

    async def get(self, name: RepositoryName, reference: Reference) -> StoredManifest:
        raise NotImplementedError

    async def put(
        self,
        name: RepositoryName,
        reference: Reference,
        media_type: str,
        content: bytes,
        extra_tags: Sequence[Tag] = (),
    ) -> Pushed:
        raise NotImplementedError

    async def delete(self, name: RepositoryName, reference: Reference) -> None:
        raise NotImplementedError

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.content.range import Span
    from registry_runtime.repository.blobs import Blobs
    from registry_runtime.repository.pointers import Pointers
    from registry_runtime.repository.values import OpenBlob
    from registry_runtime.storage.base import Storage
    from registry_runtime.storage.records import Records


class Blobs:
    def __init__(self, storage: Storage, records: Records, pointers: Pointers) -> None: ...
    async def stat(self, name: RepositoryName, digest: Digest) -> Descriptor:
        raise NotImplementedError

    async def open(self, name: RepositoryName, digest: Digest, span: Span | None = None) -> OpenBlob:
        raise NotImplementedError

    async def delete(self, name: RepositoryName, digest: Digest) -> None:
        raise NotImplementedError

    async def mount(self, target: RepositoryName, digest: Digest, source: RepositoryName) -> bool:
        raise NotImplementedError

    async def placements(self, digest: Digest, limit: int) -> list[RepositoryName]:
        raise NotImplementedError

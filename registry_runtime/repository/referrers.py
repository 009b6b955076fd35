from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.repository.manifests import Manifests
    from registry_runtime.repository.values import Page
    from registry_runtime.storage.records import Records


class Referrers:
    def __init__(self, records: Records, manifests: Manifests) -> None: ...
    async def list(
        self,
        name: RepositoryName,
        digest: Digest,
        artifact_type: str | None = None,
        limit: int = 1000,
        last: Digest | None = None,
    ) -> Page[Descriptor]:
        raise NotImplementedError

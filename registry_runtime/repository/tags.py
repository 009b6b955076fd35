from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.repository.tags import Tags
    from registry_runtime.repository.values import Page
    from registry_runtime.storage.records import Records


class Tags:
    def __init__(self, records: Records) -> None: ...
    async def list(self, name: RepositoryName, limit: int, last: str = "") -> Page[str]:
        raise NotImplementedError

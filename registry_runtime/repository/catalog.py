from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_runtime.content.name import RepositoryName
    from registry_runtime.repository.values import Page
    from registry_runtime.storage.records import Records


class Catalog:
    def __init__(self, records: Records) -> None: ...
    async def list(
        self, visible: Callable[[RepositoryName], bool], limit: int, last: str = ""
    ) -> Page[RepositoryName]:
        raise NotImplementedError

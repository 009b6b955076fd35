from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from registry_runtime.content.descriptor import Descriptor
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.contract.config import Limits
    from registry_runtime.repository.blobs import Blobs
    from registry_runtime.repository.values import Upload
    from registry_runtime.storage.base import Storage
    from registry_runtime.storage.records import Records


class Uploads:
    def __init__(
        self, storage: Storage, records: Records, blobs: Blobs, limits: Limits, clock: Callable[[], datetime]
    ) -> None: ...
    async def start(self, name: RepositoryName, by: str) -> Upload:
        raise NotImplementedError

    async def status(self, name: RepositoryName, uuid: str) -> Upload:
        raise NotImplementedError

    async def append(
        self,
        name: RepositoryName,
        uuid: str,
        body: AsyncIterator[bytes],
        start: int | None = None,
        length: int | None = None,
    ) -> Upload:
        raise NotImplementedError

    async def commit(
        self,
        name: RepositoryName,
        uuid: str,
        digest: Digest,
        body: AsyncIterator[bytes] | None = None,
        start: int | None = None,
        length: int | None = None,
    ) -> Descriptor:
        raise NotImplementedError

    async def push(
        self, name: RepositoryName, digest: Digest, body: AsyncIterator[bytes], by: str
    ) -> Descriptor:
        raise NotImplementedError

    async def cancel(self, name: RepositoryName, uuid: str) -> None:
        raise NotImplementedError

    async def collect(self, now: datetime) -> int:
        raise NotImplementedError

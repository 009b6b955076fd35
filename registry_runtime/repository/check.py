from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_runtime.contract.state import StorageState
    from registry_runtime.storage.base import Storage
    from registry_runtime.storage.records import Records


class Check:
    def __init__(self, storage: Storage, records: Records, owner: str) -> None: ...
    async def run(self) -> StorageState:
        raise NotImplementedError

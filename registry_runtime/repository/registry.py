"""`Registry`: all that can be done to the content of one registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.contract.config import Collection as CollectionSettings
from registry_runtime.repository.blobs import Blobs
from registry_runtime.repository.catalog import Catalog
from registry_runtime.repository.check import Check
from registry_runtime.repository.collection.collection import Collection
from registry_runtime.repository.limited import Limited
from registry_runtime.repository.manifests import Manifests
from registry_runtime.repository.marker import Marker
from registry_runtime.repository.pointers import Pointers
from registry_runtime.repository.recent import Fresh, uptime
from registry_runtime.repository.referrers import Referrers
from registry_runtime.repository.rewrapping import Rewrap
from registry_runtime.repository.tags import Tags
from registry_runtime.repository.uploads import Uploads
from registry_runtime.repository.uses import Uses
from registry_runtime.storage.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from registry_runtime.contract.config import Limits
    from registry_runtime.contract.state import StorageState
    from registry_runtime.encryption.vault import Vault
    from registry_runtime.storage.base import Storage
    from registry_runtime.storage.cache import Cache

_COLLECTING = CollectionSettings()


class Registry:
    """One registry on one storage; any number of these may share it, in any number of processes.

    `owner` is the UID of the Registry that the storage must belong to; `clock` tells the time in UTC.
    With a `vault` all that is written is encrypted; a check must have unlocked it before anything is asked.
    A `cache` is this one's own. `uptime` tells seconds that pass, whatever time it is.
    """

    def __init__(
        self,
        storage: Storage,
        limits: Limits,
        clock: Callable[[], datetime],
        owner: str,
        vault: Vault | None = None,
        *,
        collecting: CollectionSettings = _COLLECTING,
        cache: Cache | None = None,
        uptime: Callable[[], float] = uptime,
    ) -> None:
        records = Records(storage, vault)
        fresh = Fresh(collecting.grace_seconds, uptime)
        pointers = Pointers(records, fresh)
        self.blobs = Blobs(storage, records, pointers, cache)
        self.uploads = Uploads(storage, records, self.blobs, limits, clock)
        self.uses = Uses(records, clock)
        self.tags = Tags(records, self.uses)
        self.catalog = Catalog(records)
        limited = Limited(records, self.uses, self.tags)
        self.manifests = Manifests(records, self.blobs, self.tags, limits, fresh, limited=limited)
        self.referrers = Referrers(records, self.manifests, limits)
        self.collection = Collection(storage, records, self.uploads.stale, collecting)
        self.rewrap = Rewrap(records, clock) if vault else None
        self._check = Check(storage, Marker(storage, records, vault.names if vault else None, owner))

    async def check(self, *, write: bool = True) -> StorageState:
        """Whether the storage is there, ours, and keeps its word; never raises a StorageError.

        Without `write`, where all was well the last time, it only reads: one request to S3.
        """
        return await self._check.run(write=write)

"""The lease: which replica collects. It spares the others the work; two at once do no harm.

All ages are told by one clock, the storage's: "now" is when it took an object that was just written.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from registry_runtime.errors import StorageUnavailable
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Record

if TYPE_CHECKING:
    from registry_runtime.storage.base import Storage
    from registry_runtime.storage.records import Records, Version

LAPSE = timedelta(minutes=10)  # without a renewal, after which another replica may collect
_RENEW = 60.0  # seconds


class Superseded(Exception):
    """Another replica took the collection over."""


async def storage_now(storage: Storage) -> datetime:
    """The time by the storage's clock."""
    key = paths.probe(str(uuid.uuid4()))
    await storage.put(key, [b"what time is it"])
    try:
        found = await storage.get(key)
    finally:
        await storage.delete([key])
    if found is None:
        raise StorageUnavailable("an object that was just written is not there")
    return found.modified


@dataclass(slots=True)
class Lease:
    """The right to collect: held since `began`, in the storage's time; `audited` is when one last audited."""

    records: Records
    version: Version
    began: datetime
    audited: datetime | None
    renewed: float

    @classmethod
    async def take(cls, storage: Storage, records: Records, idle: timedelta) -> Lease | None:
        """None where another replica collects, or did so less than `idle` ago."""
        seen = await records.read(paths.COLLECTING)
        fields = seen.record.fields if seen.record else {}
        if seen.record is not None and seen.modified is not None:
            rest = idle if fields.get("done") else LAPSE
            if rest and await storage_now(storage) - seen.modified < rest:
                return None
        audited = fields.get("audited")
        try:
            version = await records.write(
                paths.COLLECTING, Record({"done": False, "audited": audited}), seen.version
            )
        except Conflict:
            return None
        mine = await records.read(paths.COLLECTING)
        if mine.version != version or mine.modified is None:
            return None
        at = datetime.fromisoformat(audited) if audited else None
        return cls(records, version, mine.modified, at, time.monotonic())

    async def renew(self) -> None:
        """Raises Superseded."""
        if time.monotonic() - self.renewed >= _RENEW:
            await self._write(done=False)
            self.renewed = time.monotonic()

    async def end(self, *, audited: bool) -> None:
        """The pass is over. Raises Superseded."""
        if audited:
            self.audited = self.began
        await self._write(done=True)

    async def _write(self, *, done: bool) -> None:
        fields = {"done": done, "audited": self.audited.isoformat() if self.audited else None}
        try:
            self.version = await self.records.write(paths.COLLECTING, Record(fields), self.version)
        except Conflict:
            raise Superseded from None

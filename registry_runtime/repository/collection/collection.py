"""A collection: one pass over the storage, while pushes, pulls and deletes go on."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from registry_runtime.errors import StorageError
from registry_runtime.repository.collection.audit import Audit
from registry_runtime.repository.collection.blobs import Blobs
from registry_runtime.repository.collection.lease import Lease, Superseded, storage_now
from registry_runtime.repository.collection.marks import Marks
from registry_runtime.repository.collection.receipt import Kind, Receipt
from registry_runtime.repository.collection.repositories import Repositories
from registry_runtime.repository.collection.taking import Taking
from registry_runtime.repository.collection.walk import pages
from registry_runtime.storage import paths
from registry_runtime.storage.probes import erases
from registry_runtime.storage.records import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from registry_runtime.contract.config import Collection as Settings
    from registry_runtime.repository.collection.stale import StaleUploads
    from registry_runtime.storage.base import Storage
    from registry_runtime.storage.records import Records

RECEIPTS_KEPT = 100


class Collection:
    """Collects one storage; any number of these may, in any number of processes."""

    def __init__(self, storage: Storage, records: Records, stale: StaleUploads, settings: Settings) -> None:
        self._storage = storage
        self._records = records
        self._stale = stale
        self._grace = timedelta(seconds=settings.grace_seconds)
        self._audits = timedelta(seconds=settings.audit_seconds)

    async def run(self, *, idle: timedelta = timedelta(0), audit: bool = False) -> Receipt | None:
        """A pass, if none runs and the last ended `idle` ago; with an audit where that is due, or asked for.

        What failed, or was taken over by another replica, is among the receipt's problems: the next pass
        goes on where it matters. Raises StorageError before it has begun.
        """
        lease = await Lease.take(self._storage, self._records, idle)
        if lease is None:
            return None
        audit = audit or lease.audited is None or lease.began - lease.audited >= self._audits
        receipt = Receipt(lease.began, preview=False, audit=audit)
        await self._pass(receipt, lease.renew)
        try:
            await self._keep(receipt)
            await lease.end(audited=audit and receipt.done)
        except (StorageError, Superseded):
            receipt.problem("the receipt could not be kept in the storage")
        return receipt

    async def preview(self, *, audit: bool = False) -> Receipt:
        """What a pass would do now. It writes nothing but a probe. Raises StorageError."""
        receipt = Receipt(await storage_now(self._storage), preview=True, audit=audit)
        await self._pass(receipt, _go_on)
        return receipt

    async def _pass(self, receipt: Receipt, turn: Callable[[], Awaitable[None]]) -> None:
        started = time.monotonic()
        try:
            await self._collect(receipt, turn)
            receipt.done = True
        except StorageError as error:
            receipt.problem(f"it ended early: {error.message}")
        except Superseded:
            receipt.problem("it ended early: another replica took it over")
        finally:
            receipt.seconds = time.monotonic() - started

    async def _collect(self, receipt: Receipt, turn: Callable[[], Awaitable[None]]) -> None:
        condition = not receipt.preview and await erases(self._storage)
        taking = Taking(self._storage, self._records, receipt, self._grace, erases=condition)
        marks = Marks()
        await Repositories(self._storage, taking, marks, turn).run()
        await Blobs(self._storage, taking, marks, turn).run()
        receipt.taken[Kind.UPLOAD] += await self._stale.run(receipt.began, preview=receipt.preview)
        if receipt.audit:
            await Audit(self._storage, self._records, receipt, self._stale.life, turn).run()

    async def _keep(self, receipt: Receipt) -> None:
        await self._records.put(paths.receipt(_name(receipt.began)), Record(receipt.fields()))
        kept = [entry.key async for page in pages(self._storage, paths.RECEIPTS) for entry in page]
        await self._records.delete(kept[:-RECEIPTS_KEPT])


async def _go_on() -> None:
    """A preview holds no lease."""


def _name(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S.%fZ")

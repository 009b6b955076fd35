"""The marker: whose storage this is, in which format, and whether it is encrypted.

The marker itself is in clear, so that a Registry with the wrong key, or with none, is told what is wrong.
What is encrypted has its hidden names' secret beside it, in an envelope.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from registry_runtime.contract.state import StorageReason
from registry_runtime.encryption import names
from registry_runtime.errors import StorageRefused
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Record, Records

if TYPE_CHECKING:
    from registry_runtime.encryption.names import HiddenNames
    from registry_runtime.storage.base import Storage

FORMAT = 1
_FIELD = "secret"
_CONDEMNED = "emptying"


class Marker:
    """Claims a storage for the Registry with the UID `owner`, and unlocks `hidden` where it is encrypted."""

    def __init__(self, storage: Storage, records: Records, hidden: HiddenNames | None, owner: str) -> None:
        self._clear = Records(storage)
        self._records = records
        self._hidden = hidden
        self._mine = {"format": FORMAT, "owner": owner, "encrypted": hidden is not None}

    async def claim(self) -> None:
        """Makes the storage ours if it is nobody's. Raises StorageError, StorageRefused with the remedy."""
        seen = await self._clear.read(paths.MARKER)
        if seen.record is None:
            await self._make_secret()  # first: where the marker is, it is
            try:
                await self._clear.write(paths.MARKER, Record(self._mine), seen.version)
            except Conflict:
                seen = await self._clear.read(paths.MARKER)
        if seen.record is not None:
            self._compare(seen.record)
        await self._unlock()

    async def condemn(self) -> bool:
        """Says in the marker that all is being deleted, so that no replica writes; False where there is none.

        Raises StorageError, and StorageRefused where the storage is another's.
        """
        seen = await self._clear.read(paths.MARKER)
        if seen.record is None:
            return False
        self._compare_owner(seen.record)
        if not seen.record.fields.get(_CONDEMNED):
            try:
                condemned = Record({**seen.record.fields, _CONDEMNED: True})
                await self._clear.write(paths.MARKER, condemned, seen.version)
            except Conflict:
                return await self.condemn()  # another pod may do the same
        return True

    def _compare(self, found: Record) -> None:
        self._compare_owner(found)
        if found.fields.get(_CONDEMNED):
            raise StorageRefused(
                "all content of this storage is being deleted, with its Registry: nothing may be written",
                StorageReason.EMPTYING,
            )
        marker = {"encrypted": False, **found.fields}
        if marker["encrypted"] != self._mine["encrypted"]:
            found_as, wanted = ("encrypted", "not") if marker["encrypted"] else ("not encrypted", "is to be")
            raise StorageRefused(
                f"the storage is {found_as}, and this Registry {wanted}: that is decided once, when the "
                "storage is empty; use another bucket or prefix, or the encryption that it began with",
                StorageReason.WRONG_ENCRYPTION,
            )

    def _compare_owner(self, found: Record) -> None:
        marker = found.fields
        if marker.get("format") != FORMAT:
            raise StorageRefused(
                f"the storage has format {marker.get('format')}, this version knows {FORMAT}; upgrade it",
                StorageReason.WRONG_OWNER,
            )
        if marker.get("owner") != self._mine["owner"]:
            raise StorageRefused(
                f"the storage belongs to the Registry with the UID {marker.get('owner')}; use another "
                "bucket or prefix, or, if that Registry is gone and this one takes its place, delete "
                f"{paths.MARKER}",
                StorageReason.WRONG_OWNER,
            )

    async def _make_secret(self) -> None:
        if self._hidden is None:
            return
        seen = await self._records.read(paths.NAMES)
        if seen.record is None:
            secret = Record({_FIELD: os.urandom(names.BYTES).hex()})
            try:
                await self._records.write(paths.NAMES, secret, seen.version)
            except Conflict:
                return  # another replica made it

    async def _unlock(self) -> None:
        """Reads the secret each time: a rotation closes it anew last, so a missing key shows here."""
        if self._hidden is None:
            return
        record = await self._records.get(paths.NAMES)
        if record is None:
            raise StorageRefused(
                f"the object {paths.NAMES} is gone, without which nothing in this encrypted storage can be "
                "found; restore it from a version or a backup of the bucket",
                StorageReason.DAMAGED,
            )
        self._hidden.unlock(bytes.fromhex(record.fields[_FIELD]))

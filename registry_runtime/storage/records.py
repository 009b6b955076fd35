"""Records: the one form of every object of the storage but the bytes of blobs.

A line of JSON, then a payload of bytes, possibly none: the manifest's bytes, the tail of an upload.
Fields that a reader does not know stay unread, `version` rises when an old reader would be wrong.
`change` is random in each write. A bucket's ETag names bytes, so without it two writers of the same
record would both be told that they wrote it, and what went away and came back would look untouched.
Encoding, and later sealing under the tenant's key, happens here and nowhere else.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused
from registry_runtime.storage.base import PAGE, Entry, Listing
from registry_runtime.storage.paths import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.storage.base import Storage

VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """Fields of JSON, but for `version` and `change`, and a payload."""

    fields: Mapping[str, Any]
    payload: Buffer = b""


@dataclass(frozen=True, slots=True)
class Versioned:
    """What a key holds: no record where it is absent or a tombstone; no ETag where it is absent."""

    record: Record | None
    etag: str | None


class Records:
    """Reads and writes records; `tree` has their keys."""

    def __init__(self, storage: Storage, tree: Tree | None = None) -> None:
        self._storage = storage
        self.tree = tree or Tree()

    async def get(self, key: str) -> Record | None:
        return (await self.read(key)).record

    async def read(self, key: str) -> Versioned:
        """A record with the ETag that `write` expects. Raises StorageRefused where it is no record."""
        found = await self._storage.get(key)
        if found is None:
            return Versioned(None, None)
        return Versioned(_decode(key, found.content) if found.content else None, found.etag)

    async def put(self, key: str, record: Record) -> None:
        """Writes whatever is there: for facts and indexes that say the same from every writer."""
        await self._storage.put(key, _encode(record))

    async def write(self, key: str, record: Record, expected: str | None) -> str:
        """Writes over what was read with this ETag (None: where nothing was), and returns the new one.

        Raises Conflict. Of all writers with the same expectation exactly one goes through.
        """
        if expected is None:
            return await self._storage.put(key, _encode(record), absent=True)
        return await self._storage.put(key, _encode(record), match=expected)

    async def retract(self, key: str, expected: str) -> None:
        """Leaves a tombstone over what was read with this ETag. Raises Conflict."""
        await self._storage.put(key, (), match=expected)

    async def delete(self, keys: Iterable[str]) -> None:
        every = list(keys)
        for start in range(0, len(every), PAGE):
            await self._storage.delete(every[start : start + PAGE])

    async def list(self, prefix: str, *, after: str = "", limit: int = PAGE) -> Listing:
        """As the storage lists, without tombstones; `after` is relative to the prefix; any `limit`."""
        entries: list[Entry] = []
        last = prefix + after if after else ""
        while True:
            page = await self._storage.list(prefix, after=last, limit=min(PAGE, limit + 1 - len(entries)))
            entries += (entry for entry in page.entries if entry.size)
            if len(entries) > limit or not page.more:
                return Listing(tuple(entries[:limit]), len(entries) > limit)
            last = page.entries[-1].key


def _encode(record: Record) -> Sequence[Buffer]:
    own = {"version": VERSION, "change": uuid.uuid4().hex}
    head = json.dumps({**own, **record.fields}, separators=(",", ":")).encode() + b"\n"
    return (head, record.payload) if record.payload else (head,)


def _decode(key: str, content: bytes) -> Record:
    end = content.find(b"\n") if b"\n" in content else len(content)
    try:
        fields = json.loads(content[:end])
        version = fields.pop("version")
        fields.pop("change", None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fields, version = {}, None
    if version != VERSION:
        raise StorageRefused(
            f"the object {key} is no record that this version can read: something else wrote to the storage",
            StorageReason.WRONG_OWNER,
        )
    return Record(fields, memoryview(content)[end + 1 :])

"""Records: the one form of every object of the storage but the bytes of blobs.

A line of JSON, then a payload of bytes, possibly none: the manifest's bytes, the tail of an upload.
Fields that a reader does not know stay unread, `version` rises when an old reader would be wrong.
`change` is random in each write. A bucket's ETag names bytes, so without it two writers of the same
record would both be told that they wrote it, and what went away and came back would look untouched.

Encoding, and sealing in envelopes under the tenant's keys, happens here and nowhere else. An envelope may
be closed anew under another key at any moment; the record in it, and its `change`, stay what they are, so
whoever read it before writes over it all the same. Notes hold no more than a `change` and are never sealed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum, auto
from random import getrandbits
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused, StorageUnavailable
from registry_runtime.storage.base import PAGE, Conflict, Entry, Listing
from registry_runtime.storage.paths import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.encryption.vault import Vault
    from registry_runtime.storage.base import Found, Storage

VERSION = 1
_JSON = json.JSONEncoder(separators=(",", ":"))
_READ = json.JSONDecoder()  # `json.loads` looks for an encoding first, which takes four times as long
_VERSION, _CHANGE, _SALT, _OF = "version", "change", "salt", "of"
_ATTEMPTS = 5
_SHORT = 2 * 1024  # bytes: tags, links and pointers are
_KNOWN = 2048  # records that are remembered


@dataclass(frozen=True, slots=True)
class Record:
    """Fields of JSON, but for `version` and `change`, and a payload."""

    fields: Mapping[str, Any]
    payload: Buffer = b""


@dataclass(frozen=True, slots=True)
class Version:
    """One write of a record, or a tombstone; the same write has another ETag in another envelope."""

    change: str
    etag: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Versioned:
    """What a key holds: no record where it is absent or a tombstone; no version where it is absent.

    `modified` is when this version was written at the latest: an envelope may be newer than its record.
    """

    record: Record | None
    version: Version | None
    modified: datetime | None = None


class Renewal(Enum):
    """What became of an envelope that was to be closed anew."""

    CURRENT = auto()  # it is closed under the key in use, or is no envelope
    RENEWED = auto()
    GONE = auto()


class Records:
    """Reads and writes records; `tree` has their keys. With a vault, all but notes are sealed."""

    def __init__(self, storage: Storage, vault: Vault | None = None) -> None:
        self._storage = storage
        self._envelopes = vault.envelopes if vault else None
        self._known: dict[str, tuple[Record, Version]] = {}
        self.tree = Tree(vault.names) if vault else Tree()

    @property
    def width(self) -> int:
        """Of the storage."""
        return self._storage.width

    @property
    def sealed(self) -> bool:
        """Whether what is written here is encrypted."""
        return self._envelopes is not None

    async def get(self, key: str) -> Record | None:
        return (await self.read(key)).record

    async def has(self, key: str) -> bool:
        """Whether there is a record, which is not read where that costs less; what is sealed is opened."""
        if self.sealed:
            return await self.get(key) is not None
        return bool(await self._storage.size(key))

    async def read(self, key: str) -> Versioned:
        """A record with the version that `write` expects. Raises StorageRefused where it is no record."""
        found = await self._storage.get(key)
        if found is None:
            return Versioned(None, None)
        if not found.content:
            return Versioned(None, Version(found.etag, found.etag), found.modified)
        known = self._known.get(key)
        if known is None or known[1].etag != found.etag:
            known = self._understood(key, found)
        return Versioned(*known, found.modified)

    def _understood(self, key: str, found: Found) -> tuple[Record, Version]:
        """What an object says. A short one is remembered, for an ETag never names other bytes.

        But for sealed ones, which nobody may read any more when their key is gone.
        """
        fields, payload = self._opened(key, found.content)
        version = Version(fields.pop(_CHANGE, found.etag), found.etag)
        known = Record(MappingProxyType(fields), payload), version
        self._known.pop(key, None)
        if self._envelopes is None and len(found.content) <= _SHORT:
            self._known[key] = known
            if len(self._known) > _KNOWN:
                del self._known[next(iter(self._known))]
        return known

    async def put(self, key: str, record: Record) -> None:
        """Writes whatever is there: for facts that say the same from every writer."""
        await self._storage.put(key, self._encoded(key, record, _new_change()))

    async def note(self, key: str, of: str | None = None) -> None:
        """Writes that there is such a key, and nothing else: an index. Or that it is `of` a certain write."""
        await self._storage.put(key, _lines({_CHANGE: _new_change()} | ({_OF: of} if of else {})))

    async def noted(self, key: str) -> str | None:
        """Which write the note is of."""
        found = await self._storage.get(key)
        return _split(key, found.content)[0].get(_OF) if found and found.content else None

    async def write(self, key: str, record: Record, expected: Version | None) -> Version:
        """Writes over what was read with this version (None: where nothing was), and returns the new one.

        Raises Conflict. Of all writers with the same expectation exactly one goes through.
        """
        change = _new_change()
        content = self._encoded(key, record, change)
        if expected is None:
            return Version(change, await self._storage.put(key, content, absent=True))
        return Version(change, await self._over(key, content, expected))

    async def retract(self, key: str, expected: Version) -> None:
        """Leaves a tombstone over what was read with this version. Raises Conflict."""
        await self._over(key, (), expected)

    async def renew(self, key: str) -> Renewal:
        """Closes a record's envelope under the key in use. Raises StorageRefused where it cannot be opened.

        Writers that read it before do not notice; where one was faster, its envelope is looked at.
        """
        assert self._envelopes
        for _ in range(_ATTEMPTS):
            found = await self._storage.get(key)
            if found is None:
                return Renewal.GONE
            fields, sealed = _split(key, found.content) if found.content else ({}, b"")
            if _SALT not in fields or self._envelopes.current(fields):
                return Renewal.CURRENT
            content = self._close(key, self._envelopes.open(key, fields, sealed))
            try:
                await self._storage.put(key, content, match=found.etag)
            except Conflict:
                continue
            return Renewal.RENEWED
        raise StorageUnavailable(f"{key} changes over and over; try again")

    async def delete(self, keys: Iterable[str]) -> None:
        every = list(keys)
        for start in range(0, len(every), PAGE):
            await self._storage.delete(every[start : start + PAGE])

    async def list(self, prefix: str, *, after: str = "", limit: int = PAGE) -> Listing:
        """As the storage lists, without tombstones; `after` is relative to the prefix; any `limit`.

        Behind the last entry there may be nothing but tombstones, although it says that more follow.
        """
        entries: list[Entry] = []
        last = prefix + after if after else ""
        wanted = min(PAGE, limit)
        while True:
            page = await self._storage.list(prefix, after=last, limit=wanted)
            entries += (entry for entry in page.entries if entry.size)
            if len(entries) >= limit or not page.more:
                return Listing(tuple(entries[:limit]), len(entries) > limit or page.more)
            last, wanted = page.entries[-1].key, PAGE

    async def _over(self, key: str, content: Sequence[Buffer], expected: Version) -> str:
        """Writes over this version, in whatever envelope it is by now. Raises Conflict."""
        for _ in range(_ATTEMPTS):
            try:
                return await self._storage.put(key, content, match=expected.etag)
            except Conflict:
                now = (await self.read(key)).version if self.sealed else None
                if now is None or now != expected or now.etag == expected.etag:
                    raise
                expected = now
        raise Conflict(key)

    def _encoded(self, key: str, record: Record, change: str) -> Sequence[Buffer]:
        lines = _lines({_CHANGE: change, **record.fields}, record.payload)
        return lines if self._envelopes is None else self._close(key, b"".join(lines))

    def _close(self, key: str, record: Buffer) -> Sequence[Buffer]:
        assert self._envelopes
        fields, sealed = self._envelopes.close(key, record)
        return _lines(fields, sealed)

    def _opened(self, key: str, content: bytes) -> tuple[dict[str, Any], Buffer]:
        fields, payload = _split(key, content)
        if (_SALT in fields) != self.sealed:
            state = "is not encrypted, and this Registry is" if self.sealed else "is encrypted"
            raise StorageRefused(
                f"the object {key} {state}: something else wrote to the storage", StorageReason.DAMAGED
            )
        if self._envelopes is None:
            return fields, payload
        return _split(key, self._envelopes.open(key, fields, payload))


def _new_change() -> str:
    return f"{getrandbits(128):032x}"  # it has to be another one, and nobody has to be kept from guessing it


def _lines(fields: Mapping[str, Any], payload: Buffer = b"") -> Sequence[Buffer]:
    head = _JSON.encode({_VERSION: VERSION, **fields}).encode() + b"\n"
    return (head, payload) if payload else (head,)


def _split(key: str, content: bytes) -> tuple[dict[str, Any], memoryview]:
    """The line's fields but its version, and what stands behind it."""
    end = content.find(b"\n") if b"\n" in content else len(content)
    try:
        fields = _READ.decode(content[:end].decode())
        version = fields.pop(_VERSION)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fields, version = {}, None
    if version != VERSION:
        raise StorageRefused(
            f"the object {key} is no record that this version can read: something else wrote to the storage",
            StorageReason.WRONG_OWNER,
        )
    return fields, memoryview(content)[end + 1 :]

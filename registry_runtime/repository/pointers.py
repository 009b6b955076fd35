"""Pointers: from a digest to the data that holds its bytes, or to the bytes where they are few.

```
absent ──push──► live ──collect──► hidden ──collect──► dead ──push, with new data──► live
                  ▲                  │
                  └──push, mount, a manifest names it
```
Dead is final for its data: a reader takes it for absent. Hidden is readable, and is revived before
anything new relies on it. Every change is a conditional write.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from registry_runtime.encryption.frames import form_of
from registry_runtime.errors import StorageUnavailable
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_runtime.content.digest import Digest
    from registry_runtime.encryption.frames import Form
    from registry_runtime.repository.recent import Fresh
    from registry_runtime.storage.records import Records, Version

_ATTEMPTS = 20
_KEY = "dataKey"


class State(StrEnum):
    LIVE = "live"
    HIDDEN = "hidden"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Pointer:
    """`data` names `size` bytes of content, encrypted under `key` where there is one.

    Where it names none, "", they are in the pointer itself: `content`. `more` holds fields that this version
    only carries along.
    """

    data: str
    size: int
    state: State
    more: Mapping[str, Any]
    key: bytes | None = field(default=None, repr=False)
    content: bytes = field(default=b"", repr=False)

    @classmethod
    def inline(cls, content: bytes) -> Self:
        return cls("", len(content), State.LIVE, {}, content=content)

    @classmethod
    def to(cls, data: str, size: int, key: bytes | None = None) -> Self:
        return cls(data, size, State.LIVE, {}, key)

    @classmethod
    def decode(cls, record: Record) -> Self:
        more = dict(record.fields)
        key = decoded_key(more)
        more.pop(_KEY, None)
        content = bytes(record.payload)
        return cls(more.pop("data"), more.pop("size"), State(more.pop("state")), more, key, content)

    def encode(self) -> Record:
        fields = {"data": self.data, "size": self.size, "state": self.state}
        content = b"" if self.state is State.DEAD else self.content
        return Record({**fields, **encoded_key(self.key), **self.more}, content)

    @property
    def is_inline(self) -> bool:
        return not self.data

    @property
    def form(self) -> Form:
        """How its data lies there."""
        return form_of(paths.upload_of(self.data), self.key)


class Pointers:
    """Reads and moves pointers."""

    def __init__(self, records: Records, fresh: Fresh) -> None:
        self._records = records
        self._fresh = fresh

    async def get(self, digest: Digest) -> Pointer | None:
        """A pointer that can be read: live or hidden."""
        pointer, _ = await self._read(digest)
        return None if pointer is None or pointer.state is State.DEAD else pointer

    async def names(self, digest: Digest, data: str) -> bool:
        """Whether the pointer, in any state, leads to this data."""
        pointer, _ = await self._read(digest)
        return pointer is not None and pointer.data == data

    async def publish(self, digest: Digest, new: Pointer, lost: str | None = None) -> Pointer:
        """Makes the digest live, with this pointer where none is; returns the one in force.

        One that leads to `lost`, data that is not there, is replaced.
        """
        since = self._fresh.now()
        pointer = await self._publish(digest, new, lost)
        self._fresh.meet(self._records.tree.pointer(digest), since)
        return pointer

    async def _publish(self, digest: Digest, new: Pointer, lost: str | None) -> Pointer:
        wanted = new
        expected: Version | None = None
        for _ in range(_ATTEMPTS):
            try:
                await self._records.write(self._records.tree.pointer(digest), wanted.encode(), expected)
            except Conflict:
                current, expected = await self._read(digest)
                if current is None or current.state is State.DEAD or current.data == lost:
                    wanted = new
                elif current.state is State.LIVE:
                    return current
                else:
                    wanted = replace(current, state=State.LIVE)
            else:
                return wanted
        raise StorageUnavailable(f"too many writers change {digest} at once; try again")

    async def stands(self, digest: Digest) -> bool:
        """Whether there is a live pointer that stays, if a link that is there leads to it.

        It is revived where it was hidden, and not looked at where it was live a moment ago.
        """
        key, since = self._records.tree.pointer(digest), self._fresh.now()
        if key in self._fresh:
            return True
        there = await self.revive(digest) is not None
        if there:
            self._fresh.meet(key, since)
        return there

    async def revive(self, digest: Digest) -> Pointer | None:
        """The pointer, live; None where it is dead or absent."""
        for _ in range(_ATTEMPTS):
            current, version = await self._read(digest)
            if current is None or current.state is State.DEAD:
                return None
            if current.state is State.LIVE:
                return current
            revived = replace(current, state=State.LIVE)
            try:
                await self._records.write(self._records.tree.pointer(digest), revived.encode(), version)
            except Conflict:
                continue
            return revived
        raise StorageUnavailable(f"too many writers change {digest} at once; try again")

    async def _read(self, digest: Digest) -> tuple[Pointer | None, Version | None]:
        seen = await self._records.read(self._records.tree.pointer(digest))
        return (Pointer.decode(seen.record) if seen.record else None), seen.version


def encoded_key(key: bytes | None) -> dict[str, str]:
    """A data key as a field of a record, none where there is none."""
    return {} if key is None else {_KEY: key.hex()}


def decoded_key(fields: Mapping[str, Any]) -> bytes | None:
    return bytes.fromhex(fields[_KEY]) if _KEY in fields else None

"""A bucket in memory, and the connections of replicas to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TypeVar

from registry_runtime.content.buffer import Buffer, Whole
from registry_runtime.content.range import Span
from registry_runtime.errors import StorageUnavailable
from registry_runtime.storage.base import (
    PAGE,
    Conflict,
    Entry,
    Found,
    Listing,
    Missing,
    Multipart,
    Part,
    Place,
    Unfinished,
)
from tests.simulation.scheduler import AtOnce, Fate, Scheduler

Result = TypeVar("Result")
ATTEMPTS = 3  # of a driver


@dataclass(frozen=True)
class Stored:
    """An object."""

    content: bytes
    modified: datetime

    @property
    def etag(self) -> str:
        """It names bytes, so all tombstones have the same."""
        return hashlib.md5(self.content, usedforsecurity=False).hexdigest()


@dataclass
class _Unfinished:
    key: str
    started: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


class Bucket:
    """Reads see every write; conditional writes are exact; a date is in whole seconds.

    `erases`: whether a DELETE keeps its condition.
    """

    def __init__(self, *, erases: bool) -> None:
        self.erases = erases
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.objects: dict[str, Stored] = {}
        self.multiparts: dict[str, _Unfinished] = {}
        self._ids = count(1)

    def uptime(self) -> float:
        """Seconds, of any machine: nobody sets that clock."""
        return self.now.timestamp()

    def date(self) -> datetime:
        return self.now.replace(microsecond=0)

    def put(self, key: str, content: bytes, *, absent: bool, match: str | None) -> str:
        there = self.objects.get(key)
        if (absent and there) or (match is not None and (there is None or there.etag != match)):
            raise Conflict(key)
        self.objects[key] = Stored(content, self.date())
        return self.objects[key].etag

    def erase(self, key: str, match: str) -> None:
        assert self.erases, "a condition that this bucket ignores"
        there = self.objects.get(key)
        if there and there.etag != match:
            raise Conflict(key)
        self.objects.pop(key, None)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def list(self, prefix: str, after: str, limit: int) -> Listing:
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        found = [(key, self.objects[key]) for key in keys[:limit]]
        entries = tuple(Entry(key, len(stored.content), stored.modified) for key, stored in found)
        return Listing(entries, len(keys) > limit)

    def begin(self, key: str) -> Multipart:
        made = Multipart(key, f"upload-{next(self._ids)}")
        self.multiparts[made.id] = _Unfinished(key, self.date())
        return made

    def write(self, multipart: Multipart, number: int, content: bytes) -> Part:
        if multipart.id not in self.multiparts:
            raise Missing(multipart.key)
        self.multiparts[multipart.id].parts[number] = content
        return Part(number, len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())

    def complete(self, multipart: Multipart, parts: Sequence[Part]) -> None:
        begun = self.multiparts.get(multipart.id)
        if begun is None:
            raise Missing(multipart.key)
        content = b"".join(begun.parts[part.number] for part in parts)
        del self.multiparts[multipart.id]
        self.objects[multipart.key] = Stored(content, self.date())


class Connection:
    """The driver of one replica: it tries again what got no answer, and then meets its own success."""

    width = 16

    def __init__(self, bucket: Bucket, scheduler: Scheduler | AtOnce, replica: object) -> None:
        self._bucket = bucket
        self._scheduler = scheduler
        self._replica = replica

    async def _do(self, operation: str, key: str, effect: Callable[[], Result]) -> Result:
        for _ in range(ATTEMPTS):
            fate = await self._scheduler.turn(self._replica, operation, key, effect)
            if fate is Fate.DONE:
                return effect()
            if fate is Fate.LOST:
                continue
            if fate is Fate.SILENT:  # done, and the answer is lost
                _quietly(effect)
                continue
            assert isinstance(self._scheduler, Scheduler)
            self._scheduler.later(lambda: _quietly(effect), self._bucket.now)  # its sender has given up
        raise StorageUnavailable(f"{operation} {key} got no answer")

    async def get(self, key: str) -> Found | None:
        def read() -> Found | None:
            there = self._bucket.objects.get(key)
            return Found(there.content, there.etag, there.modified) if there else None

        return await self._do("get", key, read)

    async def size(self, key: str) -> int | None:
        def head() -> int | None:
            there = self._bucket.objects.get(key)
            return len(there.content) if there else None

        return await self._do("size", key, head)

    async def put(
        self, key: str, content: Sequence[Buffer], *, absent: bool = False, match: str | None = None
    ) -> str:
        whole = b"".join(content)
        try:
            return await self._do(
                "put", key, lambda: self._bucket.put(key, whole, absent=absent, match=match)
            )
        except Conflict:
            found = await self.get(key)
            if found is not None and found.content == whole:
                return found.etag
            raise

    async def delete(self, keys: Sequence[str]) -> None:
        if keys:
            await self._do("delete", keys[0], lambda: self._bucket.delete(list(keys)))

    async def erase(self, key: str, match: str) -> None:
        await self._do("erase", key, lambda: self._bucket.erase(key, match))

    async def list(self, prefix: str, *, after: str = "", limit: int = PAGE) -> Listing:
        return await self._do("list", prefix, lambda: self._bucket.list(prefix, after, limit))

    async def open(self, key: str, span: Span | None = None) -> Whole:
        found = await self.get(key)
        if found is None:
            raise Missing(key)
        return Whole(found.content if span is None else found.content[span.start : span.end + 1])

    async def begin(self, key: str) -> Multipart:
        return await self._do("begin", key, lambda: self._bucket.begin(key))

    async def write(self, multipart: Multipart, place: Place, content: Sequence[Buffer]) -> Part:
        whole = b"".join(content)
        return await self._do(
            "write", multipart.key, lambda: self._bucket.write(multipart, place.number, whole)
        )

    async def complete(self, multipart: Multipart, parts: Sequence[Part], fence: int) -> None:  # noqa: ARG002
        await self._do("complete", multipart.key, lambda: self._bucket.complete(multipart, parts))

    async def abort(self, multipart: Multipart) -> None:
        await self._do("abort", multipart.key, lambda: self._bucket.multiparts.pop(multipart.id, None))

    async def unfinished(self, prefix: str) -> Sequence[Unfinished]:
        def all_of_them() -> list[Unfinished]:
            found = self._bucket.multiparts.items()
            return [Unfinished(Multipart(begun.key, one), begun.started) for one, begun in found]

        return await self._do("unfinished", prefix, all_of_them)

    async def sweep(self, before: datetime) -> int:  # noqa: ARG002
        return 0

    async def verify(self, key: str) -> None:
        """Nothing was asked of it."""

    async def close(self) -> None:
        """Nothing is held."""


def _quietly(effect: Callable[[], object]) -> None:
    try:
        effect()
    except (Conflict, Missing):
        return

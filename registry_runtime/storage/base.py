"""The protocol of the storage: few operations, that a bucket and a directory both keep exactly.

Keys are text; a key may not be another one's prefix followed by a slash. Reads see every write that was
answered before. An ETag names the content at a key; conditional writes have exactly one winner.
Every operation may raise StorageUnavailable or StorageRefused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from registry_runtime.content.buffer import Buffer, Chunks
    from registry_runtime.content.range import Span

PAGE = 1000  # keys that one listing or one batch of deletes may have
SMALL = (
    5 * 1024 * 1024
)  # bytes: the least size of a part that is not the last, and the most of a small object


class Conflict(Exception):
    """A conditional write met another state than it expected; nothing was written."""


class Missing(Exception):
    """There is nothing at the key."""


@dataclass(frozen=True, slots=True)
class Found:
    """A small object, whole; `modified` is when the storage took it, in whole seconds or finer."""

    content: bytes
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a listing; `size` in bytes."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries in the order of their keys' bytes; `more` follow after the last one."""

    entries: tuple[Entry, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Multipart:
    """An object that is written in parts, and not there before `complete`."""

    key: str
    id: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is safe; numbers rise with the offset, with gaps."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part goes: its number (1 to 10,000), and the offset of its first byte in the object.

    Writers that compete for one multipart take disjoint ranges of numbers, the later writer the higher
    ones; `fence` is the lowest of the writer's. A part that meets a higher fence may be refused.
    """

    number: int
    offset: int
    fence: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A multipart that was begun at `started`, and neither completed nor aborted."""

    multipart: Multipart
    started: datetime


class Storage(Protocol):
    """A bucket or a directory."""

    @property
    def width(self) -> int:
        """How many operations are sooner done at a time than one after the other, at no greater cost."""
        ...

    async def get(self, key: str) -> Found | None:
        """A small object, or None where there is none."""
        ...

    async def size(self, key: str) -> int | None:
        """Bytes of an object, or None where there is none."""
        ...

    async def put(
        self, key: str, content: Sequence[Buffer], *, absent: bool = False, match: str | None = None
    ) -> str:
        """Writes a small object and returns its ETag.

        With `absent` only where there is none, with `match` only over this ETag; else raises Conflict.
        Who finds the very bytes that it wanted to write may be told that it wrote them: where it matters
        who did, the bytes must say it.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Removes objects; those that are not there are no error.

        Where some could not be removed it raises an error that has them as `left`, if the storage said so;
        the others are gone, and the same call may be repeated.
        """
        ...

    async def erase(self, key: str, match: str) -> None:
        """Removes an object with this ETag; raises Conflict where there is one with another.

        None is there afterwards, or was before. Only where `probes.erases` says so: some buckets ignore
        the condition, and remove whatever is there.
        """
        ...

    async def list(self, prefix: str, *, after: str = "", limit: int = PAGE) -> Listing:
        """Keys that start with `prefix` and come after `after`, at most `limit` (1 to 1,000)."""
        ...

    async def open(self, key: str, span: Span | None = None) -> Chunks:
        """The bytes of an object, or of a span that lies within it. Raises Missing before the first one."""
        ...

    async def begin(self, key: str) -> Multipart: ...

    async def write(self, multipart: Multipart, place: Place, content: Sequence[Buffer]) -> Part:
        """Raises Missing where the multipart is gone, and Conflict behind a fence."""
        ...

    async def complete(self, multipart: Multipart, parts: Sequence[Part], fence: int) -> None:
        """Makes the object of the parts, in their order, at once. `fence` is that of the writer.

        Raises Conflict behind a fence, and Missing where the multipart is gone. One that was completed,
        by whomever, with whatever parts, counts as gone, but some storages answer as the first time.
        """
        ...

    async def abort(self, multipart: Multipart) -> None:
        """Frees what the parts take; that it is gone already is no error."""
        ...

    async def unfinished(self, prefix: str) -> Sequence[Unfinished]: ...

    async def sweep(self, before: datetime) -> int:
        """Removes what processes that were killed before then left in the driver; how many there were."""
        ...

    async def verify(self, key: str) -> None:
        """Whether objects lie there as they were asked for, such as encrypted; `key` is for a probe.

        Raises StorageRefused where they do not.
        """
        ...

    async def close(self) -> None: ...

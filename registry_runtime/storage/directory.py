"""The driver of a directory: several processes on one machine may share it."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from registry_runtime.storage import files
from registry_runtime.storage.base import (
    PAGE,
    Conflict,
    Entry,
    Listing,
    Missing,
    Multipart,
    Part,
    Place,
    Unfinished,
)
from registry_runtime.storage.files import Files, translated
from registry_runtime.storage.lately import Lately
from registry_runtime.storage.pieces import Pieces
from registry_runtime.storage.short_writes import ShortWrites
from registry_runtime.storage.windows import Windows, window_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from registry_runtime.content.buffer import Buffer, Chunks
    from registry_runtime.content.range import Span
    from registry_runtime.storage.base import Found


_DELETED = 4096  # bytes that take as long to write as a key to delete


class Directory:
    """Small reads are done at once: they cost less than a change of the thread. Writes wait in threads.

    Short ones do so where the disk makes them wait.
    """

    width = 1  # who does not wait gains nothing from another's turn

    def __init__(self, root: Path) -> None:
        self._files = Files(root)
        self._pieces = Pieces(self._files)
        self._lately = Lately()
        self._short = ShortWrites()
        self._blocks = window_blocks()

    async def get(self, key: str) -> Found | None:
        with translated():
            return self._lately.read(self._files.path(key))

    async def size(self, key: str) -> int | None:
        with translated():
            return self._size(key)

    def _size(self, key: str) -> int | None:
        try:
            return os.stat(self._files.path(key)).st_size  # noqa: PTH116 - paths are text here
        except (FileNotFoundError, NotADirectoryError):
            return None

    async def put(
        self, key: str, content: Sequence[Buffer], *, absent: bool = False, match: str | None = None
    ) -> str:
        whole = b"".join(content)
        await self._short.run(len(whole), self._put, key, whole, absent, match)
        return files.etag(whole)

    def _put(self, key: str, content: bytes, absent: bool, match: str | None) -> None:
        """What nobody has named yet needs no lock: whoever changes what is there finds nothing to change."""
        path = self._files.path(key)
        with translated():
            temporary = self._files.written(content)
            try:
                if match is None and files.linked(temporary, path):
                    return
                if absent:
                    raise Conflict(key)
                with self._files.locked(key):
                    current = None if match is None else files.read(path)
                    if match is not None and (current is None or files.etag(current) != match):
                        raise Conflict(key)
                    files.retried(lambda: os.replace(temporary, path), path)  # noqa: PTH105
            finally:
                files.try_unlink(temporary)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._short.run(len(keys) * _DELETED, self._delete, keys)

    def _delete(self, keys: Sequence[str]) -> None:
        with translated():
            for key in keys:
                path = self._files.path(key)
                with self._files.locked(key):
                    files.try_unlink(path)
                self._files.prune(path)

    async def erase(self, key: str, match: str) -> None:
        await asyncio.to_thread(self._erase, key, match)

    def _erase(self, key: str, match: str) -> None:
        path = self._files.path(key)
        with translated():
            with self._files.locked(key):
                current = files.read(path)
                if current is None:
                    return  # what comes now is another's, who needs no lock for it
                if files.etag(current) != match:
                    raise Conflict(key)
                files.try_unlink(path)
            self._files.prune(path)

    async def list(self, prefix: str, *, after: str = "", limit: int = PAGE) -> Listing:
        return await asyncio.to_thread(self._list, prefix, after, limit)

    def _list(self, prefix: str, after: str, limit: int) -> Listing:
        with translated():
            entries = list(islice(self._entries(prefix, after), limit + 1))
        return Listing(tuple(entries[:limit]), len(entries) > limit)

    def _entries(self, prefix: str, after: str) -> Iterator[Entry]:
        for key in self._files.walk(prefix, after):
            try:
                status = os.stat(self._files.path(key))  # noqa: PTH116 - paths are text here
            except FileNotFoundError:
                continue  # deleted meanwhile
            yield Entry(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    async def open(self, key: str, span: Span | None = None) -> Chunks:
        with translated():
            try:
                file = open(self._files.path(key), "rb", buffering=0)  # noqa: PTH123, SIM115, ASYNC230
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise Missing(key) from None
            end = os.fstat(file.fileno()).st_size if span is None else span.end + 1
        return Windows(file, 0 if span is None else span.start, end, self._blocks)

    async def begin(self, key: str) -> Multipart:
        return await asyncio.to_thread(self._pieces.begin, key)

    async def write(self, multipart: Multipart, place: Place, content: Sequence[Buffer]) -> Part:
        return await asyncio.to_thread(self._pieces.write, multipart, place, content)

    async def complete(self, multipart: Multipart, parts: Sequence[Part], fence: int) -> None:
        await asyncio.to_thread(self._pieces.complete, multipart, parts, fence)

    async def abort(self, multipart: Multipart) -> None:
        await asyncio.to_thread(self._pieces.abort, multipart)

    async def unfinished(self, prefix: str) -> Sequence[Unfinished]:
        return await asyncio.to_thread(self._pieces.unfinished, prefix)

    async def sweep(self, before: datetime) -> int:
        return await asyncio.to_thread(self._sweep, before)

    def _sweep(self, before: datetime) -> int:
        stale = []
        with translated():
            if self._files.temporary.is_dir():
                for file in self._files.temporary.iterdir():
                    try:
                        if file.stat().st_mtime < before.timestamp():
                            stale.append(str(file))
                    except FileNotFoundError:
                        continue
            for path in stale:
                files.try_unlink(path)
        return len(stale)

    async def verify(self, key: str) -> None:
        """Nothing is asked of a directory."""

    async def close(self) -> None:
        """Nothing is held open between operations."""

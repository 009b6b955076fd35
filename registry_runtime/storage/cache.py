"""What was pulled from the bucket lately, on the local disk: many nodes pull a layer at about the same time.

Files are named by the data's key, whose bytes never change, and hold what the bucket holds: of encrypted
content the ciphertext. Whoever asks has read the blob's pointer before, so what was deleted is not served.
A whole pull fills a file on its way. The first pull after that is still the bucket's, while the file is
compared with the blob's digest; what does not agree is dropped. Nothing is kept over a restart.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from registry_runtime.errors import StorageRefused
from registry_runtime.storage.files import write_at
from registry_runtime.storage.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO
    from pathlib import Path

    from registry_runtime.content.buffer import Buffer, Chunks
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.range import Span
    from registry_runtime.storage.base import Storage

_log = logging.getLogger(__name__)
_BLOCK = 1024 * 1024  # bytes that are written at once
_FILLING = 8  # pulls that fill a file at the same time; each holds up to three blocks


@dataclass(slots=True)
class _Kept:
    size: int
    good: bool = False  # its digest was found right
    looking: asyncio.Task[None] | None = None


class Cache:
    """At most `size` bytes in a directory of its own; what was not asked for longest goes first."""

    def __init__(self, directory: Path, size: int) -> None:
        self._directory = directory
        self._room = size
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._filling: set[str] = set()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in directory.iterdir():
            left.unlink()

    async def open(self, storage: Storage, key: str, span: Span | None, digest: Digest | None) -> Chunks:
        """As `storage.open`; `digest` is that of the whole, None where its reader authenticates each piece.

        Raises Missing.
        """
        kept = self._kept.get(key)
        if kept is not None and self._good(key, kept, digest):
            windows = self._windows(key, kept, span)
            if windows is not None:
                return windows
        chunks = await storage.open(key, span)
        if span is not None or key in self._kept or key in self._filling or len(self._filling) >= _FILLING:
            return chunks
        return _Filling(self, key, chunks)

    def _windows(self, key: str, kept: _Kept, span: Span | None) -> Windows | None:
        try:
            file = open(self.path(key), "rb", buffering=0)  # noqa: PTH123, SIM115
        except OSError:
            self.forget(key)
            return None
        self._kept.move_to_end(key)
        return Windows(file, span.start if span else 0, span.end + 1 if span else kept.size)

    def _good(self, key: str, kept: _Kept, digest: Digest | None) -> bool:
        if not kept.good and digest is not None and kept.looking is None:
            kept.looking = asyncio.create_task(self._look(key, kept, digest))
        return kept.good or digest is None

    async def _look(self, key: str, kept: _Kept, digest: Digest) -> None:
        try:
            kept.good = await asyncio.to_thread(_is, self.path(key), digest)
        except OSError:
            kept.good = False
        if not kept.good:
            _log.warning("a cached blob is not what it should be, and is dropped")
            if self._kept.get(key) is kept:
                self.forget(key)

    def path(self, key: str) -> str:
        return f"{self._directory}/{key.replace('/', '~')}"

    def guarded(self, key: str, chunks: Chunks) -> Chunks:
        """Content that was read out of what `open` gave, and authenticated."""
        return _Guarded(self, key, chunks)

    def forget(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._room += kept.size
            with suppress(OSError):
                os.unlink(self.path(key))  # noqa: PTH108

    # For what fills a file.

    def begin(self, key: str) -> None:
        self._filling.add(key)

    def take(self, size: int) -> bool:
        """Room for so many more bytes, of older files; False where the filling ones have it all."""
        while self._room < size and self._kept:
            self.forget(next(iter(self._kept)))
        if self._room < size:
            return False
        self._room -= size
        return True

    def end(self, key: str, part: str, size: int, *, whole: bool) -> None:
        """What has been filled: all of the content, or of no use."""
        self._filling.discard(key)
        try:
            if whole:
                os.rename(part, self.path(key))  # noqa: PTH104
                self._kept[key] = _Kept(size)
                return
            os.unlink(part)  # noqa: PTH108
        except OSError:
            _log.warning("the cache's directory fails")
        self._room += size


class _Filling:
    """A stream on its way, and a file that it fills; a disk that fails is none of the stream's business."""

    def __init__(self, cache: Cache, key: str, chunks: Chunks) -> None:
        self._cache = cache
        self._key = key
        self._chunks = chunks
        self._waiting: list[Buffer] = []
        self._held = self._size = 0
        self._writing: asyncio.Task[None] | None = None
        self._part = f"{cache.path(key)}.part"
        self._file: FileIO | None = None
        with suppress(OSError):
            self._file = open(self._part, "wb", buffering=0)  # noqa: PTH123, SIM115
            cache.begin(key)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            await self._end(whole=True)
            raise
        if self._file is not None:
            self._waiting.append(chunk)
            self._held += len(chunk)
            if self._held >= _BLOCK and not await self._write():
                await self._end(whole=False)
        return chunk

    async def aclose(self) -> None:
        await self._end(whole=False)
        await self._chunks.aclose()

    async def _write(self) -> bool:
        """Hands on what waits, when what was handed on before is written."""
        if not await self._written() or self._file is None or not self._cache.take(self._held):
            return False
        place, self._size = self._size, self._size + self._held
        waiting, self._waiting, self._held = self._waiting, [], 0
        self._writing = asyncio.create_task(asyncio.to_thread(_put, self._file, waiting, place))
        return True

    async def _written(self) -> bool:
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                await writing
        except OSError:
            return False
        return True

    async def _end(self, *, whole: bool) -> None:
        """Once: gives the file its name, or takes it away. A thread that still writes keeps it open."""
        if self._file is None:
            return
        kept = False
        try:
            kept = whole and await self._write()
            kept = await self._written() and kept
            self._file.close()
        finally:
            self._file, self._waiting = None, []
            self._cache.end(self._key, self._part, self._size, whole=kept)


class _Guarded:
    """Content that its reader authenticates: where it is refused, the file of it goes."""

    def __init__(self, cache: Cache, key: str, chunks: Chunks) -> None:
        self._cache = cache
        self._key = key
        self._chunks = chunks

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        try:
            return await anext(self._chunks)
        except StorageRefused:
            self._cache.forget(self._key)
            raise

    async def aclose(self) -> None:
        await self._chunks.aclose()


def _put(file: FileIO, content: Sequence[Buffer], place: int) -> None:
    write_at(file.fileno(), content, place)


def _is(path: str, digest: Digest) -> bool:
    with open(path, "rb") as file:  # noqa: PTH123
        return hashlib.file_digest(file, digest.algorithm).hexdigest() == digest.hex

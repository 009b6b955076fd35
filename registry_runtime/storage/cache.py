"""What is pulled again and again, on the local disk: many nodes pull a layer at about the same time.

Files are named by the data's key, whose bytes never change, and hold what the bucket holds: of encrypted
content the ciphertext. Whoever asks has read the blob's pointer before, so what was deleted is not served.
The first pull of a blob costs nothing more; the second, if it is a whole one, fills a file on its way, and
is compared with the blob's digest; from then on it is the file that is served. Nothing is kept over a
restart.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from registry_runtime.content.digest import new_hasher
from registry_runtime.errors import StorageRefused
from registry_runtime.log import fields
from registry_runtime.metrics import Metrics
from registry_runtime.storage.files import write_at
from registry_runtime.storage.windows import Windows, window_blocks

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
_ASKED = 16 * 1024  # keys that are remembered
_FILLING = 8  # pulls that fill a file at the same time; each holds up to three blocks


class Cache:
    """At most `size` bytes in a directory of its own; what was not asked for longest goes first."""

    def __init__(self, directory: Path, size: int, metrics: Metrics | None = None) -> None:
        metrics = metrics or Metrics()
        self._reads = metrics.cache_reads
        metrics.cached.reads_one(lambda: size - self._room)
        self._directory = directory
        self._room = size
        self._kept: OrderedDict[str, int] = OrderedDict()  # sizes
        self._asked: OrderedDict[str, None] = OrderedDict()  # once
        self._filling: set[str] = set()
        self._blocks = window_blocks()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in directory.iterdir():
            left.unlink()

    async def open(self, storage: Storage, key: str, span: Span | None, digest: Digest | None) -> Chunks:
        """As `storage.open`; `digest` is that of the whole, None where its reader authenticates each piece.

        Raises Missing.
        """
        kept = self._windows(key, span) if key in self._kept else None
        if kept is not None:
            self._reads.add(1, "hit")
            return kept
        self._reads.add(1, "miss")
        chunks = await storage.open(key, span)
        return _Filling(self, key, chunks, digest) if span is None and self._worth(key) else chunks

    def _worth(self, key: str) -> bool:
        """Whether this pull fills a file: not the first one, and only one at a time."""
        if key not in self._asked:
            self._asked[key] = None
            if len(self._asked) > _ASKED:
                self._asked.popitem(last=False)
            return False
        return key not in self._kept and key not in self._filling and len(self._filling) < _FILLING

    def _windows(self, key: str, span: Span | None) -> Windows | None:
        size = self._kept[key]
        try:
            file = open(self.path(key), "rb", buffering=0)  # noqa: PTH123, SIM115
        except OSError:
            self.forget(key)
            return None
        self._kept.move_to_end(key)
        start, end = (span.start, span.end + 1) if span else (0, size)
        return Windows(file, start, end, self._blocks)

    def path(self, key: str) -> str:
        return f"{self._directory}/{key.replace('/', '~')}"

    def guarded(self, key: str, chunks: Chunks) -> Chunks:
        """Content that was read out of what `open` gave, and authenticated."""
        return _Guarded(self, key, chunks)

    def forget(self, key: str) -> None:
        self._asked.pop(key, None)
        size = self._kept.pop(key, None)
        if size is not None:
            self._room += size
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
                self._kept[key] = size
                return
            os.unlink(part)  # noqa: PTH108
        except OSError:
            _log.warning("the cache's directory fails")
        self._room += size


class _Filling:
    """A stream on its way, and a file that it fills; a disk that fails is none of the stream's business."""

    def __init__(self, cache: Cache, key: str, chunks: Chunks, digest: Digest | None) -> None:
        self._cache = cache
        self._key = key
        self._chunks = chunks
        self._digest = digest
        self._hasher = new_hasher(digest.algorithm) if digest else None
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
        self._writing = asyncio.create_task(asyncio.to_thread(self._put, self._file, waiting, place))
        return True

    async def _written(self) -> bool:
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                await writing
        except OSError:
            return False
        return True

    def _put(self, file: FileIO, content: Sequence[Buffer], place: int) -> None:
        write_at(file.fileno(), content, place)
        if self._hasher is not None:
            for block in content:
                self._hasher.update(block)

    def _right(self) -> bool:
        if self._hasher is None or self._digest is None or self._hasher.hexdigest() == self._digest.hex:
            return True
        _log.warning("the storage holds a blob that is not of its digest", extra=fields(key=self._key))
        return False

    async def _end(self, *, whole: bool) -> None:
        """Once: gives the file its name, or takes it away. A thread that still writes keeps it open."""
        if self._file is None:
            return
        kept = False
        try:
            kept = whole and await self._write()
            kept = await self._written() and kept and self._right()
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

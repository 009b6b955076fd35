"""Objects of a directory that are written in parts: one file, each part at its offset.

The file's name is the fence: a writer with higher numbers renames it, and one that comes late, with
lower numbers, finds its name gone. A lock on the file keeps the two apart while bytes are written, and
keeps a late writer out of a file that has become an object.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from registry_runtime.storage import files
from registry_runtime.storage.base import Conflict, Missing, Multipart, Part, Place, Unfinished
from registry_runtime.storage.files import Files, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from registry_runtime.content.buffer import Buffer


_LOOKS = 5  # a listing may show neither name of a file that is being renamed


class Pieces:
    """Every function blocks for as long as the disk takes."""

    def __init__(self, below: Files) -> None:
        self._files = below

    def begin(self, key: str) -> Multipart:
        name = f"{quote(key, safe='')}~{int(time.time())}~{uuid.uuid4().hex}"
        folder = self._files.parts / name
        with translated():
            folder.mkdir(mode=0o700, parents=True)
            (folder / "0").touch(mode=0o600)
        return Multipart(key, name)

    def write(self, multipart: Multipart, place: Place, content: Sequence[Buffer]) -> Part:
        with translated(), self._file(multipart) as (descriptor, fence):
            if fence > place.fence:
                raise Conflict(multipart.key)
            if fence < place.fence:
                folder = self._folder(multipart)
                os.rename(f"{folder}/{fence}", f"{folder}/{place.fence}")  # noqa: PTH104
            size = files.write_at(descriptor, content, place.offset)
        return Part(place.number, size, "")

    def complete(self, multipart: Multipart, parts: Sequence[Part], fence: int) -> None:
        path = self._files.path(multipart.key)
        with translated(), self._file(multipart) as (descriptor, current):
            if current > fence:
                raise Conflict(multipart.key)
            os.ftruncate(descriptor, sum(part.size for part in parts))
            os.fdatasync(descriptor)
            source = f"{self._folder(multipart)}/{current}"
            files.retried(lambda: os.replace(source, path), path)  # noqa: PTH105
        self.abort(multipart)

    def abort(self, multipart: Multipart) -> None:
        shutil.rmtree(self._folder(multipart), ignore_errors=True)

    def unfinished(self, prefix: str) -> list[Unfinished]:
        found = []
        with translated():
            for folder in self._files.parts.iterdir() if self._files.parts.is_dir() else ():
                key, began, _ = folder.name.split("~")
                multipart = Multipart(unquote(key), folder.name)
                if multipart.key.startswith(prefix):
                    found.append(Unfinished(multipart, datetime.fromtimestamp(int(began), UTC)))
        return found

    @contextmanager
    def _file(self, multipart: Multipart) -> Iterator[tuple[int, int]]:
        """The file, locked, and its fence. Raises Missing."""
        while True:
            fence = self._fence(multipart)
            path = f"{self._folder(multipart)}/{fence}"
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # renamed meanwhile
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if not os.path.exists(path):  # noqa: PTH110 - renamed while the lock was awaited
                    continue
                yield descriptor, fence
            finally:
                os.close(descriptor)
            return

    def _fence(self, multipart: Multipart) -> int:
        for _ in range(_LOOKS):
            try:
                names = os.listdir(self._folder(multipart))  # noqa: PTH208
            except FileNotFoundError:
                break
            if names:
                return max(map(int, names))
        raise Missing(multipart.key)

    def _folder(self, multipart: Multipart) -> str:
        return f"{self._files.parts}/{multipart.id}"

"""A file as a stream: mapped piece by piece, or sent unread."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Self

from registry_runtime.content.buffer import Stretch
from registry_runtime.storage.files import translated

if TYPE_CHECKING:
    from io import FileIO

    from registry_runtime.content.buffer import Buffer

_WINDOW = 1024 * 1024  # bytes of a file that are mapped at once


class Windows:
    """Maps a file piece by piece. A window is unmapped when the last reader of its bytes lets go of it."""

    def __init__(self, file: FileIO, start: int, end: int) -> None:
        self._file = file
        self._position = start
        self._end = end
        self.stretch = Stretch(file.fileno(), start, end)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        if self._position >= self._end:
            self._file.close()
            raise StopAsyncIteration
        base = self._position - self._position % _WINDOW
        length = min(_WINDOW, self._end - base)
        with translated():
            window = mmap.mmap(self._file.fileno(), length, access=mmap.ACCESS_READ, offset=base)
            window.madvise(mmap.MADV_WILLNEED)
        start, self._position = self._position, base + length
        return memoryview(window)[start - base :]

    async def aclose(self) -> None:
        self._file.close()

"""A file as a stream: read piece by piece, or sent unread."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from registry_runtime.content.blocks import Blocks
from registry_runtime.content.buffer import Stretch
from registry_runtime.storage.files import cut, translated

if TYPE_CHECKING:
    from io import FileIO

    from registry_runtime.content.buffer import Buffer

_WINDOW = 256 * 1024  # bytes: what is read stays near the processor until it is encrypted
_KEPT = 16  # windows


def window_blocks() -> Blocks:
    """Memory for the streams of a driver."""
    return Blocks(_WINDOW, _KEPT)


class Windows:
    """Reads a file into `blocks` that other streams use as well.

    Mapping it, and taking the map away, page by page, costs more than a copy into the same place.
    """

    def __init__(self, file: FileIO, start: int, end: int, blocks: Blocks) -> None:
        self._file = file
        self._blocks = blocks
        self._position = start
        self._end = end
        self.stretch = Stretch(file.fileno(), start, end)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        if self._position >= self._end:
            self._file.close()
            raise StopAsyncIteration
        window = self._blocks.take()[: self._end - self._position]
        with translated():
            count = os.preadv(self._file.fileno(), [window], self._position) or cut(self._file.name)
        self._position += count
        return window[:count]

    async def aclose(self) -> None:
        self._file.close()

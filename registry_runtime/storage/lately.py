"""Small files that were read before: a look at a file tells whether it is still the same one.

A file never changes once it has its name: other content is another file. That one may have the number of the
first, but not its times as well, for what was written just now is not kept.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry_runtime.storage import files
from registry_runtime.storage.base import Found

if TYPE_CHECKING:
    from os import stat_result

_SHORT = 2 * 1024  # bytes: tags, links and pointers are
_KNOWN = 2048  # files
_SETTLED = 2.0  # seconds: no clock of a file system is coarser

_Stamp = tuple[int, int, int, int]


class Lately:
    """Reads small files; those that were read before, and are settled, only where they are others now."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[_Stamp, Found]] = {}

    def read(self, path: str) -> Found | None:
        """A whole file, or None where there is none."""
        known = self._known.get(path)
        if known is not None:
            try:
                if known[0] == _stamp(os.stat(path)):  # noqa: PTH116 - paths are text here
                    return known[1]
            except (FileNotFoundError, NotADirectoryError):
                pass
            del self._known[path]
        opened = files.opened(path)
        if opened is None:
            return None
        content, status = opened
        found = Found(content, files.etag(content), datetime.fromtimestamp(status.st_mtime, UTC))
        if len(content) <= _SHORT and time.time() - status.st_mtime > _SETTLED:
            self._known[path] = _stamp(status), found
            if len(self._known) > _KNOWN:
                del self._known[next(iter(self._known))]
        return found


def _stamp(status: stat_result) -> _Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

"""What was met lately: manifests, whose digest never names other bytes, and blobs that were there.

And what is fresh: was met so lately that no collection can have let it go since.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.repository.values import StoredManifest

_ALL = 8 * 1024 * 1024  # bytes of content
_ONE = 256 * 1024
_BLOBS = 8192
_KEYS = 8192
FRESH = 4  # th part of the grace in which what was met is fresh
_LONGEST = 60.0  # seconds, however long the grace is: a push of an image takes no longer, mostly


def uptime() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class RecentManifests:
    """Bounded in bytes. Whether the repository still holds a manifest, it does not know."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], StoredManifest] = OrderedDict()
        self._bytes = 0

    def get(self, name: RepositoryName, digest: Digest) -> StoredManifest | None:
        key = (name.text, digest.hex)
        stored = self._kept.get(key)
        if stored:
            self._kept.move_to_end(key)
        return stored

    def keep(self, name: RepositoryName, stored: StoredManifest) -> None:
        key = (name.text, stored.descriptor.digest.hex)
        if len(stored.content) > _ONE or key in self._kept:
            return
        self._kept[key] = stored
        self._bytes += len(stored.content)
        while self._bytes > _ALL:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.content)

    def forget(self, name: RepositoryName, digest: Digest) -> None:
        stored = self._kept.pop((name.text, digest.hex), None)
        if stored:
            self._bytes -= len(stored.content)


class RecentBlobs:
    """Blobs that were in their repository when they were met, which says nothing of now; so many at most."""

    def __init__(self) -> None:
        self._met: OrderedDict[tuple[str, str], None] = OrderedDict()

    def __contains__(self, blob: tuple[RepositoryName, Digest]) -> bool:
        return (blob[0].text, blob[1].hex) in self._met

    def meet(self, name: RepositoryName, digest: Digest) -> None:
        self._met[name.text, digest.hex] = None
        while len(self._met) > _BLOBS:
            self._met.popitem(last=False)

    def forget(self, name: RepositoryName, digest: Digest) -> None:
        self._met.pop((name.text, digest.hex), None)


class Fresh:
    """Keys of pointers that were live, and of indexes that were written, less than a part of the grace ago.

    A collection takes only what it has hidden, or an index that nobody wrote, a grace before it began. So
    one that takes what was met here begins later than who names it now has written: it finds it named.
    """

    def __init__(self, grace: float, clock: Callable[[], float] = uptime) -> None:
        """`grace` and what `clock` tells in seconds; none may be on the way for longer than the grace."""
        self._life = min(grace / FRESH, _LONGEST)
        self._met: OrderedDict[str, float] = OrderedDict()
        self.now = clock

    def __contains__(self, key: str) -> bool:
        met = self._met.get(key)
        return met is not None and self.now() - met < self._life

    def meet(self, key: str, since: float) -> None:
        """It was live, or written, at `since` or later: what `now` told before the storage was asked."""
        self._met[key] = since
        while len(self._met) > _KEYS:
            self._met.popitem(last=False)

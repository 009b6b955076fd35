"""What was met lately: manifests, whose digest never names other bytes, and blobs that were there."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry_runtime.content.digest import Digest
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.repository.values import StoredManifest

_ALL = 8 * 1024 * 1024  # bytes of content
_ONE = 256 * 1024
_BLOBS = 8192


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

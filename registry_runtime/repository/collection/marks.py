"""What a pass has seen: who is named, what is there, which repositories hold something."""

from __future__ import annotations

from registry_runtime.repository.collection.filter import Filter

_MIB = 1024 * 1024


class Marks:
    """Components of keys, not digests: where the storage is encrypted, its names do not tell those."""

    def __init__(self, size: int = 32 * _MIB) -> None:
        """`size` in bytes: of the largest of the sets; all take two and a half times that at the most."""
        self._named = Filter(size)  # by a manifest of the same repository
        self._linked = Filter(size)  # blobs in any repository, and each in its own
        self._there = Filter(size // 4)  # manifests
        self._holding = Filter(size // 32)  # repositories with a manifest

    def name(self, repository: str, component: str) -> None:
        self._named.add(f"{repository}/{component}")

    def names(self, repository: str, component: str) -> bool:
        return f"{repository}/{component}" in self._named

    def link(self, repository: str, component: str) -> None:
        self._linked.add(component)
        self._linked.add(f"{repository}/{component}")

    def links(self, component: str, repository: str | None = None) -> bool:
        return (component if repository is None else f"{repository}/{component}") in self._linked

    def find(self, repository: str, component: str) -> None:
        """A manifest is there."""
        self._there.add(f"{repository}/{component}")
        self._holding.add(repository)

    def found(self, repository: str, component: str) -> bool:
        return f"{repository}/{component}" in self._there

    def holds(self, repository: str) -> bool:
        return repository in self._holding

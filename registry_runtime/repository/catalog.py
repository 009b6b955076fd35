"""The catalog: which repositories hold something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_runtime.content.name import RepositoryName
from registry_runtime.repository.parallel import each
from registry_runtime.repository.tags import exists
from registry_runtime.repository.values import Page
from registry_runtime.storage import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from registry_runtime.storage.records import Records


class Catalog:
    """Lists repositories; the index of one that is empty now is passed over."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def list(
        self, visible: Callable[[RepositoryName], bool], limit: int, last: str = ""
    ) -> Page[RepositoryName]:
        """Names after `last`, those that are visible, in the order of their components."""
        names: list[RepositoryName] = []
        after, more = paths.escape(last), limit > 0
        while more:
            listing = await self._records.list(paths.CATALOG, after=after)
            found = [
                RepositoryName(paths.unescape(entry.key[len(paths.CATALOG) :])) for entry in listing.entries
            ]
            seen = [name for name in found if visible(name)]
            for start in range(0, len(seen), limit + 1):
                names += await self._holding(seen[start : start + limit + 1])
                if len(names) > limit:
                    return Page(tuple(names[:limit]), more=True)
            more = listing.more
            after = paths.escape(found[-1].text) if found else after
        return Page(tuple(names))

    async def _holding(self, names: Sequence[RepositoryName]) -> Sequence[RepositoryName]:
        there = await each(lambda name: exists(self._records, name), names)
        return [name for name, holds in zip(names, there, strict=True) if holds]

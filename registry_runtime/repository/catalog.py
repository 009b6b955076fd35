"""The catalog: which repositories were pushed to."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from registry_runtime.content.name import NameRange, RepositoryName
from registry_runtime.repository.values import Page
from registry_runtime.storage import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from registry_runtime.storage.records import Records

EVERYWHERE = (NameRange.below(""),)


class Catalog:
    """Lists repositories, from their indexes alone.

    One that was emptied is listed until the collection has taken its index away: whoever did that sooner
    could take it from a push that begins at that moment.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    async def list(
        self,
        visible: Callable[[RepositoryName], bool],
        limit: int,
        last: str = "",
        within: Iterable[NameRange] = EVERYWHERE,
    ) -> Page[RepositoryName]:
        """Names after `last` that are visible, in the order of their components.

        All that is visible lies within these ranges. A page costs a listing for each 1,000 names in them
        that it shows or passes over, and at most one more for each range.
        """
        names: list[RepositoryName] = []
        after, ahead = paths.escape(last), _sorted(within)
        while limit > 0 and ahead:
            first, end = ahead[0]
            if end <= after:
                ahead.popleft()
                continue
            listing = await self._records.list(paths.CATALOG, after=max(after, paths.just_before(first)))
            found = [entry.key[len(paths.CATALOG) :] for entry in listing.entries]
            names += filter(visible, (RepositoryName(paths.unescape(one)) for one in found))
            if len(names) > limit:
                return Page(tuple(names[:limit]), more=True)
            if not listing.more:
                break
            after = found[-1]
        return Page(tuple(names))


def _sorted(ranges: Iterable[NameRange]) -> deque[tuple[str, str]]:
    return deque(sorted({(paths.escape(one.first), paths.escape(one.last)) for one in ranges}))

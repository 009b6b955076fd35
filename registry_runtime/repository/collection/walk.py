"""Walking through the storage: one LIST for each thousand keys, in the order of the keys."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from registry_runtime.storage.paths import REPOSITORIES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from registry_runtime.storage.base import Entry, Storage


async def pages(storage: Storage, prefix: str) -> AsyncIterator[tuple[Entry, ...]]:
    """All that begins with the prefix, tombstones too."""
    after, more = "", True
    while more:
        listing = await storage.list(prefix, after=after)
        if listing.entries:
            yield listing.entries
            after = listing.entries[-1].key
        more = listing.more


def folders(entries: Sequence[Entry]) -> Iterator[tuple[str, str, list[Entry]]]:
    """Entries below `repositories/` by repository and folder; each repository's own stand together.

    No component of a name begins with "_", so the first that does is a folder.
    """
    for (name, folder), group in groupby(entries, key=lambda entry: _split(entry.key)):
        yield name, folder, list(group)


def place(entry: Entry) -> str:
    """What stands behind the folder: a component, or two."""
    return entry.key.partition("/_")[2].partition("/")[2]


def _split(key: str) -> tuple[str, str]:
    name, _, rest = key.removeprefix(REPOSITORIES).partition("/_")
    return name, rest.partition("/")[0]

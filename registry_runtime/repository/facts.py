"""Facts: links, manifests and tags. Each change is a conditional write, so none takes what it has not seen.

```
absent ──push──► live ──collect──► hidden ──collect──► a tombstone, and absent for everybody
                  ▲                  │
                  └──whoever relies on it anew
```
A request to the storage may arrive late, or twice, when its sender has long given it up: so a fact is
removed by a tombstone over the version that was read, never by its key alone. Hidden, it is read as ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from registry_runtime.errors import StorageUnavailable
from registry_runtime.repository.pointers import State
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Versioned

if TYPE_CHECKING:
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.storage.records import Record, Records, Version

_ATTEMPTS = 20
_STATE = "state"


def is_hidden(record: Record) -> bool:
    return record.fields.get(_STATE) == State.HIDDEN


def hidden(record: Record) -> Record:
    return replace(record, fields={**record.fields, _STATE: State.HIDDEN})


def live(record: Record) -> Record:
    return replace(record, fields={key: value for key, value in record.fields.items() if key != _STATE})


async def revive(records: Records, key: str) -> Record | None:
    """The fact, live from now on; None where there is none."""
    for _ in range(_ATTEMPTS):
        seen = await records.read(key)
        if seen.record is None or not is_hidden(seen.record):
            return seen.record
        try:
            await records.write(key, live(seen.record), seen.version)
        except Conflict:
            continue
        return live(seen.record)
    raise _contended(key)


async def establish(records: Records, key: str, record: Record) -> Version | None:
    """Writes over whatever is there; the version where that was nothing, and so is ours to withdraw.

    What was there is written over, so that whoever wrote it, and fails now, does not withdraw it from us.
    """
    seen = Versioned(None, None)
    for _ in range(_ATTEMPTS):
        try:
            version = await records.write(key, record, seen.version)
        except Conflict:
            seen = await records.read(key)
        else:
            return None if seen.record else version
    raise _contended(key)


async def remove(records: Records, key: str) -> bool:
    """Leaves a tombstone over whatever is there; whether there was something."""
    for _ in range(_ATTEMPTS):
        seen = await records.read(key)
        if seen.record is None or seen.version is None:
            return False
        try:
            await records.retract(key, seen.version)
        except Conflict:
            continue
        return True
    raise _contended(key)


async def let_go(records: Records, name: RepositoryName, component: str) -> None:
    """Notes of a manifest, as it lies there now, that what kept it is going: pushed again, it stays.

    The note says of which write it is, not when: it may arrive late, or twice.
    """
    seen = await records.read(paths.manifests(name) + component)
    if seen.record is not None and seen.version is not None:
        await records.note(paths.loose(name) + component, of=seen.version.change)


def _contended(key: str) -> StorageUnavailable:
    return StorageUnavailable(f"too many writers change {key} at once; try again")

"""Rewrapping: closes the envelopes of other keys anew under the key in use, while everything goes on.

One replica at a time makes the pass, and says in the storage how far it came: where it is killed, another
goes on from there. Writers do not notice, for the record in an envelope stays what it is. The secret of
the hidden names comes last: as long as it needs an old key, so may others, and each check looks at it.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from registry_runtime.contract.state import Rewrapping
from registry_runtime.errors import StorageRefused
from registry_runtime.repository.parallel import each
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Record, Renewal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from registry_runtime.storage.base import Listing
    from registry_runtime.storage.records import Records, Version

_WIDTH = 32
_PATIENCE = 60.0  # seconds without news of a pass, after which another replica goes on with it
_AGAIN = 300.0  # seconds until records that could not be read are tried once more


@dataclass(frozen=True, slots=True)
class _Pass:
    """What is known of a pass: `cursor` is the last key that was looked at, `holder` who makes it."""

    progress: Rewrapping
    cursor: str
    holder: str

    def encode(self) -> Record:
        progress = self.progress.model_dump(mode="json")
        return Record({"progress": progress, "cursor": self.cursor, "holder": self.holder})

    @classmethod
    def decode(cls, record: Record) -> _Pass:
        fields = record.fields
        return cls(Rewrapping.model_validate(fields["progress"]), fields["cursor"], fields["holder"])


class Rewrap:
    """Makes the passes of one replica; `clock` tells the time in UTC, for people only."""

    def __init__(
        self,
        records: Records,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._clock = clock
        self._monotonic = monotonic
        self._me = uuid.uuid4().hex
        self._seen: tuple[Version | None, float] = (None, 0.0)
        self._turns: set[str] = set()  # that stood there: one that another took the place of is over

    async def run(self, key: str, turn: str) -> Rewrapping | None:
        """Goes on with the pass of this turn, whose key has this id, to its end, if it is ours to make.

        Returns how far it came; None where a record of another turn was not given up yet.
        Raises StorageUnavailable: the pass goes on from there when it is called again.
        """
        seen = await self._records.read(paths.REWRAPPING)
        known = _Pass.decode(seen.record) if seen.record else None
        mine = self._mine(known, seen.version, key, turn)
        if mine is None:
            return known.progress if known and known.progress.turn == turn else None
        try:
            return await self._make(mine, await self._save(mine, seen.version))
        except Conflict:
            return None  # another replica makes it

    def _mine(self, known: _Pass | None, version: Version | None, key: str, turn: str) -> _Pass | None:
        """The pass that this replica is to make; None where there is nothing to do, or another does it."""
        since = self._since(version)
        fresh = _Pass(Rewrapping(key=key, turn=turn, began=self._clock()), "", self._me)
        over = turn in self._turns
        if known is not None:
            self._turns.add(known.progress.turn)
        if known is None or (known.progress.key, known.progress.turn) != (key, turn):
            return None if over else fresh
        if known.progress.done:
            return fresh if known.progress.left and since > _AGAIN else None
        return replace(known, holder=self._me) if known.holder == self._me or since > _PATIENCE else None

    def _since(self, version: Version | None) -> float:
        """Seconds for which this replica has seen no news: no clock is compared with another's."""
        now = self._monotonic()
        if version != self._seen[0]:
            self._seen = (version, now)
        return now - self._seen[1]

    async def _save(self, state: _Pass, expected: Version | None) -> Version:
        version = await self._records.write(paths.REWRAPPING, state.encode(), expected)
        self._turns.add(state.progress.turn)
        return version

    async def _make(self, state: _Pass, version: Version) -> Rewrapping:
        async for listing in self._listings(state.cursor):
            keys = [entry.key for entry in listing.entries if not paths.is_note(entry.key)]
            state = replace(
                state, progress=await self._renewed(state.progress, keys), cursor=listing.entries[-1].key
            )
            version = await self._save(state, version)
        progress = state.progress
        if not progress.left:
            progress = await self._renewed(progress, [paths.NAMES])
        progress = progress.model_copy(update={"done": True})
        await self._save(replace(state, progress=progress), version)
        return progress

    async def _listings(self, cursor: str) -> AsyncIterator[Listing]:
        for prefix in paths.RECORDS:
            if cursor > prefix and not cursor.startswith(prefix):
                continue
            after, more = cursor.removeprefix(prefix) if cursor.startswith(prefix) else "", True
            while more:
                listing = await self._records.list(prefix, after=after)
                if listing.entries:
                    yield listing
                    after = listing.entries[-1].key[len(prefix) :]
                more = listing.more

    async def _renewed(self, progress: Rewrapping, keys: list[str]) -> Rewrapping:
        async def renew(key: str) -> Renewal | None:
            try:
                return await self._records.renew(key)
            except StorageRefused:
                return None  # its key is missing, or it is damaged: whoever reads it is told so

        results = await each(renew, keys, _WIDTH)
        return progress.model_copy(
            update={
                "examined": progress.examined + len(keys),
                "rewrapped": progress.rewrapped + results.count(Renewal.RENEWED),
                "left": progress.left + results.count(None),
            }
        )

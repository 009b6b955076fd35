"""Removal of what uploads leave: ended ones at once, those that nobody goes on with after their time.

Data that a pointer leads to, or may come to lead to, is never touched here. A session stands from before
its data exists until a pointer leads to it, so sessions name all the data that nothing else names.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from registry_runtime.repository.collection.walk import pages
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict

if TYPE_CHECKING:
    from datetime import datetime

    from registry_runtime.contract.config import Limits
    from registry_runtime.repository.blobs import Blobs
    from registry_runtime.repository.sessions import Held, Session, Sessions
    from registry_runtime.storage.base import Storage, Unfinished
    from registry_runtime.storage.records import Records

MARGIN = timedelta(hours=1)  # by which clocks may differ, or a commit that began in time may last


class StaleUploads:
    """Ends sessions and frees what they hold; `life` is how long an upload may last."""

    def __init__(
        self, storage: Storage, records: Records, sessions: Sessions, blobs: Blobs, limits: Limits
    ) -> None:
        self._storage = storage
        self._records = records
        self._sessions = sessions
        self._blobs = blobs
        self.life = timedelta(seconds=limits.upload_seconds) + MARGIN

    async def discard(self, held: Held) -> None:
        """Ends a session that becomes no blob; where another request is faster, that one decides."""
        session = held.session
        with suppress(Conflict):
            await self._sessions.fail(held)
            if session.commits and await self._storage.size(session.key) is not None:
                return  # a commit that still runs may use it; when none can run any more, it is collected
            await self._free(session)

    async def drop_data(self, held: Held) -> None:
        """Ends a session whose blob was there already, with other data."""
        with suppress(Conflict):
            await self._sessions.fail(held)
            await self._records.delete([held.session.key])
            await self._sessions.drop(held.session.uuid)  # last: nothing else names the data

    async def run(self, now: datetime, *, preview: bool = False) -> int:
        """Removes sessions, multiparts, data and files that are out of time; how many.

        `now` is by the storage's clock. A preview tells how many sessions and multiparts may go.
        """
        before = now - self.life
        sessions = await self._old_sessions(before)
        if preview:
            parts = [_upload(one) for one in await self._multiparts(before)]
            return len({*sessions, *parts})
        removed = await self._storage.sweep(before) + await self._probes(before)
        for uuid in sessions:
            removed += await self._session(uuid, before)
        for unfinished in await self._multiparts(before):
            removed += await self._multipart(unfinished)
        return removed

    async def _multiparts(self, before: datetime) -> list[Unfinished]:
        return [one for one in await self._storage.unfinished(paths.DATA) if one.started < before]

    async def _probes(self, before: datetime) -> int:
        listing = await self._records.list(paths.PROBES)
        stale = [entry.key for entry in listing.entries if entry.modified < before]
        await self._records.delete(stale)
        return len(stale)

    async def _old_sessions(self, before: datetime) -> list[str]:
        return [
            entry.key.removeprefix(paths.UPLOADS)
            async for entries in pages(self._storage, paths.UPLOADS)
            for entry in entries
            if entry.modified < before
        ]

    async def _session(self, uuid: str, before: datetime) -> int:
        held = await self._sessions.abandoned(uuid, before)
        if held is None:
            return 0
        session = held.session
        try:
            await self._sessions.fail(held)
        except Conflict:
            return 0  # somebody goes on with it
        if session.commits and not await self._blobs.names(session.commits, session.data):
            await self._records.delete([session.key])
        await self._free(session)
        return 1

    async def _multipart(self, unfinished: Unfinished) -> int:
        """One that no session knows, because its writer was killed before it could say so."""
        held = await self._sessions.find(_upload(unfinished), stale=True)
        if held and held.session.multipart == unfinished.multipart.id:
            return 0
        await self._storage.abort(unfinished.multipart)
        return 1

    async def _free(self, session: Session) -> None:
        """The session goes last, so that what is interrupted here is found again."""
        if session.stored:
            await self._storage.abort(session.stored)
        await self._sessions.drop(session.uuid)


def _upload(unfinished: Unfinished) -> str:
    return paths.upload_of(unfinished.multipart.key.removeprefix(paths.DATA))

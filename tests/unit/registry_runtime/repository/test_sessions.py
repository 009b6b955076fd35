"""Sessions: what travels from one replica to the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.config import Limits
from registry_runtime.errors import BlobUploadUnknown
from registry_runtime.repository.sessions import Session, Sessions
from registry_runtime.storage.base import Conflict, Part
from registry_runtime.storage.records import Records

if TYPE_CHECKING:
    from registry_runtime.storage.directory import Directory

NAME = RepositoryName("team/app")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def test_all_of_a_session_travels(storage: Directory) -> None:
    """Every field comes back at another replica; and who comes late loses."""
    sessions = Sessions(Records(storage), Limits(), lambda: NOW)
    held = sessions.fresh(NAME, "me")
    full = Session(
        uuid=held.session.uuid,
        data=held.session.data,
        repository=NAME,
        by="me",
        received=30,
        tail=b"tail\n\x00",
        multipart="id",
        parts=(Part(1, 20, "etag"), Part(33, 5, "other")),
        next_part=65,
        digest=Digest.of(b"x"),
        commits=Digest.of(b"y", "sha512"),
    )
    saved = await sessions.save(full, held.version)
    loaded = await Sessions(Records(storage), Limits(), lambda: NOW).load(NAME, full.uuid)
    assert loaded == saved
    with pytest.raises(Conflict):
        await sessions.save(full, held.version)


async def test_no_two_writers_write_the_same_bytes(storage: Directory) -> None:
    """The same state at the same time: a storage that compares bytes still knows whose they are."""
    sessions = Sessions(Records(storage), Limits(), lambda: NOW)
    held = sessions.fresh(NAME, "me")
    versions = {held.version}
    for _ in range(3):
        held = await sessions.save(held.session, held.version)
        versions.add(held.version)
    assert len(versions) == 4


async def test_a_session_has_its_time(storage: Directory) -> None:
    """Idle for longer, it is unknown; each write gives it the whole time again."""
    now = NOW
    sessions = Sessions(Records(storage), Limits(upload_seconds=3600), lambda: now)
    held = sessions.fresh(NAME, "me")
    now += timedelta(minutes=59)
    held = await sessions.save(held.session, held.version)
    now += timedelta(minutes=59)
    await sessions.load(NAME, held.session.uuid)
    now += timedelta(minutes=2)
    with pytest.raises(BlobUploadUnknown):
        await sessions.load(NAME, held.session.uuid)
    assert await sessions.find(held.session.uuid, stale=True) == held

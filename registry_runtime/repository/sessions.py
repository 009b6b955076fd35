"""Upload sessions: one object each, so that the next request may come to any replica.

The object holds the state as JSON and the tail of what was received, which is too short for a part: one
conditional write moves both. A session that nobody touched for its time is gone. Before its first byte an
upload has no object, and says so by its id: it is `<uuid>.new` until the answer to a write names it `<uuid>`.
"""

from __future__ import annotations

import os
import re
import secrets
import uuid as uuids
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.encryption.frames import KEY as DATA_KEY
from registry_runtime.encryption.frames import form_of
from registry_runtime.errors import BlobUploadUnknown
from registry_runtime.repository.pointers import decoded_key, encoded_key
from registry_runtime.repository.values import Upload
from registry_runtime.storage import paths
from registry_runtime.storage.base import Multipart, Part
from registry_runtime.storage.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.contract.config import Limits
    from registry_runtime.encryption.frames import Form
    from registry_runtime.storage.records import Records, Version, Versioned

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NEW = ".new"
_NONCE = 8  # bytes


@dataclass(frozen=True, slots=True)
class Session:
    """An upload: `received` bytes, of which `tail` are not in a part.

    `next_part` is the lowest number that no writer has taken yet. `digest` is that of all that
    was received, where the last writer knew it. `commits` is what a commit is making it, from before its
    data is there: nobody makes it anything else. A session that `failed` is
    about to go, no request finds it. `data_key` encrypts its data, where that is encrypted. `data` names that
    data; it is not the uuid alone, which a client may use again.
    """

    uuid: str
    data: str
    repository: RepositoryName
    by: str
    received: int = 0
    tail: Buffer = b""
    multipart: str | None = None
    parts: tuple[Part, ...] = ()
    next_part: int = 1
    digest: Digest | None = None
    commits: Digest | None = None
    failed: bool = False
    data_key: bytes | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """Where its data will be."""
        return paths.data(self.data)

    @property
    def stored(self) -> Multipart | None:
        return Multipart(self.key, self.multipart) if self.multipart else None

    @property
    def form(self) -> Form:
        """How its data lies there."""
        return form_of(self.uuid, self.data_key)


@dataclass(frozen=True, slots=True)
class Held:
    """A session as it was read or written last; its version lets the next write through, None the first."""

    session: Session
    version: Version | None

    @property
    def upload(self) -> Upload:
        session = self.session
        if self.version is None:
            return Upload(f"{session.uuid}{_NEW}", session.repository, 0, None)
        return Upload(session.uuid, session.repository, session.received, session.by)


class Sessions:
    """Reads and writes sessions."""

    def __init__(self, records: Records, limits: Limits, clock: Callable[[], datetime]) -> None:
        self._records = records
        self._life = timedelta(seconds=limits.upload_seconds)
        self._clock = clock

    def fresh(self, name: RepositoryName, by: str, id_: str | None = None) -> Held:
        """A session that is written with its first byte. Raises BlobUploadUnknown where the id is none."""
        uuid = str(uuids.uuid4()) if id_ is None else _uuid(id_)
        key = os.urandom(DATA_KEY) if self._records.sealed else None
        return Held(Session(uuid, f"{uuid}.{secrets.token_hex(_NONCE)}", name, by, data_key=key), None)

    async def begin(self, name: RepositoryName, id_: str, by: str, content: bytes) -> Held:
        """Writes an upload's first bytes, few of them. Raises BlobUploadUnknown, Conflict if it has begun."""
        held = self.fresh(name, by, id_)
        session = replace(held.session, received=len(content), tail=content, digest=Digest.of(content))
        return await self.save(session, held.version)

    async def load(self, name: RepositoryName, id_: str, by: str = "") -> Held:
        """Raises BlobUploadUnknown, also where the session is another repository's or out of time."""
        uuid = _uuid(id_)
        seen = await self._records.read(paths.upload(uuid))
        if seen.version is None and is_new(id_):
            return self.fresh(name, by, id_)
        held = self._understood(uuid, seen)
        if held is None or held.session.repository != name:
            raise _unknown()
        return held

    async def find(self, uuid: str, *, stale: bool = False) -> Held | None:
        """The session, with `stale` even when it is out of time."""
        return self._understood(uuid, await self._records.read(paths.upload(uuid)), stale=stale)

    async def abandoned(self, uuid: str, before: datetime) -> Held | None:
        """The session, if nobody wrote it since `before`, by the storage's clock."""
        seen = await self._records.read(paths.upload(uuid))
        if seen.modified is None or seen.modified >= before:
            return None
        return self._understood(uuid, seen, stale=True)

    def _understood(self, uuid: str, seen: Versioned, *, stale: bool = False) -> Held | None:
        if seen.record is None or seen.version is None:
            return None
        touched = datetime.fromisoformat(seen.record.fields["touched"])
        session = _decode(uuid, seen.record)
        if not stale and (session.failed or self._clock() - touched > self._life):
            return None
        return Held(session, seen.version)

    async def save(self, session: Session, expected: Version | None) -> Held:
        """Raises Conflict where another writer was faster."""
        return Held(
            session, await self._records.write(paths.upload(session.uuid), self._encode(session), expected)
        )

    async def unchanged(self, held: Held) -> bool:
        """Whether no writer came after this one."""
        return (await self._records.read(paths.upload(held.session.uuid))).version == held.version

    async def fail(self, held: Held) -> None:
        """Keeps every writer from it, for it is about to go. Raises Conflict where one was faster."""
        await self.save(replace(held.session, failed=True), held.version)

    async def drop(self, uuid: str) -> None:
        await self._records.delete([paths.upload(uuid)])

    def _encode(self, session: Session) -> Record:
        fields: dict[str, Any] = {
            "touched": self._clock().isoformat(),
            "data": session.data,
            "repository": session.repository.text,
            "by": session.by,
            "received": session.received,
            "multipart": session.multipart,
            "parts": [[part.number, part.size, part.etag] for part in session.parts],
            "next": session.next_part,
            "digest": str(session.digest) if session.digest else None,
            "commits": str(session.commits) if session.commits else None,
            "failed": session.failed,
            **encoded_key(session.data_key),
        }
        return Record(fields, session.tail)


def _decode(uuid: str, record: Record) -> Session:
    fields = record.fields
    return Session(
        uuid=uuid,
        data=fields["data"],
        repository=RepositoryName(fields["repository"]),
        by=fields["by"],
        received=fields["received"],
        tail=record.payload,
        multipart=fields["multipart"],
        parts=tuple(Part(number, size, etag) for number, size, etag in fields["parts"]),
        next_part=fields["next"],
        digest=Digest.parse(fields["digest"]) if fields["digest"] else None,
        commits=Digest.parse(fields["commits"]) if fields["commits"] else None,
        failed=fields["failed"],
        data_key=decoded_key(fields),
    )


def is_new(id_: str) -> bool:
    """Whether it may be the id of an upload without an object."""
    return id_.endswith(_NEW)


def new_id() -> str:
    return f"{uuids.uuid4()}{_NEW}"


def _uuid(id_: str) -> str:
    uuid = id_.removesuffix(_NEW)
    if not _UUID.fullmatch(uuid):
        raise _unknown()
    return uuid


def _unknown() -> BlobUploadUnknown:
    return BlobUploadUnknown("there is no such upload: it is done, cancelled or out of time; begin anew")

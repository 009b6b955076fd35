"""Uploads: a blob comes in one request or in many, each through any replica.

The data is written once, under a key of its own; a commit only makes a pointer lead to it. Few bytes go into
the pointer itself, and an upload of them in one request leaves nothing else behind. A request that is cut off
keeps what came: the client asks for the state and goes on. Of two requests that write to one upload at once,
one goes through, and the other gets RangeNotSatisfiable.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from registry_runtime.content.descriptor import Descriptor
from registry_runtime.content.digest import Digest
from registry_runtime.errors import (
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    RangeNotSatisfiable,
    SizeInvalid,
)
from registry_runtime.repository.blobs import MEDIA_TYPE
from registry_runtime.repository.bodies import begun
from registry_runtime.repository.collection.stale import StaleUploads
from registry_runtime.repository.hashing import RunningHash, RunningHashes, hash_all
from registry_runtime.repository.intake import PART, Intake, Interrupted
from registry_runtime.repository.memory import Loan, Memory
from registry_runtime.repository.pointers import Pointer
from registry_runtime.repository.sessions import Held, Sessions, is_new, new_id
from registry_runtime.repository.values import Upload
from registry_runtime.storage.base import SMALL, Conflict, Missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.content.name import RepositoryName
    from registry_runtime.contract.config import Limits
    from registry_runtime.repository.blobs import Blobs
    from registry_runtime.storage.base import Storage
    from registry_runtime.storage.records import Records

_USUAL = "sha256"  # what a client that streams before it names the digest most likely means


# Bytes that all uploads of a process may hold: parts, and tails of sessions for as long as a request lasts.
# Tails are taken first, so whoever has a part waits for nobody but its client and the storage.
PARTS_MEMORY = 192 * 1024 * 1024
TAILS_MEMORY = 64 * 1024 * 1024


class Uploads:
    """Begins, feeds, commits and cancels uploads."""

    def __init__(
        self,
        storage: Storage,
        records: Records,
        blobs: Blobs,
        limits: Limits,
        clock: Callable[[], datetime],
    ) -> None:
        self._storage = storage
        self._blobs = blobs
        self._inline = limits.inline_bytes
        self._sessions = Sessions(records, limits, clock)
        self._hashes = RunningHashes()
        self._parts = Memory(PARTS_MEMORY)
        self._tails = Memory(TAILS_MEMORY)
        self.stale = StaleUploads(storage, records, self._sessions, blobs, limits)

    def start(self, name: RepositoryName) -> Upload:
        """An empty upload, of which the storage knows nothing yet."""
        return Upload(new_id(), name, 0, None)

    async def status(self, name: RepositoryName, id_: str) -> Upload:
        """Raises BlobUploadUnknown."""
        async with self._tails.lend(SMALL, name.namespace):
            return (await self._sessions.load(name, id_)).upload

    async def append(
        self,
        name: RepositoryName,
        id_: str,
        body: AsyncIterator[Buffer],
        by: str = "",
        *,
        start: int | None = None,
        length: int | None = None,
    ) -> Upload:
        """Adds a body of `length` bytes at the offset `start`, each where the client said it.

        `by` says who sends it; the first one's is kept with the upload. Raises BlobUploadUnknown,
        RangeNotSatisfiable where `start` is not what was received, SizeInvalid, and what the body raises,
        after keeping what came.
        """
        few, body = await self._few(id_, body, start, length)
        if few is not None:
            with suppress(Conflict):  # it has begun already
                return (await self._sessions.begin(name, id_, by, few)).upload
        async with self._loaded(name, id_, by) as (held, loan):
            if held.session.commits:
                raise BlobUploadInvalid("the upload is being committed; begin another")
            intake = await self._intake(held, start, _USUAL, loan)
            try:
                await self._take(intake, body, length)
                return await self._save(intake)
            except (Conflict, Missing):
                raise await self._overtaken(held) from None
            finally:
                await intake.close()

    async def commit(
        self,
        name: RepositoryName,
        id_: str,
        digest: Digest,
        body: AsyncIterator[Buffer] | None = None,
        by: str = "",
        *,
        start: int | None = None,
        length: int | None = None,
    ) -> Descriptor:
        """Makes the upload a blob of the repository; `body` is the last of its bytes.

        Once more, it answers the same. Raises as `append`, and DigestInvalid, with the upload gone.
        """
        if body is not None:
            few, body = await self._few(id_, body, start, length)
            if few is not None and Digest.of(few, digest.algorithm) == digest:
                return await self._publish(name, digest, few, by)
        try:
            return await self._finish(name, id_, digest, body, by, start=start, length=length)
        except (BlobUploadUnknown, DigestInvalid) as error:
            # It was committed, and the answer was lost? What is done has no object any more.
            ended = isinstance(error, BlobUploadUnknown) or (body is None and is_new(id_))
            if ended and await self._blobs.has(name, digest):
                return await self._blobs.stat(name, digest)
            raise

    async def _finish(
        self,
        name: RepositoryName,
        id_: str,
        digest: Digest,
        body: AsyncIterator[Buffer] | None,
        by: str,
        *,
        start: int | None,
        length: int | None,
    ) -> Descriptor:
        async with self._loaded(name, id_, by) as (held, loan):
            if held.session.commits not in {None, digest}:
                raise BlobUploadInvalid("the upload is being committed under another digest; begin another")
            intake = await self._intake(held, start, digest.algorithm, loan)
            try:
                if body is not None:
                    await self._take(intake, body, length)
                return await self._commit(intake, digest)
            except (Conflict, Missing):
                raise await self._overtaken(held) from None
            finally:
                await intake.close()

    async def push(
        self, name: RepositoryName, digest: Digest, body: AsyncIterator[Buffer], by: str
    ) -> Descriptor:
        """A blob in one request. Raises DigestInvalid and what the body raises, and leaves nothing then."""
        few, body = await begun(body, self._inline)
        if few is not None:
            if Digest.of(few, digest.algorithm) != digest:
                raise _wrong(digest)
            return await self._publish(name, digest, few, by)
        async with self._parts.lend(PART, name.namespace) as loan:
            held = self._sessions.fresh(name, by)
            intake = await self._intake(held, None, digest.algorithm, loan)
            try:
                await intake.take(body, None)
                return await self._commit(intake, digest)
            except Interrupted as cut:
                await self._discard(intake)
                raise cut.cause from None
            except SizeInvalid:
                await self._discard(intake)
                raise
            finally:
                await intake.close()

    async def cancel(self, name: RepositoryName, id_: str) -> None:
        """Raises BlobUploadUnknown."""
        held = await self._sessions.load(name, id_)
        if held.version is None:
            with suppress(Conflict):  # else its first bytes came meanwhile
                await self._sessions.fail(held)  # so that nobody takes it for one that is still to begin
                return
            held = await self._sessions.load(name, id_)
        self._hashes.forget(held.session.uuid)
        await self.stale.discard(held)

    async def _few(
        self, id_: str, body: AsyncIterator[Buffer], start: int | None, length: int | None
    ) -> tuple[bytes | None, AsyncIterator[Buffer]]:
        """All of a body that may be a whole small blob, None of any other; and the same body once more."""
        if not is_new(id_) or start or (length is not None and length > self._inline):
            return None, body
        few, body = await begun(body, self._inline)
        return (few if few is not None and length in {None, len(few)} else None), body

    @asynccontextmanager
    async def _loaded(self, name: RepositoryName, id_: str, by: str) -> AsyncIterator[tuple[Held, Loan]]:
        """A session in memory, and a loan for a first part. Raises BlobUploadUnknown."""
        async with self._tails.lend(SMALL, name.namespace) as tail:
            held = await self._sessions.load(name, id_, by)
            tail.shrink(len(held.session.tail))
            async with self._parts.lend(PART, name.namespace) as loan:
                yield held, loan

    async def _intake(self, held: Held, start: int | None, algorithm: str, loan: Loan) -> Intake:
        session = held.session
        if start is not None and start != session.received:
            raise RangeNotSatisfiable(
                f"the next byte of this upload is {session.received}", size=session.received
            )
        running = await self._hashes.find(session.uuid, session.received, algorithm)
        if running is None and len(session.tail) == session.received:
            running = RunningHash(algorithm)
            await running.update(session.tail)
        return Intake(self._storage, self._sessions, held, running, loan)

    async def _take(self, intake: Intake, body: AsyncIterator[Buffer], length: int | None) -> None:
        try:
            await intake.take(body, length)
        except Interrupted as cut:
            await self._save(intake)
            raise cut.cause from None

    async def _save(self, intake: Intake) -> Upload:
        held = await intake.save()
        if intake.running:
            self._hashes.keep(held.session.uuid, held.session.received, intake.running)
        return held.upload

    async def _commit(self, intake: Intake, digest: Digest) -> Descriptor:
        known = await self._known(intake, digest)
        if known not in {None, digest}:
            await self._discard(intake)
            raise _wrong(digest)
        few = intake.content if intake.size <= self._inline else None
        if few is not None and known is not None:
            blob = await self._publish(intake.session.repository, digest, few, intake.session.by)
            await self._drop(intake.held)
            return blob
        size = await self._make_data(intake, digest, verified=known is not None)
        held = intake.held
        session = held.session
        new = Pointer.to(session.data, size, session.data_key)
        used = await self._blobs.publish(session.repository, digest, new, session.by)
        if used == session.data:
            await self._drop(held)
        else:
            self._hashes.forget(session.uuid)
            await self.stale.drop_data(held)
        return Descriptor(MEDIA_TYPE, digest, size)

    async def _publish(self, name: RepositoryName, digest: Digest, content: bytes, by: str) -> Descriptor:
        """A blob in its pointer."""
        await self._blobs.publish(name, digest, Pointer.inline(content), by)
        return Descriptor(MEDIA_TYPE, digest, len(content))

    async def _drop(self, held: Held) -> None:
        """The session has become a blob."""
        self._hashes.forget(held.session.uuid)
        if held.version is not None:
            await self._sessions.drop(held.session.uuid)

    async def _known(self, intake: Intake, digest: Digest) -> Digest | None:
        """The digest of all that came, where it needs no reading of what is stored."""
        if intake.running:
            return await intake.running.digest()
        stored = intake.session.digest
        return stored if stored and not intake.taken and stored.algorithm == digest.algorithm else None

    async def _make_data(self, intake: Intake, digest: Digest, *, verified: bool) -> int:
        """The size of the data, which is there and has this digest."""
        await intake.seal(digest)
        key = intake.session.key
        try:
            size = await intake.finish()
        except (Conflict, Missing):  # an earlier try of this commit got here, or is getting here
            found = await self._storage.size(key)
            if found is None:
                raise
            size, verified = intake.session.form.size(found), False
        if verified and intake.session.stored:
            # A storage may say yes to us when it was another request that made the data, of other bytes.
            verified = await self._sessions.unchanged(intake.held)
        if not verified:
            chunks = intake.session.form.read(await self._storage.open(key), None, size)
            if await hash_all(chunks, digest.algorithm) != digest:
                await self._discard(intake)
                raise _wrong(digest)
        return size

    async def _discard(self, intake: Intake) -> None:
        """Ends an upload; where another request uses it at this moment, that one decides."""
        await intake.settle()
        self._hashes.forget(intake.session.uuid)
        if intake.held.version is not None:
            await self.stale.discard(intake.held)

    async def _overtaken(self, held: Held) -> RangeNotSatisfiable | BlobUploadUnknown:
        now = await self._sessions.find(held.session.uuid)
        if now is None:
            return BlobUploadUnknown("the upload was ended by another request; begin anew")
        return RangeNotSatisfiable(
            "another request wrote to this upload at the same time; ask for its state",
            size=now.session.received,
        )


def _wrong(digest: Digest) -> DigestInvalid:
    return DigestInvalid(
        "the bytes that came have another digest; the upload is gone", {"digest": str(digest)}
    )

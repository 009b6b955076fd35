"""Intake: the bytes of one request on their way into an upload.

They are joined to blocks of 1 MiB, hashed in a thread, and cut into parts, of which two are in flight: at
most three parts are in memory, and those of all uploads within one budget. An intake takes part numbers
for itself by writing the session, so that a competitor, or a request that was given up and still runs,
never writes over its parts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from registry_runtime.encryption.frames import Clear
from registry_runtime.errors import RangeNotSatisfiable, SizeInvalid
from registry_runtime.storage.base import SMALL, Conflict, Part, Place

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.content.digest import Digest
    from registry_runtime.repository.hashing import RunningHash
    from registry_runtime.repository.memory import Loan
    from registry_runtime.repository.sessions import Held, Session, Sessions
    from registry_runtime.storage.base import Multipart, Storage

BLOCK = 1024 * 1024
PART = 8 * 1024 * 1024
LARGEST = 128 * 1024 * 1024
PARTS = 10_000
GROWTH = 1_000  # part numbers until parts are twice as long: 867 GiB in all
CLAIM = 32  # part numbers that are taken at a time
IN_FLIGHT = 2


class Interrupted(Exception):
    """The body broke off; `cause` is what its iterator raised."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def part_size(number: int) -> int:
    """Bytes of the part with this number, if it is not the last one of a request."""
    return min(PART << ((number - 1) // GROWTH), LARGEST)


class Intake:
    """Takes one body. `running` is the hash of what the session had received, None where unknown.

    `loan` is memory for the first part; for each further one the intake takes its turn, and its client waits.
    """

    def __init__(
        self,
        storage: Storage,
        sessions: Sessions,
        held: Held,
        running: RunningHash | None,
        loan: Loan,
    ) -> None:
        self._storage = storage
        self._loan = loan
        self._sessions = sessions
        self._held = held
        self._form = held.session.form
        self.running = running
        self.taken = 0
        self._blocks: list[Buffer] = [held.session.tail] if held.session.tail else []
        self._buffered = len(held.session.tail)
        self._parts = list(held.session.parts)
        self._offset = held.session.received - self._buffered  # of the first byte that is in no part
        self._number = self._fence = self._end = 0  # of the part numbers that are ours
        self._flying: deque[asyncio.Task[Part]] = deque()

    @property
    def held(self) -> Held:
        """The session as it was written last."""
        return self._held

    @property
    def session(self) -> Session:
        return self._held.session

    @property
    def size(self) -> int:
        """Bytes of all that was received and taken."""
        return self._offset + self._buffered

    @property
    def content(self) -> bytes | None:
        """All of it, while none of it is in the storage."""
        return None if self._offset or self.session.stored else b"".join(self._blocks)

    async def take(self, body: AsyncIterator[Buffer], length: int | None) -> None:
        """Raises Interrupted with all that came taken, SizeInvalid where `length` bytes are exceeded."""
        waiting: list[Buffer] = []
        size = 0
        cause: Exception | None = None
        iterator = aiter(body)
        while True:
            if not self._loan.size:
                await self._loan.take(part_size(self._number))
            try:
                chunk = await anext(iterator)
            except StopAsyncIteration:
                break
            except Exception as error:  # noqa: BLE001 - whatever the connection raises, what came is good
                cause = error
                break
            self.taken += len(chunk)
            if length is not None and self.taken > length:
                raise SizeInvalid(f"more came than the {length} bytes that were announced")
            waiting.append(chunk)
            size += len(chunk)
            if size >= BLOCK:
                await self._add(_joined(waiting))
                waiting, size = [], 0
        await self._add(_joined(waiting))
        if cause is None and length is not None and self.taken < length:
            cause = SizeInvalid(f"{self.taken} bytes came of the {length} that were announced")
        if cause:
            raise Interrupted(cause)

    async def save(self) -> Held:
        """Makes what was taken part of the session. Raises RangeNotSatisfiable where another was faster."""
        if self._buffered > SMALL:
            await self._ship()
        await self._land()
        self._blocks = [b"".join(self._blocks)]
        await self._write(
            replace(
                self.session,
                received=self.size,
                tail=self._blocks[0],
                parts=tuple(self._parts),
                digest=await self.running.digest() if self.running else None,
            )
        )
        return self._held

    async def seal(self, digest: Digest) -> None:
        """Lets nobody else write to the session, and nobody make it anything but `digest`.

        It is written also where it says so already: then it is as young as this commit, and who ends stale
        sessions leaves it alone, or was faster and this commit ends.
        """
        unclaimed = self.session.stored is not None and not self._fence
        session = replace(self.session, commits=digest)
        await self._write(self._claimed(session) if unclaimed else session)

    async def finish(self) -> int:
        """Makes the data of what was received and taken; its size. The session must be sealed.

        Raises Conflict or Missing where another request of this upload made data, or unmade it.
        """
        size = self.size
        if not self._parts and not self._flying:
            content = await self._formed(0, self._blocks)
            await self._storage.put(self.session.key, content, absent=True)
            return size
        if self._buffered:
            await self._ship(last=True)
        await self._land()
        if self.session.stored:
            await self._storage.complete(self.session.stored, self._parts, self._fence)
        return size

    async def settle(self) -> None:
        """Waits for what is in flight: a part that arrives after an abort may stay for ever."""
        await asyncio.gather(*self._flying, return_exceptions=True)

    async def close(self) -> None:
        """Ends what is still going on; what was not saved is lost."""
        for task in self._flying:
            task.cancel()
        await asyncio.gather(*self._flying, return_exceptions=True)
        if self.running:
            await self.running.settle()

    async def _add(self, block: Buffer) -> None:
        if not block:
            return
        if self.running:
            await self.running.update(block)
        self._blocks.append(block)
        self._buffered += len(block)
        if self._buffered >= self._loan.size:
            await self._ship()

    async def _ship(self, *, last: bool = False) -> None:
        """Sends what is buffered as one part, with its memory, when there is room in flight.

        What is no whole unit of the form stays, but for the last part.
        """
        if self._number == self._end:
            await self._claim()
        multipart = self.session.stored
        assert multipart
        while len(self._flying) >= IN_FLIGHT:
            self._parts.append(await self._flying.popleft())
        place = Place(self._number, self._form.stored(self._offset), self._fence)
        rest = 0 if last else self._buffered % self._form.unit
        blocks, kept = _split(self._blocks, self._buffered - rest)
        flying = asyncio.ensure_future(self._send(multipart, place, self._offset, blocks))
        self._loan.hand_over(flying)
        self._flying.append(flying)
        self._number += 1
        self._offset += self._buffered - rest
        self._blocks, self._buffered = kept, rest

    async def _send(self, multipart: Multipart, place: Place, offset: int, blocks: Sequence[Buffer]) -> Part:
        content = await self._formed(offset, blocks)
        del blocks  # encrypted, it is there twice for as short as can be
        return await self._storage.write(multipart, place, content)

    async def _formed(self, offset: int, blocks: Sequence[Buffer]) -> Sequence[Buffer]:
        """The blocks as they are stored; in a thread, where that is more than a moment's work."""
        if isinstance(self._form, Clear):
            return blocks
        return await asyncio.to_thread(self._form.write, offset, blocks)

    async def _land(self) -> None:
        while self._flying:
            self._parts.append(await self._flying.popleft())

    async def _claim(self) -> None:
        """Takes part numbers, and begins the multipart with the first of them."""
        session = self.session
        claimed = self._claimed(session)
        multipart = session.stored or await self._storage.begin(session.key)
        try:
            await self._write(replace(claimed, multipart=multipart.id))
        except RangeNotSatisfiable:
            if session.stored is None:
                await self._storage.abort(multipart)
            raise

    def _claimed(self, session: Session) -> Session:
        first, end = session.next_part, session.next_part + CLAIM
        if end > PARTS + 1:
            raise SizeInvalid("the upload has more parts than the storage allows; begin anew")
        self._number, self._end = first, end
        self._fence = self._fence or first
        return replace(session, next_part=end)

    async def _write(self, session: Session) -> None:
        try:
            self._held = await self._sessions.save(session, self._held.version)
        except Conflict:
            now = await self._sessions.find(session.uuid)
            raise RangeNotSatisfiable(
                "another request wrote to this upload at the same time; ask for its state",
                size=now.session.received if now else None,
            ) from None


def _split(blocks: list[Buffer], length: int) -> tuple[list[Buffer], list[Buffer]]:
    """The first `length` bytes, and the rest."""
    taken: list[Buffer] = list(blocks)
    rest: deque[Buffer] = deque()
    spare = sum(map(len, blocks)) - length
    while spare:
        end = memoryview(taken.pop())
        cut = max(len(end) - spare, 0)
        if cut:
            taken.append(end[:cut])
        rest.appendleft(bytes(end[cut:]))
        spare -= len(end) - cut
    return taken, list(rest)


def _joined(pieces: Sequence[Buffer]) -> Buffer:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)

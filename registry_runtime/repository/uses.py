"""Uses of AccessTokens: how often one may push, counted in the storage, for all replicas.

A use is one record, and each step of it a conditional write over what was read: of several pushes exactly one
goes on. A push claims a use before its manifest appears. The tag that it writes then says which claim it is
of, and names nothing until the record of the use says the same: whoever meets such a tag asks here, and ends
the claim that it finds. So who was given up leaves no second tag, however late its write arrives.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.errors import Denied, StorageUnavailable
from registry_runtime.repository.parallel import each
from registry_runtime.repository.use import Image, Phase, Refusal, Use, chosen
from registry_runtime.storage import paths
from registry_runtime.storage.base import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from datetime import datetime

    from registry_runtime.contract import policy
    from registry_runtime.storage.records import Record, Records, Version

_ATTEMPTS = 50
_REMEMBERED = 8192  # uses that are done
_KNOWN = 65536  # tokens
_MARK = "use"  # the field of a tag's record

Mark = list[str | int]  # of which claim a tag is: the token, the number of the use, and the claim's name


@dataclass(frozen=True, slots=True)
class Allowance:
    """An AccessToken, by its id, that may push so often."""

    token: str
    uses: policy.Uses


@dataclass(frozen=True, slots=True)
class Held:
    """A use that a push goes on with; `claim` is "" for a child, whose image comes later."""

    token: str
    number: int
    claim: str
    image: Image

    @property
    def mark(self) -> Mark:
        """As it stands in the record of the tag."""
        return [self.token, self.number, self.claim]

    def is_of(self, use: Use) -> bool:
        """Whether the use is, or is becoming, this image; or has it as a child."""
        if self.claim:
            claimed = use.phase in {Phase.CLAIMED, Phase.DONE}
            return claimed and use.claim == self.claim and use.image == self.image
        there = use.image is not None and use.image.repository == self.image.repository
        return there and use.has(self.image.digest)


@dataclass(frozen=True, slots=True)
class _Slot:
    """`use` is what the record says, or what has become of that by now."""

    number: int
    use: Use
    version: Version | None


class Uses:
    """The uses of all tokens; `clock` tells the time in UTC."""

    def __init__(self, records: Records, clock: Callable[[], datetime]) -> None:
        self._records = records
        self._clock = clock
        self._done: OrderedDict[str, dict[int, Use]] = OrderedDict()  # by token: they never change again
        self._remembered = 0
        self._taken: OrderedDict[str, set[int]] = OrderedDict()

    def known(self) -> Mapping[str, int]:
        """How many uses of a token, by its id, were taken when this replica last looked; it asks nobody.

        The number never falls: of several replicas the highest is right. Tokens without uses are not in it.
        """
        return {token: len(numbers) for token, numbers in self._taken.items()}

    async def require(self, allowance: Allowance, name: RepositoryName) -> None:
        """Whether a blob of this repository may still become part of an image. Raises Denied."""
        bind(allowance, name)
        slots = await self._slots(allowance)
        if not any(slot.use.welcomes(name.text) for slot in slots):
            raise _refused(slots)

    async def take(self, allowance: Allowance, image: Image) -> Held:
        """Opens, goes on with or claims a use for this image. Raises Denied where there is none."""
        for _ in range(_ATTEMPTS):
            slots = [await self._resolved(allowance.token, slot) for slot in await self._slots(allowance)]
            place = chosen([slot.use for slot in slots], image)
            if place is None:
                raise _refused(slots)
            slot = slots[place]
            use = slot.use.serve(image, self._clock(), secrets.token_hex(8))
            if use == slot.use or await self._write(allowance.token, slot, use):
                return Held(allowance.token, slot.number, use.claim, image)
        raise _contended(allowance.token)

    async def keep(self, held: Held, write: str = "") -> Use | None:
        """The image is there: the use is done, or its child is kept. None where it is another's by now.

        `write` is the change that wrote a child where nothing was.
        """
        for _ in range(_ATTEMPTS):
            slot = await self._slot(held.token, held.number)
            if slot is None or not held.is_of(slot.use):
                return None
            if slot.use.phase is Phase.DONE:
                return slot.use
            use = slot.use.done() if held.claim else slot.use.keep(held.image.digest, write)
            if use == slot.use or await self._write(held.token, slot, use):
                return use
        raise _contended(held.token)

    async def let_go(self, use: Use, named: Container[str] = ()) -> None:
        """What was pushed for an image that is done, and is not `named` there, is for a collection to take.

        That keeps it where something else names it, or where somebody has pushed it since.
        """
        assert use.image is not None
        loose = paths.loose(RepositoryName(use.image.repository))
        for child in use.children:
            if child.write and child.digest not in named and child.digest != use.image.digest:
                component = self._records.tree.component(Digest.parse(child.digest))
                await self._records.note(loose + component, of=child.write)

    async def give_up(self, held: Held) -> bool:
        """The push was refused, and takes no use. False where somebody has ended it meanwhile."""
        for _ in range(_ATTEMPTS):
            slot = await self._slot(held.token, held.number)
            if slot is None or not held.is_of(slot.use):
                return True
            if slot.use.phase is Phase.DONE:
                return False
            use = slot.use.given_up() if held.claim else slot.use.without(held.image.digest)
            if use == slot.use or await self._write(held.token, slot, use):
                return True
        raise _contended(held.token)

    async def counts(self, name: RepositoryName, tag: Tag, record: Record) -> bool:
        """Whether what the record of a tag says is so; a push that has come so far is ended here.

        What does not count never will again.
        """
        if _MARK not in record.fields:
            return True
        token, number, claim = record.fields[_MARK]
        held = Held(token, number, claim, Image(name.text, tag.text, str(named(record))))
        done = self._done.get(token, {}).get(number)
        return held.is_of(done) if done is not None else await self.keep(held) is not None

    async def _slots(self, allowance: Allowance) -> list[_Slot]:
        """The uses of the token up to the first that nobody ever had; those that are over are settled."""
        token, limit = allowance.token, allowance.uses.limit
        slots: list[_Slot] = []
        width = 1
        while len(slots) < limit:
            numbers = range(len(slots) + 1, min(len(slots) + width, limit) + 1)
            found = await each(lambda number: self._settled(token, number), numbers, self._records.width)
            there = [slot for slot in found if slot is not None]
            slots += there
            if len(there) < len(found):
                slots.append(_Slot(len(slots) + 1, Use.free(self._clock()), None))
                break
            width = min(2 * width, 16)
        return slots

    async def _settled(self, token: str, number: int) -> _Slot | None:
        """A use as it is by now; what time alone has ended is written down, and is so for everybody."""
        done = self._done.get(token, {}).get(number)
        if done is not None:
            return _Slot(number, done, None)
        while True:
            slot = await self._slot(token, number)
            if slot is None:
                return None
            aged = slot.use.aged(self._clock())
            if aged.phase is not Phase.DONE or slot.use.phase is Phase.DONE:
                return replace(slot, use=aged)
            if await self._write(token, slot, aged):
                await self.let_go(aged)
                return replace(slot, use=aged)

    async def _resolved(self, token: str, slot: _Slot) -> _Slot:
        """A claim whose time is over is done where its tag is there, else it is given up."""
        image, now = slot.use.image, self._clock()
        if image is None or not slot.use.lapsed(now):
            return slot
        held = Held(token, slot.number, slot.use.claim, image)
        if not await self._is_tagged(held):
            return replace(slot, use=slot.use.given_up().aged(now))
        await self.keep(held)
        return await self._slot(token, slot.number) or slot

    async def _is_tagged(self, held: Held) -> bool:
        """Whether the tag is there that was claimed, by this claim."""
        if held.image.tag is None:
            return False
        key = paths.tag(RepositoryName(held.image.repository), Tag(held.image.tag))
        tag = await self._records.get(key)
        return tag is not None and tag.fields.get(_MARK) == held.mark

    async def _slot(self, token: str, number: int) -> _Slot | None:
        seen = await self._records.read(paths.use(token, number))
        if seen.record is None:
            return None
        slot = _Slot(number, Use.decode(seen.record), seen.version)
        self._learn(token, number, slot.use)
        return slot

    async def _write(self, token: str, slot: _Slot, use: Use) -> bool:
        """Whether nobody was faster."""
        try:
            await self._records.write(paths.use(token, slot.number), use.encode(), slot.version)
        except Conflict:
            return False
        self._learn(token, slot.number, use)
        return True

    def _learn(self, token: str, number: int, use: Use) -> None:
        if use.is_taken:
            self._taken.setdefault(token, set()).add(number)
            self._taken.move_to_end(token)
            if len(self._taken) > _KNOWN:
                self._taken.popitem(last=False)
        if use.phase is not Phase.DONE:
            return
        uses = self._done.setdefault(token, {})
        self._done.move_to_end(token)
        self._remembered += number not in uses
        uses[number] = replace(use, children=())
        while self._remembered > _REMEMBERED:
            self._remembered -= len(self._done.popitem(last=False)[1])


def bind(allowance: Allowance, name: RepositoryName, tags: Sequence[Tag] = ()) -> None:
    """Whether uses of the token may go there. Raises Denied."""
    uses = allowance.uses
    if uses.repository is not None and uses.repository != name.text:
        raise Denied(f"the AccessToken pushes to {uses.repository} only", reason=Refusal.BOUND)
    if uses.tag is not None and any(tag.text != uses.tag for tag in tags):
        raise Denied(f"the AccessToken pushes the tag {uses.tag} only", reason=Refusal.BOUND)


def marked(record: Record, mark: Mark) -> Record:
    """The record of a tag, which counts when its claim does."""
    return replace(record, fields={**record.fields, _MARK: mark})


def named(record: Record) -> Digest:
    """The digest that the record of a tag names, whether or not it counts."""
    return Digest.parse(record.fields["target"]["digest"])


def _refused(slots: list[_Slot]) -> Denied:
    if all(slot.use.phase is Phase.DONE for slot in slots):
        return Denied("the AccessToken has no use left", reason=Refusal.SPENT)
    return Denied(
        "another push has taken the AccessToken's last use; if it fails, the use is free again after minutes",
        reason=Refusal.TAKEN,
    )


def _contended(token: str) -> StorageUnavailable:
    return StorageUnavailable(f"too many pushes of the AccessToken {token} at once; try again")

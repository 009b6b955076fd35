"""One use of an AccessToken, as its record says it: which image it is, and how far the push of it came.

    free     a digest: open; a tag, or a signature of what was there before: claimed
    open     the tag: claimed; an hour without another digest: done; no digest was kept for minutes: free
    claimed  the tag is there: done; refused, or not heard of for minutes: open, or free without children
    done     for ever

Open, it belongs to one repository: what is pushed there by digest are its children. Without a tag the last of
them is the image. Who claimed and never came back is forgotten after minutes, unless its tag is there.
No clock of a replica decides which push wins, that is the record's next write; clocks say only when to give
somebody up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from registry_runtime.storage.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

WINDOW = timedelta(hours=1)  # between two digests of one image, and until its tag
LAPSE = timedelta(minutes=5)  # of a push that was begun, and not ended
MOST_CHILDREN = 100


class Refusal(StrEnum):
    """Why a push of a token with uses is refused; the word goes to the log."""

    SPENT = "UsesSpent"
    TAKEN = "UsesTaken"  # by a push that is not over
    BOUND = "UsesBound"  # to another repository or tag, or to fewer bytes
    TAG_NOT_NEW = "TagNotNew"


class Phase(StrEnum):
    FREE = "free"
    OPEN = "open"
    CLAIMED = "claimed"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Image:
    """What one use is for; `tag` is None where none is given.

    `about` is its subject, where that was in the repository before: a signature of what is there already is
    an image of its own, and not a part of one that comes.
    """

    repository: str
    tag: str | None
    digest: str
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Child:
    """What was pushed for an image; `write` is the change that wrote it, "" where it was there before."""

    digest: str
    write: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """`at` is when its last step was made, by the clock of who made it.

    `image` is None where it is free; open, it is that of the last digest. `children` are what was pushed for
    it; `kept`: one of them was acknowledged. `claim` names who claimed it, once and for all.
    """

    phase: Phase
    at: datetime
    image: Image | None = None
    children: tuple[Child, ...] = ()
    kept: bool = False
    claim: str = ""

    @classmethod
    def free(cls, at: datetime) -> Self:
        return cls(Phase.FREE, at)

    @property
    def is_taken(self) -> bool:
        """Whether it counts, however the push goes on."""
        return self.phase is Phase.DONE or self.kept

    def lapsed(self, now: datetime) -> bool:
        """Whether whoever claimed it has had its time; its tag may be there all the same."""
        return self.phase is Phase.CLAIMED and now >= self.at + LAPSE

    def aged(self, now: datetime) -> Use:
        """What it is by now, if it is open."""
        if self.phase is not Phase.OPEN:
            return self
        if self.kept:
            return self.done() if now >= self.at + WINDOW else self
        return Use.free(self.at) if now >= self.at + LAPSE else self

    def given_up(self) -> Use:
        """A claim that nobody ends: the children wait for another."""
        if not self.kept or self.image is None:
            return Use.free(self.at)
        last = replace(self.image, tag=None, digest=self.children[-1].digest)
        return replace(self, phase=Phase.OPEN, image=last, claim="")

    def done(self) -> Use:
        return replace(self, phase=Phase.DONE)

    def serves(self, image: Image) -> bool:
        """Whether a push of this image may go on with it."""
        if self.image is None:
            return True
        if self.phase is Phase.CLAIMED:
            return self.image == image  # the same push, once more
        if self.phase is not Phase.OPEN or self.image.repository != image.repository:
            return False
        if image.about is not None:
            return self.has(image.about) and len(self.children) < MOST_CHILDREN
        return image.tag is not None or self.has(image.digest) or len(self.children) < MOST_CHILDREN

    def has(self, digest: str) -> bool:
        """Whether it is one of the children."""
        return any(child.digest == digest for child in self.children)

    def welcomes(self, repository: str) -> bool:
        """Whether a blob of this repository may still become part of its image."""
        if self.phase is Phase.OPEN:
            return self.image is None or self.image.repository == repository
        return self.phase is not Phase.DONE  # a claim may fail

    def serve(self, image: Image, now: datetime, claim: str) -> Use:
        """With this image: opened, gone on with, or claimed under this name."""
        if self.phase is Phase.CLAIMED:
            return self
        if image.tag is not None or (image.about is not None and self.phase is Phase.FREE):
            return replace(self, phase=Phase.CLAIMED, at=now, image=image, claim=claim)
        children = (*self._others(image.digest), Child(image.digest))
        return replace(self, phase=Phase.OPEN, at=now, image=image, children=children)

    def keep(self, digest: str, write: str) -> Use:
        """This child is there, and acknowledged."""
        if not write and self.kept:
            return self
        children = (Child(digest, write) if child.digest == digest else child for child in self.children)
        return replace(self, children=tuple(children) if write else self.children, kept=True)

    def without(self, digest: str) -> Use:
        """The push of a child was refused; where nothing was kept yet it leaves nothing."""
        children = self._others(digest)
        if self.kept or self.phase is not Phase.OPEN or self.image is None or children == self.children:
            return self
        if not children:
            return Use.free(self.at)
        return replace(self, image=replace(self.image, digest=children[-1].digest), children=children)

    def _others(self, digest: str) -> tuple[Child, ...]:
        return tuple(child for child in self.children if child.digest != digest)

    def encode(self) -> Record:
        image = self.image
        return Record(
            {
                "state": self.phase.value,
                "at": self.at.isoformat(),
                "image": asdict(image) if image else None,
                "children": [[child.digest, child.write] for child in self.children],
                "kept": self.kept,
                "claim": self.claim,
            }
        )

    @classmethod
    def decode(cls, record: Record) -> Self:
        fields = record.fields
        return cls(
            Phase(fields["state"]),
            datetime.fromisoformat(fields["at"]),
            Image(**fields["image"]) if fields["image"] else None,
            tuple(Child(*child) for child in fields["children"]),
            fields["kept"],
            fields["claim"],
        )


def chosen(uses: Iterable[Use], image: Image) -> int | None:
    """Which of a token's uses a push of this image goes on with: its own, an open one, else a free one."""
    fitting = [(_ORDER[use.phase], place) for place, use in enumerate(uses) if use.serves(image)]
    return min(fitting)[1] if fitting else None


_ORDER = {Phase.CLAIMED: 0, Phase.OPEN: 1, Phase.FREE: 2, Phase.DONE: 3}

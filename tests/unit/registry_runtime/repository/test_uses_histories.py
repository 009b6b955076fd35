"""Histories of many pushes with one token, on a weak bucket: never more images than uses, whoever dies when.

Whose call to the storage is next, and what becomes of it, is chosen from a seed. Requests are lost, or done
without an answer, or arrive when nobody waits for them; replicas die, and have clocks that are hours off.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE, OCI_INDEX
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract import policy
from registry_runtime.errors import Denied, ManifestUnknown, StorageUnavailable
from registry_runtime.repository import Allowance, Registry
from registry_runtime.repository import uses as ledger
from registry_runtime.repository.use import Phase, Use
from registry_runtime.storage import paths
from registry_runtime.storage.records import Record
from tests.images import MIXED, image, index, push_blobs
from tests.simulation.bucket import Bucket, Connection
from tests.simulation.scheduler import Actor, AtOnce, Fate, Killed, Scheduler

if TYPE_CHECKING:
    import asyncio

Result = TypeVar("Result")

NAMES = [RepositoryName("team/app"), RepositoryName("team/other")]
TAGS = [Tag("v1"), Tag("v2")]
IMAGES = [image(annotations={"n": str(number)}) for number in range(3)]
TOKEN = "t" * 16
REPLICAS, PUSHES, STEPS = 3, 8, 800
DAY = timedelta(days=1)


class Replica:
    """A process; `skew` is how wrong its clock is."""

    def __init__(self, bucket: Bucket, scheduler: Scheduler | AtOnce, skew: timedelta) -> None:
        self.storage = Connection(bucket, scheduler, self)
        self.registry = Registry(self.storage, MIXED, lambda: bucket.now + skew, "owner")


class Story:
    """One history; `limit` is how many uses the token has."""

    def __init__(self, seed: int, limit: int) -> None:
        self.random = random.Random(seed)
        self.scheduler = Scheduler()
        self.scheduler.loop.set_exception_handler(lambda _loop, _context: None)  # the killed are many
        self.bucket = Bucket(erases=False)
        self.allowance = Allowance(TOKEN, policy.Uses(limit=limit))
        self.running: list[asyncio.Task[None]] = []
        self.tagged: dict[tuple[RepositoryName, Tag], Digest] = {}  # as was acknowledged
        self.refused = 0
        for name in NAMES:
            self.at_once(push_blobs(self.calm(), name, b"{}"))
        self.replicas = [self.born() for _ in range(REPLICAS)]

    def calm(self) -> Registry:
        """A replica that nothing happens to."""
        return Replica(self.bucket, AtOnce(), timedelta(0)).registry

    def born(self) -> Replica:
        return Replica(self.bucket, self.scheduler, timedelta(hours=self.random.randrange(5) - 2))

    def at_once(self, work: Coroutine[Any, Any, Result]) -> Result:
        """While all others wait."""
        return self.scheduler.loop.run_until_complete(work)

    # what clients do

    async def push(self, name: RepositoryName, tag: Tag | None, content: bytes) -> None:
        """One push of an image, or of an index behind its children; what fails is tried again elsewhere."""
        documents = [(OCI_IMAGE, content, tag)]
        if self.random.randrange(2):
            other = self.random.choice(IMAGES)
            both = index(content, other)
            documents = [(OCI_IMAGE, content, None), (OCI_IMAGE, other, None), (OCI_INDEX, both, tag)]
        for media_type, document, reference in documents:
            await self._put(name, reference, media_type, document)

    async def _put(self, name: RepositoryName, tag: Tag | None, media_type: str, content: bytes) -> None:
        digest = Digest.of(content)
        for _ in range(3):
            manifests = self.random.choice(self.replicas).registry.manifests
            with suppress(StorageUnavailable, Killed):
                await manifests.put(
                    name, tag if tag is not None else digest, media_type, content, allowance=self.allowance
                )
                if tag is not None:
                    assert self.tagged.setdefault((name, tag), digest) == digest, "a tag that is not new"
                return

    async def pull(self, name: RepositoryName, tag: Tag) -> None:
        """Whoever was shown a tag once is always shown it: nobody moves or deletes one here."""
        found: Digest | None = None
        for _ in range(3):
            manifests = self.random.choice(self.replicas).registry.manifests
            with suppress(StorageUnavailable, Killed):
                try:
                    stored = await manifests.get(name, tag)
                except ManifestUnknown:
                    assert found is None, "a tag that was seen is gone"
                else:
                    assert found in {None, stored.descriptor.digest}, "a tag that was seen is another one"
                    found = stored.descriptor.digest

    # what happens

    def play(self) -> None:
        begun = self.random.randrange(PUSHES)
        for _ in range(STEPS):
            if begun < PUSHES and self.random.randrange(12) == 0:
                begun += 1
                name, tag = self.random.choice(NAMES), self.random.choice([None, *TAGS])
                self._run(self.push(name, tag, self.random.choice(IMAGES)))
            if self.random.randrange(20) == 0:
                self._run(self.pull(self.random.choice(NAMES), self.random.choice(TAGS)))
            self.step()
            self.check()
        while self.scheduler.waiting or self.scheduler.late:
            self.step(faulty=0)
            self.check()

    def step(self, faulty: int = 60) -> None:
        """One call has its fate; perhaps a late one arrives, time passes, or a replica dies."""
        waiting, late = self.scheduler.waiting, self.scheduler.late
        self.bucket.now += timedelta(seconds=1)
        if waiting:
            broken = [Fate.LOST, Fate.SILENT, Fate.LATE]
            fate = self.random.choice(broken) if self.random.randrange(1000) < faulty else Fate.DONE
            self.scheduler.go(self.random.choice(waiting), fate)
        if late and (not waiting or self.random.randrange(40) == 0):
            late.pop(self.random.randrange(len(late))).effect()
        if faulty and self.random.randrange(60) == 0:
            self.bucket.now += self.random.choice([timedelta(minutes=6), timedelta(minutes=70)])
        if faulty and self.random.randrange(80) == 0:
            self.crash()

    def crash(self) -> None:
        """What the dead had sent arrives now, later or never."""
        number = self.random.randrange(REPLICAS)
        for turn in self.scheduler.kill(self.replicas[number]):
            match self.random.randrange(3):
                case 0:
                    self.scheduler.later(partial(_quietly, turn.effect), self.bucket.now)
                case 1:
                    _quietly(turn.effect)
        self.replicas[number] = self.born()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self.running.append(self.scheduler.start(Actor("client"), work))

    # what must be true

    def check(self) -> None:
        """Each tag has a use of its own, there are no more than allowed, what was acknowledged is there."""
        for task in [task for task in self.running if task.done()]:
            self.running.remove(task)
            try:
                task.result()
            except Denied:
                self.refused += 1
            except Killed:
                pass
        uses = [Use.decode(one) for one in self.records(paths.TOKENS).values()]
        assert len(uses) <= self.allowance.uses.limit
        done = [use.image for use in uses if use.phase is Phase.DONE and use.image is not None]
        images = [(image.repository, image.tag, image.digest) for image in done]
        counting = self.tags()
        for (name, tag), digest in counting.items():
            assert images.count((name.text, tag.text, str(digest))) == 1, f"{name}:{tag} is of no use"
        assert self.tagged.items() <= counting.items(), "a tag that was acknowledged is not there"

    def tags(self) -> dict[tuple[RepositoryName, Tag], Digest]:
        """Those that count, found out without a call."""
        uses = self.records(paths.TOKENS)
        found = {}
        for name in NAMES:
            for key, record in self.records(paths.tags(name)).items():
                mark = record.fields.get("use", [])
                use = Use.decode(uses[paths.use(*mark[:2])]) if mark else None
                if use is None or (use.phase is Phase.DONE and [use.claim] == mark[2:]):
                    found[name, Tag(key.rpartition("/")[2])] = ledger.named(record)
        return found

    def records(self, prefix: str) -> dict[str, Record]:
        return {
            key: Record(json.loads(stored.content.partition(b"\n")[0]))
            for key, stored in self.bucket.objects.items()
            if key.startswith(prefix) and stored.content
        }

    def end(self) -> int:
        """How many uses are left: so many tags can be set when all claims have lapsed, and not one more."""
        self.bucket.now += DAY
        taken = sum(Use.decode(one).is_taken for one in self.records(paths.TOKENS).values())
        left = self.allowance.uses.limit - taken
        name, content = RepositoryName("team/app"), image(annotations={"n": "the last"})
        for number in range(left + 1):
            put = self.calm().manifests.put(
                name, Tag(f"last{number}"), OCI_IMAGE, content, allowance=self.allowance
            )
            if number < left:
                self.at_once(put)
            else:
                with pytest.raises(Denied):
                    self.at_once(put)
        self.check()
        return left

    def close(self) -> None:
        self.scheduler.loop.close()


def _quietly(effect: Callable[[], object]) -> None:
    with suppress(Exception):  # nobody hears the answer
        effect()


def test_never_more_images_than_uses() -> None:
    """Whatever fails; and what no push has taken is still there to take."""
    tagged, refused, left = 0, 0, 0
    for seed in range(45):
        story = Story(seed, limit=1 + seed % 3)
        try:
            story.play()
            tagged += len(story.tagged)
            refused += story.refused
            left += story.end()
        finally:
            story.close()
    assert tagged
    assert refused
    assert left

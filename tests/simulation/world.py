"""The world: replicas that come and go, clients that push, mount, tag and delete, and collectors."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

from registry_runtime.content import manifest as rules
from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE, OCI_INDEX
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract.config import Collection
from registry_runtime.errors import BlobUnknown, ManifestBlobUnknown, RegistryError
from registry_runtime.repository import Registry, intake, uploads
from registry_runtime.repository.collection import audit, collection
from registry_runtime.repository.collection.marks import Marks
from tests.images import MIXED, body, descriptor, image, index
from tests.simulation.bucket import Bucket, Connection
from tests.simulation.oracle import Oracle
from tests.simulation.scheduler import Fate, Killed, Scheduler, Turn

Choose = Callable[[int], int]  # a number below the argument

GRACE = timedelta(hours=24)
NAMES = ["a", "a/b"]  # one is below the other in the tree of keys
BLOBS = [f"blob {number} ".encode() * (1 + 15 * number) for number in range(3)]  # up to some 250 bytes
CONFIG = b"{}"
IMAGES = [image(*layers, config=CONFIG) for layers in (BLOBS[:1], BLOBS[:2], BLOBS[1:])]
SIGNATURES = [
    image(BLOBS[0], config=CONFIG, subject=descriptor(one, OCI_IMAGE).to_json()) for one in IMAGES[:2]
]
INDEXES = [index(*IMAGES[first : first + 2]) for first in range(len(IMAGES) - 1)]
TAGS = ["v1", "v2"]
CLIENTS, COLLECTORS, REPLICAS = 6, 2, 3
COLLECT = 11  # what begins: a collection, below it what clients do
WRITES = {"put", "delete", "erase", "complete", "abort"}
CONTENT = {str(Digest.of(blob)): blob for blob in (*BLOBS, CONFIG)}


@contextmanager
def small_parts(seed: int) -> Iterator[None]:
    """Uploads of some bytes have parts; uuids and salts come again from the seed."""
    source = random.Random(seed)
    with (
        mock.patch.multiple(intake, BLOCK=16, PART=64, SMALL=24),
        mock.patch.multiple(uploads, PART=64, SMALL=24),
        mock.patch.object(collection, "Marks", partial(Marks, 4096)),
        mock.patch.object(audit, "_SIZE", 4096),
        mock.patch.object(collection, "erases", _erases),
        mock.patch.object(uuid, "uuid4", lambda: uuid.UUID(int=source.getrandbits(128), version=4)),  # noqa: PT008
    ):
        yield


async def _erases(storage: Connection) -> bool:
    """What the probe would find, without its forty calls."""
    return storage._bucket.erases


class Replica:
    """A process: its clock may be wrong by hours."""

    def __init__(self, bucket: Bucket, scheduler: Scheduler, skew: timedelta) -> None:
        self.storage = Connection(bucket, scheduler, self)
        settings = Collection(grace_seconds=int(GRACE.total_seconds()))
        self.registry = Registry(self.storage, MIXED, lambda: bucket.now + skew, "owner", collecting=settings)


class World:
    """All of it; every choice is made by `choose`."""

    def __init__(self, choose: Choose, *, erases: bool = False) -> None:
        self.choose = choose
        self.scheduler = Scheduler()
        self.scheduler.loop.set_exception_handler(lambda _loop, _context: None)  # the killed are many
        self.bucket = Bucket(erases=erases)
        self.oracle = Oracle(self.bucket)
        self.replicas = [self._born() for _ in range(REPLICAS)]
        self.running: dict[Any, str] = {}  # tasks of clients and collectors
        self.done: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def close(self) -> None:
        for turn in list(self.scheduler.waiting):
            turn.fate.cancel()
        self.scheduler.settle()
        self.scheduler.loop.close()

    # what may happen next

    def step(self, faulty: int = 12) -> None:
        """One call to the storage has its fate; `faulty` of a thousand get no answer."""
        waiting = self.scheduler.waiting
        if not waiting:
            return
        turn = waiting[self.choose(len(waiting))]
        fate = Fate.DONE
        if self.choose(1000) < faulty:
            fate = [Fate.LOST, Fate.SILENT, Fate.LATE][self.choose(3)]
            self.faults[fate.name.lower()] += 1
        self._tick()
        self.scheduler.go(turn, fate)
        self._after(checks=turn.operation in WRITES)
        if self.scheduler.late and self.choose(10) == 0:
            self.arrive()

    def arrive(self) -> None:
        """Something arrives that nobody waits for any more."""
        if self.scheduler.late:
            self._tick()
            self.scheduler.late.pop(self.choose(len(self.scheduler.late)))()
            self._after()

    def crash(self) -> None:
        """A replica's process ends; what was on its way arrives now, later or never. Another one is born."""
        number = self.choose(len(self.replicas))
        for turn in self.scheduler.kill(self.replicas[number]):
            self._left(turn)
        self.replicas[number] = self._born()
        self.faults["crash"] += 1
        self._after()

    def _left(self, turn: Turn) -> None:
        what = self.choose(3)
        if what == 0:
            self.scheduler.later(lambda: _quietly(turn.effect))
        elif what == 1:
            _quietly(turn.effect)

    def wait(self, hours: int) -> None:
        """Time passes. Nobody's request lasts a day, nor does one arrive that late."""
        if hours > 3:
            self.settle()
        self.bucket.now += timedelta(hours=hours)
        self._after()

    def day(self) -> None:
        """A day or two pass: what was hidden may go, just as somebody comes back to it."""
        if self.choose(2):
            name = self._any(NAMES)
            for content in (*IMAGES, *INDEXES):
                self._run("purge", self._delete(name, Digest.of(content)))
        self.wait(20 + self.choose(20))
        self.start(COLLECT)
        for _ in range(self.choose(4)):
            self.step(faulty=0)
        for _ in range(self.choose(3)):
            self.start(self.choose(5))

    def settle(self) -> None:
        """All that runs comes to its end, and all arrives that was late."""
        while self.scheduler.waiting or self.scheduler.late:
            self.step(faulty=0)
            self.arrive()

    def start(self, what: int) -> None:
        """A client or a collector begins something."""
        if what >= COLLECT:
            if sum(kind == "collect" for kind in self.running.values()) < COLLECTORS:
                self._run("collect", self._collect(audit=self.choose(4) == 0))
            return
        if len(self.running) >= CLIENTS:
            return
        verbs: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = [
            ("push", self._push_image),
            ("push", self._push_image),
            ("index", self._push_index),
            ("sign", self._sign),
            ("mount", self._mount),
            ("untag", self._delete_tag),
            ("delete", self._delete_manifest),
            ("delete", self._delete_manifest),
            ("delete", self._delete_manifest),
            ("delete blob", self._delete_blob),
            ("push blob", self._push_blob),
        ]
        name, verb = verbs[what]
        self._run(name, verb())

    def finish(self) -> None:
        """Everybody goes home, collections go on for weeks: then nothing is left that nothing refers to."""
        self.settle()
        for _ in range(12):
            self._run("collect", self._collect(audit=True))
            self.settle()
            self.wait(60)
        self.oracle.check_clean()

    # clients

    def _any(self, things: list[Any]) -> Any:
        return things[self.choose(len(things))]

    async def _push_image(self) -> None:
        name, content = RepositoryName(self._any(NAMES)), self._any(IMAGES)
        await self._push(name, content, OCI_IMAGE, self._any([None, *TAGS]))

    async def _sign(self) -> None:
        await self._push(RepositoryName(self._any(NAMES)), self._any(SIGNATURES), OCI_IMAGE, None)

    async def _push_index(self) -> None:
        name = RepositoryName(self._any(NAMES))
        await self._push(name, self._any(INDEXES), OCI_INDEX, self._any([None, *TAGS]))

    async def _push(self, name: RepositoryName, content: bytes, media_type: str, tag: str | None) -> None:
        """As a client does: blobs that are there are not sent again, but for a second try."""
        registry, manifest = self._any(self.replicas).registry, rules.parse(media_type, content)
        for attempt in range(3):
            for blob in manifest.blobs:
                if attempt or not await self._has(registry, name, blob.digest):
                    await self._upload(registry, name, CONTENT[str(blob.digest)])
            digest = Digest.of(content)
            moved = [("tag", name.text, tag)] if tag else []
            since = self.oracle.begin(*moved)
            if tag:
                self.oracle.tags.pop((name.text, tag), None)
            try:
                reference = Tag(tag) if tag else digest
                await registry.manifests.put(name, reference, media_type, content)
                self.oracle.pushed(name.text, digest, manifest, tag, since)
            except ManifestBlobUnknown:
                continue
            finally:
                self.oracle.end(*moved)
            return

    async def _has(self, registry: Registry, name: RepositoryName, digest: Digest) -> bool:
        try:
            await registry.blobs.stat(name, digest)
        except BlobUnknown:
            return False
        return True

    async def _upload(self, registry: Registry, name: RepositoryName, content: bytes) -> None:
        digest = Digest.of(content)
        if self.choose(2):
            await registry.uploads.push(name, digest, body(content, 50), "client")
            return
        upload = registry.uploads.start(name)
        half = len(content) // 2
        await registry.uploads.append(name, upload.id, body(content[:half], 50))
        other = self._any(self.replicas).registry
        for _ in range(2):  # the answer may be lost
            try:
                received = (await other.uploads.status(name, upload.id)).received
                await other.uploads.commit(name, upload.id, digest, body(content[received:], 50))
            except RegistryError:
                continue
            return

    async def _push_blob(self) -> None:
        name = RepositoryName(self._any(NAMES))
        await self._upload(self._any(self.replicas).registry, name, self._any(BLOBS))

    async def _mount(self) -> None:
        target, source = map(RepositoryName, self._any([NAMES, NAMES[::-1]]))
        await self._any(self.replicas).registry.blobs.mount(target, Digest.of(self._any(BLOBS)), source)

    async def _delete_tag(self) -> None:
        name, tag = self._any(NAMES), self._any(TAGS)
        await self._touching(
            [("tag", name, tag)],
            lambda: self.oracle.tags.pop((name, tag), None),
            lambda registry: registry.manifests.delete(RepositoryName(name), Tag(tag)),
        )

    async def _delete_manifest(self) -> None:
        await self._delete(self._any(NAMES), Digest.of(self._any([*IMAGES, *INDEXES, *SIGNATURES])))

    async def _delete(self, name: str, digest: Digest) -> None:
        touched = self.oracle.deleting(name, str(digest))
        await self._touching(
            touched,
            lambda: None,
            lambda registry: registry.manifests.delete(RepositoryName(name), digest),
        )

    async def _delete_blob(self) -> None:
        name, digest = self._any(NAMES), Digest.of(self._any(BLOBS))
        await self._touching(
            [("blob", name, str(digest))],
            lambda: self.oracle.deleting_blob(name, str(digest)),
            lambda registry: registry.blobs.delete(RepositoryName(name), digest),
        )

    async def _touching(
        self,
        things: list[tuple[str, ...]],
        forget: Callable[[], object],
        act: Callable[[Registry], Awaitable[object]],
    ) -> None:
        self.oracle.begin(*things)
        forget()
        try:
            await act(self._any(self.replicas).registry)
        finally:
            self.oracle.end(*things)

    async def _collect(self, *, audit: bool) -> None:
        receipt = await self._any(self.replicas).registry.collection.run(audit=audit)
        if receipt is not None:
            for kind, number in receipt.taken.items():
                self.done[f"taken {kind}"] += number
            self.done["hidden"] += receipt.hidden.total()
            assert not receipt.lost, f"blobs without their data: {receipt.lost}"

    # the machine

    def _born(self) -> Replica:
        return Replica(self.bucket, self.scheduler, timedelta(hours=self.choose(9) - 4))

    def _tick(self) -> None:
        self.bucket.now += timedelta(milliseconds=1000)

    def _run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.running[self.scheduler.loop.create_task(work)] = name
        self.scheduler.settle()
        self._after()

    def _after(self, *, checks: bool = True) -> None:
        """Those that are done have done it, or say what the registry says; and no promise is broken."""
        for task in [task for task in self.running if task.done()]:
            name = self.running.pop(task)
            error = task.exception()
            if error is None:
                self.done[name] += 1
            elif isinstance(error, Killed | RegistryError):
                self.done[f"{name}: {type(error).__name__}"] += 1
            else:
                raise error
        if checks:
            self.oracle.check()


def play(seed: int, steps: int) -> World:
    """One history: `steps` choices, and then all that is left is collected."""
    source = random.Random(seed)
    with small_parts(seed):
        world = World(source.randrange, erases=bool(seed % 2))
        try:
            for _ in range(steps):
                _happen(world, source.randrange(1000))
            world.finish()
        finally:
            world.close()
    return world


def _happen(world: World, chance: int) -> None:
    if chance < 40:
        world.start(world.choose(COLLECT))
    elif chance < 52:
        world.start(COLLECT)
    elif chance < 55:
        world.crash()
    elif chance < 57:
        world.wait(1 + world.choose(3))
    elif chance < 65:
        world.day()
    else:
        world.step()


def _quietly(effect: Callable[[], object]) -> None:
    with suppress(Exception):  # nobody hears the answer
        effect()

"""The world: replicas that come and go, what they and their clients are doing, and what time it is."""

from __future__ import annotations

import math
import random
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.config import Collection
from registry_runtime.errors import RegistryError
from registry_runtime.repository import Registry, intake, recent, uploads
from registry_runtime.repository.collection import audit, collection
from registry_runtime.repository.collection.marks import Marks
from tests.images import MIXED
from tests.simulation.bucket import Bucket, Connection
from tests.simulation.clients import BLOBS, NAMES, Clients
from tests.simulation.oracle import Oracle
from tests.simulation.scheduler import Actor, Fate, Killed, Scheduler, Turn

Choose = Callable[[int], int]  # a number below the argument

DAY = timedelta(hours=24)
GRACES = [DAY, timedelta(hours=1)]
AT_ONCE, COLLECTORS, REPLICAS = 6, 2, 3  # clients, collectors, replicas
WRITES = {"put", "delete", "erase", "complete", "abort"}


@contextmanager
def small_parts(seed: int) -> Iterator[None]:
    """Uploads of some bytes have parts; uuids and salts come again from the seed.

    What was met is fresh for a whole part of the grace, were it hours.
    """
    source = random.Random(seed)
    with (
        mock.patch.multiple(intake, BLOCK=16, PART=64, SMALL=24),
        mock.patch.multiple(uploads, PART=64, SMALL=24),
        mock.patch.object(recent, "_LONGEST", math.inf),
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

    def __init__(self, bucket: Bucket, scheduler: Scheduler, skew: timedelta, grace: timedelta) -> None:
        self.storage = Connection(bucket, scheduler, self)
        settings = Collection(grace_seconds=int(grace.total_seconds()))
        self.registry = Registry(
            self.storage,
            MIXED,
            lambda: bucket.now + skew,
            "owner",
            collecting=settings,
            uptime=bucket.uptime,
        )


class World:
    """All of it; every choice is made by `choose`. Nobody's request is at work for two graces, or a day."""

    def __init__(self, choose: Choose, *, erases: bool = False, grace: timedelta = DAY) -> None:
        self.choose = choose
        self.grace = grace
        self._limit = min(2 * grace, DAY)
        self.scheduler = Scheduler()
        self.scheduler.loop.set_exception_handler(lambda _loop, _context: None)  # the killed are many
        self.bucket = Bucket(erases=erases)
        self.oracle = Oracle(self.bucket)
        self.replicas = [self._born() for _ in range(REPLICAS)]
        self.clients = Clients(self)
        self.running: dict[Any, Actor] = {}  # by their tasks
        self.done: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def close(self) -> None:
        for turn in list(self.scheduler.waiting):
            turn.fate.cancel()
        for nap in self.scheduler.naps:
            nap.cancel()
        self.scheduler.settle()
        self.scheduler.loop.close()

    # what may happen next

    def step(self, faulty: int = 12) -> None:
        """One call to the storage has its fate; `faulty` of a thousand get no answer."""
        waiting = self.scheduler.waiting
        if waiting:
            self.go(waiting[self.choose(len(waiting))], faulty)
        if self.scheduler.late and self.choose(30) == 0:
            self.arrive()
        if self.scheduler.naps and self.choose(30) == 0:
            self.wake()

    def go(self, turn: Turn, faulty: int) -> None:
        """This call has its fate."""
        fate = Fate.DONE
        if self.choose(1000) < faulty:
            fate = [Fate.LOST, Fate.SILENT, Fate.LATE][self.choose(3)]
            self.faults[fate.name.lower()] += 1
        self._tick()
        self.scheduler.go(turn, fate)
        self._after(checks=turn.operation in WRITES)

    def arrive(self) -> None:
        """Something arrives that nobody waits for any more."""
        if self.scheduler.late:
            self._tick()
            self.scheduler.late.pop(self.choose(len(self.scheduler.late))).effect()
            self._after()

    def wake(self) -> None:
        """A client comes back."""
        if self.scheduler.naps:
            self.scheduler.wake(self.choose(len(self.scheduler.naps)))
            self._after(checks=False)

    def crash(self, number: int | None = None) -> None:
        """A replica's process ends; what was on its way arrives now, later or never. Another one is born."""
        number = self.choose(len(self.replicas)) if number is None else number
        for turn in self.scheduler.kill(self.replicas[number]):
            self._left(turn)
        self.replicas[number] = self._born()
        self.faults["crash"] += 1
        self._after()

    def _left(self, turn: Turn) -> None:
        what = self.choose(3)
        if what == 0:
            self.scheduler.later(lambda: _quietly(turn.effect), self.bucket.now)
        elif what == 1:
            _quietly(turn.effect)

    def pass_by(self, time: timedelta) -> None:
        """Time passes between two calls; no request lasts the limit, no call arrives a grace late."""
        while self._are_slow(time):
            slow = [turn for turn in self.scheduler.waiting if turn.actor.since is not None]
            self.go(slow[self.choose(len(slow))], faulty=0)
        while any(self.bucket.now + time - late.sent >= 0.9 * self.grace for late in self.scheduler.late):
            self.arrive()
        self.bucket.now += time
        self._after()

    def _are_slow(self, time: timedelta) -> bool:
        return any(
            actor.since is not None and self.bucket.now + time - actor.since >= self._limit
            for actor in self.running.values()
        )

    def settle(self) -> None:
        """All that runs comes to its end, and all arrives that was late."""
        while self.scheduler.waiting or self.scheduler.late or self.scheduler.naps:
            self.step(faulty=0)
            self.arrive()
            self.wake()

    def is_busy(self, *names: str) -> bool:
        """Whether a collector is at work, or with no name a client."""
        here = {actor.name for actor in self.running.values()}
        return bool(here & {*names} if names else here - {"collect"})

    def begin(self, what: int) -> None:
        """A client begins something, if there is one."""
        if sum(actor.name != "collect" for actor in self.running.values()) < AT_ONCE:
            name, verb = self.clients.verbs[what]
            self._run(name, verb)

    def push(self) -> None:
        self.begin(self.choose(self.clients.pushes))

    def push_blob(self) -> None:
        """Pushes or mounts one."""
        self.begin(self.clients.pushes - 1 - self.choose(2))

    def upload(self) -> None:
        """Somebody begins to upload a blob in parts."""
        name, content = RepositoryName(self.clients.any(NAMES)), self.clients.any(BLOBS)
        self._run("upload", partial(self.clients.upload_in_parts, name=name, content=content))

    def purge(self, repository: str, digests: Sequence[Digest]) -> None:
        """All of these manifests are deleted, by somebody each."""
        for digest in digests:
            self._run("purge", partial(self.clients.delete, name=repository, digest=digest))

    def purge_blobs(self, repository: str) -> None:
        """All that are there are deleted."""
        self._run("purge", partial(self.clients.delete_blobs, name=repository))

    def collect(self) -> None:
        """A collector begins, if there is one."""
        if sum(actor.name == "collect" for actor in self.running.values()) < COLLECTORS:
            audit = self.choose(4) == 0
            self._run("collect", partial(self._collect, audit=audit))

    def finish(self) -> None:
        """Everybody goes home, collections go on for weeks: then nothing is left that nothing refers to."""
        self.settle()
        for _ in range(12):
            self.collect()
            self.settle()
            self.pass_by(2.5 * DAY)
        self.oracle.check_clean()

    # the machine

    async def _collect(self, _actor: Actor, *, audit: bool) -> None:
        receipt = await self.clients.any(self.replicas).registry.collection.run(audit=audit)
        if receipt is not None:
            for kind, number in receipt.taken.items():
                self.done[f"taken {kind}"] += number
            self.done["hidden"] += receipt.hidden.total()
            assert not receipt.lost, f"blobs without their data: {receipt.lost}"

    def _born(self) -> Replica:
        skew = timedelta(hours=self.choose(9) - 4)
        return Replica(self.bucket, self.scheduler, skew, self.grace)

    def _tick(self) -> None:
        self.bucket.now += timedelta(seconds=1)

    def _run(self, name: str, work: Callable[[Actor], Coroutine[Any, Any, None]]) -> None:
        actor = Actor(name)
        self.running[self.scheduler.start(actor, work(actor))] = actor
        self._after()

    def _after(self, *, checks: bool = True) -> None:
        """Those that are done have done it, or say what the registry says; and no promise is broken."""
        for task in [task for task in self.running if task.done()]:
            name = self.running.pop(task).name
            error = task.exception()
            if error is None:
                self.done[name] += 1
            elif isinstance(error, Killed | RegistryError):
                self.done[f"{name}: {type(error).__name__}"] += 1
            else:
                raise error
        if checks:
            self.oracle.check()


def _quietly(effect: Callable[[], object]) -> None:
    with suppress(Exception):  # nobody hears the answer
        effect()

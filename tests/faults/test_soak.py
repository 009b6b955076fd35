"""Everything at once: clients, collections, replicas that are killed and a zone that is cut, on one bucket.

One round of troubles, or as many as ROADSTEAD_SOAK_SECONDS take; more where a slow machine did too little.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quickstart.errors import CommandFailed
from quickstart.kubectl import Object
from registry_runtime import selfcheck
from registry_runtime.content.digest import Digest
from registry_runtime.contract.config import Limits
from registry_runtime.contract.subject import SELF_CHECK
from registry_runtime.repository import Registry
from registry_runtime.repository.collection.walk import pages
from registry_runtime.repository.pointers import Pointer
from registry_runtime.storage import paths
from registry_runtime.storage.base import Storage
from registry_runtime.storage.records import Records
from tests.e2e.own import OwnRegistry
from tests.e2e.platform import Platform
from tests.faults.soak import Ledger, Worker

pytestmark = pytest.mark.cluster
SECONDS = float(os.environ.get("ROADSTEAD_SOAK_SECONDS", "45"))
PATIENCE = 240  # seconds more for all that is to be seen
GRACE = 8
WORKERS = 4
CUT_SECONDS = 18  # the cluster needs 12 to see it
BUSY = "another replica collects"
WORDS = ((), ("--audit",), ("--preview", "--audit"))


@pytest.fixture(scope="module")
def soaked(platform: Platform) -> Iterator[OwnRegistry]:
    """Three replicas on S3 with the shortest times that its spec takes."""
    registry = OwnRegistry(platform, "soaked", "basin")
    registry.declare(collection={"every": "1m", "grace": f"{GRACE}s"})
    with registry.claimed():
        yield registry


@dataclass
class Collecting:
    """Collections in the replicas' pods, again and again, as an administrator starts them."""

    registry: OwnRegistry
    bucket: Storage
    away: str = ""  # the zone that is cut
    done: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        for words in itertools.cycle(WORDS):
            if stop.is_set():
                return
            try:
                await self.once(*words)
            except CommandFailed as failed:
                busy = BUSY in failed.output
                self.done["busy" if busy else "killed"] += 1
                if busy:  # with one that was killed: as if the ten minutes were over that it is waited for
                    await self.bucket.delete([paths.COLLECTING])
            await asyncio.sleep(1)

    async def once(self, *words: str) -> dict[str, Any]:
        """In any replica's pod; counted. Raises CommandFailed."""
        pod = random.choice(await asyncio.to_thread(self.reachable))
        receipt = await asyncio.to_thread(self.registry.collect, pod["metadata"]["name"], *words)
        self.count(receipt)
        return receipt

    async def surely(self) -> None:
        """One that is done, so that for a minute no replica begins one by itself."""
        for _ in range(5):
            try:
                await self.once()
            except CommandFailed as failed:
                if BUSY not in failed.output:
                    raise
                await asyncio.sleep(3)
            else:
                return
            await self.bucket.delete([paths.COLLECTING])
        raise AssertionError("no collection came to its turn")

    def reachable(self) -> list[Object]:
        pods = self.registry.pods()
        return [
            pod
            for pod in pods
            if pod["metadata"]["labels"].get("topology.kubernetes.io/zone") != self.away
            and pod["status"]["phase"] == "Running"
        ]

    def count(self, receipt: dict[str, Any]) -> None:
        self.lost += receipt["lost"]
        self.done["preview" if receipt["preview"] else "run"] += 1
        if not receipt["preview"]:
            for what in ("hidden", "revived", "taken"):
                self.done.update({f"{kind} {what}": many for kind, many in receipt[what].items()})


@asynccontextmanager
async def going(*jobs: Any) -> AsyncIterator[None]:
    """Jobs that run while the block does, and end after their step."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(job.run(stop))
        try:
            yield
        finally:
            stop.set()


async def test_nothing_promised_is_lost_and_nothing_else_stays(
    platform: Platform, soaked: OwnRegistry, tmp_path: Path
) -> None:
    """What was acknowledged is read from every replica, what nothing names is gone, the bucket agrees."""
    ledger, clients = Ledger(), [soaked.client() for _ in range(WORKERS)]
    workers = [Worker(client, f"basin/c{number}", ledger) for number, client in enumerate(clients)]
    async with platform.bucket(tmp_path, soaked.prefix) as bucket:
        collecting = Collecting(soaked, bucket)
        ends = time.monotonic() + SECONDS
        async with going(collecting, *workers):
            await asyncio.sleep(5)
            while True:
                await trouble(platform, soaked, collecting)
                await look_everywhere(soaked, ledger)
                much = enough(ledger, collecting) or time.monotonic() > ends + PATIENCE
                if ledger.wrong or (much and time.monotonic() > ends):
                    break
        print(f"soak: {dict(ledger.done)}, failed by faults {dict(ledger.failed)}; {dict(collecting.done)}")
        assert ledger.wrong == []
        assert collecting.lost == []
        assert enough(ledger, collecting)

        await collecting.surely()
        await asyncio.sleep(GRACE + 1)
        await a_preview_changes_nothing(collecting, bucket)
        await until_it_agrees(collecting, bucket, ledger)
        assert min(collecting.done[f"{kind} taken"] for kind in ("blob", "link", "manifest")) > 0
        await everything_has_its_place(soaked, bucket)
    await look_everywhere(soaked, ledger)
    assert ledger.wrong == []


def enough(ledger: Ledger, collecting: Collecting) -> bool:
    """Whether clients did everything, and a collection ran: one that hangs in a cut zone holds others up."""
    done = min(ledger.done[what] for what in ("read", "pushed", "mounted", "deleted"))
    return done > WORKERS and collecting.done["run"] > 0


async def trouble(platform: Platform, soaked: OwnRegistry, collecting: Collecting) -> None:
    """A pod goes, a process dies, a collection is killed, a zone is cut and heals."""
    await asyncio.to_thread(platform.delete_at_once, random.choice(soaked.pods()))
    await asyncio.sleep(6)
    await asyncio.to_thread(platform.kill_inside, random.choice(collecting.reachable()))
    await asyncio.sleep(6)
    victim = random.choice(collecting.reachable())
    errand = asyncio.create_task(asyncio.to_thread(soaked.collect, victim["metadata"]["name"]))
    await asyncio.sleep(random.uniform(0.3, 1.5))
    await asyncio.to_thread(platform.delete_at_once, victim)
    await asyncio.gather(errand, return_exceptions=True)
    zones = {"zone-a", "zone-b", "zone-c"} - {platform.zone_of("app.kubernetes.io/name=s3", "s3-system")}
    collecting.away = random.choice(sorted(zones))
    platform.cluster.cut(collecting.away)
    try:
        await asyncio.sleep(CUT_SECONDS)
    finally:
        platform.cluster.heal(collecting.away)
        collecting.away = ""
    await asyncio.to_thread(soaked.until, Ready="True", ZoneRedundant="True")


async def look_everywhere(soaked: OwnRegistry, ledger: Ledger) -> None:
    """Each replica has all that is promised at this moment."""
    replicas = await asyncio.to_thread(soaked.replica_clients)
    assert len(replicas) == 3
    width = asyncio.Semaphore(8)

    async def look(number: int, image: Any) -> None:
        async with width:
            await ledger.look(replicas[number], image)

    images = list(ledger.images.values())
    await asyncio.gather(*(look(number, image) for number in range(3) for image in images))


async def a_preview_changes_nothing(collecting: Collecting, bucket: Storage) -> None:
    """It writes nothing that stays; all that it lists is done by the next one."""
    before = await keys_of(bucket)
    preview = await collecting.once("--preview")
    assert await keys_of(bucket) == before
    receipt = await collecting.once()
    assert [preview["preview"], receipt["preview"]] == [True, False]
    assert preview["listed"] != []
    assert [one for one in preview["listed"] if one not in receipt["listed"]] == []


async def until_it_agrees(collecting: Collecting, bucket: Storage, ledger: Ledger) -> None:
    """Collections take what nothing names, and only that, within a few graces."""
    wanted = promised(ledger)
    for _ in range(6):
        await asyncio.sleep(GRACE + 1)
        receipt = await collecting.once("--audit")
        assert receipt["lost"] == receipt["problems"] == []
        found = facts(await keys_of(bucket))
        assert found >= wanted
        if found == wanted:
            break
    assert found - wanted == set()


def facts(keys: set[str]) -> set[str]:
    """Pointers, links, manifests and tags: without the indexes, which mean nothing alone."""
    kinds = ("/_blobs/", "/_manifests/", "/_tags/")
    return {key for key in keys if key.startswith(paths.BLOBS) or any(kind in key for kind in kinds)}


def promised(ledger: Ledger) -> set[str]:
    """The keys of all facts that there should be, the replicas' own checks' among them."""
    links = {(image.repository, blob) for image in ledger.images.values() for blob in image.blobs}
    links.add((SELF_CHECK, str(selfcheck._DIGEST)))
    return {
        f"repositories/{SELF_CHECK}/_manifests/{Digest.of(selfcheck._MANIFEST)}",
        f"repositories/{SELF_CHECK}/_tags/{selfcheck._TAG}",
        *(f"repositories/{name}/_manifests/{digest}" for name, digest in ledger.images),
        *(f"repositories/{name}/_tags/{tag}" for name, tag in ledger.tags),
        *(f"repositories/{name}/_blobs/{digest}" for name, digest in links),
        *(f"blobs/{digest.replace(':', '/')}" for _, digest in links),
    }


async def keys_of(bucket: Storage) -> set[str]:
    """All that is there and stays; an object without a byte is a tombstone.

    Each replica writes a probe every few seconds, for a moment, whatever else happens: one counts if it is
    still there a little later.
    """
    found = {entry.key async for page in pages(bucket, "") for entry in page if entry.size}
    fleeting = {key for key in found if key.startswith(paths.PROBES)}
    if fleeting:
        await asyncio.sleep(2)
        fleeting -= {entry.key async for page in pages(bucket, paths.PROBES) for entry in page}
    return found - fleeting


async def everything_has_its_place(soaked: OwnRegistry, bucket: Storage) -> None:
    """A day later, when nobody comes back to an upload: each data has its pointer, each pointer its data."""
    registry = soaked.platform.kubectl.get("reg", soaked.name, "harbour")
    assert registry
    tomorrow = datetime.now(UTC) + timedelta(hours=26)
    owner = registry["metadata"]["uid"]
    await Registry(bucket, Limits(), lambda: tomorrow, owner).uploads.stale.run(tomorrow)
    found = await keys_of(bucket)
    records = [await Records(bucket).get(key) for key in found if key.startswith(paths.BLOBS)]
    pointers = [Pointer.decode(record) for record in records if record]
    named = {paths.data(pointer.data) for pointer in pointers if not pointer.is_inline}
    assert named
    assert {key for key in found if key.startswith(paths.DATA)} == named
    assert not [key for key in found if key.startswith((paths.UPLOADS, paths.PROBES))]

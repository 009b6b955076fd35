"""What arrives late, and who is slow: a collection takes nothing that a request still counts on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract.config import Collection, Limits
from registry_runtime.repository import Registry
from registry_runtime.repository.pointers import Pointer, State
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.paths import Tree
from registry_runtime.storage.records import Records
from tests.images import descriptor, image, pull, push_blobs
from tests.simulation.bucket import Bucket, Connection
from tests.simulation.scheduler import AtOnce

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from registry_runtime.content.buffer import Buffer

NAME = RepositoryName("team/app")
LAYER = b"a layer"
IMAGE = image(LAYER)
SIGNATURE = image(LAYER, subject=descriptor(IMAGE, OCI_IMAGE).to_json())
GRACE = timedelta(hours=1)


class Repeating(Connection):
    """A connection whose writes of notes may arrive once more, when nobody knows of them."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket, AtOnce(), None)
        self.repeats: list[Callable[[], Awaitable[str]]] = []

    async def put(
        self, key: str, content: Sequence[Buffer], *, absent: bool = False, match: str | None = None
    ) -> str:
        if "/_loose/" in key:
            self.repeats.append(partial(super().put, key, content, absent=absent, match=match))
        return await super().put(key, content, absent=absent, match=match)


def registry(storage: Connection) -> Registry:
    settings = Collection(grace_seconds=int(GRACE.total_seconds()))
    return Registry(storage, Limits(), lambda: datetime.now(UTC), "owner", collecting=settings)


async def test_a_note_that_arrives_late_lets_nothing_go() -> None:
    """A signature was let go of and pushed again; then the storage does the first note once more."""
    bucket = Bucket(erases=True)
    storage = Repeating(bucket)
    at = registry(storage)
    await push_blobs(at, NAME, b"{}", LAYER)
    await at.manifests.put(NAME, Tag("v1"), OCI_IMAGE, IMAGE)
    await at.manifests.put(NAME, Digest.of(SIGNATURE), OCI_IMAGE, SIGNATURE)
    await at.manifests.delete(NAME, Digest.of(IMAGE))
    bucket.now += timedelta(minutes=1)
    await at.manifests.put(NAME, Digest.of(SIGNATURE), OCI_IMAGE, SIGNATURE)
    bucket.now += timedelta(minutes=1)
    for repeat in storage.repeats:
        with suppress(Conflict):
            await repeat()
    for _ in range(5):
        bucket.now += 2 * GRACE
        assert await at.collection.run()
    assert (await at.manifests.get(NAME, Digest.of(SIGNATURE))).content == SIGNATURE


class Interrupted(Connection):
    """A connection on which others act after the first write to a key, and before the second one."""

    def __init__(self, bucket: Bucket, key: str, *others: Callable[[], Awaitable[object]]) -> None:
        super().__init__(bucket, AtOnce(), None)
        self._key = key
        self._others = list(others)

    async def put(
        self, key: str, content: Sequence[Buffer], *, absent: bool = False, match: str | None = None
    ) -> str:
        if key != self._key:
            return await super().put(key, content, absent=absent, match=match)
        first, second = self._others
        if b"".join(content):
            etag = await super().put(key, content, absent=absent, match=match)
            await first()
            return etag
        await second()
        return await super().put(key, content, absent=absent, match=match)


async def test_a_mount_that_fails_takes_no_link_that_others_rely_on() -> None:
    """The blob is collected while it is mounted; a push brings it back, and a manifest names it here."""
    bucket, other = Bucket(erases=True), RepositoryName("team/other")
    storage = Connection(bucket, AtOnce(), None)
    at, tree = registry(storage), Tree()
    layer, pushed = Digest.of(LAYER), list[Digest]()
    await push_blobs(at, other, LAYER)
    await push_blobs(at, NAME, b"{}")

    async def collect() -> None:
        records = Records(storage)
        seen = await records.read(tree.pointer(layer))
        assert seen.record is not None
        dead = replace(Pointer.decode(seen.record), state=State.DEAD)
        await records.put(tree.pointer(layer), dead.encode())

    async def push() -> None:
        pushed.append(layer)
        await push_blobs(at, other, LAYER)
        await at.manifests.put(NAME, Tag("v1"), OCI_IMAGE, IMAGE)

    slow = registry(Interrupted(bucket, tree.link(NAME, layer), collect, push))
    assert not await slow.blobs.mount(NAME, layer, other)
    if not pushed:
        await push()
    assert await pull(at, NAME, layer) == LAYER


async def test_an_index_waits_two_graces_for_its_fact() -> None:
    """Who wrote it may be slow; when its request has ended for sure, it goes."""
    bucket = Bucket(erases=True)
    storage = Connection(bucket, AtOnce(), None)
    at = registry(storage)
    await push_blobs(at, NAME, b"{}", LAYER)
    await at.manifests.put(NAME, Tag("v1"), OCI_IMAGE, IMAGE)
    await at.manifests.delete(NAME, Digest.of(IMAGE))
    indexes = {key for key in bucket.objects if key.startswith("catalog/") or "/_tagged/" in key}
    assert len(indexes) == 2
    bucket.now += 1.5 * GRACE
    await at.collection.run()
    assert indexes <= set(bucket.objects)
    bucket.now += GRACE
    await at.collection.run()
    assert not indexes & set(bucket.objects)

"""What arrives late, and who is slow: a collection takes nothing that a request still counts on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract.config import Collection, Limits
from registry_runtime.errors import ManifestBlobUnknown, StorageUnavailable
from registry_runtime.repository import Registry
from registry_runtime.repository.pointers import Pointer, State
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.paths import Tree
from registry_runtime.storage.records import Record, Records
from tests.images import MIXED, body, descriptor, image, pull, push_blobs
from tests.simulation.bucket import Bucket, Connection
from tests.simulation.scheduler import AtOnce

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.storage.base import Found

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


class Looking(Connection):
    """A connection on which others act behind the first read of one of these keys."""

    def __init__(self, bucket: Bucket, others: Callable[[], Awaitable[object]], *keys: str) -> None:
        super().__init__(bucket, AtOnce(), None)
        self._others: Callable[[], Awaitable[object]] | None = others
        self._keys = keys

    async def get(self, key: str) -> Found | None:
        found = await super().get(key)
        if key in self._keys and self._others is not None:
            others, self._others = self._others, None
            await others()
        return found


async def test_a_link_that_comes_late_says_nothing_of_a_pointer_that_was_seen_before() -> None:
    """While a manifest is being pushed its blob is collected, and a mount links it, too late for itself."""
    bucket, other = Bucket(erases=True), RepositoryName("team/other")
    storage = Connection(bucket, AtOnce(), None)
    tree, records, layer = Tree(), Records(storage), Digest.of(LAYER)
    await push_blobs(registry(storage), other, LAYER)
    await push_blobs(registry(storage), NAME, b"{}")

    async def others() -> None:
        seen = await records.read(tree.pointer(layer))
        assert seen.record is not None
        await records.put(
            tree.pointer(layer), replace(Pointer.decode(seen.record), state=State.DEAD).encode()
        )
        await records.put(tree.link(NAME, layer), Record({}))

    slow = registry(Looking(bucket, others, tree.pointer(layer), tree.link(NAME, layer)))
    slow.blobs._recent.meet(NAME, layer)  # as of days ago
    with pytest.raises(ManifestBlobUnknown):
        await slow.manifests.put(NAME, Tag("v1"), OCI_IMAGE, IMAGE)


class Before(Connection):
    """A connection on which something happens before each write of a key."""

    def __init__(self, bucket: Bucket, key: str, act: Callable[[], Awaitable[object]]) -> None:
        super().__init__(bucket, AtOnce(), None)
        self._key = key
        self._act = act

    async def put(
        self, key: str, content: Sequence[Buffer], *, absent: bool = False, match: str | None = None
    ) -> str:
        if key == self._key:
            await self._act()
        return await super().put(key, content, absent=absent, match=match)


async def test_a_commit_that_is_tried_a_day_later_keeps_its_data() -> None:
    """Its replica's clock is behind, so it goes on, while a collection ends what is older than a day."""
    bucket = Bucket(erases=True)
    bucket.now = datetime.now(UTC)
    storage = Connection(bucket, AtOnce(), None)
    content = b"some bytes of a layer" * 1000
    layer, link = Digest.of(content), Tree().link(NAME, Digest.of(content))

    async def die() -> None:
        raise StorageUnavailable("the replica is gone")

    lost = at_time(Before(bucket, link, die), bucket)
    upload = await lost.uploads.append(NAME, lost.uploads.start(NAME).id, body(content), length=len(content))
    with pytest.raises(StorageUnavailable):
        await lost.uploads.commit(NAME, upload.id, layer)
    bucket.now += timedelta(hours=26)

    async def collect() -> None:
        assert await registry(storage).collection.run()

    behind = at_time(Before(bucket, link, collect), bucket, timedelta(hours=-3))
    await behind.uploads.commit(NAME, upload.id, layer)
    assert await pull(behind, NAME, layer) == content


def at_time(storage: Connection, bucket: Bucket, skew: timedelta = timedelta(0)) -> Registry:
    """On the storage's clock, or off it."""
    return Registry(storage, MIXED, lambda: bucket.now + skew, "owner")

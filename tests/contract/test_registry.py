"""The registry on every driver: the main story, and what each must leave behind."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.content.range import Span
from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import DigestInvalid, ManifestUnknown, RangeNotSatisfiable
from registry_runtime.repository import Registry
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.records import Record, Records, Version
from tests.images import MIXED, Cut, body, image, pull, push_blobs, read

if TYPE_CHECKING:
    from registry_runtime.storage.base import Storage

NAME, OTHER = RepositoryName("team/app"), RepositoryName("team/app/nested")
SMALL_BLOB, LARGE_BLOB = os.urandom(50_000), os.urandom(30_000_001)


def replica(storage: Storage) -> Registry:
    return Registry(storage, MIXED, lambda: datetime.now(UTC), "owner")


async def keys(storage: Storage) -> list[str]:
    listing = await storage.list("")
    unfinished = await storage.unfinished("")
    return [entry.key for entry in listing.entries] + [one.multipart.key for one in unfinished]


async def test_an_image_goes_in_and_comes_out(storage: Storage) -> None:
    """Pushed in chunks through three replicas, pulled by tag and in spans, listed, deleted."""
    one, two, three = (replica(storage) for _ in range(3))
    assert (await one.check()).reason is StorageReason.READY
    upload = one.uploads.start(NAME)
    for number, taker in enumerate((two, three, one)):
        start = number * 10_000_001
        chunk = LARGE_BLOB[start : start + 10_000_001]
        upload = await taker.uploads.append(NAME, upload.id, body(chunk), start=start, length=len(chunk))
    await two.uploads.commit(NAME, upload.id, Digest.of(LARGE_BLOB))
    await push_blobs(three, NAME, b"{}", SMALL_BLOB, b"")
    manifest = image(LARGE_BLOB, SMALL_BLOB, b"")
    await one.manifests.put(NAME, Tag("v1"), OCI_IMAGE, manifest)
    assert (await two.manifests.get(NAME, Tag("v1"))).content == manifest
    assert await pull(three, NAME, Digest.of(LARGE_BLOB)) == LARGE_BLOB
    opened = await one.blobs.open(NAME, Digest.of(LARGE_BLOB), Span(9_999_999, 29_999_999))
    assert await read(opened) == LARGE_BLOB[9_999_999:30_000_000]
    assert await two.blobs.mount(OTHER, Digest.of(LARGE_BLOB), NAME)
    assert await pull(three, OTHER, Digest.of(LARGE_BLOB)) == LARGE_BLOB
    assert await pull(three, NAME, Digest.of(b"")) == b""
    assert (await three.tags.list(NAME, 10)).items == ("v1",)
    assert (await three.catalog.list(lambda _name: True, 10)).items == (NAME,)
    assert len(await three.blobs.placements(Digest.of(LARGE_BLOB), 10)) == 2
    await three.manifests.delete(NAME, Digest.of(manifest))
    with pytest.raises(ManifestUnknown):
        await one.manifests.get(NAME, Tag("v1"))
    assert (await storage.list("uploads/")).entries == ()


async def test_of_writers_of_the_same_record_one_wins(storage: Storage) -> None:
    """Where nothing was, and over what was read: the others are told, though they meet what they meant."""
    records = Records(storage)
    seen: Version | None = None

    async def write(expected: Version | None) -> Version | None:
        try:
            return await records.write("tags/x", Record({"target": "same"}), expected)
        except Conflict:
            return None

    for _ in range(3):
        won = [one for one in await asyncio.gather(*(write(seen) for _ in range(6))) if one]
        assert len(won) == 1
        assert won[0] != seen
        seen = won[0]


async def test_broken_uploads_leave_nothing(storage: Storage) -> None:
    """Cut off, wrong, raced and forgotten: after the collection the storage is as it was."""
    registry = replica(storage)
    with pytest.raises(Cut):
        await registry.uploads.push(NAME, Digest.of(LARGE_BLOB), body(LARGE_BLOB, cut=True), "me")
    with pytest.raises(DigestInvalid):
        await registry.uploads.push(NAME, Digest.of(b"other"), body(LARGE_BLOB), "me")
    assert await keys(storage) == []
    upload = registry.uploads.start(NAME)
    raced = await asyncio.gather(
        replica(storage).uploads.append(NAME, upload.id, body(LARGE_BLOB), start=0),
        replica(storage).uploads.append(NAME, upload.id, body(LARGE_BLOB), start=0),
        return_exceptions=True,
    )
    (lost,) = [result for result in raced if isinstance(result, BaseException)]
    assert isinstance(lost, RangeNotSatisfiable)
    with pytest.raises(DigestInvalid):
        await replica(storage).uploads.commit(NAME, upload.id, Digest.of(b"x", "sha512"))
    forgotten = registry.uploads.start(NAME)
    await registry.uploads.append(NAME, forgotten.id, body(LARGE_BLOB))
    now = datetime.now(UTC)
    assert await registry.uploads.stale.run(now + timedelta(hours=1)) == 0
    assert await registry.uploads.stale.run(now + timedelta(days=2)) >= 2
    assert await keys(storage) == []


@pytest.mark.parametrize("content", [SMALL_BLOB, LARGE_BLOB], ids=len)
async def test_the_same_blob_from_two_clients_lies_there_once(storage: Storage, content: bytes) -> None:
    """Both pushes succeed; one pointer wins and the other data is gone."""
    digest = Digest.of(content)
    names = [NAME, OTHER, RepositoryName("third")]
    await asyncio.gather(
        *(replica(storage).uploads.push(name, digest, body(content), "me") for name in names)
    )
    assert len((await storage.list("data/")).entries) == 1
    for name in names:
        assert await pull(replica(storage), name, digest) == content

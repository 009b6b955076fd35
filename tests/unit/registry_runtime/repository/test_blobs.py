"""Blobs: read in spans, mounted, deleted from one repository only, replaced when dead."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.content.range import Span
from registry_runtime.errors import BlobUnknown
from registry_runtime.repository.pointers import State
from tests.images import pull, push_blobs, read
from tests.unit.registry_runtime.repository.test_manifests import set_state

if TYPE_CHECKING:
    from registry_runtime.repository import Registry
    from registry_runtime.storage.directory import Directory
    from registry_runtime.storage.records import Records

NAME, OTHER = RepositoryName("team/app"), RepositoryName("other/app")
BLOB = os.urandom(2_500_000)
DIGEST = Digest.of(BLOB)


async def test_a_span_is_read(registry: Registry) -> None:
    """Size of the whole, length and bytes of the span; a span beyond the end is the caller's mistake."""
    await push_blobs(registry, NAME, BLOB)
    opened = await registry.blobs.open(NAME, DIGEST, Span(7, 2_000_000))
    assert (opened.size, opened.length) == (len(BLOB), 1_999_994)
    assert await read(opened) == BLOB[7:2_000_001]
    with pytest.raises(ValueError, match="ends behind"):
        await registry.blobs.open(NAME, DIGEST, Span(0, len(BLOB)))


async def test_a_blob_is_a_repository_s_own(registry: Registry) -> None:
    """Elsewhere it is unknown until it is mounted; deleted in one place it stays in the other."""
    await push_blobs(registry, NAME, BLOB)
    with pytest.raises(BlobUnknown):
        await registry.blobs.stat(OTHER, DIGEST)
    assert not await registry.blobs.mount(OTHER, DIGEST, RepositoryName("third"))
    assert await registry.blobs.mount(OTHER, DIGEST, NAME)
    assert await registry.blobs.placements(DIGEST, 10) == sorted([NAME, OTHER])
    assert len(await registry.blobs.placements(DIGEST, 1)) == 1
    await registry.blobs.delete(NAME, DIGEST)
    with pytest.raises(BlobUnknown):
        await registry.blobs.open(NAME, DIGEST)
    with pytest.raises(BlobUnknown):
        await registry.blobs.delete(NAME, DIGEST)
    assert await pull(registry, OTHER, DIGEST) == BLOB
    assert not await registry.blobs.mount(RepositoryName("third"), DIGEST, NAME)
    await push_blobs(registry, NAME, BLOB)
    assert await pull(registry, NAME, DIGEST) == BLOB


async def test_a_dead_blob_is_unknown_until_it_is_pushed_again(
    records: Records, registry: Registry, storage: Directory
) -> None:
    """Its link does not bring it back; new data under a new key does."""
    await push_blobs(registry, NAME, BLOB)
    (old,) = (await storage.list("data/")).entries
    await set_state(records, DIGEST, State.DEAD)
    with pytest.raises(BlobUnknown):
        await registry.blobs.stat(NAME, DIGEST)
    assert not await registry.blobs.mount(OTHER, DIGEST, NAME)
    await storage.delete([old.key])
    await push_blobs(registry, NAME, BLOB)
    assert await pull(registry, NAME, DIGEST) == BLOB
    (new,) = (await storage.list("data/")).entries
    assert new.key != old.key


async def test_data_that_is_lost_is_unknown(registry: Registry, storage: Directory) -> None:
    """A pointer to data that somebody took from the storage is no crash."""
    await push_blobs(registry, NAME, BLOB)
    (data,) = (await storage.list("data/")).entries
    await storage.delete([data.key])
    with pytest.raises(BlobUnknown):
        await registry.blobs.open(NAME, DIGEST)

"""Blobs: read in spans, mounted, deleted from one repository only, replaced when dead."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.content.range import Span
from registry_runtime.contract.config import Limits
from registry_runtime.errors import BlobUnknown
from registry_runtime.repository import Registry
from registry_runtime.repository.pointers import State
from registry_runtime.storage.cache import Cache
from tests.images import MIXED, body, pull, push_blobs, read
from tests.unit.registry_runtime.repository.interposed import Interposed
from tests.unit.registry_runtime.repository.test_manifests import set_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from registry_runtime.encryption.vault import Vault
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


async def test_data_that_is_lost_is_replaced_by_the_next_push(
    storage: Directory, replica: Callable[..., Registry]
) -> None:
    """Whoever has the bytes mends it by pushing them; of few bytes no data is looked for."""
    looked: list[str] = []

    async def note(operation: str, key: str) -> None:
        if operation == "size":
            looked.append(key)

    registry = replica(Interposed(storage, note))
    await push_blobs(registry, NAME, BLOB, b"{}")
    (lost,) = (await storage.list("data/")).entries
    await storage.delete([lost.key])
    await push_blobs(registry, OTHER, BLOB, b"{}")
    assert await pull(registry, NAME, DIGEST) == BLOB
    assert await pull(registry, OTHER, DIGEST) == BLOB
    assert looked == [lost.key]


async def test_few_bytes_lie_in_their_pointer(
    records: Records, storage: Directory, vault: Vault | None
) -> None:
    """They are served, mounted and revived as any blob; once dead, nothing holds them any more."""
    registry = Registry(storage, Limits(), lambda: datetime.now(UTC), "owner", vault)
    content = b"0123456789" * 100
    digest, key = Digest.of(content), records.tree.pointer(Digest.of(content))
    await push_blobs(registry, NAME, content)
    assert (await storage.list("data/")).entries == ()
    assert (await registry.blobs.stat(NAME, digest)).size == len(content)
    for span in (Span(0, 0), Span(7, 12), Span(999, 999), None):
        expected = content[span.start : span.end + 1] if span else content
        assert await read(await registry.blobs.open(NAME, digest, span)) == expected
    assert await registry.blobs.mount(OTHER, digest, NAME)
    await set_state(records, digest, State.HIDDEN)
    assert await registry.blobs.has(OTHER, digest)
    assert await pull(registry, OTHER, digest) == content
    await set_state(records, digest, State.DEAD)
    dead = await records.get(key)
    assert dead is not None
    assert not dead.payload
    with pytest.raises(BlobUnknown):
        await registry.blobs.stat(NAME, digest)
    await push_blobs(registry, NAME, content)
    assert await pull(registry, NAME, digest) == content


async def test_what_is_just_too_long_lies_elsewhere(storage: Directory, vault: Vault | None) -> None:
    """The limit is kept to the byte, however the blob comes."""
    registry = Registry(storage, Limits(), lambda: datetime.now(UTC), "owner", vault)
    for size in (16 * 1024, 16 * 1024 + 1):
        contents = [os.urandom(size) for _ in range(3)]
        digests = [Digest.of(content) for content in contents]
        await registry.uploads.push(NAME, digests[0], body(contents[0]), "me")
        await registry.uploads.commit(NAME, registry.uploads.start(NAME).id, digests[1], body(contents[1]))
        upload = await registry.uploads.append(
            NAME, registry.uploads.start(NAME).id, body(contents[2][:9000])
        )
        await registry.uploads.commit(NAME, upload.id, digests[2], body(contents[2][9000:]), start=9000)
        for content, digest in zip(contents, digests, strict=True):
            assert await pull(registry, NAME, digest) == content
        assert len((await storage.list("data/")).entries) == (0 if size == 16 * 1024 else 3)
        assert (await storage.list("uploads/")).entries == ()


async def test_what_is_pulled_again_comes_from_the_cache(
    storage: Directory, vault: Vault | None, tmp_path: Path
) -> None:
    """The second pull fills it, in clear and encrypted; from the third on the storage is not asked."""
    opened: list[str] = []

    async def note(operation: str, key: str) -> None:
        if operation == "open":
            opened.append(key)

    cache = Cache(tmp_path.parent / f"{tmp_path.name}-cache", 64 * 1024 * 1024)
    watched = Interposed(storage, note)
    registry = Registry(watched, MIXED, lambda: datetime.now(UTC), "owner", vault, cache=cache)
    await push_blobs(registry, NAME, BLOB)
    for _ in range(4):
        assert await pull(registry, NAME, DIGEST) == BLOB
        assert (
            await read(await registry.blobs.open(NAME, DIGEST, Span(300_000, 600_000)))
            == BLOB[300_000:600_001]
        )
    assert len(opened) == 3  # whole, a part, whole

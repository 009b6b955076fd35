"""Few bytes in one request: one blob in its pointer at once, and nothing believed of them unseen."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.config import Limits
from registry_runtime.errors import BlobUnknown, DigestInvalid, SizeInvalid
from registry_runtime.repository import Registry
from tests.images import body, pull
from tests.unit.registry_runtime.repository.interposed import Interposed

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_runtime.encryption.vault import Vault
    from registry_runtime.storage.directory import Directory

NAME = RepositoryName("team/app")
LIMITS = Limits()
FEW, OTHER = os.urandom(LIMITS.inline_bytes), os.urandom(LIMITS.inline_bytes)


@pytest.fixture
def registry(storage: Directory, vault: Vault | None) -> Registry:
    """One with the limits that are usual."""
    return Registry(storage, LIMITS, lambda: datetime.now(UTC), "owner", vault)


async def test_few_bytes_in_one_request_are_written_once(storage: Directory, vault: Vault | None) -> None:
    """As many as the limit allows: no session, no data, and the same however the client asks."""
    touched: list[str] = []

    async def note(_operation: str, key: str) -> None:
        touched.append(key)

    registry = Registry(Interposed(storage, note), LIMITS, lambda: datetime.now(UTC), "owner", vault)
    await registry.uploads.push(NAME, Digest.of(FEW), body(FEW), "me")
    await registry.uploads.commit(NAME, registry.uploads.start(NAME).id, Digest.of(OTHER), body(OTHER))
    assert touched
    assert not [key for key in touched if key.startswith(("uploads/", "data/"))]
    assert [await pull(registry, NAME, Digest.of(content)) for content in (FEW, OTHER)] == [FEW, OTHER]


async def test_replicas_may_differ_in_what_is_few(
    registry: Registry, replica: Callable[..., Registry], storage: Directory
) -> None:
    """What lies in its pointer stays there when another replica takes it for much, and its data goes."""
    await registry.uploads.push(NAME, Digest.of(FEW), body(FEW), "me")
    await replica().uploads.push(NAME, Digest.of(FEW), body(FEW), "me")
    assert (await storage.list("data/")).entries == ()
    for one in (registry, replica()):
        assert await pull(one, NAME, Digest.of(FEW)) == FEW


async def test_few_bytes_of_another_digest_are_no_blob(registry: Registry) -> None:
    """Whoever sends them: neither this digest nor theirs is served afterwards."""
    with pytest.raises(DigestInvalid):
        await registry.uploads.push(NAME, Digest.of(FEW), body(OTHER), "me")
    with pytest.raises(DigestInvalid):
        await registry.uploads.commit(NAME, registry.uploads.start(NAME).id, Digest.of(FEW), body(OTHER))
    for content in (FEW, OTHER):
        with pytest.raises(BlobUnknown):
            await registry.blobs.stat(NAME, Digest.of(content))


async def test_few_bytes_of_another_length_are_not_all(registry: Registry) -> None:
    """More than was announced are dropped, fewer are kept, and the client goes on behind them."""
    content = b"12345"
    for length in (4, 6):
        upload = registry.uploads.start(NAME)
        with pytest.raises(SizeInvalid):
            await registry.uploads.append(NAME, upload.id, body(content), length=length)
        assert (await registry.uploads.status(NAME, upload.id)).received == (5 if length == 6 else 0)
        upload = registry.uploads.start(NAME)
        with pytest.raises(SizeInvalid):
            await registry.uploads.commit(NAME, upload.id, Digest.of(content), body(content), length=length)
        assert (await registry.uploads.status(NAME, upload.id)).received == (5 if length == 6 else 0)
    with pytest.raises(BlobUnknown):
        await registry.blobs.stat(NAME, Digest.of(content))

"""Collection on every driver, of an encrypted storage: by its dates, its conditions, its lists."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract.config import Collection
from registry_runtime.contract.state import StorageReason
from registry_runtime.encryption.vault import Vault
from registry_runtime.errors import BlobUnknown
from registry_runtime.repository import Registry
from tests.images import MIXED, image, pull, push_blobs
from tests.keys import keyring

if TYPE_CHECKING:
    from pathlib import Path

    from registry_runtime.storage.base import Storage

NAME, OTHER = RepositoryName("team/app"), RepositoryName("team/other")
KEPT, SHARED, DROPPED, LOOSE = (
    f"a layer that is {word}".encode() for word in ("kept", "shared", "dropped", "loose")
)
PASSES = 12
LEAST = 2.2  # seconds: what is younger is in doubt, for a storage may date in whole seconds


async def test_what_nothing_names_is_gone_and_the_rest_is_there(storage: Storage, tmp_path: Path) -> None:
    """Two images that share a layer, and a layer of none; one image is deleted, then it is collected."""
    vault = Vault(keyring(tmp_path / "keys", k1=b"1" * 32))
    now = Collection(grace_seconds=0)
    registry = Registry(storage, MIXED, lambda: datetime.now(UTC), "owner", vault, collecting=now)
    assert (await registry.check()).reason is StorageReason.READY
    await push_blobs(registry, NAME, b"{}", KEPT, SHARED, DROPPED, LOOSE)
    kept, dropped = image(KEPT, SHARED), image(SHARED, DROPPED)
    await registry.manifests.put(NAME, Tag("kept"), OCI_IMAGE, kept)
    await registry.manifests.put(NAME, Tag("dropped"), OCI_IMAGE, dropped)
    assert await registry.blobs.mount(OTHER, Digest.of(SHARED), NAME)
    await registry.manifests.delete(NAME, Digest.of(dropped))
    freed = 0
    for _ in range(PASSES):
        await asyncio.sleep(LEAST)
        receipt = await registry.collection.run(audit=True)
        assert receipt is not None
        assert (receipt.done, receipt.problems) == (True, [])
        freed += receipt.freed
        if freed == len(DROPPED) + len(LOOSE):
            break
    for gone in (DROPPED, LOOSE):
        with pytest.raises(BlobUnknown):
            await registry.blobs.stat(NAME, Digest.of(gone))
    for there in (b"{}", KEPT, SHARED):
        assert await pull(registry, NAME, Digest.of(there)) == there
    assert (await registry.manifests.get(NAME, Tag("kept"))).content == kept
    left = Counter(one.key.partition("/")[0] for one in (await storage.list("")).entries if one.size)
    assert (left["data"], left["blobs"]) == (2, 3)  # the config lies in its pointer
    assert freed == len(DROPPED) + len(LOOSE)

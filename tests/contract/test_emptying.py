"""Emptying on every driver: all that a registry wrote goes, the marker last, and nothing of others."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract.state import StorageReason
from registry_runtime.encryption.vault import Vault
from registry_runtime.errors import StorageRefused, StorageUnavailable
from registry_runtime.repository import Registry
from registry_runtime.repository.emptying import Emptying
from registry_runtime.storage import paths
from tests.images import MIXED, image, push_blobs
from tests.keys import keyring

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from registry_runtime.storage.base import Storage

NAME = RepositoryName("team/app")
LAYER = b"a layer" * 4096
OTHERS = ("data/customers.csv", "backups/monday", "repositories.txt")


def replica(storage: Storage, owner: str = "owner", vault: Vault | None = None) -> Registry:
    return Registry(storage, MIXED, lambda: datetime.now(UTC), owner, vault)


async def fill(storage: Storage, vault: Vault | None = None) -> Registry:
    """An image with a tag, an upload that never ended, the receipt of a collection, and files of others."""
    registry = replica(storage, vault=vault)
    assert (await registry.check()).reason is StorageReason.READY
    await push_blobs(registry, NAME, b"{}", LAYER)
    await registry.manifests.put(NAME, Tag("v1"), OCI_IMAGE, image(LAYER))
    await storage.begin(paths.data(f"{uuid.uuid4()}.00ff"))
    assert await registry.collection.run() is not None
    for key in OTHERS:
        await storage.put(key, [b"not a registry's"])
    return registry


async def keys(storage: Storage) -> set[str]:
    return {entry.key for entry in (await storage.list("")).entries}


@pytest.mark.parametrize("encrypted", [False, True])
async def test_all_that_a_registry_wrote_goes_and_nothing_else(
    storage: Storage, tmp_path: Path, encrypted: bool
) -> None:
    """Also without the tenant's keys; what lies beside it stays, and is named."""
    await fill(storage, Vault(keyring(tmp_path / "keys", k1=b"1" * 32)) if encrypted else None)
    there = (await storage.list("")).entries
    ours = [one for one in there if one.key not in OTHERS]
    assert all(paths.is_ours(one.key) for one in ours)
    emptying = Emptying(storage, "owner")
    await emptying.run()
    assert await keys(storage) == set(OTHERS)
    assert await storage.unfinished(paths.DATA) == []
    state = emptying.state
    assert (state.done, state.objects, state.others) == (True, len(ours), len(OTHERS))
    assert state.size == sum(one.size for one in ours if one.key != paths.MARKER)
    assert set(state.named) == set(OTHERS)


async def test_the_storage_of_another_is_not_touched(storage: Storage) -> None:
    """By the marker, whatever the configuration says; nor is one whose marker is gone."""
    await fill(storage)
    before = await keys(storage)
    with pytest.raises(StorageRefused, match="belongs to the Registry with the UID owner") as refused:
        await Emptying(storage, "somebody else").run()
    assert refused.value.reason is StorageReason.WRONG_OWNER
    assert await keys(storage) == before
    await storage.delete([paths.MARKER])
    with pytest.raises(StorageRefused, match=r"no roadstead\.json") as refused:
        await Emptying(storage, "owner").run()
    assert refused.value.reason is StorageReason.UNCLAIMED
    assert await keys(storage) == before - {paths.MARKER}


async def test_what_was_never_used_or_is_empty_already_is_done(storage: Storage) -> None:
    """A second time, as after a pod that died before it was heard, and with files of others only."""
    await storage.put(OTHERS[0], [b"not a registry's"])
    for _ in range(2):
        emptying = Emptying(storage, "owner")
        await emptying.run()
        assert (emptying.state.done, emptying.state.objects) == (True, 0)
    assert await keys(storage) == {OTHERS[0]}


async def test_a_replica_that_still_runs_is_told(storage: Storage) -> None:
    """From the first moment on the marker says so, and whoever checks it writes no more."""
    registry = await fill(storage)
    with pytest.raises(StorageUnavailable):
        await Emptying(Failing(storage), "owner").run()
    for one in (registry, replica(storage)):
        assert (await one.check()).reason is StorageReason.EMPTYING


async def test_it_goes_on_where_it_was(storage: Storage) -> None:
    """After each delete that failed; the marker is the last that goes."""
    await fill(storage)
    for _ in range(3):
        before = await keys(storage)
        with pytest.raises(StorageUnavailable):
            await Emptying(Failing(storage), "owner").run()
        left = await keys(storage)
        assert left < before
        assert paths.MARKER in left
    await asyncio.gather(*(Emptying(storage, "owner").run() for _ in range(2)))  # and two of them at once
    assert await keys(storage) == set(OTHERS)


class Failing:
    """A storage that removes the first key of what it is told to delete, and fails."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._storage.delete(keys[:1])
        raise StorageUnavailable("SlowDown")

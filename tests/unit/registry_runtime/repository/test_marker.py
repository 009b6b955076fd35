"""The marker: encrypted or not is decided once, and no doubt is left about the key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.contract.config import Limits
from registry_runtime.contract.state import StorageReason
from registry_runtime.encryption.vault import Vault
from registry_runtime.errors import StorageUnavailable
from registry_runtime.repository import Registry
from registry_runtime.storage import paths
from tests.keys import keyring

if TYPE_CHECKING:
    from pathlib import Path

    from registry_runtime.storage.directory import Directory


def registry(storage: Directory, vault: Vault | None = None) -> Registry:
    return Registry(storage, Limits(), lambda: datetime.now(UTC), "owner", vault)


@pytest.fixture
def opened(tmp_path: Path) -> Vault:
    return Vault(keyring(tmp_path.parent / f"{tmp_path.name}-opened", k1=b"1" * 32))


async def test_replicas_agree_on_the_names(storage: Directory, tmp_path: Path) -> None:
    """Many that start at once on an empty storage have one secret, and hide digests by the same names."""
    vaults = [Vault(keyring(tmp_path.parent / "together", k1=b"1" * 32)) for _ in range(6)]
    states = await asyncio.gather(*(registry(storage, vault).check() for vault in vaults))
    assert {state.reason for state in states} == {StorageReason.READY}
    assert len({vault.names(Digest.of(b"x")) for vault in vaults}) == 1


async def test_nothing_is_found_before_it_is_unlocked(opened: Vault) -> None:
    """No key of the storage is ever made with half a name."""
    with pytest.raises(StorageUnavailable, match="not opened yet"):
        opened.names(Digest.of(b"x"))


async def test_encrypted_or_not_is_decided_once(storage: Directory, opened: Vault) -> None:
    """A Registry without encryption cannot use an encrypted storage, nor the reverse."""
    assert (await registry(storage, opened).check()).reason is StorageReason.READY
    refused = await registry(storage).check()
    assert refused.reason is StorageReason.WRONG_ENCRYPTION
    assert "the storage is encrypted, and this Registry not" in refused.message
    for entry in (await storage.list("")).entries:
        await storage.delete([entry.key])
    assert (await registry(storage).check()).reason is StorageReason.READY
    refused = await registry(storage, opened).check()
    assert refused.reason is StorageReason.WRONG_ENCRYPTION
    assert "the storage is not encrypted, and this Registry is to be" in refused.message


async def test_another_key_of_that_name_is_told_by_its_id(
    storage: Directory, opened: Vault, tmp_path: Path
) -> None:
    """The message has the id of the key that is missing, and those that are held."""
    await registry(storage, opened).check()
    other = Vault(keyring(tmp_path.parent / f"{tmp_path.name}-other", k1=b"2" * 32))
    refused = await registry(storage, other).check()
    assert refused.reason is StorageReason.KEY_MISSING
    assert opened.keys.ids["k1"] in refused.message
    assert other.keys.ids["k1"] in refused.message


async def test_the_secret_is_never_made_again(storage: Directory, opened: Vault) -> None:
    """Where it is gone, everything would be lost under new names: it is to be restored."""
    await registry(storage, opened).check()
    await storage.delete([paths.NAMES])
    refused = await registry(storage, opened).check()
    assert (refused.reason, paths.NAMES in refused.message) == (StorageReason.DAMAGED, True)


async def test_a_marker_that_is_taken_away_keeps_the_names(storage: Directory, opened: Vault) -> None:
    """As the remedy for a Registry that was made again says: what was pushed is found under its new UID."""
    await registry(storage, opened).check()
    name = opened.names(Digest.of(b"x"))
    await storage.delete([paths.MARKER])
    assert (await registry(storage, opened).check()).reason is StorageReason.READY
    assert opened.names(Digest.of(b"x")) == name

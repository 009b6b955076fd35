"""A registry on a directory, and further replicas on the same one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.encryption.vault import Vault
from registry_runtime.repository import Registry
from registry_runtime.repository.recent import uptime
from registry_runtime.storage import short_writes
from registry_runtime.storage.directory import Directory
from registry_runtime.storage.records import Records
from tests.images import MIXED
from tests.keys import keyring

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from registry_runtime.storage.base import Storage


@pytest.fixture(autouse=True)
def mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short writes wait in threads too, as on a slow disk: so what runs at once is mixed."""
    monkeypatch.setattr(short_writes, "_SHORT", -1)


@pytest.fixture
def storage(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.fixture(params=["clear", "encrypted"])
async def vault(request: pytest.FixtureRequest, storage: Directory, tmp_path: Path) -> Vault | None:
    """Where the storage is encrypted, what opens it; a replica has claimed and unlocked it."""
    if request.param == "clear":
        return None
    made = Vault(keyring(tmp_path.parent / f"{tmp_path.name}-keys", k1=b"1" * 32))
    await Registry(storage, MIXED, lambda: datetime.now(UTC), "owner", made).check()
    return made


@pytest.fixture
def replica(storage: Directory, vault: Vault | None) -> Callable[..., Registry]:
    """Makes replicas: registries that share nothing but the storage; `uptime` in seconds."""

    def make(through: Storage = storage, uptime: Callable[[], float] = uptime) -> Registry:
        return Registry(through, MIXED, lambda: datetime.now(UTC), "owner", vault, uptime=uptime)

    return make


@pytest.fixture
def registry(replica: Callable[..., Registry]) -> Registry:
    return replica()


@pytest.fixture
def records(storage: Directory, vault: Vault | None) -> Records:
    """The records of the storage, as the replicas see them."""
    return Records(storage, vault)

"""A registry on a directory, and further replicas on the same one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.contract.config import Limits
from registry_runtime.repository import Registry
from registry_runtime.storage.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from registry_runtime.storage.base import Storage


@pytest.fixture
def storage(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.fixture
def replica(storage: Directory) -> Callable[..., Registry]:
    """Makes replicas: registries that share nothing but the storage."""

    def make(through: Storage = storage) -> Registry:
        return Registry(through, Limits(), lambda: datetime.now(UTC), "owner")

    return make


@pytest.fixture
def registry(replica: Callable[..., Registry]) -> Registry:
    return replica()

"""Whether a conditional DELETE is believed: only where it is exact."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from registry_runtime.errors import StorageUnavailable
from registry_runtime.storage.base import Conflict
from registry_runtime.storage.directory import Directory
from registry_runtime.storage.probes import erases
from tests.unit.registry_runtime.repository.interposed import Interposed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def storage(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


class Ignoring(Interposed):
    """Deletes whatever is there."""

    async def erase(self, key: str, match: str) -> None:  # noqa: ARG002
        await self.storage.delete([key])


class Looking(Interposed):
    """Looks first, and deletes then: what came between goes too."""

    async def erase(self, key: str, match: str) -> None:
        found = await self.storage.get(key)
        if found is not None and found.etag != match:
            raise Conflict(key)
        await asyncio.sleep(0.002)  # as any server takes a moment; a directory in memory takes none
        await self.storage.delete([key])


async def test_an_exact_one_is_believed(storage: Directory) -> None:
    """A directory holds it under its lock; the probe leaves nothing."""
    assert await erases(storage)
    assert (await storage.list("")).entries == ()


@pytest.mark.parametrize("kind", [Ignoring, Looking])
async def test_a_careless_one_is_not(storage: Directory, kind: type[Interposed]) -> None:
    """One that ignores the condition, and one that only looks at it before."""
    assert not await erases(kind(storage))
    assert (await storage.list("")).entries == ()


@pytest.mark.parametrize("operation", ["put", "erase", "delete"])
async def test_what_cannot_be_told_is_no_yes(storage: Directory, operation: str) -> None:
    """A storage that fails in the middle is asked again another time."""

    async def fail(done: str, _key: str) -> None:
        if done == operation:
            raise StorageUnavailable("away")

    assert not await erases(Interposed(storage, fail))

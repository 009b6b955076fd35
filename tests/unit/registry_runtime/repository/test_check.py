"""The self-check: ready, somebody else's, broken promises, and no trace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.contract.config import Limits
from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused, StorageUnavailable
from registry_runtime.repository import Registry
from registry_runtime.storage.directory import Directory
from tests.unit.registry_runtime.repository.interposed import Interposed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.storage.base import Storage


def registry_of(storage: Storage, owner: str = "owner") -> Registry:
    return Registry(storage, Limits(), lambda: datetime.now(UTC), owner)


async def test_a_good_storage_is_ready(storage: Directory) -> None:
    """The marker is all that the check leaves, however often it runs."""
    registry = registry_of(storage)
    for _ in range(2):
        assert (await registry.check()).reason is StorageReason.READY
    assert [entry.key for entry in (await storage.list("")).entries] == ["roadstead.json"]


async def test_a_storage_has_one_owner(storage: Directory) -> None:
    """Another Registry is refused with its owner's UID and the remedy; the first one stays ready."""
    assert (await registry_of(storage).check()).reason is StorageReason.READY
    refused = await registry_of(storage, "another").check()
    assert refused.reason is StorageReason.WRONG_OWNER
    assert "UID owner" in refused.message
    assert (await registry_of(storage).check()).reason is StorageReason.READY


async def test_what_is_no_registry_s_is_not_taken(storage: Directory) -> None:
    """A marker that something else wrote is never written over."""
    await storage.put("roadstead.json", [b"a file of mine"])
    assert (await registry_of(storage).check()).reason is StorageReason.WRONG_OWNER
    found = await storage.get("roadstead.json")
    assert found is not None
    assert found.content == b"a file of mine"


class Careless(Interposed):
    """A storage that says yes to every condition, or to those of one kind."""

    def __init__(self, storage: Storage, ignored: str) -> None:
        super().__init__(storage)
        self.ignored = ignored

    async def put(
        self, key: str, content: Sequence[Buffer], *, absent: bool = False, match: str | None = None
    ) -> str:
        absent = absent and self.ignored != "If-None-Match"
        return await super().put(
            key, content, absent=absent, match=None if self.ignored == "If-Match" else match
        )


@pytest.mark.parametrize("ignored", ["If-Match", "If-None-Match"])
async def test_a_careless_storage_is_refused(storage: Directory, ignored: str) -> None:
    """Whichever condition it ignores, the check says so, says what helps, and cleans up."""
    refused = await registry_of(Careless(storage, ignored)).check()
    assert refused.reason is StorageReason.NO_CONDITIONAL_WRITES
    assert ignored in refused.message
    assert "use a storage" in refused.message
    assert [entry.key for entry in (await storage.list("")).entries] == ["roadstead.json"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StorageUnavailable("no route"), StorageReason.UNREACHABLE),
        (StorageRefused("wrong key", StorageReason.DENIED), StorageReason.DENIED),
        (StorageRefused("no bucket", StorageReason.NOT_FOUND), StorageReason.NOT_FOUND),
    ],
)
async def test_errors_become_the_state(storage: Directory, error: Exception, reason: StorageReason) -> None:
    """What the driver raises is the reason, and once it is mended the next check is ready."""
    broken = True

    async def fail(_operation: str, _key: str) -> None:
        if broken:
            raise error

    registry = registry_of(Interposed(storage, fail))
    assert (await registry.check()).reason is reason
    broken = False
    assert (await registry.check()).reason is StorageReason.READY


async def test_what_breaks_after_a_good_start_is_found(storage: Directory) -> None:
    """Reading still works, writing does not any more: the next check says so."""
    full = False

    async def fail(operation: str, _key: str) -> None:
        if full and operation == "put":
            raise StorageUnavailable("no space left")

    registry = registry_of(Interposed(storage, fail))
    assert (await registry.check()).reason is StorageReason.READY
    full = True
    assert (await registry.check()).message == "no space left"
    full = False
    assert (await registry.check()).reason is StorageReason.READY
    assert [entry.key for entry in (await storage.list("")).entries] == ["roadstead.json"]


async def test_what_a_check_costs(storage: Directory) -> None:
    """One read where all is well, also a write where that is asked for, the race again after a failure."""
    operations: list[str] = []
    gone = False

    async def note(operation: str, _key: str) -> None:
        operations.append(operation)
        if gone:
            raise StorageUnavailable("no route")

    registry = registry_of(Interposed(storage, note))

    async def cost(*, write: bool) -> list[str]:
        operations.clear()
        await registry.check(write=write)
        return list(operations)

    assert (await cost(write=False)).count("put") > 8, "nothing is known of a storage at the start"
    assert await cost(write=False) == ["get"]
    assert await cost(write=True) == ["get", "put", "delete"]
    gone = True
    await cost(write=False)
    gone = False
    assert (await cost(write=False)).count("put") > 8, "what is back may be another server"


async def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A file where the directory should be is said, not raised."""
    (tmp_path / "file").write_text("x")
    state = await registry_of(Directory(tmp_path / "file")).check()
    assert state.reason is StorageReason.UNREACHABLE
    assert "directory" in state.message

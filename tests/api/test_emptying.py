"""A replica whose storage is being emptied writes nothing more."""

from __future__ import annotations

import asyncio
from pathlib import Path

from registry_runtime.repository.marker import Marker
from registry_runtime.storage.directory import Directory
from registry_runtime.storage.records import Records
from tests.api.replica import Replica


def test_a_replica_ends_that_finds_its_storage_condemned(tmp_path: Path) -> None:
    """It never becomes ready, and its exit is no failure: there is nothing that a restart would mend."""
    storage = {"kind": "directory", "path": str(tmp_path / "content")}
    with Replica(tmp_path, storage) as replica:
        replica.terminate()
        assert replica.process
        assert replica.process.wait(30) == 0
        asyncio.run(condemn(tmp_path / "content"))
        replica.launch()
        assert replica.process.wait(30) == 0
        assert "all content of this storage is being deleted" in replica.log
        assert not replica.lines("a job failed and begins again")


async def condemn(folder: Path) -> None:
    """As a pod that was killed in the midst leaves it."""
    storage = Directory(folder)
    assert await Marker(storage, Records(storage), None, "owner-uid").condemn()

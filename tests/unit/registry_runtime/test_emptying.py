"""The pod that deletes all content: it goes on by itself, says how far it is, and ends when it is told to."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest

from registry_runtime import emptying
from registry_runtime.contract.config import DirectoryStorage, Listeners, PolicySource, RuntimeConfig
from registry_runtime.contract.state import ReplicaState, StorageReason
from registry_runtime.emptying import EmptyingPod
from registry_runtime.storage import paths
from registry_runtime.storage.directory import Directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emptying, "_PAUSES", (0.001, 0.01))
    monkeypatch.setattr(emptying, "_TOLD", 0.01)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[EmptyingPod]:
    """It is told to end at the end of the block, and does."""
    listeners = Listeners(address="127.0.0.1", private=None, internal=None, probes=0)
    config = RuntimeConfig(
        registry="harbour/harbour",
        owner="owner",
        hosts=("harbour.test",),
        storage=DirectoryStorage(path=folder),
        listeners=listeners,
        policy=PolicySource(directory=folder, secrets=()),
    )
    pod, stop = EmptyingPod(config, "harbour-0", "zone-a"), asyncio.Event()
    task = asyncio.create_task(pod.run(stop))
    try:
        yield pod
    finally:
        stop.set()
        await task


async def until(pod: EmptyingPod, true: Callable[[ReplicaState], object]) -> ReplicaState:
    async with asyncio.timeout(30):
        while not true(pod._board.state):
            await asyncio.sleep(0.005)
    return pod._board.state


def marker(owner: str) -> bytes:
    return json.dumps({"version": 1, "change": "c", "format": 1, "owner": owner}).encode() + b"\n"


async def test_it_waits_until_it_may_and_then_deletes(tmp_path: Path) -> None:
    """What holds it back is told with its reason; it needs no restart when that is mended."""
    storage = Directory(tmp_path)
    await storage.put(paths.MARKER, [marker("another")])
    await storage.put(f"{paths.CATALOG}team!app", [b"{}\n"])
    async with running(tmp_path) as pod:
        state = await until(pod, lambda state: state.storage.reason is StorageReason.WRONG_OWNER)
        assert "belongs to the Registry with the UID another" in state.storage.message
        assert state.emptying
        assert (state.emptying.owner, state.emptying.done, state.emptying.objects) == ("owner", False, 0)
        await storage.put(paths.MARKER, [marker("owner")])
        state = await until(pod, lambda state: state.emptying and state.emptying.done)
        assert state.emptying
        assert (state.storage.reason, state.emptying.objects) == (StorageReason.READY, 2)
        assert (await storage.list("")).entries == ()


async def test_it_lives_and_is_never_ready(tmp_path: Path) -> None:
    """So the kubelet lets it be, and no Service sends anybody to it; not even when it is done."""
    async with running(tmp_path) as pod:
        await until(pod, lambda state: state.emptying and state.emptying.done)
        port = pod.listeners["probes"].port
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            for path, status in (("/livez", 200), ("/readyz", 503)):
                async with session.get(path) as answer:
                    assert answer.status == status

"""What a replica knows of itself, and who waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from registry_runtime.contract.state import StorageReason, StorageState
from registry_runtime.state import Rhythm, StateBoard, Watch

READY = StorageState(reason=StorageReason.READY)
SILENT = StorageState(reason=StorageReason.UNREACHABLE, message="it did not answer")
GONE = StorageState(reason=StorageReason.UNREACHABLE, message="no route")


def board() -> StateBoard:
    return StateBoard("replica-0", "zone-a", datetime(2026, 11, 21, tzinfo=UTC))


async def test_a_change_wakes_everybody() -> None:
    """All who wait get the new state at once; who comes later with an old version does not wait."""
    told = board()
    old = told.state.version
    waiting = [asyncio.create_task(told.newer(old, 10)) for _ in range(3)]
    await asyncio.sleep(0.01)
    started = time.perf_counter()
    told.update(ready=True)
    assert {one.ready for one in await asyncio.gather(*waiting)} == {True}
    assert (await told.newer(old, 10)).ready
    assert (await told.newer(None, 10)).ready
    assert time.perf_counter() - started < 1


async def test_nothing_new_ends_the_wait() -> None:
    """The same state comes back when the time is over, and an update that changes nothing wakes nobody."""
    told = board()
    waiting = asyncio.create_task(told.newer(told.state.version, 0.1))
    await asyncio.sleep(0.01)
    told.update(ready=False)
    assert not waiting.done()
    assert await waiting == told.state


def test_the_version_follows_the_content() -> None:
    """Another content has another version, and the old content the old one."""
    told = board()
    first = told.state.version
    told.update(policy_revision="0" * 16)
    assert told.state.version != first
    told.update(policy_revision=None)
    assert told.state.version == first


class Storage:
    """Checked by a watch; what it says, and what it was asked, are a test's to see."""

    def __init__(self) -> None:
        self.says = READY
        self.hangs = False
        self.asked: list[tuple[float, bool]] = []
        self.found: list[StorageState] = []

    async def check(self, write: bool) -> StorageState:
        self.asked.append((asyncio.get_running_loop().time(), write))
        if self.hangs:
            await asyncio.Event().wait()
        return self.says

    async def until(self, checks: int) -> None:
        while len(self.asked) < checks:
            await asyncio.sleep(0.001)


@asynccontextmanager
async def watched(storage: Storage, again: float = 30, **times: float) -> AsyncIterator[Watch[StorageState]]:
    rhythm = Rhythm(again, soonest=0.01, longest=0.02, **times)
    watch = Watch(storage.check, storage.found.append, SILENT, rhythm)
    running = asyncio.create_task(watch.run())
    yield watch
    running.cancel()


async def test_a_doubt_is_looked_into_at_once() -> None:
    """Half a minute is not waited for; of a hundred doubts one check comes, and it writes."""
    storage = Storage()
    async with watched(storage, 3600, debounce=0.1) as watch:
        await storage.until(1)
        storage.says = GONE
        for _ in range(100):
            watch.doubt()
        await storage.until(2)
        (first, _), (second, write) = storage.asked
        assert 0.1 <= second - first < 1
        assert write
        assert storage.found[-1] == GONE
        storage.says = READY
        await storage.until(3)
        await asyncio.sleep(0.3)
        assert len(storage.asked) == 3
        assert storage.found == [READY, GONE, READY]


async def test_a_good_storage_is_looked_at_now_and_then() -> None:
    """With nobody asking; it is written to at the start only, what is pushed later shows the rest."""
    storage = Storage()
    async with watched(storage, 0.005, debounce=0.0):
        await storage.until(21)
        assert [write for _, write in storage.asked[:21]] == [True, *[False] * 20]


async def test_a_check_that_hangs_is_an_answer() -> None:
    """A network that swallows packets is told as a bucket that cannot be reached."""
    storage = Storage()
    storage.hangs = True
    async with watched(storage, patience=0.02):
        await storage.until(2)
        assert storage.found[0] == SILENT
        storage.hangs = False
        checks = len(storage.asked)
        await storage.until(checks + 1)
        await asyncio.sleep(0.01)
        assert storage.found[-1] == READY

"""What a replica knows of itself, and who waits for it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from registry_runtime.state import StateBoard


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
    assert {state.ready for state in await asyncio.gather(*waiting)} == {True}
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

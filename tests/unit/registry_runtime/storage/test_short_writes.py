"""Short writes run on the event loop, unless the disk takes its time."""

from __future__ import annotations

import threading
import time

import pytest

from registry_runtime.storage.short_writes import ShortWrites


async def test_a_slow_disk_is_waited_for_elsewhere() -> None:
    """Two slow writes send the next ones into threads, for a while; a long one goes there in any case."""
    now, takes = [100.0], [0.0]
    writes = ShortWrites(lambda: now[0], lambda: int(now[0] * 1000))

    def write(_what: str) -> bool:
        now[0] += takes[0]
        return threading.current_thread() is threading.main_thread()

    assert await writes.run(10, write, "fast")
    assert await writes.run(10, write, "fast again")
    assert not await writes.run(1024 * 1024, write, "long")
    for took in (0.02, 0.0, 0.02, 0.02):
        takes[0] = took
        assert await writes.run(10, write, "slow")
    assert not await writes.run(10, write, "after it")
    now[0] += 6
    for took in (0.02, 0.0):
        takes[0] = took
        assert await writes.run(10, write, "a while later, where one alone is none again")


async def test_a_write_that_fails_slowly_counts() -> None:
    """A disk in trouble does not hold the loop again and again; its error is the caller's."""
    now = [0.0]
    writes = ShortWrites(lambda: now[0], lambda: int(now[0]))

    def fail() -> None:
        now[0] += 1
        raise OSError("full")

    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            await writes.run(10, fail)
    assert not await writes.run(10, lambda: threading.current_thread() is threading.main_thread())


async def test_a_write_that_only_waits_for_a_processor_stays() -> None:
    """On a busy machine every write may take long, and would take no less in a thread."""
    now = [0.0]
    writes = ShortWrites(lambda: now[0], lambda: 7)

    def write() -> bool:
        now[0] += 0.02
        return threading.current_thread() is threading.main_thread()

    assert [await writes.run(10, write) for _ in range(10)] == [True] * 10


async def test_a_thread_that_sleeps_has_waited() -> None:
    """What the system counts is what is meant: one that sleeps sends the next away, one that computes not."""
    waiting, computing = ShortWrites(), ShortWrites()

    def compute() -> bool:
        ends = time.thread_time() + 0.003
        while time.thread_time() < ends:
            pass
        return threading.current_thread() is threading.main_thread()

    def sleep() -> bool:
        time.sleep(0.003)
        return threading.current_thread() is threading.main_thread()

    # First what begins no thread: one that ends would make who computes wait for the interpreter's lock.
    assert [await computing.run(10, compute) for _ in range(3)] == [True, True, True]
    assert [await waiting.run(10, sleep) for _ in range(3)] == [True, True, False]

"""The memory of uploads: lent in turn, given back, and never more than there is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from registry_runtime.repository.memory import Memory

MIB = 1024 * 1024
BOUND = 450 * MIB
MANY_UPLOADS = """
import asyncio, re, sys
from datetime import UTC, datetime
from pathlib import Path
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.config import Limits
from registry_runtime.repository import Registry, intake
from registry_runtime.storage.base import Part
from registry_runtime.storage.directory import Directory

PIECE, NAME = 65536, RepositoryName("team/app")

class Slow(Directory):
    async def write(self, multipart, place, content):
        # What is lent for a part is free when this is done; the bytes need no disk for that.
        await asyncio.sleep(0.2)
        return Part(place.number, sum(map(len, content)), "")

async def body(size):
    for _ in range(size // PIECE):
        yield bytes(bytearray(PIECE))
        await asyncio.sleep(0)

async def main():
    intake.GROWTH = int(sys.argv[2])
    registry = Registry(Slow(Path(sys.argv[1])), Limits(), lambda: datetime.now(UTC), "owner")
    uploads = [registry.uploads.start(NAME) for _ in range(60)]
    for _ in range(int(sys.argv[3])):
        bodies = [(one.id, body(int(sys.argv[4]))) for one in uploads]
        await asyncio.gather(*(registry.uploads.append(NAME, *one) for one in bodies))
    # Not ru_maxrss: that begins with what the process had that forked this one.
    print(1024 * int(re.search("VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))

asyncio.run(main())
"""


async def test_who_comes_first_is_served_first() -> None:
    """A large wish is not overtaken for ever by small ones; what is given back serves the next."""
    memory, served = Memory(10), list[int]()

    async def use(size: int) -> None:
        async with memory.lend(size):
            served.append(size)
            await asyncio.sleep(0)

    await memory.take(5)
    waiting = [asyncio.ensure_future(use(size)) for size in (8, 1, 10)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert served == []
    memory.give(5)
    await asyncio.gather(*waiting)
    assert served == [8, 1, 10]
    await asyncio.wait_for(memory.take(10), 1)


async def test_who_gives_up_keeps_nothing() -> None:
    """Cancelled while it waits, and just when it was served: all is free again, and the next goes on."""
    memory = Memory(10)
    await memory.take(10)
    first, second, third = [asyncio.ensure_future(memory.take(size)) for size in (10, 10, 4)]
    await asyncio.sleep(0)
    first.cancel()
    memory.give(10)  # it is the second's now, who does not know it yet
    second.cancel()
    await third
    await asyncio.gather(first, second, return_exceptions=True)
    await asyncio.wait_for(memory.take(6), 1)


async def test_who_gives_up_stands_in_nobody_s_way() -> None:
    """What is free is enough for the small wish behind the large one that was given up."""
    memory = Memory(10)
    await memory.take(5)
    large, small = [asyncio.ensure_future(memory.take(size)) for size in (8, 2)]
    await asyncio.sleep(0)
    large.cancel()
    await asyncio.wait_for(small, 1)


async def test_what_one_name_holds_leaves_some_for_others() -> None:
    """Of a tenant whose clients take their time, the next waits for these; who else comes is served."""
    memory, served = Memory(8), list[str]()

    async def use(who: str) -> None:
        await memory.take(2, who)
        served.append(who)

    for _ in range(3):
        await use("slow")
    waiting = asyncio.ensure_future(use("slow"))
    await asyncio.wait_for(use("other"), 1)
    memory.give(2, "other")
    await asyncio.sleep(0)
    assert served == ["slow", "slow", "slow", "other"]
    memory.give(2, "slow")
    await asyncio.wait_for(waiting, 1)
    assert served[-1] == "slow"


async def test_of_two_names_the_first_that_asked_is_served_first() -> None:
    memory = Memory(2)
    await memory.take(2)
    first, second = [asyncio.ensure_future(memory.take(2, who)) for who in ("slow", "other")]
    await asyncio.sleep(0)
    memory.give(2)
    await asyncio.wait_for(first, 1)
    assert not second.done()
    memory.give(2, "slow")
    await asyncio.wait_for(second, 1)


async def test_who_holds_nothing_is_forgotten() -> None:
    """A replica that serves for years has no more names than lend from it now."""
    memory = Memory(10)
    for number in range(100):
        async with memory.lend(5, f"tenant-{number}") as loan:
            loan.shrink(0)
            await loan.take(2)
    assert list(memory._held) == []


async def test_who_holds_nothing_may_take_all() -> None:
    """A wish above the share is no wait for ever, and one without a name has no share."""
    memory = Memory(8)
    await asyncio.wait_for(memory.take(8, "large"), 1)
    memory.give(8, "large")
    for _ in range(8):
        await asyncio.wait_for(memory.take(1), 1)


@pytest.mark.parametrize(
    ("growth", "requests", "size"),
    [(1000, 1, 16 * MIB), (1000, 2, 12 * MIB), (1, 1, 80 * MIB)],
    ids=["parts", "tails", "growing"],
)
def test_sixty_uploads_stay_within_their_memory(
    tmp_path: os.PathLike[str], growth: int, requests: int, size: int
) -> None:
    """Sixty at once to a slow storage: full parts, tails that are read back, parts that grow."""
    arguments = [sys.executable, "-c", MANY_UPLOADS, *map(str, (tmp_path, growth, requests, size))]
    ended = subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=120)
    assert int(ended.stdout) < BOUND, f"{int(ended.stdout) // MIB} MiB"

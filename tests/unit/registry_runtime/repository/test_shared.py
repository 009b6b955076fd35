"""Reads that are shared: how many there are, how old what they give may be, and who may leave."""

from __future__ import annotations

import asyncio

import pytest

from registry_runtime.repository.shared import SharedReads


class Source:
    """Gives its value as it is when a read begins, after it was let go; counts the reads."""

    def __init__(self) -> None:
        self.value = "old"
        self.reads = 0
        self.gate = asyncio.Event()

    async def read(self) -> str:
        self.reads += 1
        seen = self.value
        await self.gate.wait()
        await asyncio.sleep(0)
        if seen == "broken":
            raise ValueError(seen)
        return seen


async def asking(reads: SharedReads[str], source: Source, count: int) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(reads.get("key", source.read)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_who_comes_while_a_read_runs_shares_the_next() -> None:
    """Ten askers, two reads; and each asker sees what was there when it asked, or later."""
    reads, source = SharedReads[str](), Source()
    first = await asking(reads, source, 1)
    source.value = "new"
    late = await asking(reads, source, 9)
    source.gate.set()
    assert await asyncio.gather(*first, *late) == ["old"] + ["new"] * 9
    assert source.reads == 2
    assert await reads.get("key", source.read) == "new"
    assert source.reads == 3, "and nothing is kept"


async def test_other_keys_wait_for_nobody() -> None:
    """A slow read holds up its own key only."""
    reads, slow, fast = SharedReads[str](), Source(), Source()
    (waiting,) = await asking(reads, slow, 1)
    fast.gate.set()
    assert await reads.get("another", fast.read) == "old"
    waiting.cancel()


@pytest.mark.parametrize("leaves", range(4))
async def test_whoever_leaves_the_others_are_answered(leaves: int) -> None:
    """The reader itself, and any of those that wait: before its turn, and at the moment of it."""
    reads, source = SharedReads[str](), Source()
    tasks = await asking(reads, source, 4)
    tasks[leaves].cancel()
    source.gate.set()
    async with asyncio.timeout(2):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answer for answer in answers if answer == "old"] == ["old"] * 3
    assert not reads._waiting


async def test_one_that_leaves_when_its_turn_was_given() -> None:
    """It was told to read, and never will: the next one is told."""
    reads, source = SharedReads[str](), Source()
    tasks = await asking(reads, source, 4)
    source.gate.set()
    while source.reads == 1 and not tasks[0].done():
        await asyncio.sleep(0)
    tasks[1].cancel()
    async with asyncio.timeout(2):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[0] == answers[2] == answers[3] == "old"
    assert isinstance(answers[1], asyncio.CancelledError)
    assert not reads._waiting


async def test_a_failure_is_everybodys() -> None:
    """Who shares a read that fails fails with it; the next one asks again."""
    reads, source = SharedReads[str](), Source()
    first = await asking(reads, source, 1)
    source.value = "broken"
    late = await asking(reads, source, 3)
    source.gate.set()
    answers = await asyncio.gather(*first, *late, return_exceptions=True)
    assert answers[0] == "old"
    assert [type(answer) for answer in answers[1:]] == [ValueError] * 3
    source.value = "mended"
    assert await reads.get("key", source.read) == "mended"

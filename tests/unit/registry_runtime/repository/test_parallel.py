"""Many at a time, but not all at once."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from registry_runtime.repository.parallel import both, each


async def test_results_are_in_order_and_the_width_is_kept() -> None:
    """However long each takes."""
    running = most = 0

    async def action(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001 * (number % 3))
        running -= 1
        return number * 2

    assert await each(action, range(40), 5) == [number * 2 for number in range(40)]
    assert most == 5
    assert await each(action, []) == []


async def test_the_first_error_ends_the_others() -> None:
    """Nothing goes on behind the caller's back."""
    ended: list[int] = []

    async def action(number: int) -> None:
        if number == 3:
            raise KeyError(number)
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(number)

    with pytest.raises(KeyError):
        await each(action, range(10), 5)
    await asyncio.sleep(0)
    assert {0, 1, 2, 4} <= set(ended)
    assert len(asyncio.all_tasks()) == 1


async def test_with_a_width_of_one_nothing_overlaps() -> None:
    """Each begins when the one before it is done, and none of them costs a task of its own."""
    steps: list[str] = []
    here = asyncio.current_task()

    async def action(name: str) -> str:
        assert asyncio.current_task() is here
        steps.append(f"{name} begins")
        await asyncio.sleep(0)
        steps.append(f"{name} ends")
        return name

    assert await each(action, ["a", "b"], 1) == ["a", "b"]
    assert await both(partial(action, "c"), partial(action, "d"), 1) == ("c", "d")
    assert steps == [f"{name} {step}" for name in "abcd" for step in ("begins", "ends")]


async def test_two_different_things_at_a_time() -> None:
    """The first waits for the second, which has begun meanwhile."""
    begun = asyncio.Event()

    async def wait() -> int:
        await begun.wait()
        return 1

    async def begin() -> str:
        begun.set()
        return "two"

    assert await both(wait, begin) == (1, "two")

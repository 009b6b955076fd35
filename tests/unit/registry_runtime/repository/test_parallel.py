"""Many at a time, but not all at once."""

from __future__ import annotations

import asyncio

import pytest

from registry_runtime.repository.parallel import each


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

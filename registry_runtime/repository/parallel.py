"""Many operations of the storage at a time, where that is sooner, but not all at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

Item = TypeVar("Item")
Result = TypeVar("Result")
Other = TypeVar("Other")

WIDTH = 16


async def each(
    action: Callable[[Item], Awaitable[Result]], items: Iterable[Item], width: int = WIDTH
) -> list[Result]:
    """Results in the order of the items, `width` actions at a time. The first error ends the others."""
    some = list(items)
    if width == 1 or len(some) <= 1:
        return [await action(item) for item in some]
    one = action if len(some) <= width else _in_turn(action, width)
    tasks = [asyncio.ensure_future(one(item)) for item in some]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def _in_turn(action: Callable[[Item], Awaitable[Result]], width: int) -> Callable[[Item], Awaitable[Result]]:
    turns = asyncio.Semaphore(width)

    async def one(item: Item) -> Result:
        async with turns:
            return await action(item)

    return one


async def both(
    first: Callable[[], Awaitable[Result]], second: Callable[[], Awaitable[Other]], width: int = WIDTH
) -> tuple[Result, Other]:
    """Results of two actions; with a width of one the second begins when the first is done."""
    if width == 1:
        return await first(), await second()
    one, other = await asyncio.gather(first(), second())
    return one, other

"""Several things at a time, of which none keeps another back."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def every(runs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results. The first error is raised when each one has ended, so that none goes on unseen."""
    results = await asyncio.gather(*runs, return_exceptions=True)
    ended: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        ended.append(result)
    return ended

"""Reads that many wait for at once are made once: a hundred nodes pull the same tag at the same moment.

Nobody is given what was read before it asked: while a read runs, all who come wait for the next one, which
begins when this one is done. So what is answered is never older than the question.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable

Result = TypeVar("Result")


class _Turn(Exception):
    """Who waited reads now, for itself and for `others` that waited with it."""

    def __init__(self, others: list[asyncio.Future[Any]]) -> None:
        super().__init__()
        self.others = others


class SharedReads(Generic[Result]):
    """Reads by key; two of one key never run at the same time."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[asyncio.Future[Result]]] = {}  # a list while a read runs

    async def get(self, key: Hashable, read: Callable[[], Awaitable[Result]]) -> Result:
        """What `read` gives or raises; it is called after this was, by this caller or by another."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = []
            return await self._read(key, read, [])
        place: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        waiting.append(place)
        try:
            return await place
        except _Turn as turn:
            return await self._read(key, read, turn.others)
        except asyncio.CancelledError:
            told = place.exception() if place.done() and not place.cancelled() else None
            if isinstance(told, _Turn):
                self._next(key, told.others)
            raise

    async def _read(
        self,
        key: Hashable,
        read: Callable[[], Awaitable[Result]],
        others: list[asyncio.Future[Result]],
    ) -> Result:
        try:
            result = await read()
        except asyncio.CancelledError:
            self._next(key, others)
            raise
        except Exception as error:
            for place in _open(others):
                place.set_exception(error)
            self._next(key, [])
            raise
        for place in _open(others):
            place.set_result(result)
        self._next(key, [])
        return result

    def _next(self, key: Hashable, others: list[asyncio.Future[Result]]) -> None:
        """The first that still waits reads for all that wait."""
        waiting = _open((*others, *self._waiting[key]))
        if waiting:
            self._waiting[key] = []
            waiting[0].set_exception(_Turn(waiting[1:]))
        else:
            del self._waiting[key]


def _open(places: Iterable[asyncio.Future[Result]]) -> list[asyncio.Future[Result]]:
    """Of those that waited, who still does."""
    return [place for place in places if not place.done()]

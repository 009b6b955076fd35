"""A storage that tells before and after each operation, so that a test can step in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from registry_runtime.storage.base import PAGE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from registry_runtime.content.buffer import Buffer, Chunks
    from registry_runtime.content.range import Span
    from registry_runtime.storage.base import (
        Found,
        Listing,
        Multipart,
        Part,
        Place,
        Storage,
        Unfinished,
    )

    Step = Callable[[str, str], Awaitable[None]]

Result = TypeVar("Result")


async def nothing(operation: str, key: str) -> None:
    """Steps in nowhere."""


class Killed(BaseException):
    """The replica's process is gone."""


class Interposed:
    """`before` and `after` are called with the operation's name and the key; what they raise, it raises.

    As a bucket it does many things at a time.
    """

    width = 16

    def __init__(self, storage: Storage, before: Step = nothing, after: Step = nothing) -> None:
        self.storage = storage
        self.before = before
        self.after = after

    async def _do(self, operation: str, key: str, action: Callable[[], Awaitable[Result]]) -> Result:
        await self.before(operation, key)
        result = await action()
        await self.after(operation, key)
        return result

    async def get(self, key: str) -> Found | None:
        return await self._do("get", key, lambda: self.storage.get(key))

    async def size(self, key: str) -> int | None:
        return await self._do("size", key, lambda: self.storage.size(key))

    async def put(
        self, key: str, content: Sequence[Buffer], *, absent: bool = False, match: str | None = None
    ) -> str:
        return await self._do("put", key, lambda: self.storage.put(key, content, absent=absent, match=match))

    async def delete(self, keys: Sequence[str]) -> None:
        await self._do("delete", keys[0] if keys else "", lambda: self.storage.delete(keys))

    async def erase(self, key: str, match: str) -> None:
        await self._do("erase", key, lambda: self.storage.erase(key, match))

    async def list(self, prefix: str, *, after: str = "", limit: int = PAGE) -> Listing:
        return await self._do("list", prefix, lambda: self.storage.list(prefix, after=after, limit=limit))

    async def open(self, key: str, span: Span | None = None) -> Chunks:
        return await self._do("open", key, lambda: self.storage.open(key, span))

    async def begin(self, key: str) -> Multipart:
        return await self._do("begin", key, lambda: self.storage.begin(key))

    async def write(self, multipart: Multipart, place: Place, content: Sequence[Buffer]) -> Part:
        return await self._do("write", multipart.key, lambda: self.storage.write(multipart, place, content))

    async def complete(self, multipart: Multipart, parts: Sequence[Part], fence: int) -> None:
        await self._do("complete", multipart.key, lambda: self.storage.complete(multipart, parts, fence))

    async def abort(self, multipart: Multipart) -> None:
        await self._do("abort", multipart.key, lambda: self.storage.abort(multipart))

    async def unfinished(self, prefix: str) -> Sequence[Unfinished]:
        return await self._do("unfinished", prefix, lambda: self.storage.unfinished(prefix))

    async def sweep(self, before: datetime) -> int:
        return await self._do("sweep", "", lambda: self.storage.sweep(before))

    async def verify(self, key: str) -> None:
        await self._do("verify", key, lambda: self.storage.verify(key))

    async def close(self) -> None:
        await self.storage.close()


class Mortal(Interposed):
    """Killed by the n-th call, whose effect is `lost` or `done`; what was on its way arrives."""

    def __init__(self, storage: Storage, fatal: int, effect: str) -> None:
        super().__init__(storage, **{"before" if effect == "lost" else "after": self._kill})
        self._fatal = fatal
        self._calls = 0
        self._under_way: set[asyncio.Future[Any]] = set()

    async def _kill(self, operation: str, key: str) -> None:
        self._calls += 1
        if self._calls >= self._fatal:  # the dead do nothing more
            raise Killed(f"{operation} {key}")

    async def _do(self, operation: str, key: str, action: Callable[[], Awaitable[Result]]) -> Result:
        await self.before(operation, key)
        effect = asyncio.ensure_future(action())
        self._under_way.add(effect)
        result = await asyncio.shield(effect)
        await self.after(operation, key)
        return result

    async def settle(self) -> None:
        """Waits for what was on its way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

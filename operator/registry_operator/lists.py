"""What kopf is told when it lists: by pages, and only what is not known yet.

kopf asks for all objects in one answer, keeps that for as long as it watches, and spends most of a
millisecond on each: for ten thousand AccessTokens 250 MiB and seven seconds, of what was read just before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

import aiohttp

from registry_operator.cluster import Page
from registry_operator.errors import ClusterError

List = Callable[[], Awaitable[Page]]


class Lists:
    """The HTTP session that kopf is given: lists are ours, everything else is asked of the API server.

    `lists` gives for the URL of a list what is to be told, on the event loop `loop`.
    """

    def __init__(
        self, session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop, lists: Mapping[str, List]
    ) -> None:
        self._session = session
        self._loop = loop
        self._lists = lists

    @property
    def headers(self) -> Any:
        return self._session.headers

    @property
    def closed(self) -> bool:
        return self._session.closed

    async def close(self) -> None:
        await self._session.close()

    async def request(self, method: str, url: str, **words: Any) -> "aiohttp.ClientResponse | Listed":
        """Raises aiohttp.ClientConnectionError where a list cannot be had; kopf asks again."""
        ask = self._lists.get(url)
        if ask is None or method.lower() != "get":
            return await self._session.request(method, url, **words)
        asked = asyncio.run_coroutine_threadsafe(_page(ask), self._loop)
        try:
            return Listed(await asyncio.wrap_future(asked))
        except ClusterError as error:
            raise aiohttp.ClientConnectionError(error.message) from None


async def _page(ask: List) -> Page:
    return await ask()


class Listed(AbstractAsyncContextManager["Listed"]):
    """What kopf uses of the answer to a list."""

    status, closed = 200, True

    def __init__(self, page: Page) -> None:
        self._page = page

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    async def json(self) -> dict[str, Any]:
        return {"metadata": {"resourceVersion": self._page.version}, "items": self._page.items}

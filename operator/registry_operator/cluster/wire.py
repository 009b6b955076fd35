"""How a request reaches the API server: over HTTP/1.1, and a watch over HTTP/2 where that is spoken."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from http import HTTPStatus
from typing import Protocol

import aiohttp
from yarl import URL

from registry_operator.cluster.connections import Connections
from registry_operator.cluster.credentials import Credentials

NO_ANSWER = aiohttp.ClientError, OSError  # what a request raises
CONNECT_SECONDS = 10
REQUEST = aiohttp.ClientTimeout(total=30, sock_connect=CONNECT_SECONDS)
CHUNK = 256 * 1024
ALWAYS = {
    "User-Agent": "roadstead-operator",
    "Accept": "application/json",
    # The API server would compress what is larger than 128 KiB, for longer than it takes to send it.
    "Accept-Encoding": "identity",
}


class Answer(Protocol):
    """Of the API server. Whoever reads it may meet NO_ANSWER in its midst."""

    @property
    def status(self) -> int:
        """Of HTTP."""

    @property
    def headers(self) -> Mapping[str, str]:
        """To be asked for by names in small letters."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body, as it comes."""

    async def read(self) -> bytes:
        """All of the body."""


class Plain:
    """An answer of HTTP/1.1."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.read = response.read
        self._content = response.content

    def chunks(self) -> AsyncIterator[bytes]:
        return self._content.iter_chunked(CHUNK)


class Wire:
    """To the API server of these credentials. Both ways are alike to who asks."""

    def __init__(self, credentials: Credentials) -> None:
        connector = aiohttp.TCPConnector(limit=0, ssl=credentials.ssl_context())
        self._session = aiohttp.ClientSession(connector=connector, headers=ALWAYS)
        self._connections = Connections(URL(credentials.server), credentials.ssl_context)

    async def close(self) -> None:
        await self._connections.close()
        await self._session.close()

    @asynccontextmanager
    async def request(
        self, method: str, url: URL, body: bytes | None, headers: Mapping[str, str]
    ) -> AsyncIterator[Answer]:
        """What ends soon."""
        async with self._session.request(
            method, url, data=body, headers=headers, timeout=REQUEST, allow_redirects=False
        ) as response:
            yield Plain(response)

    @asynccontextmanager
    async def watch(self, url: URL, headers: Mapping[str, str], quiet: float) -> AsyncIterator[Answer]:
        """What lasts, until nothing was heard for `quiet` seconds."""
        exchange = await self._connections.get(url, ALWAYS | dict(headers), quiet)
        if exchange:
            del headers
            with closing(exchange):
                await exchange.answered()
                if exchange.status < HTTPStatus.MULTIPLE_CHOICES:
                    exchange.headers.clear()  # a thousand watches last for hours, and nobody asks
                yield exchange
            return
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=quiet)
        async with self._session.get(
            url, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            yield Plain(response)

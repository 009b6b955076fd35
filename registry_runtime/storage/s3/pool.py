"""Connections to one host, kept for the next request."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

from registry_runtime.storage.s3.connection import Broken, Connection, received_blocks

if TYPE_CHECKING:
    from registry_runtime.storage.s3.trust import Trust

STALLED_SECONDS = 20.0  # without a byte either way, while somebody waits for it
_CONNECT_SECONDS = 3.0  # for each address
_ADDRESSES = 4
_IDLE_SECONDS = 15.0  # servers close connections sooner or later; this is sooner than most
_TICK = 1.0


class Pool:
    """Belongs to the event loop that asks first. `trust` is None where there is no TLS."""

    def __init__(self, host: str, port: int, trust: Trust | None) -> None:
        self._host = host
        self._port = port
        self._trust = trust
        self._context: ssl.SSLContext | None = None  # which the idle connections have
        self._idle: list[Connection] = []  # the one that was used last at the end
        self._busy: set[Connection] = set()
        self._watch: asyncio.TimerHandle | None = None
        self._blocks = received_blocks()

    async def lease(self, *, fresh: bool = False) -> Connection:
        """A connection, to be given back; `fresh` says that it has to be a new one. Raises OSError."""
        context = self._trust.current() if self._trust else None
        if context is not self._context:  # another trust, another connection
            self._context = context
            await self._close_idle()
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.alive:
                connection.reused = True
                break
        else:
            connection = await self._connect(context)
        self._busy.add(connection)
        self._tick_later()
        return connection

    def give_back(self, connection: Connection) -> None:
        """Ends it where its answer was not read to the end."""
        self._busy.discard(connection)
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.fail(Broken("given up"))

    async def close(self) -> None:
        """Returns when every socket is closed."""
        if self._watch:
            self._watch.cancel()
            self._watch = None
        busy, self._busy = self._busy, set()
        await asyncio.gather(*(connection.close() for connection in busy))
        await self._close_idle()

    async def _close_idle(self) -> None:
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.close() for connection in idle))

    async def _connect(self, context: ssl.SSLContext | None) -> Connection:
        """Tries the addresses one after the other: of two families one may lead nowhere."""
        loop = asyncio.get_running_loop()
        failed: OSError = TimeoutError("its name has no address")
        name = self._host if context else None
        for address in (await self._addresses())[:_ADDRESSES]:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    _, connection = await loop.create_connection(
                        lambda: Connection(self._blocks),
                        address,
                        self._port,
                        ssl=context,
                        server_hostname=name,
                    )
                    return connection
            except TimeoutError:
                failed = TimeoutError("the connection takes too long")
            except OSError as error:
                failed = error
        raise failed

    async def _addresses(self) -> list[str]:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_SECONDS):
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def _tick_later(self) -> None:
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(min(_TICK, STALLED_SECONDS / 4), self._tick)

    def _tick(self) -> None:
        """One timer for all connections: one for each request would cost more than the request."""
        self._watch = None
        now = asyncio.get_running_loop().time()
        for connection in self._busy:
            if connection.awaited and now - connection.since > STALLED_SECONDS:
                connection.fail(TimeoutError("the storage fell silent"))
        for connection in self._idle:
            if now - connection.since > _IDLE_SECONDS:
                connection.fail(Broken("idle"))
        self._idle = [connection for connection in self._idle if connection.alive]
        if self._busy or self._idle:
            self._tick_later()

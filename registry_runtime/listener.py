"""Listeners: sockets that hand requests to an ASGI application, several in one process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from registry_runtime.connection import KEEP_ALIVE_SECONDS, Connection
from registry_runtime.inflow import inflow_blocks
from registry_runtime.tls import ServedCertificate

_HANDSHAKE_SECONDS = 15.0
_BACKLOG = 1024


class ListenError(Exception):
    """A socket cannot be had; the sentence says which and why."""


class Listener:
    """One socket: `state` is told to every request of it (in the ASGI scope), whatever its headers say."""

    def __init__(
        self,
        name: str,
        app: ASGIApp,
        address: tuple[str, int],
        *,
        state: Mapping[str, Any] | None = None,
        tls: ServedCertificate | None = None,
    ) -> None:
        self.name = name
        self.tls = tls
        self._address = address
        self._state = dict(state or {})
        self._config = Config(
            app,
            interface="asgi3",
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._connections = ServerState()
        self._blocks = inflow_blocks()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Raises ListenError."""
        self._config.load()
        self.tick(0)
        host, port = self._address
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Connection(self._config, self._connections, self._state, self._blocks, self.tls),
                sock=_bound(host, port),
                backlog=_BACKLOG,
                ssl=self.tls.context if self.tls is not None else None,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if self.tls is not None else None,
            )
        except OSError as error:
            raise ListenError(
                f"the {self.name} listener cannot have {host} port {port}: {error.strerror or error}"
            ) from error

    @property
    def port(self) -> int:
        """The port that was bound; another than asked for where that was 0."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def tick(self, now: float) -> None:
        """Once a second: the Date header, from seconds of Unix, and clients that take nothing."""
        self._connections.default_headers = [(b"date", formatdate(now, usegmt=True).encode())]
        for connection in list(self._connections.connections):
            if isinstance(connection, Connection):
                connection.watch()

    def stop_accepting(self) -> None:
        """No new connection; idle ones end, and the others after the answer that they wait for."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections.connections):
            connection.shutdown()

    def busy(self) -> int:
        """How many requests are being answered."""
        return len(self._connections.tasks)

    def connected(self) -> int:
        """How many connections are open."""
        return len(self._connections.connections)

    async def cut(self) -> None:
        """Ends what still runs."""
        tasks = list(self._connections.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._connections.connections):
            connection.transport.abort()


def _bound(host: str, port: int) -> socket.socket:
    """Dual-stack for `::`; a port that was just freed may be had again."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        bound.setblocking(False)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound

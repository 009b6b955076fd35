"""Listeners: sockets that hand requests to an ASGI application, several in one process.

uvicorn's connection (httptools) does the HTTP; what it lacks against hostile clients is added here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote

from httptools import HttpRequestParser, parse_url
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from registry_runtime.content.blocks import Blocks
from registry_runtime.exchange import ZERO_COPY, Exchange
from registry_runtime.inflow import BLOCK, LongBody, inflow_blocks
from registry_runtime.tls import ServedCertificate

_HEAD_BYTES = 64 * 1024  # of a request's line and headers, beyond what comes in one read
_HEAD_SECONDS = 15.0  # for a request's line and headers to arrive
_HANDSHAKE_SECONDS = 15.0
_UNTAKEN_SECONDS = 300.0  # for what was written, at most a window of a blob or a manifest, to be taken
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 1024
_TOO_LARGE = 431


class ListenError(Exception):
    """A socket cannot be had; the sentence says which and why."""


class Connection(HttpToolsProtocol):
    """A connection whose client has to say in time, and in bounded space, what it wants."""

    _head_bytes = 0
    _in_head = True
    _impatience: asyncio.TimerHandle | None = None
    _untaken_since: float | None = None  # seconds of the loop's clock
    _idle_since: float | None = None  # the same clock; while no request is read or answered
    _exchange: Exchange | None = None  # the last one whose head was read
    _long: LongBody | None = None  # what receives in our place

    def __init__(
        self,
        config: Config,
        connections: ServerState,
        state: dict[str, Any],
        blocks: Blocks,
        tls: ServedCertificate | None = None,
    ) -> None:
        super().__init__(config, connections, state)
        self._blocks = blocks
        self._tls = tls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()
        if self._tls is not None and not self._tls.lets_in(transport.get_extra_info("ssl_object")):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        if self._exchange is not None:
            self._exchange.lose()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._idle_since = None
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_head:
            self._stop_waiting()
        elif self._head_bytes > _HEAD_BYTES:
            self._refuse_head()
        elif self._impatience is None:
            self._wait_for_head()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        exchange = self._begun()
        last, self._exchange = self._exchange, exchange
        self.cycle = exchange  # type: ignore[assignment]
        if last is None or last.response_complete:
            self._start_asgi_task(exchange, self.app)  # type: ignore[arg-type]
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))  # type: ignore[arg-type]

    def _begun(self) -> Exchange:
        """The request whose head was read now."""
        version = self.parser.get_http_version()
        url = parse_url(self.url)
        path = url.path.decode("ascii")
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        if self._tls is None:
            scope["extensions"] = {ZERO_COPY: {}}
        return Exchange(
            scope,
            self.transport,
            self.flow,
            self.server_state.default_headers,
            self.on_response_complete,
            wanted=self._on_wanted,
            unread=self._announced(),
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            expects_100=self.expect_100_continue,
        )

    def _announced(self) -> int:
        """The Content-Length, 0 without one; the parser has refused what is none, or stands beside chunks."""
        if self.parser.should_upgrade():
            return 0  # whatever comes now is not the body
        return next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def on_body(self, body: bytes) -> None:
        if self._exchange is not None:
            self._exchange.unread -= len(body)
            self._exchange.feed(body)

    def on_message_complete(self) -> None:
        if self._exchange is None:
            return
        if self._exchange.response_complete:
            self._idle_since = self.loop.time()
        self._exchange.more_body = False
        self._exchange.message_event.set()

    def _on_wanted(self) -> None:
        """The rest of a long body comes past the parser, when somebody wants it."""
        if self._exchange is not None and self._exchange.unread >= BLOCK and not self.transport.is_closing():
            self._long = LongBody(self, self._exchange, self._blocks, self._on_long_body)
            self._hand_over(self._long)

    def _on_long_body(self) -> None:
        """It is complete: what comes now is the next request, for a parser that knows nothing of this one."""
        self._long = None
        self._hand_over(self)
        self.parser = HttpRequestParser(self)
        self.on_message_complete()

    def _hand_over(self, receiver: asyncio.BaseProtocol) -> None:
        """Event loops look at what kind of protocol it is when reading begins."""
        self.transport.pause_reading()
        self.transport.set_protocol(receiver)
        if not self.flow.read_paused:
            self.transport.resume_reading()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()

    def pause_writing(self) -> None:
        self._untaken_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._untaken_since = None
        super().resume_writing()

    def watch(self) -> None:
        """Once a second: ends the connection of a client that does not take what was written to it.

        A closed transport sends what it still holds first, for as long as the client lets it. And the
        connection of one that asks for nothing more: a timer for each answer would cost more than this.
        What came of a long body is handed on, be it ever so little.
        """
        if self._long is not None:
            self._long.hand_on()
        if self._idle_since is not None and self.loop.time() - self._idle_since > _KEEP_ALIVE_SECONDS:
            self.transport.close()
        if self._untaken_since is None:
            self._untaken_since = self.loop.time() if self.transport.is_closing() else None
        elif self.loop.time() - self._untaken_since > _UNTAKEN_SECONDS:
            self.transport.abort()

    def _wait_for_head(self) -> None:
        self._impatience = self.loop.call_later(_HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def _refuse_head(self) -> None:
        self.transport.write(STATUS_LINE[_TOO_LARGE] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


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
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
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

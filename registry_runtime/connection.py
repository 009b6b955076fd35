"""One connection to a client: requests come out of it, their bodies and answers go through it.

uvicorn's connection (httptools) does the HTTP; what it lacks against hostile clients, and for long bodies,
is added here.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

from httptools import HttpRequestParser, parse_url
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from registry_runtime.chunks import Chunks, ChunksInvalid
from registry_runtime.content.blocks import Blocks
from registry_runtime.exchange import ZERO_COPY, Exchange
from registry_runtime.inflow import BLOCK, ChunkedBody, LongBody, MeasuredBody
from registry_runtime.tls import ServedCertificate

KEEP_ALIVE_SECONDS = 75
_HEAD_BYTES = 64 * 1024  # of a request's line and headers, beyond what comes in one read
_HEAD_SECONDS = 15.0  # for a request's line and headers to arrive
_UNTAKEN_SECONDS = 300.0  # for what was written, at most a window of a blob or a manifest, to be taken
_TOO_LARGE = 431
_BLANK = b"\r\n\r\n"


class Connection(HttpToolsProtocol):
    """A connection whose client has to say in time, and in bounded space, what it wants."""

    _head_bytes = 0
    _in_head = True
    _impatience: asyncio.TimerHandle | None = None
    _untaken_since: float | None = None  # seconds of the loop's clock
    _idle_since: float | None = None  # the same clock; while no request is read or answered
    _exchange: Exchange | None = None  # the last one whose head was read
    _between = True  # whether nothing of another request has come
    _head_alone = False  # whether the parser was given a whole head, and nothing behind it
    _chunks: Chunks | None = None  # of the body that comes now, where the parser is not asked about it
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
        while data:
            if self._chunks is not None:
                data = self._take_chunks(data, self._chunks)
            else:
                end = self._head_end(data)
                self._head_alone = end > 0
                self._parse(data[: end or len(data)])
                data = data[end:] if end else b""

    def _head_end(self, data: bytes) -> int:
        """Where a head ends that announces chunks and is here as a whole; 0 for anything else."""
        last = data.find(_BLANK) if self._between and b"chunked" in data else -1
        return last + len(_BLANK) if last >= 0 else 0

    def _parse(self, data: bytes) -> None:
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
        self._between = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._chunks = Chunks() if self._head_alone and self._is_chunked() else None
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

    def _is_chunked(self) -> bool:
        """Whether the body comes in chunks, and in nothing else around them."""
        codings = [value for name, value in self.headers if name == b"transfer-encoding"]
        return codings == [b"chunked"] and not self.parser.should_upgrade()

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
        self._between = True
        if self._exchange is None:
            return
        if self._exchange.response_complete:
            self._idle_since = self.loop.time()
        self._exchange.more_body = False
        self._exchange.message_event.set()

    def _take_chunks(self, data: bytes, chunks: Chunks) -> bytes:
        """What nobody wants yet, or is all there is: copied, as a parser would. Gives what came behind it."""
        block = memoryview(bytearray(data))
        try:
            content, behind = chunks.take(block, 0, len(block))
        except ChunksInvalid:
            self.body_invalid()
            return b""
        if content and self._exchange is not None:
            self._exchange.feed(bytes(block[:content]))
        if chunks.done:
            self.body_complete(b"")
        return data[behind:]

    def _on_wanted(self) -> None:
        """The rest of a long body comes past the parser, when somebody wants it: of the request read last.

        Where others wait to be answered it is one of these that wants its own, which is there.
        """
        if self._exchange is None or self._long is not None or self.pipeline or self.transport.is_closing():
            return
        if self._chunks is not None:
            self._long = ChunkedBody(self, self._exchange, self._blocks, self._chunks)
        elif self._exchange.unread >= BLOCK:
            self._long = MeasuredBody(self, self._exchange, self._blocks)
        else:
            return
        self._hand_over(self._long)

    def body_complete(self, rest: bytes) -> None:
        """What comes now, `rest` first, is the next request, for a parser that knows nothing of this one."""
        if self._long is not None:
            self._long = None
            self._hand_over(self)
        self._chunks = None
        self.parser = HttpRequestParser(self)
        self.on_message_complete()
        if rest:  # without any, the connection is idle from now on
            self.data_received(rest)

    def body_invalid(self) -> None:
        """Nobody can tell where the next request begins."""
        if self._exchange is not None and not self._exchange.response_started:
            self.send_400_response("Invalid HTTP request received.")
        else:
            self.transport.abort()

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
        if self._idle_since is not None and self.loop.time() - self._idle_since > KEEP_ALIVE_SECONDS:
            self._close()
        if self._untaken_since is None:
            self._untaken_since = self.loop.time() if self.transport.is_closing() else None
        elif self.loop.time() - self._untaken_since > _UNTAKEN_SECONDS:
            self.transport.abort()

    def shutdown(self) -> None:
        if not self.transport.is_closing():
            super().shutdown()

    def _close(self) -> None:
        """Once: a TLS transport that is closed twice cannot be aborted any more (CPython < 3.11.4)."""
        if not self.transport.is_closing():
            self.transport.close()

    def _wait_for_head(self) -> None:
        self._impatience = self.loop.call_later(_HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def _refuse_head(self) -> None:
        self.transport.write(STATUS_LINE[_TOO_LARGE] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

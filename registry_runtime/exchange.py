"""One request and its answer: the ASGI side of a connection.

In place of uvicorn's own: the head and a small body leave in one system call, what a client sends is copied
once less, and a file can be sent without being read (the ASGI extension `http.response.zerocopysend`).
Nothing is sent in chunks: an answer that does not say its length ends with its connection.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
from collections import deque
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from registry_runtime.content.buffer import Buffer

ZERO_COPY = "http.response.zerocopysend"
RECEIVED = 256 * 1024  # bytes of a body that wait to be taken, before the client has to
_JOINED = 64 * 1024  # bytes of a body that leave together with the head
_BODILESS = frozenset({204, 304})
_FAILED = b"content-length: 0\r\nconnection: close\r\n\r\n"

_log = logging.getLogger(__name__)


class Exchange:
    """`done` is called when the answer is complete; `date` are the lines that every head begins with.

    `unread` are the bytes of the body that have not come yet, 0 where its length was not told; `wanted` is
    called when the application asks for the body first.
    """

    def __init__(
        self,
        scope: Scope,
        transport: asyncio.Transport,
        flow: FlowControl,
        date: list[tuple[bytes, bytes]],
        done: Callable[[], None],
        *,
        wanted: Callable[[], None],
        unread: int,
        keep_alive: bool,
        expects_100: bool,
    ) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self.more_body = True
        self.unread = unread
        self._waiting = 0  # bytes
        self.message_event = asyncio.Event()
        self._transport = transport
        self._flow = flow
        self._date = date
        self._done = done
        self._wanted: Callable[[], None] | None = wanted
        self._expects_100 = expects_100
        self._pieces: deque[Buffer] = deque()
        self._head: bytes | None = None
        self._left: float = 0  # bytes of the body that are still to be sent
        self._watched: int | None = None  # another name of the socket, while a file is sent
        self._wake: Callable[[], None] = self.message_event.set

    async def run_asgi(self, app: ASGIApp) -> None:
        """Ends the connection where the application leaves it with half an answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - the last place that hears of it
            _log.exception("the application failed")
        finally:
            if self._watched is not None:
                os.close(self._watched)
        if self.response_complete or self.disconnected:
            return
        if not self.response_started:
            self._transport.write(STATUS_LINE[500] + _FAILED)
        self._transport.close()

    def lose(self) -> None:
        """The connection is no more."""
        self.disconnected = not self.response_complete
        self.message_event.set()
        self._wake()

    def feed(self, piece: Buffer) -> None:
        """What the client sent of its body; nobody wants it any more when it has its answer."""
        if self.response_complete:
            return
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting >= RECEIVED:
            self._flow.pause_reading()
        self.message_event.set()

    async def receive(self) -> Message:
        if self._expects_100 and not self._transport.is_closing():
            self._expects_100 = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            wanted()
        if not (self._pieces or self.disconnected or self.response_complete):
            self._flow.resume_reading()
            await self.message_event.wait()
            self.message_event.clear()
        if self.response_complete or (self.disconnected and not self._pieces):
            return {"type": "http.disconnect"}
        body = self._taken()
        self._waiting -= len(body)
        if self._waiting < RECEIVED:
            self._flow.resume_reading()
        return {"type": "http.request", "body": body, "more_body": self.more_body or bool(self._pieces)}

    def _taken(self) -> Buffer:
        """What waits: the parser's pieces as one, a view of a block as it is."""
        pieces = self._pieces
        taken = [pieces.popleft()] if pieces else []
        while pieces and isinstance(taken[0], bytes) and isinstance(pieces[0], bytes):
            taken.append(pieces.popleft())
        return taken[0] if len(taken) == 1 else b"".join(taken)

    async def send(self, message: Message) -> None:
        if self._flow.write_paused and not self.disconnected:
            await self._flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            self.response_started = True
            self._expects_100 = False
            self._begin(message)
            return
        if message["type"] == ZERO_COPY:
            await self._send_file(message["file"], message["offset"], message["count"])
        else:
            self._write(message.get("body", b""))
        if not message.get("more_body", False) and not self.disconnected:
            self._end()

    def _begin(self, message: Message) -> None:
        """The head; it leaves with what comes next."""
        status = message["status"]
        self._left = math.inf
        lines = [STATUS_LINE[status]]
        for name, value in (*self._date, *message.get("headers", ())):
            if name == b"content-length":
                self._left = int(value)
            elif name == b"connection":
                self.keep_alive = self.keep_alive and value.lower() != b"close"
                continue
            lines += (name, b": ", value, b"\r\n")
        if status in _BODILESS or self.scope["method"] == "HEAD":
            self._left = 0
        self.keep_alive = self.keep_alive and self._left < math.inf
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        head = b"".join(lines)
        ends = len(lines) // 4 + (2 if self.keep_alive else 3)
        if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
            raise ValueError("a header that would be two")
        self._head = head

    def _write(self, body: bytes | memoryview) -> None:
        head, self._head = self._head or b"", None
        size = len(body) if self.scope["method"] != "HEAD" else 0
        if size > self._left:
            raise ValueError("more than the content-length")
        self._left -= size
        if size == 0:
            if head:
                self._transport.write(head)
        elif head and size <= _JOINED:
            self._transport.write(b"".join((head, body)))
        else:
            if head:
                self._transport.write(head)
            self._transport.write(body)

    async def _send_file(self, file: int, offset: int, count: int) -> None:
        """`count` bytes of an open file, which the kernel hands on without a copy."""
        if count > self._left:
            raise ValueError("more than the content-length")
        self._write(b"")
        taken: socket.socket = self._transport.get_extra_info("socket")
        while self._transport.get_write_buffer_size():
            await self._writable(taken)
        while count and not self.disconnected:
            try:
                sent = os.sendfile(taken.fileno(), file, offset, count)
            except BlockingIOError:
                await self._writable(taken)
                continue
            except OSError:
                self._transport.abort()
                return
            if not sent:
                raise ValueError("the file is shorter than what is to be sent of it")
            offset, count, self._left = offset + sent, count - sent, self._left - sent

    async def _writable(self, taken: socket.socket) -> None:
        """Returns when the client has taken something, or is gone.

        The event loop lets nobody else watch the sockets of its transports: it is given another name of
        this one.
        """
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        self._wake = event.set
        if self._watched is None:
            self._watched = os.dup(taken.fileno())
        loop.add_writer(self._watched, event.set)
        try:
            await event.wait()
        finally:
            loop.remove_writer(self._watched)

    def _end(self) -> None:
        if 0 < self._left < math.inf:
            raise ValueError("less than the content-length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self._transport.close()
        self._done()

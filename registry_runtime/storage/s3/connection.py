"""One HTTP/1.1 connection to the storage: a request goes out, its answer is received into our own buffers.

In place of a general client: a small request takes half of the CPU time, and the bytes of a blob are copied
once, by the kernel. RFC 9112.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpResponseParser

from registry_runtime.content.blocks import Blocks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry_runtime.content.buffer import Buffer

_HEAD = 32 * 1024  # bytes of a buffer for a head, which cannot be longer, and for small bodies
_LEFT = 64 * 1024  # bytes that a buffer must still have room for, to be received into
_WORTH = 384 * 1024  # bytes to read at a time, if they are as good as there
_WAITING = 1024 * 1024  # bytes that wait to be read, before the storage has to
_BLOCK = 512 * 1024  # bytes of a buffer for large bodies
_KEPT = 24  # of those
_NO_MORE = memoryview(b"")
_PIECE = 512 * 1024  # bytes of a body that are handed to the transport at a time
_JOINED = 64 * 1024  # bytes of a body that leave together with the head
_WRITE_BUFFER = 1024 * 1024
_BODILESS = {204, 304}


def received_blocks() -> Blocks:
    """Memory for large bodies, for the connections to one storage."""
    return Blocks(_BLOCK, _KEPT)


class Broken(ConnectionError):
    """The connection ended before the answer did, or the answer is no HTTP."""


class Connection(asyncio.BufferedProtocol):
    """Asked again and again, one request after the other; only while it is `reusable`."""

    def __init__(self, blocks: Blocks) -> None:
        self.reused = False
        self._blocks = blocks
        self.since = 0.0  # when it made progress last, or was asked; seconds of the loop's clock
        self.status = 0  # of the answer, 0 until its head is there
        self.headers: Mapping[str, str] = {}  # by names in lower case; of two alike the last
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._block = memoryview(bytearray(_HEAD))
        self._taken = self._filled = 0  # places in the block: read up to here, received up to here
        self._lent = False  # whether somebody reads in the block, so that no other answer may come into it
        self._full: deque[memoryview] = deque()  # earlier than what is in the block
        self._held = 0  # bytes that wait to be read
        self._left: int | None = 0  # bytes of the body to come; None: until the connection ends
        self._chunked: _Chunked | None = None
        self._done = True
        self._kept = True  # by the server's word
        self._bodiless = False
        self._write_paused = self._read_paused = False

    # What the owner does.

    async def ask(self, head: bytes, body: Sequence[Buffer], size: int, *, bodiless: bool) -> None:
        """Sends a request with a body of `size` bytes; returns when the head of its answer is there.

        An answer may come before all of the body has gone: then it counts. Raises OSError.
        """
        assert self._transport
        self.since = self._loop.time()
        self.status, self._done, self._bodiless = 0, False, bodiless
        self._chunked = None
        if self._lent:
            self._block, self._lent = memoryview(bytearray(_HEAD)), False
        self._taken = self._filled = 0
        if size <= _JOINED:
            self._transport.write(b"".join((head, *body)))
        else:
            self._transport.write(head)
            await self._send(body)
        while not self.status:
            await self._wait()

    async def some(self) -> memoryview:
        """The next bytes of the body, which nothing writes to any more; none at its end. Raises OSError."""
        self._lent = True
        return await self._next()

    async def rest(self) -> bytes:
        """The rest of the body. Raises OSError."""
        pieces = []
        while piece := await self._next():
            pieces.append(piece)
        return b"".join(pieces)

    async def _next(self) -> memoryview:
        while not self._full and not self._done and (waits := self._filled - self._taken) < _WORTH:
            if waits == 0:
                await self._wait()
                continue
            await asyncio.sleep(0)  # while more comes with each turn of the loop, a longer piece costs less
            if self._filled - self._taken == waits:
                break
        if self._full:
            piece = self._full.popleft()
        else:
            piece = self._block[self._taken : self._filled]
            self._taken = self._filled
        self._held -= len(piece)
        if self._read_paused and self._held < _WAITING and self._transport:
            self._read_paused = False
            self.since = self._loop.time()
            self._transport.resume_reading()
        return piece

    @property
    def reusable(self) -> bool:
        """Whether the answer was read to its end, and another request may follow."""
        return self._done and not self._held and self._kept and self.alive

    @property
    def alive(self) -> bool:
        return self._failure is None and not self._gone.done()

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for the storage."""
        return self._waiter is not None

    def fail(self, error: Exception) -> None:
        """Ends the connection; whoever waits for it gets this error."""
        self._failure = self._failure or error
        if self._transport:
            self._transport.abort()
        self._wake()

    async def close(self) -> None:
        """Returns when the socket is closed."""
        self.fail(Broken("closed"))
        if self._transport:
            await self._gone

    async def _send(self, body: Sequence[Buffer]) -> None:
        assert self._transport
        for block in body:
            view = memoryview(block)
            for start in range(0, len(view), _PIECE):
                if self.status:
                    self._kept = False
                    return
                if self._failure:
                    raise self._failure
                self._transport.write(view[start : start + _PIECE])
                while self._write_paused and not self.status:
                    await self._wait()

    async def _wait(self) -> None:
        if self._failure:
            raise self._failure
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.status and self._left is None and self._chunked is None and exc is None:
            self._done = True
        self._failure = self._failure or (exc if isinstance(exc, OSError) else Broken("the server ended it"))
        self._kept = False
        if not self._gone.done():
            self._gone.set_result(None)
        self._wake()

    def eof_received(self) -> None:
        """The transport closes itself then."""

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self.since = self._loop.time()
        self._wake()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        room = len(self._block) - self._filled
        if room == 0 or (room < _LEFT and self.status and not self._done):
            self._renew()
        return self._block[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self.since = self._loop.time()
        try:
            self._received(nbytes)
        except (Broken, HttpParserError, ValueError) as error:
            self.fail(Broken(f"the answer is no HTTP: {error}"))
        self._wake()

    def _received(self, size: int) -> None:
        if self._done:
            raise Broken("bytes that nobody asked for")
        start, self._filled = self._filled, self._filled + size
        if not self.status:
            size = self._read_head()
            start = self._filled - size
            if not self.status:
                return
        self._take(start, size)

    def _read_head(self) -> int:
        """Bytes behind the head, once it is there."""
        raw = self._block.obj
        assert isinstance(raw, bytearray)
        while (end := raw.find(b"\r\n\r\n", self._taken, self._filled)) >= 0:
            status, headers, kept = _head(bytes(self._block[self._taken : end]))
            begin, self._taken = self._taken, end + 4
            if status >= 200:  # noqa: PLR2004 - what comes before it is no answer
                self._begin(status, headers, kept, bytes(self._block[begin : end + 4]))
                return self._filled - self._taken
        if self._filled == len(self._block):
            raise Broken("a head without an end")
        return 0

    def _begin(self, status: int, headers: Mapping[str, str], kept: bool, raw: bytes) -> None:
        self._kept = self._kept and kept
        length = headers.get("content-length")
        if self._bodiless or status in _BODILESS:
            self._left = 0
        elif "transfer-encoding" in headers:
            self._chunked, self._left = _Chunked(raw), None
        elif length is not None:
            if not (length.isascii() and length.isdigit()):
                raise Broken("a Content-Length that is none")
            self._left = int(length)
        else:
            self._left, self._kept = None, False
        self._done = self._left == 0
        self.status, self.headers = status, headers

    def _take(self, start: int, size: int) -> None:
        """Bytes of the body, in the block from `start` on."""
        if self._chunked:
            content = self._chunked.feed(bytes(self._block[start : start + size]))
            self._taken = self._filled
            self._full.extend(memoryview(piece) for piece in content)
            size = sum(map(len, content))
            self._done = self._chunked.done
        elif self._left is not None:
            if size > self._left:  # nobody takes it for the next answer
                self._filled -= size - self._left
                size, self._kept = self._left, False
            self._left -= size
            self._done = self._left == 0
        self._held += size
        if self._held >= _WAITING and not self._done and self._transport:
            self._read_paused = True
            self._transport.pause_reading()

    def _renew(self) -> None:
        """Another block: what was received in this one stays in it until it is read."""
        if self._taken < self._filled:
            self._full.append(self._block[self._taken : self._filled])
        self._block = _NO_MORE  # if all of it was read and dropped, it is the one to use again
        short = self._left is not None and self._left <= _HEAD
        self._block = memoryview(bytearray(_HEAD)) if short else self._blocks.take()
        self._taken = self._filled = 0


class _Chunked:
    """A body in chunks (RFC 9112, section 7.1); `done` at its end."""

    def __init__(self, head: bytes) -> None:
        self.done = False
        self._pieces: list[bytes] = []
        self._parser = HttpResponseParser(self)
        self._parser.feed_data(head)

    def feed(self, data: bytes) -> list[bytes]:
        if data:
            self._parser.feed_data(data)
        pieces, self._pieces = self._pieces, []
        return pieces

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self.done = True


def _head(text: bytes) -> tuple[int, dict[str, str], bool]:
    """Status, headers, and whether the connection may be used again."""
    first, *lines = text.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if version not in {"HTTP/1.1", "HTTP/1.0"} or not rest[:3].isdigit():
        raise Broken("a status line that is none")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Broken("a header that is none")
        headers[name.lower()] = value.strip(" \t")
    kept = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return int(rest[:3]), headers, kept

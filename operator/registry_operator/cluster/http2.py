"""One connection with many requests on it: HTTP/2 (RFC 9113), as much of it as a GET without a body needs."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

BEAT = 15.0  # seconds
BEATS = 2  # of silence, after which the server is asked whether it lives; one more, and it is dead
WINDOW = 4 << 20  # bytes of a connection that nobody has read yet; of each stream it is 64 KiB
OURS = {SettingCodes.ENABLE_PUSH: 0, SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 16}


class Lost(ConnectionError):
    """The connection, or a stream on it, ended before the answer did."""


class Exchange:
    """A request, and its answer as it comes. Who has it closes it."""

    def __init__(self, connection: "Connection", number: int, quiet: float) -> None:
        self.status = 0  # until `answered`
        self.headers: dict[str, str] = {}  # by names in small letters
        self._connection = connection
        self._number = number
        self._quiet = quiet  # seconds
        self._pieces: list[bytes] = []  # came, and were not read
        self._unread = 0  # bytes of them, and of what padded them
        self._ended = False
        self._lost = ""  # why
        self._news: asyncio.Future[None] | None = None

    async def answered(self) -> None:
        """Until status and headers are there. Raises Lost."""
        while not self.status:
            await self._more()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body. As much as is read may follow: who reads slowly holds up nobody else. Raises Lost."""
        while True:
            while not self._pieces and not self._ended:
                await self._more()
            if not self._pieces:
                return
            chunk = b"".join(self._pieces)
            self._read()
            yield chunk
            del chunk  # it must not stay in memory until the next one comes

    async def read(self) -> bytes:
        """All of the body. Raises Lost."""
        return b"".join([chunk async for chunk in self.chunks()])

    def close(self) -> None:
        """Nobody reads on."""
        self._connection.leave(self._number)
        self._read()

    def answer(self, headers: Iterable[tuple[str, str]]) -> None:
        self.headers = dict(headers)
        self.status = int(self.headers[":status"])
        self._wake()

    def feed(self, piece: bytes, size: int) -> None:
        self._pieces.append(piece)
        self._unread += size
        self._wake()

    def end(self, lost: str = "") -> None:
        self._ended, self._lost = not lost, lost
        self._wake()

    def _read(self) -> None:
        self._pieces.clear()
        self._connection.acknowledge(self._unread, self._number)
        self._unread = 0

    async def _more(self) -> None:
        """Until something came."""
        if self._lost:
            raise Lost(self._lost)
        loop = asyncio.get_running_loop()
        self._news = loop.create_future()
        timer = loop.call_later(self._quiet, self._silent)
        try:
            await self._news
        finally:
            timer.cancel()
            self._news = None

    def _wake(self) -> None:
        if self._news and not self._news.done():
            self._news.set_result(None)

    def _silent(self) -> None:
        """The connection may live all the same, so nothing else on it ends; but nothing begins there."""
        self._connection.retire()
        self.end(f"nothing was heard for {self._quiet:.0f} seconds")


class Http2(H2Connection):
    """The library's, with two of its habits changed."""

    # Of which it knows how they ended. Its own 65,536 are 7.5 MiB, which days of watches would fill.
    MAX_CLOSED_STREAMS = 1024

    def _receive_goaway_frame(self, frame: Any) -> Any:
        """To the library it is the end; but the streams that the server has begun go on (RFC 9113 §6.8)."""
        told = super()._receive_goaway_frame(frame)
        self.state_machine.state = ConnectionState.CLIENT_OPEN
        return told


class Connection(asyncio.Protocol):
    """Over TLS. Without a request it closes itself."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready = loop.create_future()  # when the server's settings are there, or never will be
        self.gone = loop.create_future()
        self.spoken = False  # whether the server wanted HTTP/2
        self.ended = ""  # why
        self._http2 = Http2(H2Configuration(client_side=True, header_encoding="latin-1"))
        self._http2.local_settings = Settings(client=True, initial_values=OURS)
        self._transport: asyncio.Transport | None = None
        self._exchanges: dict[int, Exchange] = {}
        self._takes = False  # requests
        self._silence = 0  # beats since it last said something
        self._beats: asyncio.TimerHandle | None = None

    @property
    def has_room(self) -> bool:
        """Whether it takes one more request; the server says how many it wants at a time."""
        return self._takes and len(self._exchanges) < self._http2.remote_settings.max_concurrent_streams

    def ask(self, headers: list[tuple[str, str]], quiet: float) -> Exchange:
        """A request on its way; its stream is lost when it hears nothing for `quiet` seconds. Raises Lost."""
        try:
            number = self._http2.get_next_available_stream_id()
            self._http2.send_headers(number, headers, end_stream=True)
        except ProtocolError as error:  # such as the last of the numbers
            self.retire()
            raise Lost(f"{type(error).__name__}: {error}") from error
        exchange = self._exchanges[number] = Exchange(self, number, quiet)
        self._send()
        return exchange

    def retire(self) -> None:
        """Takes no more requests; those on it go on."""
        self._takes = False

    def leave(self, number: int) -> None:
        """The server is told, where its answer has not ended."""
        if self._exchanges.pop(number, None):
            self._http2.reset_stream(number, ErrorCodes.CANCEL)
            self._send()

    def acknowledge(self, size: int, number: int) -> None:
        """So many bytes were read, or never will be."""
        if size and not self.ended:
            self._http2.acknowledge_received_data(size, number)
            self._send()

    def close(self) -> None:
        """At once, with everything on it."""
        if not self.ended:
            self._http2.close_connection()
            self._send()
            self._end("closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.spoken = transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        if not self.spoken:
            self._end("no HTTP/2")
            return
        self._http2.initiate_connection()
        self._http2.increment_flow_control_window(WINDOW)
        self._send()
        self._beat()

    def data_received(self, data: bytes) -> None:
        self._silence = 0
        try:
            for event in self._http2.receive_data(data):
                self._see(event)
        except ProtocolError as error:
            self._send()  # the server is told, too
            self._end(f"{type(error).__name__}: {error}")
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(str(exc or "the connection ended"))
        self.gone.set_result(None)

    def _see(self, event: Event) -> None:
        match event:
            case DataReceived() if exchange := self._exchanges.get(event.stream_id):
                exchange.feed(event.data, event.flow_controlled_length)
            case ResponseReceived() if exchange := self._exchanges.get(event.stream_id):
                exchange.answer(cast("list[tuple[str, str]]", event.headers))
            case StreamEnded() if exchange := self._exchanges.pop(event.stream_id, None):
                exchange.end()
            case StreamReset() if exchange := self._exchanges.pop(event.stream_id, None):
                exchange.end(f"the stream was reset: {getattr(event.error_code, 'name', event.error_code)}")
            case ConnectionTerminated():
                self._go(event.last_stream_id or 0)
            case RemoteSettingsChanged() if not self.ready.done():
                self._takes = True
                self.ready.set_result(None)

    def _go(self, last: int) -> None:
        """The server begins none after the last one; it ends the others, or the connection, when it likes."""
        self.retire()
        for number in [number for number in self._exchanges if number > last]:
            self._exchanges.pop(number).end("the server goes away")

    def _beat(self) -> None:
        self._beats = asyncio.get_running_loop().call_later(BEAT, self._beat)
        self._silence += 1
        if self.ready.done() and not self._exchanges:
            self.close()
        elif self._silence > BEATS:
            self._end("nothing was heard, and PING was not answered")
        elif self._silence == BEATS:
            self._http2.ping(b"are you?")
            self._send()

    def _send(self) -> None:
        if self._transport and (data := self._http2.data_to_send()):
            self._transport.write(data)

    def _end(self, why: str) -> None:
        """Everything on it is lost."""
        if self.ended:
            return
        self.ended = why
        self.retire()
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges.values():
            exchange.end(why)
        if self._beats:
            self._beats.cancel()
        if not self.ready.done():
            self.ready.set_result(None)
        if self._transport:
            self._transport.abort()

"""A scripted API server over HTTP/2 and real TLS: each watch is answered by hand, frame by frame."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamReset, WindowUpdated
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from tests.certificates import Authority
from tests.unit.operator.scripted import event, eventually, obj

Object = dict[str, Any]


@dataclass
class Watch:
    """A request, and our hand on its answer."""

    peer: "Peer"
    number: int
    headers: dict[str, str]
    waiting: bytes = b""  # for the client's window
    ends: bool = False
    reset: int | None = None  # the client's code

    @property
    def namespace(self) -> str:
        return self.headers[":path"].split("/")[4]

    def answer(self, code: int = 200, body: Object | None = None, **headers: str) -> None:
        """An error with its body, or a watch that says nothing yet."""
        told = [(":status", str(code)), *((name.replace("_", "-"), value) for name, value in headers.items())]
        self.peer.http2.send_headers(self.number, told)
        if body is not None:
            self.waiting, self.ends = json.dumps(body).encode(), True
        self.peer.pump()

    def say(self, name: str, version: str, **more: Any) -> None:
        """An event of an object in its namespace."""
        line = event("ADDED", obj(name, version, self.namespace, **more))
        self.waiting += json.dumps(line).encode() + b"\n"
        self.peer.pump()

    def end(self) -> None:
        self.ends = True
        self.peer.pump()

    def cut(self, code: int) -> None:
        """RST_STREAM."""
        self.peer.http2.reset_stream(self.number, code)
        self.peer.pump()


class Peer(asyncio.Protocol):
    """Our side of a connection."""

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.http2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.watches: dict[int, Watch] = {}
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.peers.append(self)
        if self.server.settings:
            self.settle()

    def settle(self) -> None:
        """Our settings, with which HTTP/2 begins."""
        limit = {SettingCodes.MAX_CONCURRENT_STREAMS: self.server.limit}
        self.http2.local_settings = Settings(client=False, initial_values=limit)
        self.http2.initiate_connection()
        self.pump()

    def allow(self, streams: int) -> None:
        """From now on so many."""
        self.http2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
        self.pump()

    def data_received(self, data: bytes) -> None:
        for one in self.http2.receive_data(data):
            match one:
                case RequestReceived():
                    headers = {str(name): str(value) for name, value in one.headers}
                    watch = self.watches[one.stream_id] = Watch(self, one.stream_id, headers)
                    self.server.watches.append(watch)
                    self.server.most = max(self.server.most, self.http2.open_inbound_streams)
                case StreamReset():
                    self.watches.pop(one.stream_id).reset = int(one.error_code)
                case WindowUpdated():
                    pass
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        self.lost = True

    def pump(self) -> None:
        """All that the client's windows let through."""
        for watch in [*self.watches.values()]:
            while watch.waiting and (room := self.http2.local_flow_control_window(watch.number)) > 0:
                size = min(room, self.http2.max_outbound_frame_size)
                self.http2.send_data(watch.number, watch.waiting[:size])
                watch.waiting = watch.waiting[size:]
            if watch.ends and not watch.waiting:
                del self.watches[watch.number]
                self.http2.end_stream(watch.number)
        self.transport.write(self.http2.data_to_send())

    def go_away(self, last: int) -> None:
        """Our library would end the connection; a real server goes on with the streams that it has."""
        self.transport.write(GoAwayFrame(last_stream_id=last).serialize())


@dataclass
class Server:
    """`watches` as they came, over all `peers`."""

    url: str
    authority: Authority
    limit: int = 250
    settings: bool = True  # at once; else by hand
    peers: list[Peer] = field(default_factory=list)
    watches: list[Watch] = field(default_factory=list)
    most: int = 0  # streams on one connection

    async def asked(self, count: int) -> list[Watch]:
        """The watches, as soon as so many came."""
        await eventually(lambda: len(self.watches) >= count, 30)
        return self.watches


@asynccontextmanager
async def serving(folder: Path, *protocols: str, clients: bool = False) -> AsyncIterator[Server]:
    """A server that speaks `protocols`, HTTP/2 by default; `clients` have to show a certificate."""
    authority = Authority(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue(folder / "server", "127.0.0.1")
    tls.load_cert_chain(issued / "tls.crt", issued / "tls.key")
    tls.set_alpn_protocols(list(protocols or ("h2", "http/1.1")))
    if clients:
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(authority.file)
    server = Server("", authority)
    listener = await asyncio.get_running_loop().create_server(lambda: Peer(server), "127.0.0.1", 0, ssl=tls)
    server.url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for peer in server.peers:
            peer.transport.abort()
        await eventually(lambda: all(peer.lost for peer in server.peers), 30)
        await listener.wait_closed()

"""A load balancer as unkind as can be: each request of a connection goes to the next replica."""

from __future__ import annotations

import itertools
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.api.client import Answer, Client

_HOP = frozenset({"connection", "transfer-encoding", "content-length"})


class Balancer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, clients: Sequence[Client], certificate: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._turn = itertools.cycle(clients)
        self._lock = threading.Lock()
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate / "tls.crt", certificate / "tls.key")
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def next(self) -> Client:
        with self._lock:
            return replace(next(self._turn), password=None)


@contextmanager
def balanced(clients: Sequence[Client], certificate: Path | None = None) -> Iterator[int]:
    """The port at which they are asked in turn, each request on a connection of its own.

    `certificate` is a directory with tls.crt and tls.key. A client of another host asks by that name.
    """
    with Balancer(clients, certificate) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("do_"):
            return self._forward
        raise AttributeError(name)

    def _forward(self) -> None:
        assert isinstance(self.server, Balancer)
        client = self.server.next()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        if client.host != "127.0.0.1":
            headers["Host"] = client.host
        self._answer(client.raw(self.command, self.path, self._body(), headers))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _answer(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        length = answer["Content-Length"] if self.command == "HEAD" else str(len(answer.body))
        if length is not None and answer.status != 204:
            self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(answer.body)

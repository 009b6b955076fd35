"""A registry client that costs next to nothing, so that it is the server that is measured.

What comes over plain HTTP is dropped inside the kernel (`MSG_TRUNC`, tcp(7)); over TLS it is decrypted and
dropped.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from registry_runtime.content.buffer import Buffer

Way = Literal["monolithic", "PATCH", "PATCH in chunks"]  # docker, podman and skopeo push the last way
_AT_ONCE = 1024 * 1024
_CHUNK = 32 * 1024  # bytes: what Go's clients make of a stream
_HEAD = 64 * 1024


@dataclass(frozen=True)
class Reply:
    """`headers` by their names in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def location(self) -> str:
        """The path and query of a Location, be it relative or not."""
        parts = urlsplit(self.headers["location"])
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


class RequestFailed(Exception):
    """An answer that the benchmark did not expect."""


class Connection:
    """One connection that is kept; one request after the other."""

    def __init__(self, address: tuple[str, int], trust: ssl.SSLContext | None, authorization: str) -> None:
        plain = socket.create_connection(address, timeout=600)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._secure = trust is not None
        self._socket = trust.wrap_socket(plain, server_hostname=address[0]) if trust else plain
        self._always = f"Host: {address[0]}:{address[1]}\r\nAuthorization: {authorization}\r\n"
        self._buffer = bytearray(_AT_ONCE)
        self._rest = b""

    def request(
        self, method: str, path: str, body: Sequence[Buffer] = (), headers: str = "", *, keep: bool = True
    ) -> Reply:
        """`headers` are lines that end with CRLF; without `keep` the body of the answer is dropped."""
        length = sum(map(len, body))
        head = f"{method} {path} HTTP/1.1\r\n{self._always}{headers}Content-Length: {length}\r\n\r\n"
        self._send(head.encode(), body)
        status, fields = self._head()
        if method == "HEAD" or status == 204:
            return Reply(status, fields, b"")
        if fields.get("transfer-encoding") == "chunked":
            return Reply(status, fields, self._chunked())
        size = int(fields.get("content-length", "0"))
        return Reply(status, fields, self._read(size) if keep else self._drop(size))

    def expect(
        self, status: int, method: str, path: str, body: Sequence[Buffer] = (), headers: str = ""
    ) -> Reply:
        """As `request`. Raises RequestFailed for any other status."""
        reply = self.request(method, path, body, headers)
        if reply.status != status:
            raise RequestFailed(f"{method} {path}: {reply.status} {reply.body[:300]!r}")
        return reply

    def pull(self, path: str) -> int:
        """Bytes of the blob at the path, which are dropped. Raises RequestFailed."""
        reply = self.request("GET", path, keep=False)
        if reply.status != 200:
            raise RequestFailed(f"GET {path}: {reply.status}")
        return int(reply.headers["content-length"])

    def push(self, repository: str, digest: str, body: Sequence[Buffer], way: Way = "monolithic") -> None:
        """A blob in one PUT, or in a PATCH and an empty PUT. Raises RequestFailed."""
        octets = "Content-Type: application/octet-stream\r\n"
        place = self.expect(202, "POST", f"/v2/{repository}/blobs/uploads/").location
        if way == "PATCH":
            place = self.expect(202, "PATCH", place, body, octets).location
        elif way == "PATCH in chunks":
            place = self._patch_in_chunks(place, body, octets).location
        body = body if way == "monolithic" else ()
        self.expect(201, "PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", body, octets)

    def _patch_in_chunks(self, path: str, body: Sequence[Buffer], headers: str) -> Reply:
        """As Go's clients send what they do not know the length of. Raises RequestFailed."""
        self._socket.sendall(
            f"PATCH {path} HTTP/1.1\r\n{self._always}{headers}Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        for piece in body:
            view = memoryview(piece)
            for start in range(0, len(view), _AT_ONCE):
                self._socket.sendall(_in_chunks(view[start : start + _AT_ONCE]))
        self._socket.sendall(b"0\r\n\r\n")
        status, fields = self._head()
        reply = Reply(status, fields, self._read(int(fields.get("content-length", "0"))))
        if status != 202:
            raise RequestFailed(f"PATCH {path}: {status} {reply.body[:300]!r}")
        return reply

    def close(self) -> None:
        self._socket.close()

    def _send(self, head: bytes, body: Sequence[Buffer]) -> None:
        if sum(map(len, body)) <= _HEAD:
            self._socket.sendall(b"".join((head, *body)))
            return
        self._socket.sendall(head)
        for piece in body:
            view = memoryview(piece)
            for start in range(0, len(view), _AT_ONCE):
                self._socket.sendall(view[start : start + _AT_ONCE])

    def _head(self) -> tuple[int, dict[str, str]]:
        data = self._rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._some()
        self._rest = data[end + 4 :]
        first, *lines = data[:end].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in pairs}

    def _some(self) -> bytes:
        data = self._socket.recv(_HEAD)
        if not data:
            raise RequestFailed("the server cut the connection")
        return data

    def _read(self, size: int) -> bytes:
        pieces = [self._rest[:size]]
        self._rest = self._rest[size:]
        left = size - len(pieces[0])
        while left:
            piece = self._socket.recv(min(left, _AT_ONCE))
            if not piece:
                raise RequestFailed("the server cut the connection")
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _drop(self, size: int) -> bytes:
        left = size - len(self._rest[:size])
        self._rest = self._rest[size:]
        while left:
            wanted = min(left, _AT_ONCE)
            if self._secure:
                count = self._socket.recv_into(self._buffer, wanted)
            else:
                count = self._socket.recv_into(self._buffer, wanted, socket.MSG_TRUNC)
            if not count:
                raise RequestFailed("the server cut the connection")
            left -= count
        return b""

    def _chunked(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._rest:
                self._rest += self._some()
            size, _, self._rest = self._rest.partition(b"\r\n")
            piece = self._read(int(size, 16) + 2)[:-2]
            if not piece:
                return body
            body += piece


def _in_chunks(content: memoryview) -> bytes:
    pieces = (content[start : start + _CHUNK] for start in range(0, len(content), _CHUNK))
    return b"".join(part for piece in pieces for part in (b"%x\r\n" % len(piece), piece, b"\r\n"))

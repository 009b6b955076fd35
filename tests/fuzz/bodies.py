"""Chunked bodies: what is taken for one is the same to another reader, with the same end."""

from __future__ import annotations

from httptools import HttpParserError, HttpRequestParser

from registry_runtime.chunks import Chunks, ChunksInvalid
from tests.fuzz.formats import Format

_HEAD = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_NEXT = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"


class _Other:
    """What httptools makes of it."""

    def __init__(self) -> None:
        self.body = b""
        self.urls: list[bytes] = []

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_url(self, url: bytes) -> None:
        self.urls.append(url)


def chunked(data: bytes) -> bool:
    block = memoryview(bytearray(data))
    chunks = Chunks()
    try:
        end, behind = chunks.take(block, 0, len(block))
    except ChunksInvalid:
        return False
    assert end <= behind <= len(data)
    if not chunks.done:
        return False
    other = _Other()
    try:
        HttpRequestParser(other).feed_data(_HEAD + data[:behind] + _NEXT)
    except HttpParserError:
        return False  # it is stricter about what nobody reads: extensions and trailers
    assert other.body == bytes(block[:end])
    assert other.urls == [b"/", b"/next"]
    return True


BODIES = {
    "chunks": Format(
        chunked,
        [
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            b"a;x=y\r\n0123456789\r\n0\r\nDigest: z\r\n\r\n",
            b"00f \r\n0123456789abcde\r\n000\r\n\r\n",
            b"1\r\n\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ],
    )
}

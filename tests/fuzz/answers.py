"""What a storage server answers, as it comes off the wire in pieces."""

from __future__ import annotations

import asyncio

from registry_runtime.storage.s3.connection import Connection, received_blocks
from registry_runtime.storage.s3.faults import Fault
from registry_runtime.storage.s3.listing import Unreadable, parse
from tests.fuzz.formats import Format

_RUNNER = asyncio.Runner()
_OK = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "e"\r\n\r\nhello'
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
_MORE = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_PAGE = (
    b"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated><Contents><Key>a%2Fb</Key>"
    b"<LastModified>2026-11-21T08:00:00.123Z</LastModified><Size>12</Size></Contents></ListBucketResult>"
)


class Wire(asyncio.Transport):
    """Takes a request, and lets its connection be fed."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = False

    def write(self, data: object) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def abort(self) -> None:
        self.ended = True


def answer(data: bytes) -> bool:
    """An answer in pieces of as many bytes as the first byte says; no more comes out than went in."""
    return _RUNNER.run(_answered(data[1:], data[0] + 1 if data else 1))


async def _answered(data: bytes, piece: int) -> bool:
    wire, connection = Wire(), Connection(received_blocks())
    connection.connection_made(wire)
    asked = asyncio.ensure_future(connection.ask(b"GET / HTTP/1.1\r\n\r\n", (), 0, bodiless=False))
    await asyncio.sleep(0)
    for start in range(0, len(data), piece):
        if wire.ended:
            break
        part = data[start : start + piece]
        room = connection.get_buffer(-1)
        assert len(room) >= len(part)
        room[: len(part)] = part
        connection.buffer_updated(len(part))
    connection.connection_lost(None)
    try:
        await asked
        body = await connection.rest()
    except OSError:
        return False
    assert len(body) <= len(data)
    length = connection.headers.get("content-length", "")
    assert not body or "transfer-encoding" in connection.headers or not length or len(body) == int(length)
    return connection.status >= 200


def page(data: bytes) -> bool:
    """A listing; what is no listing may be an error's document."""
    fault = Fault.read(500, data)
    assert len(fault.code) <= 300
    try:
        return all(entry.size >= 0 for entry in parse(data, 0).entries)
    except Unreadable:
        return False


ANSWERS = {
    "s3-answer": Format(answer, [b"\x07" + one for one in (_OK, _CHUNKED, _MORE)]),
    "s3-listing": Format(page, [_PAGE, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>"]),
}

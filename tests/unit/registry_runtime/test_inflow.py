"""Long bodies, past the parser: nothing lost, nothing written over, and the connection goes on."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import uvloop
from starlette.types import Message, Receive, Scope, Send

from registry_runtime import connection
from registry_runtime.inflow import BLOCK
from registry_runtime.tls import ServedCertificate
from tests.certificates import Authority
from tests.unit.registry_runtime.served import dialled, serving

LONG = 3 * BLOCK + 12345
AGAIN = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def put(length: int) -> bytes:
    return b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length


def chunked(content: bytes, each: int) -> bytes:
    """The same request as Go's clients send it: its length is not told."""
    pieces = [content[start : start + each] for start in range(0, len(content), each)]
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class Takes:
    """An application that keeps what it was given, as it was given; it answers with how much that was."""

    def __init__(self, *, at_most: int = LONG) -> None:
        self.came: list[bytes | memoryview] = []
        self.last: Message = {}
        self._at_most = at_most

    def has(self, size: int) -> bool:
        return sum(map(len, self.came)) == size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        more = bool(scope["method"] == "PUT")
        size = 0
        while more and size < self._at_most:
            self.last = await receive()
            if self.last["type"] == "http.disconnect":
                return
            self.came.append(self.last["body"])
            size += len(self.last["body"])
            more = self.last["more_body"]
        body = b"<%d>" % size
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % len(body))],
            }
        )
        await send({"type": "http.response.body", "body": body})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("in_chunks", [False, True], ids=["measured", "chunked"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_long_body_and_what_follows_it(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop], tls: bool, in_chunks: bool
) -> None:
    """Two long bodies and a request without one, sent at once: each is what it was, to the byte."""
    authority = Authority(tmp_path / "authority")
    authority.issue(tmp_path / "tls", "127.0.0.1")
    first, second = os.urandom(LONG), os.urandom(LONG)
    sent = [chunked(one, 32768) if in_chunks else put(LONG) + one for one in (first, second)]
    app = Takes()

    async def story() -> bytes:
        async with serving(app, ServedCertificate.of(tmp_path / "tls") if tls else None) as served:
            trust = ssl.create_default_context(cafile=authority.file) if tls else None
            async with dialled(served, trust) as (reader, writer), asyncio.timeout(60):
                writer.write(b"".join(sent) + AGAIN)
                return await reader.read(-1)

    with asyncio.Runner(loop_factory=loop) as runner:
        answers = runner.run(story())
    assert answers.count(b"200 OK") == 3
    assert answers.count(b"<%d>" % LONG) == 2
    assert answers.endswith(b"<0>")
    assert b"".join(app.came) == first + second
    assert any(len(piece) > BLOCK - 64 * 1024 for piece in app.came)


async def test_a_slow_body_is_seen_as_it_comes() -> None:
    """Who waits for a whole block would take a slow client for one that sends nothing."""
    app = Takes()
    async with serving(app) as served, dialled(served) as (_, writer):
        writer.write(put(LONG))
        for number in range(1, 4):
            writer.write(b"0123456789")
            await asyncio.sleep(0.05)
            served.tick(0)
            await until(partial(app.has, 10 * number))
    assert b"".join(app.came) == b"0123456789" * 3


async def test_of_a_body_that_breaks_off_all_that_came_is_taken() -> None:
    """It counts: the client goes on behind it."""
    app = Takes()
    sent = os.urandom(BLOCK + 4321)
    async with serving(app) as served, dialled(served) as (_, writer):
        writer.write(put(LONG) + sent)
        await writer.drain()
        writer.close()
        await until(lambda: app.last.get("type") == "http.disconnect")
    assert b"".join(app.came) == sent


@pytest.mark.parametrize("in_chunks", [False, True], ids=["measured", "chunked"])
async def test_a_body_that_is_refused_half_way_does_not_become_a_request(in_chunks: bool) -> None:
    """The rest of it is dropped, and the next request is answered."""
    app = Takes(at_most=1)
    hostile = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * (LONG // 27)
    async with serving(app) as served, dialled(served) as (reader, writer):
        writer.write((chunked(hostile, 27) if in_chunks else put(len(hostile)) + hostile) + AGAIN)
        async with asyncio.timeout(20):
            answers = await reader.read(-1)
    assert answers.count(b"200 OK") == 2
    assert answers.endswith(b"<0>")


async def test_many_short_bodies_in_chunks_at_once() -> None:
    """Sent in one piece, each is a request of its own, and the one without a body behind them too."""
    app = Takes()
    bodies = [os.urandom(1 + number % 70) for number in range(3000)]
    async with serving(app) as served, dialled(served) as (reader, writer):
        writer.write(b"".join(chunked(body, 33) for body in bodies) + AGAIN)
        async with asyncio.timeout(60):
            answers = await reader.read(-1)
    assert answers.count(b"200 OK") == 3001
    assert b"".join(app.came) == b"".join(bodies)


async def test_a_chunked_body_that_comes_byte_by_byte() -> None:
    """Head, sizes and line breaks are cut at each place."""
    app = Takes()
    async with serving(app) as served, dialled(served) as (reader, writer):
        for byte in chunked(b"0123456789abcdef-and-more", 16) + AGAIN:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            answers = await reader.read(-1)
    assert answers.count(b"200 OK") == 2
    assert b"".join(app.came) == b"0123456789abcdef-and-more"


@pytest.mark.parametrize("size", [b"zz\r\n", b"5\r\nlonger\r\n", b"5\nshort\r\n"])
@pytest.mark.parametrize("before", [0, BLOCK], ids=["at-once", "after-a-block"])
async def test_what_is_no_chunk_ends_the_connection(size: bytes, before: int) -> None:
    """With 400; and what stands behind it is never taken for a request."""
    app = Takes()
    sent = chunked(os.urandom(before), 65536).removesuffix(b"0\r\n\r\n") + size
    async with serving(app) as served, dialled(served) as (reader, writer):
        writer.write(sent + AGAIN * 3)
        async with asyncio.timeout(20):
            answers = await reader.read(-1)
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert b"200 OK" not in answers


@pytest.mark.parametrize(
    "head",
    [
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\n\n5\r\n\r\nabc\r\n0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\n\r\nabc\r\n0\r\n\r\n",
        b"\r\n\r\nPUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\r\nabc\r\n0\r\n\r\n",
    ],
    ids=["line-feeds", "codings", "blank-lines"],
)
async def test_an_odd_head_has_one_end(head: bytes) -> None:
    """The body is what the parser says, or the request is refused; its bytes are no request."""
    app = Takes()
    async with serving(app) as served, dialled(served) as (reader, writer):
        writer.write(head + AGAIN)
        async with asyncio.timeout(20):
            answers = await reader.read(-1)
    if b"200 OK" in answers:
        assert answers.count(b"200 OK") == 2
        assert b"".join(app.came) == b"\r\nabc"
    else:
        assert answers.startswith(b"HTTP/1.1 400 ")


async def test_a_head_that_comes_in_two_parts() -> None:
    """What looks like its end, inside of its body, is the body's."""
    app = Takes()
    head, body = chunked(b"chunked\r\n\r\n", 11).split(b"\r\n\r\n", 1)
    async with serving(app) as served, dialled(served) as (reader, writer):
        writer.write(head + b"\r\n")
        await asyncio.sleep(0.1)
        writer.write(b"\r\n" + body + AGAIN)
        async with asyncio.timeout(20):
            answers = await reader.read(-1)
    assert answers.count(b"200 OK") == 2
    assert b"".join(app.came) == b"chunked\r\n\r\n"


@pytest.mark.parametrize("in_chunks", [False, True], ids=["measured", "chunked"])
async def test_a_connection_is_idle_behind_a_body_that_was_refused(
    in_chunks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answered before its body had come, it is ended in its time when nothing follows."""
    monkeypatch.setattr(connection, "KEEP_ALIVE_SECONDS", 0.1)
    app = Takes(at_most=1)
    body = os.urandom(LONG)
    async with serving(app) as served, dialled(served) as (reader, writer):
        sent = chunked(body, 32768) if in_chunks else put(LONG) + body
        writer.write(sent[: LONG // 2])
        async with asyncio.timeout(20):
            assert await reader.readuntil(b">")
            writer.write(sent[LONG // 2 :])
            await writer.drain()
            while not reader.at_eof():
                served.tick(0)
                await asyncio.sleep(0.05)


async def test_a_long_body_that_comes_behind_a_request_which_is_not_answered() -> None:
    """A client that pipelines: the first one asks for its own body while the other's is on its way."""
    content, answered = os.urandom(LONG), asyncio.Event()
    takes = Takes()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if not takes.last:
            takes.last = await receive()  # of the first, which is there as a whole
            await answered.wait()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        else:
            await takes(scope, receive, send)

    async with serving(app) as served, dialled(served) as (reader, writer):
        writer.write(put(3) + b"abc" + put(LONG))
        await until(lambda: bool(takes.last))
        writer.write(content[:100_000])
        await asyncio.sleep(0.1)
        answered.set()
        await asyncio.sleep(0.1)
        writer.write(content[100_000:])
        await until(lambda: takes.has(LONG))
        assert b"".join(takes.came) == content
        assert (await reader.readuntil(b"<%d>" % LONG)).count(b"HTTP/1.1 200") == 2

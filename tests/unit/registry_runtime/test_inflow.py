"""Long bodies, past the parser: nothing lost, nothing written over, and the connection goes on."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry_runtime.inflow import BLOCK
from registry_runtime.listener import Listener
from registry_runtime.tls import ServedCertificate
from tests.certificates import Authority

LONG = 3 * BLOCK + 12345
AGAIN = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def put(length: int) -> bytes:
    return b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length


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


@asynccontextmanager
async def serving(app: ASGIApp, tls: ServedCertificate | None = None) -> AsyncIterator[Listener]:
    served = Listener("public", app, ("127.0.0.1", 0), tls=tls)
    await served.start()
    try:
        yield served
    finally:
        served.stop_accepting()
        await served.cut()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_long_body_and_what_follows_it(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop], tls: bool
) -> None:
    """Two long bodies and a request without one, sent at once: each is what it was, to the byte."""
    authority = Authority(tmp_path / "authority")
    authority.issue(tmp_path / "tls", "127.0.0.1")
    first, second = os.urandom(LONG), os.urandom(LONG)
    app = Takes()

    async def story() -> bytes:
        async with serving(app, ServedCertificate.of(tmp_path / "tls") if tls else None) as served:
            trust = ssl.create_default_context(cafile=authority.file) if tls else None
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=trust)
            writer.write(put(LONG) + first + put(LONG) + second + AGAIN)
            try:
                async with asyncio.timeout(60):
                    return await reader.read(-1)
            finally:
                writer.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        answers = runner.run(story())
    assert answers.count(b"200 OK") == 3
    assert answers.count(b"<%d>" % LONG) == 2
    assert answers.endswith(b"<0>")
    assert b"".join(app.came) == first + second
    assert any(len(piece) == BLOCK for piece in app.came)


async def test_a_slow_body_is_seen_as_it_comes() -> None:
    """Who waits for a whole block would take a slow client for one that sends nothing."""
    app = Takes()
    async with serving(app) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(put(LONG))
        for number in range(1, 4):
            writer.write(b"0123456789")
            await asyncio.sleep(0.05)
            served.tick(0)
            await until(partial(app.has, 10 * number))
        writer.close()
    assert b"".join(app.came) == b"0123456789" * 3


async def test_of_a_body_that_breaks_off_all_that_came_is_taken() -> None:
    """It counts: the client goes on behind it."""
    app = Takes()
    sent = os.urandom(BLOCK + 4321)
    async with serving(app) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(put(LONG) + sent)
        await writer.drain()
        writer.close()
        await until(lambda: app.last.get("type") == "http.disconnect")
    assert b"".join(app.came) == sent


async def test_a_body_that_is_refused_half_way_does_not_become_a_request() -> None:
    """The rest of it is dropped, and the next request is answered."""
    app = Takes(at_most=1)
    hostile = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * (LONG // 27)
    async with serving(app) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(put(len(hostile)) + hostile + AGAIN)
        async with asyncio.timeout(20):
            answers = await reader.read(-1)
        writer.close()
    assert answers.count(b"200 OK") == 2
    assert answers.endswith(b"<0>")

"""Requests and answers as they are on the wire: a real listener, and a socket beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry_runtime.exchange import ZERO_COPY
from tests.unit.registry_runtime.served import dialled, serving

LARGE = 24 * 1024 * 1024  # bytes: more than the kernel holds for a client
ASKED = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

Ask = Callable[[ASGIApp, bytes], Awaitable[bytes]]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    """Sends bytes to a listener of this application; all that comes until it ends the connection."""
    async with contextlib.AsyncExitStack() as stack:

        async def asked(app: ASGIApp, request: bytes) -> bytes:
            served = await stack.enter_async_context(serving(app))
            reader, writer = await stack.enter_async_context(dialled(served))
            writer.write(request)
            async with asyncio.timeout(20):
                return await reader.read(-1)

        yield asked


def head(*headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


def length(size: int) -> Message:
    return head((b"content-length", b"%d" % size))


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def saying(*messages: Message) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    return app


def sending(file: int, offset: int, count: int) -> Message:
    return {"type": ZERO_COPY, "file": file, "offset": offset, "count": count, "more_body": True}


@pytest.fixture
def file(tmp_path: Path) -> tuple[int, bytes]:
    """An open file, and what is in it."""
    content = os.urandom(LARGE)
    (tmp_path / "file").write_bytes(content)
    return os.open(tmp_path / "file", os.O_RDONLY), content


async def test_answers_follow_each_other_on_one_connection(ask: Ask) -> None:
    """Each head is where the body before it ended, also when the requests came at once."""
    came = await ask(saying(length(5), body(b"he", more=True), body(b"llo")), ASKED + ASKED + LAST)
    assert came.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert came.count(b"content-length: 5\r\n") == 3
    assert came.count(b"\r\n\r\nhello") == 3
    assert came.count(b"connection: close") == 1


async def test_an_answer_without_a_length_ends_with_its_connection(ask: Ask) -> None:
    """A client that would have kept it sees where the answer ends all the same."""
    came = await ask(saying(head(), body(b"all", more=True), body(b" of it")), ASKED)
    assert came.endswith(b"connection: close\r\n\r\nall of it")


@pytest.mark.parametrize(
    "messages", [(length(5), body(b"more than that")), (length(5), body(b"less"))], ids=["longer", "shorter"]
)
async def test_an_answer_of_another_length_is_cut(ask: Ask, messages: tuple[Message, ...]) -> None:
    """What comes after it would be taken for the rest of it."""
    assert (await ask(saying(*messages), ASKED + ASKED)).count(b"HTTP/1.1") <= 1


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nx: y", b"a\0b"])
async def test_a_header_is_never_two(ask: Ask, value: bytes) -> None:
    """Whatever gets into a value, nobody else writes headers here."""
    came = await ask(saying(head((b"content-length", b"0"), (b"location", value)), body(b"")), ASKED)
    assert b"x: y" not in came
    assert b"\0" not in came


async def test_what_a_client_sends_comes_whole(ask: Ask) -> None:
    """A body that is larger than what waits for the application, in its order."""
    sent = os.urandom(3 * 1024 * 1024)
    took = bytearray()

    async def takes(_scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            took.extend(message["body"])
            more = message["more_body"]
            await asyncio.sleep(0.001)
        await send(length(0))
        await send(body(b""))

    headers = b"Host: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    came = await ask(takes, b"PUT / HTTP/1.1\r\n" + headers % len(sent) + sent)
    assert came.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert bytes(took) == sent


async def test_a_file_is_sent_unread(ask: Ask, file: tuple[int, bytes]) -> None:
    """In pieces, from the middle of it, through a socket that cannot take all at once."""
    opened, content = file
    pieces = [sending(opened, offset, 7_000_000) for offset in (1_000_000, 8_000_000, 15_000_000)]
    came = await ask(saying(length(21_000_000), *pieces, body(b"")), LAST)
    assert came.partition(b"\r\n\r\n")[2] == content[1_000_000:22_000_000]


async def test_a_file_that_is_shorter_cuts_the_connection(ask: Ask, file: tuple[int, bytes]) -> None:
    """What is missing is never made up for."""
    opened, content = file
    came = await ask(saying(length(LARGE + 1), sending(opened, 0, LARGE + 1), body(b"")), ASKED)
    assert came.partition(b"\r\n\r\n")[2] == content


async def test_a_client_that_leaves_ends_the_sending(file: tuple[int, bytes]) -> None:
    """Whoever sends to it is not kept waiting for a socket that nobody reads."""
    opened, _ = file
    over = asyncio.Event()

    async def sends(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send(length(LARGE))
            await send(sending(opened, 0, LARGE))
        finally:
            over.set()

    async with serving(sends) as served:
        async with dialled(served) as (_, writer):
            writer.write(ASKED)
            await asyncio.sleep(0.2)
            assert not over.is_set()
        async with asyncio.timeout(5):
            await over.wait()

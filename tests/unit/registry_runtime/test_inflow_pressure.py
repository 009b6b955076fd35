"""Long bodies and clients that press: what nobody takes stays with whoever sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send

from registry_runtime.exchange import RECEIVED
from registry_runtime.inflow import BLOCK
from tests.unit.registry_runtime.served import dialled, serving
from tests.unit.registry_runtime.test_inflow import LONG, chunked, put

MUCH = 64 * BLOCK


async def settled(moved: Callable[[], int]) -> int:
    """How much was moved, when nothing moves any more."""
    before = -1
    while moved() != before or not before:
        before = moved()
        await asyncio.sleep(0.3)
    return before


async def test_an_answer_beside_a_long_body_waits_for_who_reads_it() -> None:
    """A client that goes on sending and reads nothing takes no memory; when it reads, it gets all."""
    sent = [0]

    async def answer(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [(b"content-length", b"%d" % MUCH)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for start in range(0, MUCH, 65536):
            more = start + 65536 < MUCH
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": more})
            sent[0] += 65536

    async with serving(answer) as served, dialled(served) as (reader, writer):
        writer.write(put(LONG) + bytes(BLOCK))
        assert await settled(lambda: sent[0]) < MUCH // 2
        async with asyncio.timeout(20):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert len(await reader.readexactly(MUCH)) == MUCH


@pytest.mark.parametrize("in_chunks", [False, True], ids=["measured", "chunked"])
async def test_a_body_that_nobody_takes_is_not_received(in_chunks: bool) -> None:
    """Who waits for the storage, or for memory, makes its client wait, and receives all of it in the end."""
    body, sent, enough, taken = bytes(MUCH), [0], asyncio.Event(), asyncio.Event()
    request = chunked(body, BLOCK) if in_chunks else put(MUCH) + body

    async def wait(_scope: Scope, receive: Receive, _send: Send) -> None:
        size = len((await receive())["body"])
        await enough.wait()
        while size < MUCH:
            size += len((await receive())["body"])
        taken.set()

    async def push(writer: asyncio.StreamWriter) -> None:
        for start in range(0, len(request), 65536):
            writer.write(request[start : start + 65536])
            await writer.drain()
            sent[0] += 65536

    async with serving(wait) as served, dialled(served) as (_, writer):
        pushing = asyncio.create_task(push(writer))
        assert await settled(lambda: sent[0]) < MUCH // 2
        enough.set()
        async with asyncio.timeout(20):
            await asyncio.gather(pushing, taken.wait())


async def test_what_follows_a_body_that_nobody_takes_is_not_read() -> None:
    """The end of a body is no reason to read on: the next requests wait where they are."""
    sent, enough = [0], asyncio.Event()
    request = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 32_000 + b"\r\n\r\n"

    async def stall(_scope: Scope, receive: Receive, _send: Send) -> None:
        size = 0
        while size < BLOCK:
            size += len((await receive())["body"])
        await enough.wait()

    async def press(writer: asyncio.StreamWriter) -> None:
        size = BLOCK + 3 * RECEIVED  # the rest of it is enough to make the client wait
        writer.write(put(size) + bytes(size))
        while sent[0] < MUCH:
            writer.write(request)
            await writer.drain()
            sent[0] += len(request)

    async with serving(stall) as served, dialled(served) as (_, writer):
        pressing = asyncio.create_task(press(writer))
        assert await settled(lambda: sent[0]) < MUCH // 2
        pressing.cancel()
        enough.set()

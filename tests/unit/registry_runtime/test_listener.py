"""Connections whose client takes nothing: on a real socket, with an application that has much to say."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message, Receive, Scope, Send

from registry_runtime import connection
from registry_runtime.listener import Listener
from tests.unit.registry_runtime.served import dialled, serving

MUCH = 32 * 1024 * 1024  # more than the kernel takes of it


async def answers(_scope: Scope, _receive: Receive, send: Send) -> None:
    """All at once, so that the request is over before its bytes are gone."""
    headers = [(b"content-length", str(MUCH).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(MUCH)})


async def breaks_off(_scope: Scope, _receive: Receive, send: Send) -> None:
    """As a blob does whose client takes nothing for too long."""
    headers = [(b"content-length", str(2 * MUCH).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(MUCH), "more_body": True})
    async with asyncio.timeout(0.1):
        await asyncio.Event().wait()


async def ended(served: Listener, seconds: float) -> bool:
    """Whether all connections are gone, while the listener ticks."""
    ends = asyncio.get_running_loop().time() + seconds
    while served._connections.connections:
        served.tick(0)
        if asyncio.get_running_loop().time() > ends:
            return False
        await asyncio.sleep(0.01)
    return True


@pytest.mark.parametrize("app", [answers, breaks_off])
@pytest.mark.parametrize("closing", [b"", b"Connection: close\r\n"])
async def test_a_client_that_takes_nothing_is_cut(
    monkeypatch: pytest.MonkeyPatch,
    app: Callable[..., Awaitable[None]],
    closing: bytes,
) -> None:
    """Its socket and its buffer are freed, though the kernel would wait for it for ever."""
    async with serving(app) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + closing + b"\r\n")
            await asyncio.sleep(0.3)
            assert not await ended(served, 0.5)
            monkeypatch.setattr(connection, "_UNTAKEN_SECONDS", 0.2)
            assert await ended(served, 5)


async def test_a_short_rest_that_nobody_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed connection that still holds less than makes a writer wait is ended too."""
    piece: Message = {"type": "http.response.body", "body": bytes(16 * 1024), "more_body": True}

    def held() -> int:
        (connection,) = served._connections.connections
        return connection.transport.get_write_buffer_size()

    async def until_a_rest_stays(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not held():
            await send(dict(piece))
            await asyncio.sleep(0.05 if held() else 0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with serving(until_a_rest_stays) as served:
        with socket.create_connection(("127.0.0.1", served.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            await asyncio.sleep(0.3)
            assert not await ended(served, 1)
            assert 0 < held() < 64 * 1024
            monkeypatch.setattr(connection, "_UNTAKEN_SECONDS", 0.2)
            assert await ended(served, 5)


async def test_a_slow_client_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is that each window is taken in time, not the whole."""

    async def windows(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(MUCH).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        window: Message = {"type": "http.response.body", "body": bytes(1024 * 1024), "more_body": True}
        for _ in range(31):
            await send(dict(window))
        await send({**window, "more_body": False})

    monkeypatch.setattr(connection, "_UNTAKEN_SECONDS", 0.5)
    taken = 0
    async with serving(windows) as served, dialled(served) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while piece := await reader.read(1024 * 1024):
            taken += len(piece)
            served.tick(0)
            await asyncio.sleep(0.03)
    assert taken > MUCH

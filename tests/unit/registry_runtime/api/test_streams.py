"""Bodies: how slowly a client may send."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from starlette.requests import Request

from registry_runtime.api import streams
from registry_runtime.api.errors import ClientStalled
from registry_runtime.api.trace import begin

if TYPE_CHECKING:
    from starlette.types import Message, Scope


def sending(piece: bytes, times: int, every: float) -> Request:
    """A request whose body comes in so many pieces, one in so many seconds."""
    left = [piece] * times

    async def receive() -> Message:
        await asyncio.sleep(every)
        return {"type": "http.request", "body": left.pop(), "more_body": bool(left)}

    scope: Scope = {"type": "http", "method": "PUT", "path": "/", "headers": [], "state": {}}
    begin(scope)
    return Request(scope, receive)


async def taken(request: Request) -> int:
    return sum([len(piece) async for piece in streams.received(request)])


async def test_a_trickle_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds memory that all uploads share: a byte now and then does not keep it."""
    monkeypatch.setattr(streams, "_SILENT_SECONDS", 0.2)
    with pytest.raises(ClientStalled):
        await taken(sending(b"x", 100, 0.05))


async def test_who_is_slow_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is enough for each minute may take hours, and what we take for it is not the client's time."""
    monkeypatch.setattr(streams, "_SILENT_SECONDS", 0.4)
    piece = b"x" * streams._LEAST
    assert await taken(sending(piece, 12, 0.05)) == 12 * len(piece)
    slow = streams.received(sending(piece, 3, 0.0))
    sizes = []
    async for one in slow:
        sizes.append(len(one))
        await asyncio.sleep(0.5)
    assert sum(sizes) == 3 * len(piece)

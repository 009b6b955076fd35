"""A listener on the loopback, and connections to it: both are gone when their block ends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.types import ASGIApp

from registry_runtime.listener import Listener
from registry_runtime.tls import ServedCertificate


@asynccontextmanager
async def serving(app: ASGIApp, tls: ServedCertificate | None = None) -> AsyncIterator[Listener]:
    """The application, served."""
    served = Listener("public", app, ("127.0.0.1", 0), tls=tls)
    await served.start()
    try:
        yield served
    finally:
        served.stop_accepting()
        await served.cut()


@asynccontextmanager
async def dialled(
    served: Listener, trust: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=trust)
    try:
        yield reader, writer
    finally:
        await gone(writer)


async def gone(writer: asyncio.StreamWriter) -> None:
    """What was not sent is dropped: a socket that still has to send would outlive the event loop."""
    writer.transport.abort()
    with suppress(OSError):  # how it ended is the story's matter
        await writer.wait_closed()

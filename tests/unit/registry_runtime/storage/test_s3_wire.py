"""Requests to a bucket, beside a server that says what the test wrote."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from registry_runtime.contract.config import S3Storage
from registry_runtime.storage.s3.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def bucket(folder: Path, serve: Serve) -> AsyncIterator[Bucket]:
    """A bucket of a server on the loopback that does this for each connection."""
    (folder / "accessKeyID").write_text("id")
    (folder / "secretAccessKey").write_text("secret")
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    opened = Bucket(S3Storage(bucket="b", endpoint=f"http://127.0.0.1:{port}", credentials=folder))
    try:
        yield opened
    finally:
        await opened.close()
        server.close()


async def test_a_request_that_is_given_up_leaves_no_connection(tmp_path: Path) -> None:
    """Its answer may still come, and is nobody's: the server sees the connection end."""
    asked, left = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read(-1)
        left.set()
        writer.close()

    async with bucket(tmp_path, serve) as storage, asyncio.timeout(10):
        request = asyncio.create_task(storage.get("k"))
        await asked.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await left.wait()

"""A proxy in front of a real S3 server that behaves as badly as the network, or as a careless server.

Requests are signed anew, so a header may be left out on the way.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import re
from collections.abc import Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from tests.s3_server import ACCESS, SECRET, S3Server, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NOBODYS = "nobody's/key"  # takes the place of keys that a batch is not to delete
_KEPT = {"if-match", "if-none-match", "range", "content-type", "content-md5"}
_ANSWERED = ("ETag", "Content-Range", "Last-Modified")


class Proxy:
    """Forwards to `upstream`; `ignored` headers are left out, the faults can be set at any time."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.ignored: set[str] = set()
        self.instead: Callable[[web.Request], int | None] = lambda _request: None  # a status, no effect
        self.reset: Callable[[web.Request], bool] = lambda _request: False  # no answer, no effect
        self.lose: Callable[[web.Request], bool] = lambda _request: False  # the answer, after its effect
        self.fail: Callable[[web.Request], bool] = lambda _request: False  # a 500, after its effect
        self.alter: Callable[[web.Request, bytes], bytes] = lambda _request, content: content  # of the answer
        self.spare: Callable[[str], str] = lambda _key: ""  # of a batch of deletes: an error, no effect
        self.truncate: Callable[[web.Request], int | None] = lambda _request: None  # bytes that get through
        self.stall = False  # after those bytes nothing more comes, and the connection stays
        self.seen: list[str] = []  # method and path of each request
        self.bodies: list[bytes] = []
        self.one_at_a_time = False
        self._turn = asyncio.Lock()
        self._client: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(f"{request.method} {request.path}")
        body = await request.read()
        self.bodies.append(body)
        if self.reset(request):
            self._cut(request)
            return web.Response()
        status = self.instead(request)
        if status:
            return web.Response(status=status, text="<Error><Code>SlowDown</Code></Error>")
        body, errors = self._spared(body) if "delete" in request.query else (body, b"")
        async with self._turn if self.one_at_a_time else nullcontext():
            answer, content = await self._forward(request, body)
        content = content.replace(b"</DeleteResult>", errors + b"</DeleteResult>")
        if self.lose(request):
            self._cut(request)
        if self.fail(request):
            return web.Response(status=500, text="<Error><Code>InternalError</Code></Error>")
        return await self._answer(request, answer, self.alter(request, content))

    def _spared(self, body: bytes) -> tuple[bytes, bytes]:
        """What goes on to the server of a batch of deletes, and the errors for the rest of it."""
        errors = b""
        for found in re.findall(rb"<Object>.*?</Object>", body, re.DOTALL):
            key = re.findall(r"<Key>(.*?)</Key>", found.decode())[0]
            if code := self.spare(key):
                body = body.replace(found, found.replace(key.encode(), NOBODYS.encode()), 1)
                errors += f"<Error><Key>{key}</Key><Code>{code}</Code><Message>no</Message></Error>".encode()
        return body, errors

    async def _answer(
        self, request: web.Request, answer: aiohttp.ClientResponse, content: bytes
    ) -> web.StreamResponse:
        most = self.truncate(request)
        headers = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
        if request.method == "HEAD":
            return web.Response(
                status=answer.status, headers={**headers, "Content-Length": answer.headers["Content-Length"]}
            )
        if most is None:
            kind = {"Content-Type": answer.headers.get("Content-Type", "application/xml")}
            return web.Response(status=answer.status, headers={**headers, **kind}, body=content)
        response = web.StreamResponse(
            status=answer.status, headers={**headers, "Content-Length": str(len(content))}
        )
        await response.prepare(request)
        await response.write(content[:most])
        while self.stall and request.transport and not request.transport.is_closing():
            await asyncio.sleep(0.02)
        self._cut(request)
        return response

    async def _forward(self, request: web.Request, body: bytes) -> tuple[aiohttp.ClientResponse, bytes]:
        headers = {
            name: value
            for name, value in request.headers.items()
            if (name.lower() in _KEPT or name.lower().startswith("x-amz-checksum"))
            and name.lower() not in self.ignored
        }
        url = self.upstream + request.raw_path
        if "delete" in request.query:  # of what may be another body by now
            headers = {
                "Content-MD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
            }
        signed = AWSRequest(method=request.method, url=url, headers=headers, data=body)
        S3SigV4Auth(Credentials(ACCESS, SECRET), "s3", "us-east-1").add_auth(signed)
        if self._client is None:
            self._client = aiohttp.ClientSession(auto_decompress=False)
        async with self._client.request(
            request.method,
            URL(url, encoded=True),
            headers=dict(signed.headers.items()),
            data=io.BytesIO(body),
        ) as answer:
            return answer, await answer.read()

    def _cut(self, request: web.Request) -> None:
        if request.transport:
            request.transport.abort()

    async def close(self) -> None:
        if self._client:
            await self._client.close()


@asynccontextmanager
async def s3_proxy(server: S3Server) -> AsyncIterator[tuple[Proxy, S3Server]]:
    """A proxy before a server without TLS, and that server as it is seen through it."""
    proxy = Proxy(server.endpoint)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield proxy, S3Server(f"http://127.0.0.1:{port}", server.folder, None)
    finally:
        await asyncio.sleep(0)
        await proxy.close()
        await runner.cleanup()

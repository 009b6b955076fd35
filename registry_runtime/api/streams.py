"""Bodies as streams: what a client sends, joined to pieces worth handling, and blobs on their way out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from registry_runtime.api.errors import ClientGone, ClientStalled
from registry_runtime.api.trace import trace_of
from registry_runtime.content.buffer import Buffer, Stretch
from registry_runtime.errors import RegistryError, SizeInvalid
from registry_runtime.exchange import ZERO_COPY
from registry_runtime.repository import OpenBlob

_PIECE = 64 * 1024  # bytes: what httptools hands over is smaller, and each piece costs
_WATCHED = 4 * 1024 * 1024  # bytes: a smaller blob is sent sooner than its client is missed
_WINDOW = 1024 * 1024  # bytes of a file that are sent at a time
_SILENT_SECONDS = 60.0  # without a byte from a client that is sending
_LEAST = 64 * 1024  # bytes that it has to send in as long, waited for: it holds memory that others wait for
_UNTAKEN_SECONDS = 300.0  # for a window of 1 MiB to be taken: 3.5 KB/s is a slow line, less is none


def announced(request: Request) -> int | None:
    """The Content-Length; None where the body is chunked. Raises SizeInvalid."""
    text = request.headers.get("content-length")
    if text is None:
        return None if "transfer-encoding" in request.headers else 0
    if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - what fits 63 bits
        raise SizeInvalid("Content-Length is not a number of bytes")
    return int(text)


async def received(request: Request) -> AsyncIterator[Buffer]:
    """The request's body in pieces of 64 KiB or more, the last one shorter.

    Raises ClientGone where the connection ends or stalls before the body does, after what came till
    then: a body that was cut short can never be taken for one that is complete.
    """
    trace = trace_of(request.scope)
    pieces: list[Buffer] = []
    held = 0
    more = True
    pace = _Pace()
    while more:
        try:
            data, more = await pace.next(request.receive)
        except ClientGone:
            if held:
                yield b"".join(pieces)
            raise
        trace.bytes_in += len(data)
        pieces.append(data)
        held += len(data)
        if held >= _PIECE or (held and not more):
            yield pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces, held = [], 0


async def whole(request: Request, most: int, too_large: RegistryError) -> bytes:
    """The request's body, at most `most` bytes. Raises `too_large` before it is read to the end."""
    length = announced(request)
    if length is not None and length > most:
        raise too_large
    content = bytearray()
    async for piece in received(request):
        content += piece
        if len(content) > most:
            raise too_large
    return bytes(content)


class _Pace:
    """How fast a body comes, while it is waited for: the time that we take for it is not the client's."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._came = 0

    async def next(self, receive: Receive) -> tuple[Buffer, bool]:
        """The next bytes, and whether more follow. Raises ClientGone, ClientStalled."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_SILENT_SECONDS - self._waited):
                message = await receive()
        except TimeoutError:
            sentence = f"the client sent less than {_LEAST} bytes in {_SILENT_SECONDS:.0f} seconds"
            raise ClientStalled(sentence) from None
        if message["type"] == "http.disconnect":
            raise ClientGone("the client cut the connection in the middle of its request")
        data = message.get("body", b"")
        self._waited += time.monotonic() - began
        self._came += len(data)
        if self._came >= _LEAST:
            self._waited, self._came = 0.0, 0
        return data, message.get("more_body", False)


class BlobResponse(Response):
    """A blob, or a part of it, window by window as the transport takes them.

    A window is handed on as the memory that it is, and the next but one is only asked for when the
    transport has room. After the first byte an error can only cut the connection.
    """

    def __init__(self, blob: OpenBlob, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status_code=status, headers={**headers, "content-length": str(blob.length)})
        self._blob = blob

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What is sent to a client that left is dropped without a word, so somebody has to look.
        gone = asyncio.ensure_future(_gone(receive)) if self._blob.length > _WATCHED else None
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        try:
            async with asyncio.timeout(_UNTAKEN_SECONDS) as patience:
                await send(start)
                async for message in self._messages(ZERO_COPY in scope.get("extensions", {})):
                    if gone is not None and gone.done():
                        raise ClientGone("the client cut the connection in the middle of a blob")
                    await send(message)
                    patience.reschedule(asyncio.get_running_loop().time() + _UNTAKEN_SECONDS)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            raise ClientStalled("the client took nothing for too long") from None
        finally:
            if gone is not None:
                gone.cancel()
            await self._blob.aclose()

    async def _messages(self, zero_copy: bool) -> AsyncIterator[Message]:
        stretch: Stretch | None = getattr(self._blob.chunks, "stretch", None)
        if stretch is None or not zero_copy:
            async for chunk in self._blob.chunks:
                yield {"type": "http.response.body", "body": chunk, "more_body": True}
            return
        for start in range(stretch.start, stretch.end, _WINDOW):
            count = min(_WINDOW, stretch.end - start)
            place = {"file": stretch.descriptor, "offset": start, "count": count}
            yield {"type": ZERO_COPY, **place, "more_body": True}
            await asyncio.sleep(0)  # a client that takes as fast as it is sent leaves room for others


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""`Bucket`: the storage's protocol on S3."""

from __future__ import annotations

import re
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import lru_cache
from html import unescape
from typing import TYPE_CHECKING, Self

from botocore.session import Session

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused, StorageUnavailable
from registry_runtime.metrics import Metrics
from registry_runtime.storage.base import (
    PAGE,
    Conflict,
    Found,
    Listing,
    Missing,
    Multipart,
    Part,
    Place,
    Unfinished,
)
from registry_runtime.storage.calls import Calls
from registry_runtime.storage.s3 import listing
from registry_runtime.storage.s3.administration import Administration
from registry_runtime.storage.s3.credentials import credentials_of
from registry_runtime.storage.s3.retries import ATTEMPTS, pause
from registry_runtime.storage.s3.sse import Encryption
from registry_runtime.storage.s3.trust import Trust
from registry_runtime.storage.s3.wire import Refused, Response, Wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from registry_runtime.content.buffer import Buffer, Chunks
    from registry_runtime.content.range import Span
    from registry_runtime.contract.config import S3Storage

_UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_RESUMPTIONS = 5  # of one stream; each begins where the one before broke off


class Bucket:
    """A bucket, or the keys of it that begin with a prefix."""

    width = 16

    def __init__(self, settings: S3Storage, calls: Calls | None = None) -> None:
        session = Session()
        calls = calls or Calls(Metrics())
        credentials = credentials_of(settings, session)
        self._bucket = settings.bucket
        self._prefix = settings.prefix
        trust = Trust(settings.ca_file)
        self._encryption = Encryption(settings.server_side_encryption)
        self._wire = Wire(settings, credentials, trust, calls)
        self._administration = Administration(settings, credentials, trust, session, calls)

    async def get(self, key: str) -> Found | None:
        try:
            answer = await self._wire.send("GET", key, headers=self._encryption.terms().touch)
        except Refused as refused:
            if refused.fault.missing:
                return None
            raise refused.fault.error(self._bucket, self._encryption.name) from None
        return Found(answer.content, _said(answer.headers, "ETag"), _modified(answer.headers))

    async def size(self, key: str) -> int | None:
        headers = await self._head(key)
        return None if headers is None else int(_said(headers, "Content-Length"))

    async def _head(self, key: str) -> Mapping[str, str] | None:
        try:
            answer = await self._wire.send("HEAD", key, headers=self._encryption.terms().touch)
        except Refused as refused:
            if refused.fault.missing_by_head:
                return None
            raise refused.fault.error(self._bucket, self._encryption.name) from None
        return answer.headers

    async def put(
        self, key: str, content: Sequence[Buffer], *, absent: bool = False, match: str | None = None
    ) -> str:
        condition = {"If-None-Match": "*"} if absent else {"If-Match": match} if match else {}
        headers = {**condition, **self._encryption.terms().make}

        async def doubt() -> None:
            """Servers refuse a condition when they read it, and may cut off what is still being sent."""
            found = await self.get(key)
            holds = found is None if absent else found is not None and found.etag == match
            if not holds and (found is None or found.content != b"".join(content)):
                raise Conflict(key)

        try:
            answer = await self._wire.send(
                "PUT", key, headers=headers, body=content, doubt=doubt if condition else None
            )
        except Refused as refused:
            if not condition or not (refused.fault.status in {409, 412} or refused.fault.missing):
                raise refused.fault.error(self._bucket, self._encryption.name) from None
            # It may have been our own write whose answer got lost, tried again here, by the client
            # library or by something on the way: then the object holds what we wrote.
            found = await self.get(key)
            if found is not None and found.content == b"".join(content):
                return found.etag
            raise Conflict(key) from None
        return _said(answer.headers, "ETag")

    async def delete(self, keys: Sequence[str]) -> None:
        if len(keys) > 1:
            await self._administration.delete(keys)
            return
        for key in keys:
            try:
                await self._wire.send("DELETE", key)
            except Refused as refused:
                if not refused.fault.missing:
                    raise refused.fault.error(self._bucket, self._encryption.name) from None

    async def erase(self, key: str, match: str) -> None:
        """https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-deletes.html"""
        try:
            await self._wire.send("DELETE", key, headers={"If-Match": match})
        except Refused as refused:
            if refused.fault.status in {409, 412}:
                raise Conflict(key) from None
            if not refused.fault.missing:
                raise refused.fault.error(self._bucket, self._encryption.name) from None

    async def list(self, prefix: str, *, after: str = "", limit: int = PAGE) -> Listing:
        first = self._prefix + after if after else ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = await self._wire.send(
                    "GET", None, query=listing.query(self._prefix + prefix, first, limit)
                )
                return listing.parse(answer.content, len(self._prefix))
            except Refused as refused:
                raise refused.fault.error(self._bucket) from None
            except listing.Unreadable:
                if attempt < ATTEMPTS:
                    await pause(attempt)
        raise StorageUnavailable(f"the bucket {self._bucket} answers, and does not say what it must")

    async def open(self, key: str, span: Span | None = None) -> Chunks:
        stream = _Stream(self._wire, self._encryption, self._bucket, key, span)
        await stream.begin()
        return stream

    async def begin(self, key: str) -> Multipart:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html"""
        headers = self._encryption.terms().make
        try:
            answer = await self._wire.send("POST", key, query={"uploads": ""}, headers=headers)
        except Refused as refused:
            raise refused.fault.error(self._bucket, self._encryption.name) from None
        found = _UPLOAD_ID.search(answer.content)
        if not found:
            raise StorageUnavailable("the storage begins a multipart upload and does not say its id")
        return Multipart(key, unescape(found[1].decode()))

    async def write(self, multipart: Multipart, place: Place, content: Sequence[Buffer]) -> Part:
        query = {"partNumber": str(place.number), "uploadId": multipart.id}
        headers = self._encryption.terms().touch
        try:
            answer = await self._wire.send("PUT", multipart.key, query=query, headers=headers, body=content)
        except Refused as refused:
            if refused.fault.no_upload:
                raise Missing(multipart.key) from None
            raise refused.fault.error(self._bucket, self._encryption.name) from None
        return Part(place.number, sum(map(len, content)), _said(answer.headers, "ETag"))

    async def complete(self, multipart: Multipart, parts: Sequence[Part], fence: int) -> None:  # noqa: ARG002
        """Parts are named by number and ETag here, so nobody else's can get in."""
        await self._administration.complete(multipart, parts)

    async def abort(self, multipart: Multipart) -> None:
        with suppress(Missing):
            await self._administration.abort(multipart)

    async def unfinished(self, prefix: str) -> Sequence[Unfinished]:
        return await self._administration.unfinished(prefix)

    async def sweep(self, before: datetime) -> int:  # noqa: ARG002
        """A bucket keeps nothing but objects and multiparts."""
        return 0

    async def verify(self, key: str) -> None:
        """Encryption is what the bucket says of an object, small or in parts, and not what was asked."""
        if not self._encryption.name:
            return
        try:
            await self.put(key, [b"probe"], absent=True)
            await self._encrypted(key)
            multipart = await self.begin(key)
            part = await self.write(multipart, Place(1, 0, 1), [b"probe"])
            await self.complete(multipart, [part], 1)
            await self._encrypted(key)
        finally:
            await self.delete([key])

    async def _encrypted(self, key: str) -> None:
        terms = self._encryption.terms()
        missing = terms.broken_by(await self._head(key) or {})
        if terms.touch and not missing:
            try:
                await self._wire.send("GET", key)
            except Refused as refused:
                if refused.fault.status in {400, 403}:
                    return
                raise refused.fault.error(self._bucket, self._encryption.name) from None
            missing = "it gives the object without the key"
        if missing:
            raise StorageRefused(
                f"the bucket {self._bucket} accepts {self._encryption.name} and does not do it ({missing}): "
                "use a server that does, or do without serverSideEncryption",
                StorageReason.SSE_IGNORED,
            )

    async def close(self) -> None:
        await self._wire.close()
        await self._administration.close()


class _Stream:
    """The bytes of an object; a connection that breaks is taken up again where it broke off."""

    def __init__(self, wire: Wire, encryption: Encryption, bucket: str, key: str, span: Span | None) -> None:
        self._wire = wire
        self._encryption = encryption
        self._bucket = bucket
        self._key = key
        self._position = span.start if span else 0
        self._end = span.end + 1 if span else None  # until the first answer tells
        self._etag = ""
        self._left = _RESUMPTIONS
        self._response: Response | None = None

    async def begin(self) -> None:
        """Raises Missing."""
        headers = dict(self._encryption.terms().touch)
        if self._etag:
            headers["If-Match"] = self._etag
        if self._end is not None:
            headers["Range"] = f"bytes={self._position}-{self._end - 1}"
        try:
            response = await self._wire.stream(self._key, headers)
        except Refused as refused:
            if refused.fault.missing:
                raise Missing(self._key) from None
            raise refused.fault.error(self._bucket, self._encryption.name) from None
        if "Range" in headers and response.status != 206:  # noqa: PLR2004
            response.close()
            raise StorageUnavailable("the storage does not answer to a range with that range")
        if self._end is None:
            self._end = int(_said(response.headers, "Content-Length"))
        self._etag = _said(response.headers, "ETag")
        self._response = response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Buffer:
        while self._end is not None and self._position < self._end:
            try:
                if self._response is None:
                    await self.begin()
                assert self._response
                chunk = await self._response.some()
            except OSError as error:
                await self.aclose()
                if self._left == 0:
                    raise self._wire.unreachable(error) from error
                self._left -= 1
                continue
            if chunk:
                self._position += len(chunk)
                return chunk
            await self.aclose()  # it ended before its length
            if self._left == 0:
                raise StorageUnavailable("the storage sends less than it announces")
            self._left -= 1
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if self._response is not None:
            self._response.close()  # returns the connection to the pool when all was read
            self._response = None


@lru_cache(64)
def _date(text: str) -> datetime:
    """Much was written in the same second, and is read by date again and again."""
    return parsedate_to_datetime(text)


def _said(headers: Mapping[str, str], name: str) -> str:
    """A header of a success that S3 always sends."""
    found = headers.get(name.lower())
    if found is None:
        raise StorageUnavailable(f"the storage answers without {name}: that is no S3")
    return found


def _modified(headers: Mapping[str, str]) -> datetime:
    try:
        return _date(_said(headers, "Last-Modified"))
    except ValueError as error:
        raise StorageUnavailable(f"the storage answers with a Last-Modified that is none: {error}") from error

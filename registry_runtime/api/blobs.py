"""Blobs: look, pull, delete.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-blobs
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from registry_runtime.api import ranges
from registry_runtime.api.admission import Admission
from registry_runtime.api.conditions import etag, unchanged
from registry_runtime.api.streams import BlobResponse
from registry_runtime.content.digest import Digest
from registry_runtime.contract.policy import Action
from registry_runtime.repository import Registry

_IMMUTABLE = "private, max-age=31536000, immutable"  # a digest never means anything else


class Blobs:
    def __init__(self, registry: Registry, admission: Admission) -> None:
        self._blobs = registry.blobs
        self._admission = admission

    async def head(self, request: Request) -> Response:
        name = self._admission.repository(request, Action.PULL)
        found = await self._blobs.stat(name, _digest(request))
        return Response(headers={**_headers(found.digest), "Content-Length": str(found.size)})

    async def get(self, request: Request) -> Response:
        name = self._admission.repository(request, Action.PULL)
        digest = _digest(request)
        wanted = request.headers.get("range")
        if unchanged(request, digest):
            await self._blobs.stat(name, digest)
            return Response(status_code=304, headers=_headers(digest))
        if wanted is None or request.headers.get("if-range", etag(digest)) != etag(digest):
            return BlobResponse(await self._blobs.open(name, digest), 200, _headers(digest))
        size = (await self._blobs.stat(name, digest)).size
        span = ranges.asked(wanted, size)
        blob = await self._blobs.open(name, digest, span)
        if span is None:
            return BlobResponse(blob, 200, _headers(digest))
        part = {"Content-Range": f"bytes {span.start}-{span.end}/{size}"}
        return BlobResponse(blob, 206, {**_headers(digest), **part})

    async def delete(self, request: Request) -> Response:
        name = self._admission.repository(request, Action.DELETE)
        await self._blobs.delete(name, _digest(request))
        return Response(status_code=202)


def _digest(request: Request) -> Digest:
    return Digest.parse(request.path_params["digest"])


def _headers(digest: Digest) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": str(digest),
        "ETag": etag(digest),
        "Accept-Ranges": "bytes",
        "Cache-Control": _IMMUTABLE,
    }

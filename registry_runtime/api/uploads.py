"""Uploads: sessions that receive a blob, in one request or in many, over any replica.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from registry_runtime.api import ranges
from registry_runtime.api.admission import Admission
from registry_runtime.api.streams import announced, received
from registry_runtime.api.trace import trace_of
from registry_runtime.auth.gate import Asker
from registry_runtime.auth.identity import Identity
from registry_runtime.content.buffer import Buffer
from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.config import Limits
from registry_runtime.contract.exposition import Gauge
from registry_runtime.contract.policy import Action
from registry_runtime.errors import DigestInvalid, NameInvalid, SizeInvalid
from registry_runtime.repository import Registry, Upload

_LATE_SECONDS = 60  # between a bearer's end and the first byte of an upload
_SOURCES = 20  # repositories that an anonymous mount looks at, before the client sends the bytes itself


class Uploads:
    """`running` is told of each request that receives a blob."""

    def __init__(self, registry: Registry, admission: Admission, limits: Limits, running: Gauge) -> None:
        self._running = running
        self._limits = limits
        self._uploads = registry.uploads
        self._blobs = registry.blobs
        self._uses = registry.uses
        self._admission = admission

    async def post(self, request: Request) -> Response:
        """A new session; or the whole blob at once (`digest`); or no bytes at all (`mount`)."""
        name, identity = self._admission.admitted(request, Action.PUSH)
        await self._may_become_an_image(name, identity)
        query = request.query_params
        if "digest" in query:
            digest = Digest.parse(query["digest"])
            announced(request)
            trace_of(request.scope).event = "blob.push"
            with self._running.during():
                asker = Asker(identity, trace_of(request.scope).endpoint)
                await self._uploads.push(name, digest, self._body(request, asker, name), identity.who)
            return _created(name, digest)
        if "mount" in query:
            digest = Digest.parse(query["mount"])
            asker = Asker(identity, trace_of(request.scope).endpoint)
            if (source := await self._mount(asker, name, digest, query.get("from"))) is not None:
                _mounted(request, source)
                return _created(name, digest)
        elif query.get("digest-algorithm", "sha256") not in {"sha256", "sha512"}:
            raise DigestInvalid("digest-algorithm is sha256 or sha512")
        return _accepted(self._uploads.start(name))

    async def get(self, request: Request) -> Response:
        name, _ = await self._session(request)
        return _accepted(await self._uploads.status(name, _id(request)), 204)

    async def patch(self, request: Request) -> Response:
        name, asker = await self._session(request)
        await self._may_become_an_image(name, asker.identity)
        start, length = _placed(request)
        with self._running.during():
            upload = await self._uploads.append(
                name, _id(request), self._body(request, asker, name), _by(asker), start=start, length=length
            )
        return _accepted(upload)

    async def put(self, request: Request) -> Response:
        name, asker = await self._session(request)
        await self._may_become_an_image(name, asker.identity)
        digest = Digest.parse(request.query_params.get("digest", ""))
        start, length = _placed(request)
        body = None if length == 0 else self._body(request, asker, name)
        with self._running.during():
            await self._uploads.commit(
                name, _id(request), digest, body, _by(asker), start=start, length=length
            )
        return _created(name, digest)

    async def delete(self, request: Request) -> Response:
        name, _ = await self._session(request)
        await self._uploads.cancel(name, _id(request))
        return Response(status_code=204)

    async def _body(self, request: Request, asker: Asker, name: RepositoryName) -> AsyncIterator[Buffer]:
        """What is received, and at its end, which may be days later: may it still be pushed?"""
        async for piece in received(request):
            yield piece
        self._admission.still(request, asker, name, Action.PUSH)

    async def _mount(
        self, asker: Asker, name: RepositoryName, digest: Digest, source: str | None
    ) -> RepositoryName | None:
        """The repository that the asker may read, and out of which the blob is in this one now.

        The source is judged by who asks and not by the bearer's scopes, as clients ask for the
        target's only. A source that may not be read looks like one that is not there.
        """
        asker = self._admission.unnarrowed(asker)
        if source is not None:
            candidates = [_source(source)]
        else:
            candidates = list(await self._blobs.placements(digest, _SOURCES))
        for candidate in candidates:
            if candidate is None or not self._admission.may(asker, candidate, Action.PULL):
                continue
            if await self._blobs.mount(name, digest, candidate):
                return candidate
        return None

    async def _may_become_an_image(self, name: RepositoryName, identity: Identity) -> None:
        """Raises Denied where the AccessToken has no use left that a manifest of this blob could take."""
        allowance = self._admission.allowance(identity)
        if allowance is not None:
            await self._uses.require(allowance, name)

    async def _session(self, request: Request) -> tuple[RepositoryName, Asker]:
        """The repository of a session that may be gone on with, and who asks.

        A session's authority is its own: whoever began it may end it when the bearer's time is over
        meanwhile, but not when the AccessToken itself was taken away, nor with a bearer whose time is
        over for longer than a session that nobody touches lives (`limits.upload_seconds`). Nobody knows
        who began it before its first byte: that may come a moment late.
        """
        name, asker = self._admission.untimed(request, Action.PUSH)
        lapsed = asker.identity.lapsed
        if lapsed is not None:
            began_it = lapsed <= self._limits.upload_seconds and await self._began(asker, name, request)
            if not began_it:
                self._admission.admit(request, asker, name, Action.PUSH)
        return name, asker

    async def _began(self, asker: Asker, name: RepositoryName, request: Request) -> bool:
        """Whether the upload is the asker's, whose time is over."""
        by = (await self._uploads.status(name, _id(request))).by
        return by == _by(asker) or (by is None and (asker.identity.lapsed or 0) <= _LATE_SECONDS)


def _placed(request: Request) -> tuple[int | None, int | None]:
    """Where the body belongs and how long it is. Raises SizeInvalid where its two lengths differ."""
    span = ranges.chunk(request.headers.get("content-range"))
    length = announced(request)
    if span is None:
        return None, length
    if length is not None and length != span.length:
        raise SizeInvalid(f"Content-Range is {span.length} bytes long, Content-Length says {length}")
    return span.start, span.length


def _mounted(request: Request, source: RepositoryName) -> None:
    trace = trace_of(request.scope)
    trace.event = "blob.mount"
    trace.note("from", str(source))


def _source(text: str) -> RepositoryName | None:
    try:
        return RepositoryName.parse(text)
    except NameInvalid:
        return None


def _by(asker: Asker) -> str:
    return asker.identity.who


def _id(request: Request) -> str:
    return str(request.path_params["uuid"])


def _accepted(upload: Upload, status: int = 202) -> Response:
    """Locations are relative: what stands before the path is the proxies' business."""
    headers = {
        "Location": f"/v2/{upload.repository}/blobs/uploads/{upload.id}",
        "Range": f"0-{max(0, upload.received - 1)}",
        "Docker-Upload-UUID": upload.id,
    }
    return Response(status_code=status, headers=headers)


def _created(name: RepositoryName, digest: Digest) -> Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": str(digest)}
    return Response(status_code=201, headers=headers)

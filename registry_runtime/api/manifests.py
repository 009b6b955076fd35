"""Manifests: look, pull, push, delete.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from registry_runtime.api.admission import Admission
from registry_runtime.api.conditions import etag, unchanged
from registry_runtime.api.streams import whole
from registry_runtime.api.trace import trace_of
from registry_runtime.auth.identity import Identity
from registry_runtime.content.descriptor import Descriptor
from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import parse
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.content.reference import Reference, parse_reference
from registry_runtime.contract.config import Limits
from registry_runtime.contract.policy import Action
from registry_runtime.errors import ManifestTooLarge, TagInvalid
from registry_runtime.repository import Registry, StoredManifest

_MOST_TAGS = 100  # of one PUT
_GRACE_SECONDS = 600.0  # in which an expired bearer may still end its push


class Manifests:
    def __init__(self, registry: Registry, admission: Admission, limits: Limits) -> None:
        self._manifests = registry.manifests
        self._blobs = registry.blobs
        self._admission = admission
        self._limits = limits

    async def head(self, request: Request) -> Response:
        name = self._admission.repository(request, Action.PULL)
        found = await self._manifests.stat(name, _reference(request))
        if unchanged(request, found.digest):
            return Response(status_code=304, headers=_headers(found))
        return Response(headers={**_headers(found), "Content-Length": str(found.size)})

    async def get(self, request: Request) -> Response:
        name = self._admission.repository(request, Action.PULL)
        found = await self._manifests.get(name, _reference(request))
        if unchanged(request, found.descriptor.digest):
            return Response(status_code=304, headers=_headers(found.descriptor))
        return ManifestResponse(found)

    async def put(self, request: Request) -> Response:
        name, asker = self._admission.untimed(request, Action.PUSH)
        reference = _reference(request)
        tags = _extra_tags(request, reference)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip()
        most = self._limits.manifest_bytes
        content = await whole(request, most, ManifestTooLarge(f"a manifest has at most {most} bytes here"))
        if await self._in_time(asker.identity, name, media_type, content):
            self._admission.still(request, asker, name, Action.PUSH)
        else:
            self._admission.admit(request, asker, name, Action.PUSH)
        sparse, allowance = self._admission.sparse(name), self._admission.allowance(asker.identity)
        pushed = await self._manifests.put(
            name, reference, media_type, content, tags, sparse=sparse, allowance=allowance
        )
        if allowance is not None:
            trace_of(request.scope).note("uses", allowance.uses.limit)
        digest = pushed.descriptor.digest
        response = Response(status_code=201)
        response.headers["Location"] = f"/v2/{name}/manifests/{digest}"
        response.headers["Docker-Content-Digest"] = str(digest)
        if pushed.subject is not None:
            response.headers["OCI-Subject"] = str(pushed.subject.digest)
        for tag in tags:
            response.headers.append("OCI-Tag", str(tag))
        return response

    async def _in_time(
        self, identity: Identity, name: RepositoryName, media_type: str, content: bytes
    ) -> bool:
        """Whether the bearer's time is not over, or this ends a push that began before it was.

        For ten minutes an expired bearer may put a manifest that names a blob which its token pushed here.
        """
        if identity.lapsed is None:
            return True
        if identity.lapsed > _GRACE_SECONDS or identity.anonymous:
            return False
        for blob in parse(media_type, content).blobs:
            if await self._blobs.pushed_by(name, blob.digest) == identity.who:
                return True
        return False

    async def delete(self, request: Request) -> Response:
        name = self._admission.repository(request, Action.DELETE)
        await self._manifests.delete(name, _reference(request))
        return Response(status_code=202)


class ManifestResponse(Response):
    """A manifest, whole. Its headers are written at once: it is what is asked for most."""

    def __init__(self, found: StoredManifest) -> None:
        digest = str(found.descriptor.digest).encode()
        self.status_code = 200
        self.body = found.content
        self.background = None
        self.raw_headers = [
            (b"content-length", b"%d" % len(found.content)),
            (b"content-type", found.descriptor.media_type.encode("latin-1")),
            (b"docker-content-digest", digest),
            (b"etag", b'"%b"' % digest),
        ]


def _reference(request: Request) -> Reference:
    return parse_reference(request.path_params["reference"])


def _extra_tags(request: Request, reference: Reference) -> list[Tag]:
    """Tags of the query, where the manifest is put by its digest. Raises TagInvalid."""
    if not isinstance(reference, Digest) or not request.scope["query_string"]:
        return []
    texts = list(dict.fromkeys(request.query_params.getlist("tag")))
    if len(texts) > _MOST_TAGS:
        raise TagInvalid(f"one push sets at most {_MOST_TAGS} tags")
    return [Tag.parse(text) for text in texts]


def _headers(descriptor: Descriptor) -> dict[str, str]:
    return {
        "Content-Type": descriptor.media_type,
        "Docker-Content-Digest": str(descriptor.digest),
        "ETag": etag(descriptor.digest),
    }

"""What refers to a manifest: signatures, attestations, SBOMs.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from registry_runtime.api import pages
from registry_runtime.api.admission import Admission
from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_INDEX
from registry_runtime.contract.policy import Action
from registry_runtime.repository import Registry


class Referrers:
    def __init__(self, registry: Registry, admission: Admission) -> None:
        self._referrers = registry.referrers
        self._admission = admission

    async def get(self, request: Request) -> Response:
        """An index, empty where nothing refers to it or nobody ever pushed here."""
        name = self._admission.repository(request, Action.PULL)
        digest = Digest.parse(request.path_params["digest"])
        query = request.query_params
        artifact_type = query.get("artifactType")
        count = pages.limit(request)
        last = Digest.parse(query["last"]) if "last" in query else None
        page = await self._referrers.list(name, digest, artifact_type, count, last)
        headers = {"OCI-Filters-Applied": "artifactType"} if artifact_type is not None else {}
        if page.more and page.end is not None:
            following: dict[str, str | int] = {"n": count, "last": str(page.end)}
            if artifact_type is not None:
                following["artifactType"] = artifact_type
            headers |= pages.link(request, following)
        index = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [item.to_json() for item in page.items],
        }
        return JSONResponse(index, headers=headers, media_type=OCI_INDEX)

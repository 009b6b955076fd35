"""Tags of a repository, in pages.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from registry_runtime.api import pages
from registry_runtime.api.admission import Admission
from registry_runtime.contract.policy import Action
from registry_runtime.repository import Registry


class Tags:
    def __init__(self, registry: Registry, admission: Admission) -> None:
        self._tags = registry.tags
        self._admission = admission

    async def get(self, request: Request) -> Response:
        name = self._admission.repository(request, Action.LIST)
        count = pages.limit(request)
        page = await self._tags.list(name, count, request.query_params.get("last", ""))
        more = page.more and page.items
        headers = pages.link(request, {"n": count, "last": page.items[-1]}) if more else {}
        return JSONResponse({"name": str(name), "tags": list(page.items)}, headers=headers)

"""The repositories that the caller may see, in pages; and the registry itself, `/v2/`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from registry_runtime.api import pages
from registry_runtime.api.admission import Admission
from registry_runtime.contract.policy import Action
from registry_runtime.repository import Registry


class Catalog:
    def __init__(self, registry: Registry, admission: Admission) -> None:
        self._catalog = registry.catalog
        self._admission = admission

    async def get(self, request: Request) -> Response:
        asker = self._admission.asker(request)
        self._admission.admit(request, asker, None, Action.LIST)
        anything = self._admission.unnarrowed(asker)
        count = pages.limit(request)
        page = await self._catalog.list(
            lambda name: self._admission.may(anything, name, Action.LIST),
            count,
            request.query_params.get("last", ""),
            self._admission.sight(anything),
        )
        more = page.more and page.items
        headers = pages.link(request, {"n": count, "last": str(page.items[-1])}) if more else {}
        return JSONResponse({"repositories": [str(name) for name in page.items]}, headers=headers)


class Base:
    """`/v2/`: where clients find out whether they have to log in."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def get(self, request: Request) -> Response:
        asker = self._admission.asker(request)
        self._admission.ping(request, asker)
        return JSONResponse({})

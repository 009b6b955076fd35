"""Probes and metrics, on a plain port of their own."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from registry_runtime.contract.exposition import CONTENT_TYPE, Families


class Health:
    """`unready` gives the reason why no request should be sent here, or None."""

    def __init__(self, unready: Callable[[], str | None], metrics: Families) -> None:
        self._unready = unready
        self._metrics = metrics

    async def live(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(self, _request: Request) -> Response:
        reason = self._unready()
        return PlainTextResponse(f"{reason or 'ok'}\n", 503 if reason else 200)

    async def metrics(self, _request: Request) -> Response:
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

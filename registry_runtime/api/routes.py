"""From a path to its resource: the one thing of a router that is needed here."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send


class Routes:
    """The first template that fits decides; its names are the path's parameters.

    https://www.starlette.io/routing/#path-parameters
    """

    def __init__(self, routes: Sequence[tuple[str, ASGIApp]], otherwise: ASGIApp) -> None:
        self._routes = [
            (compile_path(template)[0], template.replace(":path}", "}"), app) for template, app in routes
        ]
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        for pattern, template, app in self._routes:
            found = pattern.match(path)
            if found is not None:
                scope["path_params"] = found.groupdict()
                scope["route"] = template
                await app(scope, receive, send)
                return
        await self._otherwise(scope, receive, send)

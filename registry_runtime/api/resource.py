"""A resource of the API: its methods, each with a handler of its own (HEAD too)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from registry_runtime.api.errors import body
from registry_runtime.api.trace import trace_of

Handler = Callable[[Request], Awaitable[Response]]


class Resource:
    """An ASGI application that only tells methods apart. `noun` is its name in logs and metrics."""

    def __init__(self, noun: str, **handlers: Handler) -> None:
        self._noun = noun
        self._handlers: Mapping[str, Handler] = handlers
        self._allow = ", ".join(handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trace_of(scope).noun = self._noun
        handler = self._handlers.get(scope["method"])
        response = await handler(Request(scope, receive, send)) if handler is not None else self._refuse()
        await response(scope, receive, send)

    def _refuse(self) -> Response:
        return body(405, "UNSUPPORTED", f"this resource knows {self._allow}", headers={"Allow": self._allow})

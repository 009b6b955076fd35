"""What stands around every request: its id, its audit record, its metrics, its errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry_runtime.activity import ActivityBoard
from registry_runtime.api import activity
from registry_runtime.api.access import REFUSED, AccessLog
from registry_runtime.api.errors import ClientGone, ClientStalled, answer
from registry_runtime.api.host import Hosts
from registry_runtime.api.trace import ITSELF, Trace, begin, trace_of
from registry_runtime.errors import StorageError
from registry_runtime.metrics import Metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"})
_CUT = 499  # in log and metrics: the connection ended before its answer did


class Front:
    """The outermost ASGI application. What is raised behind it becomes an answer, or cuts the connection.

    `doubt` is told of each error of the storage that a request met.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Hosts,
        metrics: Metrics,
        access: AccessLog,
        *,
        doubt: Callable[[], None],
        board: ActivityBoard,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._metrics = metrics
        self._access = access
        self._doubt = doubt
        self._board = board

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        trace = begin(scope)
        reply = _Reply(send, trace)
        try:
            await self._answered(scope, receive, reply)
        finally:
            self._record(scope, trace, reply)

    async def _answered(self, scope: Scope, receive: Receive, reply: _Reply) -> None:
        try:
            await self._app(scope, receive, reply)
        except Exception as error:  # noqa: BLE001 - the last place that can turn it into an answer
            if isinstance(error, ClientGone) and not isinstance(error, ClientStalled):
                trace_of(scope).error = str(error)
                return
            if isinstance(error, StorageError):
                self._doubt()
            response = answer(scope, error, self._hosts)
            if reply.status is None:
                await response(scope, receive, reply)

    def _record(self, scope: Scope, trace: Trace, reply: _Reply) -> None:
        seconds = time.perf_counter() - trace.started
        status = reply.status if reply.status is not None and reply.complete else _CUT
        if trace.event != ITSELF:
            self._count(scope["method"], status, trace, seconds)
        self._access.write(scope, trace, status, seconds, reply.headers)
        activity.note(self._board, scope, trace, status)

    def _count(self, method: str, status: int, trace: Trace, seconds: float) -> None:
        metrics = self._metrics
        method = method if method in _METHODS else "OTHER"
        metrics.requests.add(1, trace.noun, method, str(status), trace.endpoint)
        metrics.seconds.observe(seconds, trace.noun, method)
        metrics.received.add(trace.bytes_in, trace.endpoint)
        metrics.sent.add(trace.bytes_out, trace.endpoint)
        if status in REFUSED:
            metrics.refused.add(1, trace.reason or "CredentialsUnreadable")
        if trace.noun == "token":
            metrics.logins.add(1, trace.reason or "Failed")


class _Reply:
    """Sends on, and sees what was sent."""

    def __init__(self, send: Send, trace: Trace) -> None:
        self._send = send
        self._trace = trace
        self._own = [
            (b"x-request-id", trace.id.encode()),
            (b"docker-distribution-api-version", b"registry/2.0"),
            (b"x-content-type-options", b"nosniff"),
        ]
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.status: int | None = None
        self.complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = message["headers"] = [*message.get("headers", ()), *self._own]
        else:
            self._trace.bytes_out += message.get("count") or len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self._send(message)

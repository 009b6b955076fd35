"""Traces, where they are asked for: a span for each request, for what decides on it, and for each call to S3.

Neither this module nor OpenTelemetry is imported where `RuntimeConfig.tracing` is None (decision 52).
https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry_runtime.api.admission import Admission
from registry_runtime.api.trace import trace_of
from registry_runtime.auth.gate import Asker, Gate
from registry_runtime.auth.identity import Identity
from registry_runtime.content.name import RepositoryName
from registry_runtime.contract import config
from registry_runtime.contract.policy import Action
from registry_runtime.metrics import Metrics
from registry_runtime.storage.calls import Call, Calls

_PATH = 512  # characters of a path, as in the audit record
_AGENT = 200
_WAITING = 2048  # spans that may wait; what comes then is dropped, and no request waits
_EXPORT_SECONDS = 5
_CLOSING_SECONDS = 3.0  # the end of a pod has ten to spare
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"})
_CONTEXT = (b"traceparent", b"tracestate")
_FAULT = 500  # statuses from here on are the server's fault


class Tracing:
    """One exporter; `close` sends what waits."""

    def __init__(self, settings: config.Tracing, registry: str, replica: str, zone: str) -> None:
        about = {
            "service.name": "roadstead-registry",
            "service.namespace": registry,
            "service.instance.id": replica,
            "cloud.availability_zone": zone,
        }
        ratio = TraceIdRatioBased(settings.sampling_rate_per_million / 1_000_000)
        # A stranger's request says in its header that it wants to be sampled: the rate is ours to keep.
        sampler = ParentBased(ratio, remote_parent_sampled=ratio, remote_parent_not_sampled=ALWAYS_OFF)
        self._provider = TracerProvider(sampler, Resource(about), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(
            f"{settings.endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS, headers={}
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=_WAITING))
        self._tracer = self._provider.get_tracer("registry_runtime")

    def app(self, app: ASGIApp) -> ASGIApp:
        return _Traced(app, self._tracer)

    def admission(self, gate: Gate) -> Admission:
        return _Admission(gate, self._tracer)

    def calls(self, metrics: Metrics, bucket: str | None) -> Calls:
        return _Calls(metrics, self._tracer, bucket or "")

    async def close(self) -> None:
        """Sends what waits, for three seconds at most: a collector that is silent holds up no end."""
        sending = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, _CLOSING_SECONDS)


class _Traced:
    """A server span around each request."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def seen(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        given = {
            name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT
        }
        context = self._propagator.extract(given) if given else None
        with self._tracer.start_as_current_span(
            _method(scope), context, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                await self._app(scope, receive, seen)
            finally:
                if span.is_recording():
                    _tell(span, scope, status)


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in _METHODS else "_OTHER"


def _tell(span: Span, scope: Scope, status: int) -> None:
    """Never a header but the client's name, and never a query: both may hold what opens doors."""
    trace, method = trace_of(scope), _method(scope)
    route: str | None = scope.get("route")
    span.update_name(f"{method} {route}" if route else method)
    span.set_attributes(
        {
            "http.request.method": method,
            "url.path": scope["path"][:_PATH],
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
            "user_agent.original": _agent(scope),
            "http.request.body.size": trace.bytes_in,
            "http.response.body.size": trace.bytes_out,
            "roadstead.domain": trace.endpoint.value,
            "roadstead.request": trace.id,
        }
    )
    known = {
        "http.route": route,
        "http.response.status_code": status or None,
        "roadstead.repository": trace.repository,
        "roadstead.reason": trace.reason,
    }
    span.set_attributes({name: value for name, value in known.items() if value is not None})
    if status >= _FAULT or not status:
        span.set_attribute("error.type", str(status) if status else "no answer")
        span.set_status(StatusCode.ERROR)


def _agent(scope: Scope) -> str:
    found: Mapping[bytes, bytes] = dict(scope["headers"])
    return found.get(b"user-agent", b"")[:_AGENT].decode("latin-1")


class _Admission(Admission):
    """With a span around what finds out who asks and whether they may."""

    def __init__(self, gate: Gate, tracer: Tracer) -> None:
        super().__init__(gate)
        self._tracer = tracer

    def admitted(self, request: Request, action: Action) -> tuple[RepositoryName, Identity]:
        with self._deciding(request, action):
            return super().admitted(request, action)

    def untimed(self, request: Request, action: Action) -> tuple[RepositoryName, Asker]:
        with self._deciding(request, action):
            return super().untimed(request, action)

    @contextmanager
    def _deciding(self, request: Request, action: Action) -> Iterator[None]:
        with self._tracer.start_as_current_span(
            "policy decision", record_exception=False, set_status_on_exception=False
        ) as span:
            span.set_attribute("roadstead.action", action.value)
            try:
                yield
            except Exception as error:
                span.set_attribute("roadstead.reason", getattr(error, "reason", None) or type(error).__name__)
                raise
            span.set_attribute("roadstead.reason", trace_of(request.scope).reason or "")


class _Call(Call):
    """And its span."""

    __slots__ = ("_span",)

    def __init__(self, metrics: Metrics, operation: str, span: Span) -> None:
        super().__init__(metrics, operation)
        self._span = span

    def end(self, code: int | None, *, throttled: bool = False) -> None:
        """A 404 or a 412 is an answer that was asked for: only the storage's own faults are errors."""
        super().end(code, throttled=throttled)
        if code is not None:
            self._span.set_attribute("http.response.status_code", code)
        if code is None or code >= _FAULT:
            self._span.set_attribute("error.type", "no answer" if code is None else str(code))
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _Calls(Calls):
    """With a span for each that a request makes; what the replica does by itself is no trace."""

    def __init__(self, metrics: Metrics, tracer: Tracer, bucket: str) -> None:
        super().__init__(metrics)
        self._tracer = tracer
        self._bucket = bucket

    def begin(self, operation: str, key: str | None = None, attempt: int = 1) -> Call:
        if not get_current_span().is_recording():
            return super().begin(operation, key, attempt)
        super().begin(operation, key, attempt)  # counts the retry
        about = {"rpc.system": "aws-api", "rpc.service": "S3", "rpc.method": operation}
        about |= {"aws.s3.bucket": self._bucket}
        about |= {"aws.s3.key": key} if key is not None else {}
        span = self._tracer.start_span(f"S3/{operation}", kind=SpanKind.CLIENT, attributes=about)
        if attempt > 1:
            span.set_attribute("http.request.resend_count", attempt - 1)
        return _Call(self._metrics, operation, span)

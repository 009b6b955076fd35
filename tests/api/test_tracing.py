"""Traces: a collector of OTLP hears of a push from the client's request down to the PUT at the bucket."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.api.replica import ROBOT, Replica
from tests.s3_server import S3Server

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
NEVER = {"traceparent": f"00-{'1' * 32}-{PARENT}-00"}


class Collector:
    """Keeps what it is sent, as it came and as spans."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self.requests: list[ExportTraceServiceRequest] = []
        self.url = ""

    def take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces"
        self.raw.append(body)
        self.requests.append(ExportTraceServiceRequest.FromString(body))

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait(self, found: Callable[[list[Span]], bool]) -> list[Span]:
        """The spans, when they are there: they are sent together, every few seconds."""
        ends = time.monotonic() + 60
        while not found(self.spans):
            assert time.monotonic() < ends, [span.name for span in self.spans]
            time.sleep(0.05)
        return self.spans


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector as OpenTelemetry specifies it: protobuf by HTTP (OTLP/HTTP)."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(self.path, body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def traced(
    collector: Collector, server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replica]:
    """A replica on a bucket, with accounts, that traces every request."""
    storage = server.bucket("traced", prefix="tenant/").model_dump(mode="json")
    settings = {"endpoint": collector.url, "sampling_rate_per_million": 1_000_000}
    directory = tmp_path_factory.mktemp("traced")
    with Replica(directory, storage, secure=True, tracing=settings) as running:
        yield running


def attributes(span: Span) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value")
        for one in span.attributes
    }


def test_a_push_is_one_trace_from_the_request_to_the_bucket(traced: Replica, collector: Collector) -> None:
    """The caller's trace goes on: the request, the decision on it, and each call to S3 below it."""
    client = traced.client()
    client.push_image("latest")
    path = f"{client.base}/manifests/again"
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    body = client.send("GET", f"{client.base}/manifests/latest").body
    answer = client.send("PUT", path, body=body, headers=kind | CALLER)
    assert answer.status == 201

    def ours(spans: list[Span]) -> list[Span]:
        return [span for span in spans if span.trace_id.hex() == TRACE]

    spans = ours(collector.wait(lambda spans: any(one.parent_span_id.hex() == PARENT for one in spans)))
    (request,) = [span for span in spans if attributes(span).get("http.response.status_code") == 201]
    assert request.name == "PUT /v2/{name}/manifests/{reference}"
    assert request.parent_span_id.hex() == PARENT
    said = attributes(request)
    assert said["http.response.status_code"] == 201
    assert said["http.route"] == "/v2/{name}/manifests/{reference}"
    assert said["url.path"] == path
    assert said["roadstead.repository"] == client.repository
    assert said["roadstead.request"] == answer["x-request-id"]
    below = [span for span in spans if span.parent_span_id == request.span_id]
    (decision,) = [span for span in below if span.name == "policy decision"]
    assert attributes(decision) == {"roadstead.action": "push", "roadstead.reason": "Granted"}
    calls = [span for span in below if span.kind == Span.SPAN_KIND_CLIENT]
    writes = [attributes(span) for span in calls if span.name == "S3/PutObject"]
    assert any(one["aws.s3.key"].endswith("_tags/again") for one in writes)
    assert {one["http.response.status_code"] for one in writes} <= {200, 412}
    assert {one["aws.s3.bucket"] for one in writes} == {traced.storage["bucket"]}


def test_a_trace_tells_no_secret(traced: Replica, collector: Collector) -> None:
    """Passwords, bearers, queries and the bucket's credentials: nothing of them leaves the replica so."""
    client = traced.client()
    bearer = traced.bearer(client.repository, 60)
    client.raw("GET", f"{client.base}/tags/list?secret=opensesame", headers=bearer | CALLER)
    client.raw("GET", "/token?account=opensesame")
    collector.wait(lambda spans: any("tags" in span.name for span in spans))
    collector.wait(lambda spans: any("token" in span.name for span in spans))
    told = b"".join(collector.raw)
    folder = Path(traced.storage["credentials"])
    secrets = [(folder / name).read_bytes().strip() for name in ("accessKeyID", "secretAccessKey")]
    hidden = [b"opensesame", ROBOT.text.encode(), bearer["Authorization"].split()[1].encode(), *secrets]
    assert [one for one in hidden if one in told] == []
    assert b"authorization" not in told.lower()


def test_a_caller_that_does_not_sample_is_followed(traced: Replica, collector: Collector) -> None:
    """Its trace is not begun here; the next request's is."""
    client = traced.client()
    client.send("GET", f"{client.base}/tags/list", headers=NEVER)
    mark = {"User-Agent": "the-one-after/1"}
    client.send("GET", f"{client.base}/tags/list", headers=mark)

    def marked(spans: list[Span]) -> bool:
        return any(attributes(one).get("user_agent.original") == "the-one-after/1" for one in spans)

    spans = collector.wait(marked)
    assert "1" * 32 not in {span.trace_id.hex() for span in spans}


def test_a_collector_that_is_away_costs_nobody_a_request(tmp_path: Path) -> None:
    """Spans are dropped; pushes and pulls go on, and the end of the replica is not held up for long."""
    settings = {"endpoint": "http://127.0.0.1:9", "sampling_rate_per_million": 1_000_000}
    storage = {"kind": "directory", "path": str(tmp_path / "data")}
    with Replica(tmp_path, storage, tracing=settings) as replica:
        client = replica.client()
        client.push_image("latest")
        assert client.send("GET", f"{client.base}/manifests/latest").status == 200
        replica.terminate()
        assert replica.process is not None
        assert replica.process.wait(60) == 0


OFF = """
import sys
from registry_runtime.__main__ import main
code = main(sys.argv[1:], {})
loaded = [name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "google", "requests")]
print(f"code={code} loaded={loaded}", file=sys.stderr)
"""


def test_without_tracing_nothing_of_it_is_loaded(tmp_path: Path, server: S3Server) -> None:
    """A replica on a bucket served a request, and OpenTelemetry was never imported."""
    replica = Replica(tmp_path, server.bucket("untraced").model_dump(mode="json"))
    replica.prepare()
    replica.launch()
    try:
        replica.until_ready()
        file = tmp_path / "config.json"
    finally:
        replica.kill()
    with (tmp_path / "log").open("wb") as log:
        replica.process = subprocess.Popen(
            [sys.executable, "-c", OFF, "serve", "--config", str(file)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(os.environ),
        )
    try:
        replica.until_ready()
        replica.client().push_image("latest")
        replica.process.send_signal(signal.SIGTERM)
        assert replica.process.wait(60) == 0
    finally:
        replica.kill()
    assert "code=0 loaded=[]" in replica.log

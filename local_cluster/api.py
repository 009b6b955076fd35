"""The Kubernetes API as far as the cluster itself needs it: plain HTTPS and JSON, by client certificate."""

import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from local_cluster.errors import ApiRefused

FIELD_MANAGER = "local-cluster"
PLURALS = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}
REQUEST_SECONDS = 10.0
WATCH_SECONDS = 300


@dataclass(frozen=True)
class Api:
    """A client of the server at `host:port`. Methods raise ApiRefused, and OSError while it is away."""

    host: str
    port: int
    tls: ssl.SSLContext

    @classmethod
    def for_certificate(cls, address: tuple[str, int], pki: Path, name: str) -> "Api":
        """As the client certificate `name` of the directory `pki`."""
        tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        tls.load_cert_chain(pki / f"{name}.crt", pki / f"{name}.key")
        return cls(*address, tls)

    def get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.request("GET", path))
        return answer

    def ready(self) -> bool:
        """Whether the server says so, all its start-up work included."""
        try:
            return self.request("GET", "/readyz") == b"ok"
        except (OSError, http.client.HTTPException, ApiRefused):
            return False

    def apply(self, resource: dict[str, Any]) -> None:
        """Server-side apply of a cluster-wide object."""
        group = resource["apiVersion"]
        path = f"/apis/{group}/{PLURALS[resource['kind']]}/{resource['metadata']['name']}"
        query = urlencode({"fieldManager": FIELD_MANAGER, "force": "true"})
        self.request("PATCH", f"{path}?{query}", json.dumps(resource).encode())

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of the answer. The only requests with a body here are applies."""
        headers = {"Content-Type": "application/apply-patch+yaml"} if body else {}
        connection = self.connection(REQUEST_SECONDS)
        try:
            connection.request(method, path, body, headers)
            with connection.getresponse() as response:
                return accepted(response)
        finally:
            connection.close()

    def watch(self, path: str, version: str) -> Iterator[dict[str, Any]]:
        """Events of a collection after a resourceVersion, until the server ends the stream as usual.

        A stream on which nothing comes, not even its regular end, raises TimeoutError: the link may be dead.
        """
        query = urlencode({"watch": "true", "resourceVersion": version, "timeoutSeconds": WATCH_SECONDS})
        connection = self.connection(WATCH_SECONDS + 10)
        try:
            connection.request("GET", f"{path}?{query}")
            with connection.getresponse() as response:
                if response.status != HTTPStatus.OK:
                    accepted(response)
                for line in response:
                    yield json.loads(line)
        finally:
            connection.close()

    def connection(self, seconds: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.host, self.port, timeout=seconds, context=self.tls)


def accepted(response: http.client.HTTPResponse) -> bytes:
    """The body of a response. Raises ApiRefused unless its status is one of success."""
    body = response.read()
    if response.status >= HTTPStatus.BAD_REQUEST:
        try:
            message = json.loads(body)["message"]
        except (ValueError, KeyError, TypeError):
            message = body[:200].decode(errors="replace")
        raise ApiRefused(response.status, message)
    return body

"""A small HTTP client that does what it is told, and logs in as docker does."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import ssl
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

OCTETS = "application/octet-stream"
OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def __getitem__(self, header: str) -> str | None:
        return self.headers.get(header)

    @property
    def location(self) -> str:
        found = self["Location"]
        assert found is not None
        assert found.startswith("/v2/"), "Locations are relative"
        return found

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the first OCI error."""
        return str(self.json()["errors"][0]["code"])


@dataclass
class Client:
    """Speaks to one listener; with a password it answers challenges, and remembers its bearers."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    password: str | None = None
    repository: str = field(default_factory=lambda: f"team/{uuid.uuid4().hex[:12]}")
    source: str = ""  # an address of this machine to come from
    _bearers: dict[str, str] = field(default_factory=dict)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A challenge is answered once, with the scope that it names."""
        given = dict(headers or {})
        kind = f"{method in {'GET', 'HEAD'}} {_place(path)}"
        if kind in self._bearers:
            given.setdefault("Authorization", self._bearers[kind])
        answer = self.raw(method, path, body, given)
        if answer.status != 401 or self.password is None or "Authorization" in (headers or {}):
            return answer
        self._bearers[kind] = f"Bearer {self.login(answer)}"
        return self.raw(method, path, body, {**given, "Authorization": self._bearers[kind]})

    def login(self, challenge: Answer) -> str:
        """A bearer from the realm of the challenge, for its scope."""
        header = challenge["WWW-Authenticate"]
        assert header is not None
        assert header.startswith("Bearer ")
        fields = dict(re.findall(r'(\w+)="([^"]*)"', header))
        realm = urlsplit(fields.pop("realm"))
        assert realm.scheme == ("https" if self.tls else "http")
        assert self.password is not None
        answer = self.raw("GET", f"{realm.path}?{urlencode(fields)}", headers=basic(self.password))
        assert answer.status == 200, answer.body
        return str(answer.json()["token"])

    def raw(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; a body that is no bytes goes out in chunks."""
        connection = self.connect()
        try:
            connection.request(
                method, path, body or None, dict(headers or {}), encode_chunked=not isinstance(body, bytes)
            )
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPConnection:
        source = (self.source, 0) if self.source else None
        if self.tls is not None:
            return http.client.HTTPSConnection(
                self.host, self.port, timeout=30, context=self.tls, source_address=source
            )
        return http.client.HTTPConnection(self.host, self.port, timeout=30, source_address=source)

    # What most tests need first.

    @property
    def base(self) -> str:
        return f"/v2/{self.repository}"

    def push_blob(self, content: bytes, algorithm: str = "sha256") -> str:
        digest = digest_of(content, algorithm)
        location = self.send("POST", f"{self.base}/blobs/uploads/").location
        answer = self.send("PUT", f"{location}?digest={digest}", content, {"Content-Type": OCTETS})
        assert answer.status == 201, answer.body
        return digest

    def push_image(self, reference: str | None = None, **more: Any) -> tuple[str, bytes]:
        """An image of one layer; its digest and its manifest. `more` is added to the manifest."""
        config = self.push_blob(b"{}")
        layer_content = uuid.uuid4().bytes
        layer = self.push_blob(layer_content)
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_IMAGE,
                "config": descriptor(CONFIG, config, 2),
                "layers": [descriptor(LAYER, layer, len(layer_content))],
                **more,
            }
        ).encode()
        digest = digest_of(manifest)
        answer = self.put_manifest(reference or digest, manifest)
        assert answer.status == 201, answer.body
        return digest, manifest

    def put_manifest(self, reference: str, content: bytes, media_type: str = OCI_IMAGE) -> Answer:
        return self.send("PUT", f"{self.base}/manifests/{reference}", content, {"Content-Type": media_type})


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def basic(password: str, user: str = "anyone") -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def _place(path: str) -> str:
    """What a bearer is remembered by: the repository's part of a path."""
    return re.split("/(?:blobs|manifests|tags|referrers)/", path, maxsplit=1)[0]

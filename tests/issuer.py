"""An issuer of ServiceAccount tokens, as an API server is one: discovery, keys, and tokens in a file."""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

if TYPE_CHECKING:
    from collections.abc import Iterator

AUDIENCE = "sts.amazonaws.com"
_KEY = "the-one"


@dataclass(frozen=True)
class Issuer:
    """`discovery` is the URL that relying parties are given."""

    url: str
    _key: ec.EllipticCurvePrivateKey

    @property
    def discovery(self) -> str:
        return f"{self.url}/.well-known/openid-configuration"

    def token(self, seconds: float, audience: str = AUDIENCE) -> str:
        """Of the ServiceAccount `team/registry`, good for so long."""
        head = {"alg": "ES256", "kid": _KEY, "typ": "JWT"}
        claims = {
            "iss": self.url,
            "aud": [audience],
            "sub": "system:serviceaccount:team:registry",
            "exp": int(time.time() + seconds),
        }
        text = ".".join(_encode(json.dumps(part).encode()) for part in (head, claims))
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(SHA256())))
        return f"{text}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def document(self, path: str) -> dict[str, object]:
        if path == "/keys":
            numbers = self._key.public_key().public_numbers()
            x, y = (_encode(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
            return {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": _KEY, "x": x, "y": y}]}
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}


@contextmanager
def issuer() -> Iterator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(one.document(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one = Issuer(f"http://127.0.0.1:{server.server_port}", ec.generate_private_key(ec.SECP256R1()))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

"""An issuer of tokens, as an API server or a provider of OpenID Connect is: discovery, keys, and tokens."""

from __future__ import annotations

import json
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import get_default_algorithms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUDIENCE = "sts.amazonaws.com"
CURVES: dict[str, ec.EllipticCurve] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}


@dataclass
class Issuer:
    """`discovery` is the URL that relying parties are given. All of it may be changed while it serves.

    `documents` are answered in place of its own, by their path: a number is a status, text is its body.
    """

    url: str
    keys: dict[str, tuple[str, Any]] = field(default_factory=dict, repr=False)  # algorithm and key, by kid
    documents: dict[str, int | str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # paths of all requests

    @property
    def discovery(self) -> str:
        return f"{self.url}/.well-known/openid-configuration"

    def rotate(self, key_id: str, algorithm: str = "ES256") -> None:
        """From now on this key alone signs, and is published."""
        self.keys = {key_id: (algorithm, private_key(algorithm))}

    def token(self, seconds: float, audience: str = AUDIENCE, **claims: Any) -> str:
        """Of the ServiceAccount `team/registry`, good for so long, signed with the newest key."""
        key_id = next(reversed(self.keys))
        algorithm, key = self.keys[key_id]
        known = {
            "iss": self.url,
            "aud": [audience],
            "sub": "system:serviceaccount:team:registry",
            "exp": int(time.time() + seconds),
        }
        return jwt.encode(known | claims, key, algorithm, headers={"kid": key_id})

    def document(self, path: str) -> dict[str, Any]:
        if path.endswith("/keys"):
            return {"keys": [jwk(key_id, *self.keys[key_id]) for key_id in self.keys]}
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}


def private_key(algorithm: str) -> Any:
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def jwk(key_id: str, algorithm: str, key: Any) -> dict[str, Any]:
    """The public key as an issuer publishes it (RFC 7517)."""
    known = get_default_algorithms()[algorithm]
    return {**known.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "alg": algorithm, "use": "sig"}


@contextmanager
def issuer(certificate: Path | None = None) -> Iterator[Issuer]:
    """Over HTTPS where the `certificate` is a folder of tls.crt and tls.key."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            one.asked.append(self.path)
            found = one.documents.get(self.path) or json.dumps(one.document(self.path))
            status, text = (found, "") if isinstance(found, int) else (200, found)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.send_header("Location", f"{one.url}/elsewhere")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_words: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate / "tls.crt", certificate / "tls.key")
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    one = Issuer(f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}")
    one.rotate("the-one")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

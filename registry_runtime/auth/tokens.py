"""Bearer tokens: JWT of one form only, signed with ES256 (RFC 7515, 7518 §3.4, 7519)."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from registry_runtime.auth.scope import Scopes

_LONGEST = 32 * 1024
_COORDINATE = 32  # bytes of r and of s on P-256
_PARTS = 3


class BearerInvalid(ValueError):
    """Not a token of ours, and nothing about why: there is nobody to tell."""


@dataclass(frozen=True)
class Claims:
    """`token` is the AccessToken's id ("" for anybody), times are seconds of Unix."""

    token: str
    issued: int
    expires: int
    scopes: Scopes


class Bearers:
    """Signs and verifies bearers of one registry; replicas share the key."""

    def __init__(self, registry: str, key: ec.EllipticCurvePrivateKey) -> None:
        self._registry = registry
        self._key = key
        self._public = key.public_key()
        point = self._public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        key_id = hashlib.sha256(point).hexdigest()[:16]
        self._header = _encode(_json({"alg": "ES256", "kid": key_id, "typ": "JWT"}))

    @classmethod
    def generate(cls, registry: str) -> Self:
        return cls(registry, ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, registry: str, pem: bytes) -> Self:
        """Raises ValueError where this is no unencrypted PEM of a private key on P-256."""
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise ValueError("the signing key is not an unencrypted PEM private key") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("the signing key is not an EC key on P-256")  # noqa: TRY004 - a value, not a type
        return cls(registry, key)

    def sign(self, claims: Claims) -> str:
        body = {
            "iss": self._registry,
            "aud": self._registry,
            "sub": claims.token,
            "iat": claims.issued,
            "nbf": claims.issued,
            "exp": claims.expires,
            "access": claims.scopes.claim(),
        }
        signed = f"{self._header}.{_encode(_json(body))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_encode(r.to_bytes(_COORDINATE, 'big') + s.to_bytes(_COORDINATE, 'big'))}"

    def verify(self, text: str) -> Claims:
        """The claims of a token that this registry signed, expired or not. Raises BearerInvalid.

        A header that is not letter for letter our own is refused unread, so there is no algorithm
        and no key that a caller could choose.
        """
        parts = text.split(".") if len(text) <= _LONGEST else []
        if len(parts) != _PARTS or parts[0] != self._header:
            raise BearerInvalid
        signature = _decode(parts[2])
        if len(signature) != 2 * _COORDINATE:
            raise BearerInvalid
        r, s = (int.from_bytes(part, "big") for part in (signature[:_COORDINATE], signature[_COORDINATE:]))
        try:
            signed = f"{parts[0]}.{parts[1]}".encode()
            self._public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
        except (InvalidSignature, ValueError) as error:
            raise BearerInvalid from error
        return self._claims(_decode(parts[1]))

    def _claims(self, body: bytes) -> Claims:
        try:
            read: dict[str, Any] = json.loads(body)
            if (read["iss"], read["aud"]) != (self._registry, self._registry):
                raise BearerInvalid
            return Claims(
                str(read["sub"]), int(read["iat"]), int(read["exp"]), Scopes.from_claim(read["access"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BearerInvalid from error


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise BearerInvalid from error

"""Bearer tokens: JWT of one form only, signed with ES256 (RFC 7515, 7518 §3.4, 7519)."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
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
_SPREAD_SECONDS = 120.0  # until every replica has mounted a new key: the kubelet looks once a minute
_LIFE_SECONDS = 600.0


class BearerInvalid(ValueError):
    """Not a token of ours, and nothing about why: there is nobody to tell."""


@dataclass(frozen=True)
class Claims:
    """`token` is the AccessToken's id, times are seconds of Unix.

    Without a token: who has a `provider` is what that calls `name`, with these `subjects` by these `rules`;
    else anybody.
    """

    token: str
    issued: int
    expires: int
    scopes: Scopes
    provider: str = ""
    name: str = ""
    subjects: frozenset[str] = frozenset()
    rules: str = ""


@dataclass(frozen=True)
class _Key:
    """`header` is that of its tokens, and names it (`kid`); it signs from the second `since` of Unix on."""

    header: str
    private: ec.EllipticCurvePrivateKey = field(repr=False)
    since: float

    @classmethod
    def of(cls, private: ec.EllipticCurvePrivateKey, since: float) -> Self:
        point = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        key_id = hashlib.sha256(point).hexdigest()[:16]
        return cls(_encode(_json({"alg": "ES256", "kid": key_id, "typ": "JWT"})), private, since)


class Bearers:
    """Signs and verifies bearers of one registry; replicas share the key.

    A key that is learned later is good at once, and signs two minutes later: by then every replica's
    kubelet has mounted it. The one before stays good for as long as what it signed last may live.
    """

    def __init__(
        self, registry: str, key: ec.EllipticCurvePrivateKey, seconds: float = _LIFE_SECONDS
    ) -> None:
        """`seconds` is the longest life of a bearer, the skew of clocks included."""
        self._registry = registry
        self._seconds = seconds
        self._keys: tuple[_Key, ...] = (_Key.of(key, 0),)  # each succeeds the one before it

    @classmethod
    def generate(cls, registry: str) -> Self:
        return cls(registry, ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, registry: str, pem: bytes, seconds: float = _LIFE_SECONDS) -> Self:
        """Raises ValueError where this is no unencrypted PEM of a private key on P-256."""
        return cls(registry, _private_key(pem), seconds)

    @property
    def known(self) -> tuple[object, ...]:
        """The keys that are good now: another object when others are.

        Whoever remembers what was verified forgets it then.
        """
        return self._keys

    def learn(self, pem: bytes, now: float) -> bool:
        """Takes a key over, at the second `now` of Unix, where it is another. Raises ValueError as `load`."""
        new = _Key.of(_private_key(pem), now + _SPREAD_SECONDS)
        if new.header == self._keys[-1].header:
            return False
        self._keys = (*(key for key in self._keys if key.header != new.header), new)
        return True

    def forget(self, now: float) -> None:
        """Drops keys whose bearers have all run out."""
        while len(self._keys) > 1 and self._keys[1].since + self._seconds <= now:
            self._keys = self._keys[1:]

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
        if claims.provider:
            body |= {"idp": claims.provider, "name": claims.name, "subjects": sorted(claims.subjects)}
            body |= {"rules": claims.rules}
        keys = self._keys
        key = next((key for key in reversed(keys) if key.since <= claims.issued), keys[0])
        signed = f"{key.header}.{_encode(_json(body))}"
        r, s = decode_dss_signature(key.private.sign(signed.encode(), ec.ECDSA(SHA256())))
        return f"{signed}.{_encode(r.to_bytes(_COORDINATE, 'big') + s.to_bytes(_COORDINATE, 'big'))}"

    def verify(self, text: str) -> Claims:
        """The claims of a token that this registry signed, expired or not. Raises BearerInvalid.

        A header that is not letter for letter one of our own is refused unread, so there is no
        algorithm that a caller could choose, and no key but those that are ours.
        """
        parts = text.split(".") if len(text) <= _LONGEST else []
        key = next((key for key in self._keys if key.header == parts[0]), None) if parts else None
        if len(parts) != _PARTS or key is None:
            raise BearerInvalid
        signature = _decode(parts[2])
        if len(signature) != 2 * _COORDINATE:
            raise BearerInvalid
        r, s = (int.from_bytes(part, "big") for part in (signature[:_COORDINATE], signature[_COORDINATE:]))
        try:
            signed = f"{parts[0]}.{parts[1]}".encode()
            key.private.public_key().verify(encode_dss_signature(r, s), signed, ec.ECDSA(SHA256()))
        except (InvalidSignature, ValueError) as error:
            raise BearerInvalid from error
        return self._claims(_decode(parts[1]))

    def _claims(self, body: bytes) -> Claims:
        try:
            read: dict[str, Any] = json.loads(body)
            if (read["iss"], read["aud"]) != (self._registry, self._registry):
                raise BearerInvalid
            return Claims(
                str(read["sub"]),
                int(read["iat"]),
                int(read["exp"]),
                Scopes.from_claim(read["access"]),
                str(read.get("idp", "")),
                str(read.get("name", "")),
                frozenset(read.get("subjects", ())),
                str(read.get("rules", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BearerInvalid from error


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError("the signing key is not an unencrypted PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("the signing key is not an EC key on P-256")  # noqa: TRY004 - a value, not a type
    return key


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise BearerInvalid from error

"""ID tokens of those who vouch: read, verified with the keys that they publish, and judged by the time.

https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation (RFC 7515, 7517, 7519, 8725)
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from jwt import PyJWK, PyJWS
from jwt.exceptions import PyJWTError

from registry_runtime.auth.decision import Reason

SKEW_SECONDS = 60  # that an issuer's clock may be away from ours
_LONGEST = 32 * 1024
_MOST_KEYS = 100  # of one issuer
_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS = {  # by the type and the curve of a key: never `none`, and nothing with a shared secret
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
_JWS = PyJWS(sorted({name for names in _ALGORITHMS.values() for name in names}))


class IdTokenRefused(Exception):
    """Why; of the token nothing else is ever told, or logged."""

    def __init__(self, reason: Reason = Reason.ID_TOKEN_REFUSED) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class IdToken:
    """What it says of itself, which is not to be believed before it is verified."""

    text: str = field(repr=False)
    issuer: str
    key_id: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises IdTokenRefused."""
        if not resembles(text):
            raise IdTokenRefused
        head, body, _ = text.split(".")
        header, claims = _object(_decoded(head)), _object(_decoded(body))
        issuer, key_id, kind = claims.get("iss"), header.get("kid"), header.get("typ", "JWT")
        if not isinstance(issuer, str) or not isinstance(key_id, str | None):
            raise IdTokenRefused
        if not isinstance(kind, str) or kind.upper() != "JWT":
            raise IdTokenRefused  # an access token, or a logout token (RFC 8725 §3.11)
        return cls(text, issuer, key_id)


def resembles(password: str) -> bool:
    """Whether the password has the form of a signed JWT. No password of an AccessToken has."""
    return len(password) <= _LONGEST and _SHAPE.fullmatch(password) is not None


@dataclass(frozen=True)
class Key:
    """A public key, and what it may verify."""

    public: Any
    algorithms: tuple[str, ...]


class KeySet:
    """The keys of an issuer (RFC 7517 §5), by their ids; those that can verify nothing here are left out."""

    def __init__(self, document: Any) -> None:
        """Raises ValueError where there is no key in it."""
        listed = document.get("keys") if isinstance(document, Mapping) else None
        if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
            raise ValueError("the document of keys has no list of them, or too long a one")
        self._keys: dict[str | None, tuple[Key, ...]] = {}
        for one in listed:
            key = _key(one)
            if key is not None:
                self._keys[one.get("kid")] = (*self._keys.get(one.get("kid"), ()), key)
        if not self._keys:
            raise ValueError("the document of keys holds none that verifies signatures")

    def find(self, key_id: str | None) -> tuple[Key, ...]:
        """Of a token that names none, the only one."""
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id, ())


@dataclass(frozen=True)
class Published:
    """What an issuer says of itself."""

    issuer: str
    keys: KeySet


def verified(token: IdToken, keys: Iterable[Key]) -> dict[str, Any]:
    """The claims, if one of the keys has signed them. Raises IdTokenRefused."""
    for key in keys:
        try:
            signed = _JWS.decode(
                token.text,
                key.public,
                algorithms=key.algorithms,
                options={"verify_signature": True, "enforce_minimum_key_length": True},
            )
        except (PyJWTError, ValueError, TypeError):
            continue
        return _object(signed)
    raise IdTokenRefused


def ends(claims: Mapping[str, Any], *, issuer: str, audience: str, now: float) -> float:
    """Until when the claims are good, as `now` in seconds of Unix. Raises IdTokenRefused."""
    if claims.get("iss") != issuer:
        raise IdTokenRefused
    audiences = claims.get("aud")
    if audience not in (audiences if isinstance(audiences, list) else [audiences]):
        raise IdTokenRefused(Reason.ID_TOKEN_AUDIENCE)
    expires = _seconds(claims, "exp")
    if expires is None:
        raise IdTokenRefused
    if expires + SKEW_SECONDS <= now:
        raise IdTokenRefused(Reason.ID_TOKEN_EXPIRED)
    if any((_seconds(claims, name) or 0) > now + SKEW_SECONDS for name in ("nbf", "iat")):
        raise IdTokenRefused(Reason.ID_TOKEN_EARLY)
    return expires + SKEW_SECONDS


def _key(document: Any) -> Key | None:
    """None for what is no public key for signatures, or of a kind that is not taken."""
    if not isinstance(document, dict) or document.get("use", "sig") != "sig" or "d" in document:
        return None
    kind, curve, key_id = document.get("kty"), document.get("crv"), document.get("kid")
    if not all(isinstance(one, str | None) for one in (kind, curve, key_id, document.get("alg"))):
        return None
    able = _ALGORITHMS.get((kind or "", None if kind == "RSA" else curve), ())
    algorithms = tuple(name for name in able if document.get("alg", name) == name)
    if not algorithms:
        return None
    try:
        return Key(PyJWK(document, algorithms[0]).key, algorithms)
    except (PyJWTError, ValueError, TypeError):
        return None


def _object(content: bytes) -> dict[str, Any]:
    try:
        read = json.loads(content)
    except (ValueError, RecursionError):
        raise IdTokenRefused from None
    if not isinstance(read, dict):
        raise IdTokenRefused
    return read


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise IdTokenRefused from None


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate, or None where there is none. Raises IdTokenRefused for what is no number."""
    value = claims.get(name)
    if value is None:
        return None
    try:
        seconds = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise IdTokenRefused
    return seconds

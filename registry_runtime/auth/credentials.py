"""What stands in an Authorization header (RFC 7617, RFC 6750)."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field

from registry_runtime.contract.credential import Password

_LONGEST = 64 * 1024  # a JSON key file is longer than a password


@dataclass(frozen=True)
class Basic:
    """A password; the user name is free, for the password carries its token's id."""

    password: str = field(repr=False)


@dataclass(frozen=True)
class Bearer:
    text: str = field(repr=False)


@dataclass(frozen=True)
class Unreadable:
    """Credentials were sent, but in no form that is known here."""


Credentials = Basic | Bearer | Unreadable | None


def parse(header: str | None) -> Credentials:
    """None without a header; never raises."""
    if header is None:
        return None
    scheme, _, value = header.strip().partition(" ")
    if len(value) > _LONGEST:
        return Unreadable()
    if scheme.lower() == "bearer" and value.strip():
        return Bearer(value.strip())
    if scheme.lower() == "basic":
        return _basic(value.strip())
    return Unreadable()


def token_of(credentials: Credentials) -> str | None:
    """The id that a password of ours carries, right or wrong: it is no secret."""
    try:
        return Password.parse(credentials.password).id if isinstance(credentials, Basic) else None
    except ValueError:
        return None


def password(user: str, secret: str) -> Basic:
    """The login of a form or of Basic; with the user `_json_key`, the secret is a JSON key file."""
    if user != "_json_key":
        return Basic(secret)
    try:
        document = json.loads(secret)
    except (ValueError, RecursionError):
        return Basic("")
    inner = document.get("password") if isinstance(document, dict) else None
    return Basic(inner if isinstance(inner, str) else "")


def _basic(value: str) -> Basic | Unreadable:
    try:
        text = base64.b64decode(value, validate=True).decode()
    except ValueError:
        return Unreadable()
    user, separator, secret = text.partition(":")
    return password(user, secret) if separator else Unreadable()

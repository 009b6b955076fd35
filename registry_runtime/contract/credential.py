"""Passwords of AccessTokens: `rst_<id>_<secret><checksum>`.

The prefix is what secret scanners look for; the id, part of the password, makes the user name free;
the checksum tells a mistyped password from a wrong one without asking anybody.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"rst_([0-9a-z]{16})_([0-9a-z]{50})([0-9a-f]{8})")


@dataclass(frozen=True)
class Password:
    """A password: 258 bits of randomness, shown in Secrets only."""

    id: str
    text: str = field(repr=False)

    @classmethod
    def generate(cls, token_id: str) -> Self:
        """A new password for the token of this id (16 characters of [0-9a-z])."""
        secret = "".join(secrets.choice(_ALPHABET) for _ in range(50))
        return cls.parse(f"rst_{token_id}_{secret}{_checksum(token_id, secret)}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, without the text, where this is no password of ours."""
        found = _FORM.fullmatch(text)
        if not found or _checksum(found[1], found[2]) != found[3]:
            raise ValueError("not a Roadstead password")
        return cls(found[1], text)

    @property
    def sha256(self) -> str:
        """What the policy holds. One hash is enough for 258 random bits; stretching would only cost."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@lru_cache(maxsize=65536)
def token_id(uid: str) -> str:
    """The id of the AccessToken with this Kubernetes UID: 16 characters of [0-9a-z], not secret."""
    number = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:10], "big")
    digits = []
    for _ in range(16):
        number, digit = divmod(number, 36)
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def _checksum(token_id: str, secret: str) -> str:
    return f"{zlib.crc32(f'{token_id}_{secret}'.encode()):08x}"

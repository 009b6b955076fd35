"""Digests: `algorithm:hex`.

https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from registry_runtime.errors import DigestInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry_runtime.content.buffer import Buffer, Hasher

_LENGTHS = {"sha256": 64, "sha512": 128}
_HASHERS: dict[str, Callable[[], Hasher]] = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The name of content; `algorithm` is sha256 or sha512, `hex` is lower case."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises DigestInvalid."""
        algorithm, _, digits = text.partition(":")
        if _LENGTHS.get(algorithm) != len(digits) or not _HEX.fullmatch(digits):
            raise DigestInvalid(
                "a digest is sha256: with 64 or sha512: with 128 hexadecimal digits in lower case",
                {"digest": text[:160]},
            )
        return cls(algorithm, digits)

    @classmethod
    def of(cls, content: Buffer, algorithm: str = "sha256") -> Self:
        """The digest of `content`, all of it in memory."""
        hasher = new_hasher(algorithm)
        hasher.update(content)
        return cls(algorithm, hasher.hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def new_hasher(algorithm: str) -> Hasher:
    """A running hash for content that streams; `algorithm` is that of a Digest."""
    return _HASHERS[algorithm]()

"""Server-side encryption: what requests ask for, and what the storage must say of an object.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from registry_runtime.contract.config import SseCustomer, SseKms
from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from registry_runtime.contract.config import ServerSideEncryption

_SSE = "x-amz-server-side-encryption"
_KMS_KEY = f"{_SSE}-aws-kms-key-id"
_CUSTOMER = f"{_SSE}-customer"
_BYTES = 32  # AES-256
_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """Headers: of requests that make an object, of those that touch its bytes, and of what is said of it."""

    make: Mapping[str, str] = field(default_factory=dict, repr=False)
    touch: Mapping[str, str] = field(default_factory=dict, repr=False)
    said: Mapping[str, str] = field(default_factory=dict, repr=False)

    def broken_by(self, headers: Mapping[str, str]) -> str:
        """The header with which an answer contradicts them; "" where it says all that it must."""
        return next((name for name, word in self.said.items() if not _names(headers.get(name, ""), word)), "")


NONE: Final = Terms()


class Encryption:
    """What holds now. The customer's key is a file, looked at once a second."""

    def __init__(
        self, settings: ServerSideEncryption | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._read_at = float("-inf")
        self._terms = NONE

    @property
    def name(self) -> str:
        """As the resource calls it, "" for none."""
        return self._settings.kind if self._settings else ""

    def terms(self) -> Terms:
        """Raises StorageRefused where the customer's key cannot be had."""
        if isinstance(self._settings, SseCustomer):
            now = self._clock()
            if now - self._read_at >= _SECONDS:
                self._terms, self._read_at = customer(_read(self._settings.key)), now
        elif self._terms is NONE and self._settings:
            self._terms = _managed(
                self._settings.key_id if isinstance(self._settings, SseKms) else None,
                kms=isinstance(self._settings, SseKms),
            )
        return self._terms


def _managed(key_id: str | None, *, kms: bool) -> Terms:
    """The storage's own keys, or those of its key management."""
    said = {_SSE: "aws:kms" if kms else "AES256"} | ({_KMS_KEY: key_id} if key_id else {})
    # A bucket key spares a call to the key management for each object.
    return Terms(make=said | ({f"{_SSE}-bucket-key-enabled": "true"} if kms else {}), said=said)


def customer(key: bytes) -> Terms:
    """The key goes with each request, and the storage keeps none."""
    said = {
        f"{_CUSTOMER}-algorithm": "AES256",
        f"{_CUSTOMER}-key-md5": base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode(),
    }
    headers = {**said, f"{_CUSTOMER}-key": base64.b64encode(key).decode()}
    return Terms(make=headers, touch=headers, said=said)


def _read(file: Path) -> bytes:
    """32 bytes, as they are or in base64."""
    try:
        content = file.read_bytes()
    except OSError:
        content = b""
    if len(content) != _BYTES:
        try:
            content = base64.b64decode(content.strip(), validate=True)
        except binascii.Error:
            content = b""
    if len(content) != _BYTES:
        raise StorageRefused(
            "the key of the server-side encryption must have 32 bytes, as they are or in base64: put it into "
            "the Secret that serverSideEncryption.keySecretRef names (openssl rand -base64 32 makes one)",
            StorageReason.SSE_REFUSED,
        )
    return content


def _names(answer: str, asked: str) -> bool:
    """Whether a header says what was asked; of a KMS key its ARN may be said, which ends with its id."""
    return answer == asked or answer.endswith((f"/{asked}", f":{asked}"))

r"""Envelopes: a record, encrypted whole, in a record that says under which key.

```
{"version":1,"key":"<id of the tenant's key>","salt":"<24 bytes in hex>"}\n
<AES-256-GCM of the record, and its tag of 16 bytes>
```
The key is derived from the tenant's with the salt, and encrypts nothing else, so the nonce is zero. The
additional data is the key of the object in the storage (UTF-8, without the prefix): an envelope that
was put elsewhere does not open.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry_runtime.content.buffer import Buffer
    from registry_runtime.encryption.keys import Keyring

_SALT = 24  # bytes: so many that no two of one key are ever the same
_NONCE = bytes(12)


class Envelopes:
    """Closes envelopes under the key in use, and opens those of every key that is held."""

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys

    def close(self, place: str, record: Buffer) -> tuple[dict[str, str], bytes]:
        """The fields that open it again, and the ciphertext. `place` is where it will lie."""
        key, salt = self._keys.active, os.urandom(_SALT)
        sealed = AESGCM(key.derive(salt)).encrypt(_NONCE, record, place.encode())
        return {"key": key.id, "salt": salt.hex()}, sealed

    def open(self, place: str, fields: Mapping[str, Any], sealed: Buffer) -> bytes:
        """The record. Raises StorageRefused where the key is missing, or these are not the bytes."""
        try:
            identity, salt = str(fields["key"]), bytes.fromhex(fields["salt"])
            return AESGCM(self._keys.find(identity).derive(salt)).decrypt(_NONCE, sealed, place.encode())
        except (InvalidTag, KeyError, TypeError, ValueError):
            raise StorageRefused(
                f"the object {place} is not what this registry wrote there: it was changed or moved in the "
                "storage; restore it from a version or a backup of the bucket",
                StorageReason.DAMAGED,
            ) from None

    def current(self, fields: Mapping[str, Any]) -> bool:
        """Whether an envelope is closed under the key in use."""
        return fields.get("key") == self._keys.active.id

"""Hidden names: what the keys of the storage call a digest, so that a listing does not tell what lies there.

Without the secret nobody can test whether a known image is among the objects. The secret lies in the
storage, in an envelope, and stays the same for as long as the storage does: keys come and go, names stay.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from registry_runtime.errors import StorageUnavailable

if TYPE_CHECKING:
    from registry_runtime.content.digest import Digest

BYTES = 32


class HiddenNames:
    """Names digests as soon as the secret is there."""

    def __init__(self) -> None:
        self._secret: bytes | None = None

    def unlock(self, secret: bytes) -> None:
        self._secret = secret

    def __call__(self, digest: Digest) -> str:
        """One component of a key: the algorithm's place has the word hidden. Raises StorageUnavailable."""
        if self._secret is None:
            raise StorageUnavailable("the storage is encrypted and was not opened yet; try again")
        return f"hidden:{hmac.digest(self._secret, str(digest).encode(), 'sha256').hex()}"

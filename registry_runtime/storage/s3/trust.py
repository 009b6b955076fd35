"""Whom TLS with the storage trusts: the CA bundle of a mounted file, or the system's.

The file is looked at once a second, so a bundle that was corrected is in use without a restart.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SECONDS = 1.0


class Trust:
    """`ca_file` None means the system's authorities."""

    def __init__(self, ca_file: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = ca_file
        self._clock = clock
        self._read_at = float("-inf")
        self._bundle: bytes | None = None
        self._context: ssl.SSLContext | None = None

    def current(self) -> ssl.SSLContext:
        """Another one than before when the file holds other bytes. Raises StorageRefused."""
        now = self._clock()
        if self._context is None or (self._file is not None and now - self._read_at >= _SECONDS):
            self._context, self._read_at = self._look(self._context), now
        return self._context

    def _look(self, before: ssl.SSLContext | None) -> ssl.SSLContext:
        if self._file is None:
            return ssl.create_default_context()
        try:
            bundle = self._file.read_bytes()
            if before is not None and bundle == self._bundle:
                return before
            context = ssl.create_default_context(cafile=self._file)
        except OSError as error:  # an SSLError is one, too
            self._context = None
            raise StorageRefused(
                f"the CA bundle for the storage cannot be read ({error}): the Secret or ConfigMap that it "
                "comes from needs certificates in PEM",
                StorageReason.UNREACHABLE,
            ) from error
        self._bundle = bundle
        return context

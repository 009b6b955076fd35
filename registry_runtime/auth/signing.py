"""The file of the signing key, followed: a key made anew reaches all replicas, at different times."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from registry_runtime.log import fields

if TYPE_CHECKING:
    from pathlib import Path

    from registry_runtime.auth.tokens import Bearers

_log = logging.getLogger(__name__)


class SigningKeyFile:
    """Reads the mounted key again when it changes; one that cannot be used is refused, and said once."""

    def __init__(self, file: Path, bearers: Bearers) -> None:
        self._file = file
        self._bearers = bearers
        self._seen: bytes | None = None

    def refresh(self, now: float) -> None:
        """To be called every second; `now` in seconds of Unix. 300 bytes are read sooner than compared."""
        self._bearers.forget(now)
        content = _content(self._file)
        if content is None or content == self._seen:
            return
        self._seen = content
        try:
            new = self._bearers.learn(content, now)
        except ValueError as error:
            _log.error("a new signing key is refused, the old one stays", extra=fields(error=str(error)))
        else:
            if new:
                _log.info("a new signing key is known", extra=fields(file=str(self._file)))


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None

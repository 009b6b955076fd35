"""Credentials: files of a mounted Secret, a role of the workload's identity, or what the platform injects.

Files are looked at once a second, so a rotated key is in use without a restart.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from botocore.credentials import Credentials as Found
from botocore.credentials import ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused
from registry_runtime.storage.s3.identity import AssumedRole, web_identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from registry_runtime.contract.config import S3Storage

_FILES = ("accessKeyID", "secretAccessKey")
_TOKEN = "sessionToken"  # noqa: S105 - the name of a file
_SECONDS = 1.0


class Credentials(Protocol):
    """Whose requests are signed now."""

    async def current(self) -> ReadOnlyCredentials:
        """Raises StorageRefused where there are none."""
        ...


class FileCredentials:
    """The files `accessKeyID`, `secretAccessKey` and perhaps `sessionToken` of a directory."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._read_at = float("-inf")
        self._seen: ReadOnlyCredentials | None = None

    async def current(self) -> ReadOnlyCredentials:
        now = self._clock()
        if self._seen is None or now - self._read_at >= _SECONDS:
            self._seen, self._read_at = self._read(), now
        return self._seen

    def _read(self) -> ReadOnlyCredentials:
        access, secret = (self._text(name) for name in _FILES)
        if not access or not secret:
            missing = _FILES[1] if access else _FILES[0]
            raise StorageRefused(
                f"the credentials have no {missing}: the Secret that credentialsSecretRef names needs "
                f"the keys {' and '.join(_FILES)}",
                StorageReason.CREDENTIALS_MISSING,
            )
        return ReadOnlyCredentials(access, secret, self._text(_TOKEN) or None, None)

    def _text(self, name: str) -> str:
        try:
            return (self._directory / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""


class FoundCredentials:
    """What the environment names, as platforms inject it into pods; botocore renews it itself.

    Nobody is asked who was not named: looking for an instance's metadata hangs where there is none, and
    would give a tenant's registry the rights of its node.
    """

    def __init__(self, session: Session) -> None:
        session.get_component("credential_provider").remove("iam-role")
        self._session = session
        self._found: Found | None = None

    async def current(self) -> ReadOnlyCredentials:
        try:
            # Looking for them and renewing them asks the network; otherwise it is not worth a thread.
            if self._found is None:
                self._found = await asyncio.to_thread(self._session.get_credentials)
            if isinstance(self._found, RefreshableCredentials) and self._found.refresh_needed():
                await asyncio.to_thread(self._found.get_frozen_credentials)
            if self._found is not None:
                return self._found.get_frozen_credentials()
        except (BotoCoreError, ClientError, OSError) as error:
            message = f"the credentials of the workload's identity cannot be had: {error}"
            raise StorageRefused(message, StorageReason.CREDENTIALS_MISSING) from error
        raise StorageRefused(
            "there are no credentials: name a Secret in credentialsSecretRef, or a role in workloadIdentity, "
            "or let the platform give the registry's ServiceAccount an identity",
            StorageReason.CREDENTIALS_MISSING,
        )


def credentials_of(settings: S3Storage, session: Session) -> Credentials:
    """Those that the configuration asks for."""
    if settings.credentials:
        return FileCredentials(settings.credentials)
    if settings.identity:
        return AssumedRole(web_identity(session, settings, settings.identity))
    return FoundCredentials(session)

"""A workload's identity: the ServiceAccount's token is exchanged for keys, and again before they end.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError

from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused, StorageUnavailable
from registry_runtime.storage.s3.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.session import Session

    from registry_runtime.contract.config import S3Storage, WebIdentity

_PAUSE = timedelta(seconds=10)  # before the next try to renew what is still good


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of a role for a while."""

    credentials: ReadOnlyCredentials
    begin: datetime
    end: datetime

    @property
    def late(self) -> datetime:
        """From then on they are worth renewing: a third of their life is left for that."""
        return self.end - (self.end - self.begin) / 3


class AssumedRole:
    """The keys are renewed beside the requests, which wait for it only when there are none that are good."""

    def __init__(
        self,
        assume: Callable[[], Keys],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`assume` asks the network, and blocks. It raises StorageError."""
        self._assume = assume
        self._clock = clock
        self._keys: Keys | None = None
        self._renewal: asyncio.Task[Keys] | None = None
        self._next_try = clock()

    async def current(self) -> ReadOnlyCredentials:
        """Raises StorageError."""
        now = self._clock()
        if self._keys is None or now >= self._keys.end:
            self._keys = await asyncio.shield(self._renewing())
        elif now >= self._keys.late and now >= self._next_try:
            self._renewing()
        return self._keys.credentials

    def _renewing(self) -> asyncio.Task[Keys]:
        """One at a time, which all wait for; whoever leaves does not end it."""
        if self._renewal is None:
            self._renewal = asyncio.create_task(asyncio.to_thread(self._assume))
            self._renewal.add_done_callback(self._renewed)
        return self._renewal

    def _renewed(self, renewal: asyncio.Task[Keys]) -> None:
        self._renewal = None
        if renewal.cancelled() or renewal.exception():
            self._next_try = self._clock() + _PAUSE
        else:
            self._keys = renewal.result()


def web_identity(session: Session, settings: S3Storage, identity: WebIdentity) -> Callable[[], Keys]:
    """Asks the STS; the token is read each time, the kubelet renews it."""

    def assume() -> Keys:
        begin = datetime.now(UTC)
        found = _ask(session, settings, identity)
        try:
            return Keys(
                ReadOnlyCredentials(
                    found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"], None
                ),
                begin,
                found["Expiration"],
            )
        except KeyError as error:
            raise StorageUnavailable("the STS answers without credentials") from error

    return assume


def _ask(session: Session, settings: S3Storage, identity: WebIdentity) -> dict[str, Any]:
    where = f"the STS at {identity.endpoint or settings.region}"
    try:
        with closing(_client(session, settings, identity)) as client:
            answer: dict[str, Any] = client.assume_role_with_web_identity(
                RoleArn=identity.role,
                RoleSessionName=identity.session,
                WebIdentityToken=identity.token.read_text(encoding="utf-8").strip(),
            )
    except (OSError, UnicodeDecodeError) as error:
        raise _refused(f"the ServiceAccount's token cannot be read: {error}") from error
    except ClientError as error:
        if Fault.of(error.response).worth_a_retry:
            raise StorageUnavailable(f"{where} fails: {error}") from error
        raise _refused(f"{where} refuses {identity.role} to the ServiceAccount: {error}") from error
    except BotoCoreError as error:
        raise StorageUnavailable(f"{where} cannot be reached: {error}") from error
    found: dict[str, Any] = answer.get("Credentials", {})
    return found


def _client(session: Session, settings: S3Storage, identity: WebIdentity) -> Any:
    """The CA bundle of the storage is that of an STS which is named; AWS's has public ones."""
    return session.create_client(
        "sts",
        region_name=settings.region,
        endpoint_url=identity.endpoint,
        verify=str(settings.ca_file) if identity.endpoint and settings.ca_file else None,
        config=Config(
            signature_version=UNSIGNED,
            connect_timeout=5,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 3},
            proxies={},
        ),
    )


def _refused(message: str) -> StorageRefused:
    return StorageRefused(message, StorageReason.CREDENTIALS_MISSING)

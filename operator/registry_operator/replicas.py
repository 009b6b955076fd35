"""What the replicas say of themselves: long polls of each one's state port, with mutual TLS.

A replica that does not answer is unknown, never healthy: its state is forgotten after the second failure.
"""

import asyncio
import ipaddress
import logging
import random
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from pydantic import ValidationError
from yarl import URL

from registry_operator.models import Key
from registry_operator.observed import Endpoint, SecretData
from registry_runtime.contract.activity import Activity
from registry_runtime.contract.state import ReplicaState

PORT = 8445
WAIT = 25  # seconds that a poll may hang where nothing changes
TIMEOUT = aiohttp.ClientTimeout(total=WAIT + 10, sock_connect=5)
LARGEST = 1024 * 1024  # bytes of an answer
LISTEN = 15.0  # seconds between two questions for activity, at least: asked after a poll, on its connection
PAGES = 32  # answers in a row
FIRST_RETRY = 0.25
LAST_RETRY = 5.0
PACE = 0.05  # at most so often, whatever a replica answers
FAILURES = 2  # in a row, after which the state is unknown
log = logging.getLogger(__name__)

Report = Callable[[Key, str, ReplicaState | None], None]
Heard = Callable[[Key, str, Activity], None]
M = TypeVar("M", ReplicaState, Activity)


@dataclass(frozen=True)
class Trust:
    """How to speak with the replicas of one Registry: our certificate, their CA and name.

    `revision` tells whether another one is the same.
    """

    context: ssl.SSLContext
    server: str
    revision: str

    @classmethod
    def of(cls, secret: SecretData, server: str) -> Self | None:
        """None where the Secret lacks what is needed or does not fit together."""
        try:
            certificate, key, authority = (secret.values[name] for name in ("tls.crt", "tls.key", "ca.crt"))
            context = ssl.create_default_context(cadata=authority.decode("ascii"))
            with tempfile.NamedTemporaryFile() as file:  # ssl reads keys from files only; this one is 0600
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
        except (KeyError, ValueError, ssl.SSLError):
            return None
        return cls(context, server, f"{secret.uid}/{secret.resource_version}")


class Replicas:
    """Polls all replicas of all Registries; `report` is told of each change, `heard` of what was done."""

    def __init__(self, report: Report, heard: Heard, port: int = PORT) -> None:
        self._report = report
        self._heard = heard
        self._port = port
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT)
        self._trusts: dict[Key, Trust] = {}
        self._polls: dict[tuple[Key, str, str], asyncio.Task[None]] = {}  # by Registry, pod, address

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = list(self._polls.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    @property
    def followed(self) -> int:
        return len(self._polls)

    def follow(
        self, registry: Key, server: str, secret: SecretData | None, endpoints: Iterable[Endpoint]
    ) -> None:
        """From now on these replicas of this Registry, and no others."""
        trust = self._trust(registry, server, secret)
        wanted = {(registry, one.pod, one.address) for one in endpoints if one.address} if trust else set()
        for poll in [poll for poll in self._polls if poll[0] == registry and poll not in wanted]:
            self._polls.pop(poll).cancel()
            if not any(other[:2] == poll[:2] for other in wanted):
                self._report(registry, poll[1], None)
        for poll in wanted - self._polls.keys():
            self._polls[poll] = asyncio.create_task(self._follow(*poll), name=f"state of {poll[1]}")
        if not wanted and secret is None:
            self._trusts.pop(registry, None)

    def _trust(self, registry: Key, server: str, secret: SecretData | None) -> Trust | None:
        known = self._trusts.get(registry)
        if secret is None:
            return None
        if known is None or known.revision != f"{secret.uid}/{secret.resource_version}":
            known = Trust.of(secret, server)
            if known is None:
                log.warning(
                    "the operator's client certificate is unusable", extra={"registry": str(registry)}
                )
                return None
            self._trusts[registry] = known
        return known

    async def _follow(self, registry: Key, pod: str, address: str) -> None:
        version, failures, wait = "", 0, FIRST_RETRY
        cursor, due = "", 0.0
        while True:
            try:
                state = await self._ask(self._trusts[registry], address, version)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                failures += 1
                if failures == FAILURES:
                    log.info("replica does not answer", extra={"pod": pod, "error": type(error).__name__})
                    self._report(registry, pod, None)
                    version = ""
                await asyncio.sleep(wait * random.uniform(0.5, 1))
                wait = min(LAST_RETRY, wait * 2)
                continue
            failures, wait = 0, FIRST_RETRY
            if state.version != version:
                version = state.version
                self._report(registry, pod, state)
            if time.monotonic() >= due:
                cursor = await self._listen(registry, pod, address, cursor)
                due = time.monotonic() + LISTEN
            await asyncio.sleep(PACE)

    async def _listen(self, registry: Key, pod: str, address: str, cursor: str) -> str:
        """Tells what was done after the cursor, and returns the next one. That none comes is no news here."""
        for _ in range(PAGES):
            query = {"after": cursor} if cursor else {}
            try:
                told = await self._get(self._trusts[registry], address, "/activity", query, Activity)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                log.debug("no activity", extra={"pod": pod, "error": type(error).__name__})
                return cursor
            self._heard(registry, pod, told)
            cursor = told.cursor
            if not told.more:
                break
        return cursor

    async def _ask(self, trust: Trust, address: str, version: str) -> ReplicaState:
        wait = f"{WAIT * random.uniform(0.8, 1):.1f}"
        query = {"after": version, "wait": wait} if version else {"wait": "0"}
        return await self._get(trust, address, "/state", query, ReplicaState)

    async def _get(
        self, trust: Trust, address: str, path: str, query: Mapping[str, str], model: type[M]
    ) -> M:
        """Raises ValueError where the answer is no such thing."""
        host = f"[{address}]" if ":" in address else address
        ipaddress.ip_address(address)  # an address, never a name that something else could resolve
        url = URL(f"https://{host}:{self._port}{path}").with_query(query)
        async with self._session.get(
            url, ssl=trust.context, server_hostname=trust.server, allow_redirects=False, raise_for_status=True
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(65536):
                body += chunk
                if len(body) > LARGEST:
                    raise ValueError("the answer is too large")
        with suppress(ValidationError):
            return model.model_validate_json(bytes(body))
        raise ValueError(f"not an answer of {path}")

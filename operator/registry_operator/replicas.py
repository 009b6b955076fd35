"""What the replicas say of themselves: polls of each one's state port, with mutual TLS; `turns` says when.

A replica that does not answer is unknown, never healthy: its state is forgotten after the second failure.
"""

import asyncio
import ipaddress
import logging
import random
import ssl
import tempfile
import time
from collections import OrderedDict
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
from registry_operator.turns import HELD, Turns
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
    """How to speak with the replicas of one Registry: our certificate, their CA and name."""

    secret: SecretData
    server: str

    @property
    def revision(self) -> str:
        """Tells whether another one is the same."""
        return f"{self.secret.uid}/{self.secret.resource_version}"

    def context(self) -> ssl.SSLContext | None:
        """None where the Secret lacks what is needed or does not fit together."""
        values = self.secret.values
        try:
            certificate, key, authority = (values[name] for name in ("tls.crt", "tls.key", "ca.crt"))
            context = ssl.create_default_context(cadata=authority.decode("ascii"))
            with tempfile.NamedTemporaryFile() as file:  # ssl reads keys from files only; this one is 0600
                file.write(certificate + b"\n" + key)
                file.flush()
                context.load_cert_chain(file.name)
        except (KeyError, ValueError, ssl.SSLError):
            return None
        return context


class Contexts:
    """Those that were used last: each takes 25 KiB, and 2 ms to make anew."""

    def __init__(self, size: int = HELD) -> None:
        self._size = size
        self._made: OrderedDict[tuple[Key, str], ssl.SSLContext] = OrderedDict()

    def of(self, registry: Key, trust: Trust) -> ssl.SSLContext | None:
        """None where the Secret is of no use."""
        at = (registry, trust.revision)
        context = self._made.pop(at, None) or trust.context()
        if context is not None:
            self._made[at] = context
            while len(self._made) > self._size:
                self._made.popitem(last=False)
        return context


class Replicas:
    """Polls all replicas of all Registries; `report` is told of each change, `heard` of what was done."""

    def __init__(self, report: Report, heard: Heard, port: int = PORT, turns: Turns | None = None) -> None:
        self._report = report
        self._heard = heard
        self._port = port
        self._turns = turns or Turns()
        self._contexts = Contexts()
        self._staying = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=TIMEOUT)
        brief = aiohttp.TCPConnector(limit=0, force_close=True)
        self._visiting = aiohttp.ClientSession(connector=brief, timeout=TIMEOUT)
        self._trusts: dict[Key, Trust] = {}
        self._polls: dict[Key, dict[tuple[str, str], asyncio.Task[None]]] = {}  # by Registry, pod and address

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for polls in self._polls.values() for task in polls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(self._staying.close(), self._visiting.close())

    @property
    def followed(self) -> int:
        return sum(map(len, self._polls.values()))

    def attend(self, registry: Key) -> None:
        """Something of this Registry is about to change: what its replicas say of it is wanted at once."""
        self._turns.attend(registry)

    def follow(
        self, registry: Key, server: str, secret: SecretData | None, endpoints: Iterable[Endpoint]
    ) -> None:
        """From now on these replicas of this Registry, and no others."""
        trust = self._trust(registry, server, secret)
        wanted = {(one.pod, one.address) for one in endpoints if one.address} if trust else set()
        first = registry not in self._polls  # all of a first look are asked at once anyway
        polls = self._polls.setdefault(registry, {})
        for poll in polls.keys() - wanted:
            polls.pop(poll).cancel()
            if not any(pod == poll[0] for pod, _ in wanted):
                self._report(registry, poll[0], None)
        for poll in wanted - polls.keys():
            if not first:
                self._turns.attend(registry)
            polls[poll] = asyncio.create_task(self._follow(registry, *poll), name=f"state of {poll[0]}")
        if not polls:
            del self._polls[registry]
        self._turns.followed = self.followed
        if not wanted and secret is None:
            self._trusts.pop(registry, None)
            self._turns.forget(registry)

    def _trust(self, registry: Key, server: str, secret: SecretData | None) -> Trust | None:
        known = self._trusts.get(registry)
        if secret is None:
            return None
        new = Trust(secret, server)
        if known is None or known.revision != new.revision:
            if self._contexts.of(registry, new) is None:
                log.warning(
                    "the operator's client certificate is unusable", extra={"registry": str(registry)}
                )
                return None
            self._trusts[registry] = known = new
        return known

    async def _follow(self, registry: Key, pod: str, address: str) -> None:
        poll = _Poll(registry, pod, address)
        while True:
            try:
                await self._turn(poll)
            except Exception:  # whatever one replica says, it is asked again
                log.exception("fault in a poll", extra={"pod": pod})
                await asyncio.sleep(LAST_RETRY)

    async def _turn(self, poll: "_Poll") -> None:
        registry, turns = poll.registry, self._turns
        calls = turns.calls(registry)
        with turns.hold(registry) as holds:
            session = self._staying if holds else self._visiting
            known = await self._poll(poll, session, WAIT if holds else turns.lingers(registry))
            await asyncio.sleep(PACE if known else poll.pause())
        if not holds and (known or poll.failures > FAILURES):
            await turns.visit(registry, calls)

    async def _poll(self, poll: "_Poll", session: aiohttp.ClientSession, wait: float) -> bool:
        """Asks once, and tells what is new; the replica waits so many seconds for something to be."""
        try:
            state = await self._ask(session, poll, wait)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            poll.failures += 1
            if poll.failures == FAILURES:
                log.info("replica does not answer", extra={"pod": poll.pod, "error": type(error).__name__})
                self._report(poll.registry, poll.pod, None)
                poll.version = ""
            return False
        poll.failures = 0
        if state.version != poll.version:
            self._report(poll.registry, poll.pod, state)
            poll.version = state.version
        if time.monotonic() >= poll.due:
            await self._listen(session, poll)
            poll.due = time.monotonic() + LISTEN
        return True

    async def _listen(self, session: aiohttp.ClientSession, poll: "_Poll") -> None:
        """Tells what was done after the cursor, and moves it on. That nothing comes is no news here."""
        for _ in range(PAGES):
            query = {"after": poll.cursor} if poll.cursor else {}
            try:
                told = await self._get(session, poll, "/activity", query, Activity)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                log.debug("no activity", extra={"pod": poll.pod, "error": type(error).__name__})
                return
            self._heard(poll.registry, poll.pod, told)
            poll.cursor = told.cursor
            if not told.more:
                return

    async def _ask(self, session: aiohttp.ClientSession, poll: "_Poll", wait: float) -> ReplicaState:
        """A state that was never heard comes at once."""
        news = {"after": poll.version} if poll.version else {}
        wait = wait * random.uniform(0.8, 1) if news else 0.0
        return await self._get(session, poll, "/state", {**news, "wait": f"{wait:.3g}"}, ReplicaState)

    async def _get(
        self,
        session: aiohttp.ClientSession,
        poll: "_Poll",
        path: str,
        query: Mapping[str, str],
        model: type[M],
    ) -> M:
        """Raises ValueError where the answer is no such thing."""
        address = poll.address
        host = f"[{address}]" if ":" in address else address
        ipaddress.ip_address(address)  # an address, never a name that something else could resolve
        url = URL(f"https://{host}:{self._port}{path}").with_query(query)
        trust = self._trusts[poll.registry]
        context = self._contexts.of(poll.registry, trust)
        if context is None:
            raise ValueError("the operator's client certificate is unusable")
        async with session.get(
            url, ssl=context, server_hostname=trust.server, allow_redirects=False, raise_for_status=True
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(65536):
                body += chunk
                if len(body) > LARGEST:
                    raise ValueError("the answer is too large")
        with suppress(ValidationError):
            return model.model_validate_json(bytes(body))
        raise ValueError(f"not an answer of {path}")


@dataclass
class _Poll:
    """What was heard of one replica. `due` is when it is asked next for what was done."""

    registry: Key
    pod: str
    address: str
    version: str = ""
    cursor: str = ""
    failures: int = 0
    due: float = 0.0

    def pause(self) -> float:
        """Seconds until a replica that failed is asked again."""
        wait: float = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(self.failures - 1, 10))
        return wait * random.uniform(0.5, 1)

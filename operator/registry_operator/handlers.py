"""kopf: it watches the custom resources and the accounts, and hands over what it sees.

Only `on.event` handlers: they write nothing, so there are no finalizers, annotations or patches of kopf's.
kopf runs on a thread with an event loop of its own, because at its end it cancels every task that began
after it; it can thus be started anew when one of its watches ended, which kopf itself never does
(nolar/kopf#1276, #957). `watch` looks after it.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp

from registry_operator.cluster import Credentials, Page, Resource
from registry_operator.cluster.resources import ACCESS_TOKENS, CLAIMS, NAMESPACES, REGISTRIES
from registry_operator.lean import Forgetful, kopf
from registry_operator.lists import Lists

WATCHED = (REGISTRIES, CLAIMS, ACCESS_TOKENS, NAMESPACES)
LOOK = 1.0  # seconds between two looks at kopf
GRACE = 15.0  # seconds in which all watches must have begun
FIRST_RETRY = 0.5
LAST_RETRY = 10.0
SILENCE = 20.0  # seconds without a sign of life of kopf's loop
log = logging.getLogger(__name__)

See = Callable[[Resource, dict[str, Any], bool], None]
News = Callable[[Resource], Awaitable[Page]]


class Backoffs:
    """Seconds between the tries of a request, without an end: where they end, a watch ends for good."""

    def __iter__(self) -> Iterator[float]:
        longest = FIRST_RETRY
        while True:
            yield longest * random.uniform(0.5, 1)
            longest = min(LAST_RETRY, longest * 2)


def settings() -> kopf.OperatorSettings:
    """What notes on kopf's behaviour under faults led to; docs/decisions has the reasons."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False  # Events are our own
    chosen.peering.standalone = True  # the Lease decides who works
    chosen.scanning.disabled = True  # no right to read CRDs, and no need
    chosen.networking.error_backoffs = Backoffs()
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    chosen.watching.server_timeout = 300 + random.randrange(300)
    chosen.watching.inactivity_timeout = 70
    chosen.watching.reconnect_backoff = 1
    chosen.queueing.idle_timeout = 1  # seconds that an object's task outlives its last event
    chosen.process.ultimate_exiting_timeout = None  # it would kill the process, not only kopf
    return chosen


class Session:
    """One run of kopf, on a thread of its own."""

    def __init__(self, see: See, news: News, credentials: Credentials) -> None:
        self._see = see
        self._news = news
        self._credentials = credentials
        self._loop = asyncio.get_running_loop()
        self._stop: Callable[[], object] = lambda: None
        self.began = time.monotonic()
        self.looked = self.began  # when kopf's loop last ran
        self.missing: frozenset[str] = frozenset(resource.plural for resource in WATCHED)
        self.ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._thread.start()

    @property
    def fault(self) -> str:
        """Why this run must end; "" while all is well."""
        now = time.monotonic()
        if self.ended.is_set():
            return "kopf ended"
        if now - self.looked > SILENCE:
            return "kopf's event loop hangs"
        if self.missing and now - self.began > GRACE:
            return f"kopf does not watch: {', '.join(sorted(self.missing))}"
        return ""

    async def close(self) -> None:
        """A thread that does not end within seconds is left behind: it can do nothing but see."""
        with suppress(RuntimeError):  # it ended by itself, and its loop is closed
            self._stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(15):
                await self.ended.wait()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:
            log.exception("kopf failed")
        finally:
            self._loop.call_soon_threadsafe(self.ended.set)

    async def _main(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = partial(loop.call_soon_threadsafe, stop.set)
        looking = asyncio.create_task(self._look(), name="look")
        try:
            await kopf.operator(
                registry=self._registry(),
                settings=settings(),
                memories=Forgetful(),
                clusterwide=True,
                standalone=True,
                stop_flag=stop,
            )
        finally:
            looking.cancel()

    async def _look(self) -> None:
        while True:
            names = {task.get_name() for task in asyncio.all_tasks()}
            self.missing = frozenset(one.plural for one in WATCHED if task_name(one) not in names)
            self.looked = time.monotonic()
            await asyncio.sleep(LOOK)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        for resource in WATCHED:
            handler = kopf.on.event(
                resource.group, resource.version, resource.plural, registry=registry, id=resource.plural
            )
            handler(self._handler(resource))
        kopf.on.login(registry=registry)(self._login)
        return registry

    def _handler(self, resource: Resource) -> Any:
        async def handle(event: Any, **_: Any) -> None:
            obj, gone = dict(event["object"]), event["type"] == "DELETED"
            self._loop.call_soon_threadsafe(self._see, resource, obj, gone)

        return handle

    async def _login(self, **_: Any) -> kopf.AiohttpSession:
        """Called again by kopf whenever the API server no longer takes the credentials."""
        found = self._credentials
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=found.ssl_context()),
            headers={"Authorization": header} if (header := found.authorization()) else None,
        )
        urls = {found.server + one.path(): partial(self._news, one) for one in WATCHED}
        lists = Lists(session, self._loop, urls)
        return kopf.AiohttpSession(server=found.server, aiohttp_session=lists)  # type: ignore[arg-type]


def task_name(resource: Resource) -> str:
    """The name that kopf gives the task of a watch (kopf._core.reactor.orchestration)."""
    where = ".".join(word for word in (resource.plural, resource.version, resource.group) if word)
    return f"watcher for {where}@None"


class Watchdog:
    """Keeps kopf watching, for ever."""

    def __init__(self, see: See, news: News, credentials: Credentials, restarted: Callable[[], None]) -> None:
        self._see = see
        self._news = news
        self._credentials = credentials
        self._restarted = restarted
        self._session: Session | None = None
        self.looked = time.monotonic()

    @property
    def fault(self) -> str:
        return self._session.fault if self._session else ""

    async def run(self) -> None:
        """Returns only by cancellation."""
        wait = 1.0
        while True:
            self._session = Session(self._see, self._news, self._credentials)
            try:
                fault = await self._watch(self._session)
            finally:
                await self._session.close()
            log.error("kopf is started anew", extra={"reason": fault})
            self._restarted()
            lived = time.monotonic() - self._session.began
            wait = 1.0 if lived > 10 * GRACE else min(30.0, wait * 2)
            await asyncio.sleep(wait * random.uniform(0.5, 1))

    async def _watch(self, session: Session) -> str:
        while not session.fault:
            self.looked = time.monotonic()
            await asyncio.sleep(LOOK)
        return session.fault

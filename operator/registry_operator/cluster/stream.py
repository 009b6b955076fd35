"""List and watch that never ends: with selectors, through 403, keeping only what is needed; kopf cannot."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from registry_operator.cluster.api import Cluster, Gone, Scope
from registry_operator.cluster.resources import Resource
from registry_operator.errors import ClusterError, NotFound, NotPermitted, Unavailable

Object = dict[str, Any]
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

FIRST_RETRY = 0.2  # seconds
LAST_RETRY = 5.0
FORBIDDEN_RETRY = 30.0  # most rights are told by a RoleBinding; this is for those that come another way
ABSENT_RETRY = 30.0  # nobody tells when a CRD is installed
STEADY = 10.0  # seconds that a try lasted after which a failure counts as the first one
WATCH_SECONDS = 300
STUCK = 900.0  # seconds; no watch is longer than 600
EVERYTHING = Scope()
log = logging.getLogger(__name__)


class Sink(Protocol[T_contra]):
    """Who is told. The objects are what `keep` made of them."""

    def listed(self, objects: Mapping[str, T_contra], version: str) -> None:
        """All objects there are at this version, by "namespace/name"; what is not among them is gone."""

    def changed(self, key: str, obj: T_contra) -> None:
        """One was made or changed."""

    def removed(self, key: str, version: str) -> None:
        """One is gone at this version, or no longer of interest."""

    def failed(self, error: ClusterError) -> None:
        """The API server cannot be read now, or has no such resource: it is tried again."""


class Stream(Generic[T]):
    """Keeps a sink informed of a resource, in one namespace or all, for ever.

    `keep` makes of an object what is worth its memory, or None where it is of no interest: nothing else
    of it stays. A lost connection goes on where it was; a version that is too old, and an error event in
    mid-stream, lead to a new list, which also heals missed deletions. What ends soon is tried again later
    and later, whatever it said before: a list for each error event would be a storm.
    """

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        sink: Sink[T],
        keep: Callable[[Object], T | None],
        scope: Scope = EVERYTHING,
    ) -> None:
        self._cluster = cluster
        self.resource = resource
        self._sink = sink
        self._keep = keep
        self._scope = scope
        self._version = ""  # to watch from; "" where a list is needed
        self._wait = FIRST_RETRY
        self._began_at = float("inf")  # the last try; a standby has none
        self.restarts = 0  # how often something went wrong
        self.alive_at = time.monotonic()  # when the API server last said something

    async def run(self) -> None:
        """Returns only by cancellation."""
        while True:
            self._began_at = time.monotonic()
            try:
                await self._go_on()
            except Exception:
                log.exception("fault in a stream", extra={"resource": self.resource.plural})
                self._version = ""
                await self._pause(FORBIDDEN_RETRY)

    @property
    def stuck(self) -> bool:
        """Whether it neither hears anything nor fails: a watch ends by itself much sooner."""
        return time.monotonic() - max(self._began_at, self.alive_at) > STUCK

    async def _go_on(self) -> None:
        """Until the watch ends or fails. What the sink raises when it is told of that is a fault, too."""
        try:
            if not self._version:
                await self._list()
            await self._watch()
            if time.monotonic() - self._began_at < STEADY:  # such as a proxy that lets nothing last
                await self._pause(LAST_RETRY)
        except Gone:
            self._version = ""
            await self._pause(LAST_RETRY)
        except NotPermitted as error:
            self._version = ""
            self.alive_at = time.monotonic()
            self._sink.failed(error)
            await self._pause(FORBIDDEN_RETRY)
        except NotFound as error:  # the API server knows no such resource: nothing is wrong
            self._version = ""
            self.alive_at = time.monotonic()
            self._sink.failed(error)
            await self._rest(ABSENT_RETRY)
        except ClusterError as error:
            self._sink.failed(error)
            await self._pause(LAST_RETRY, error.retry_after if isinstance(error, Unavailable) else 0.0)

    async def _list(self) -> None:
        found: dict[str, T] = {}
        version = ""
        async for page in self._cluster.pages(self.resource, self._scope):
            for obj in page.items:
                kept = self._kept(obj)
                if kept is not None:
                    found[_path_of(obj)] = kept
            version = page.version
        self._sink.listed(found, version)
        self._version = version
        self.alive_at = time.monotonic()

    async def _watch(self) -> None:
        seconds = WATCH_SECONDS + random.randrange(WATCH_SECONDS)
        events = self._cluster.watch(self.resource, self._scope, self._version, seconds)
        async for kind, obj in events:
            self.alive_at = time.monotonic()
            if kind != "BOOKMARK":
                self._see(kind, obj)
            self._version = obj["metadata"]["resourceVersion"]
            del obj  # it must not stay in memory until the next one comes

    def _see(self, kind: str, obj: Object) -> None:
        kept = self._kept(obj) if kind in {"ADDED", "MODIFIED"} else None
        if kept is None:
            self._sink.removed(_path_of(obj), obj["metadata"]["resourceVersion"])
        else:
            self._sink.changed(_path_of(obj), kept)

    def _kept(self, obj: Object) -> T | None:
        """None also where it cannot be digested: it must not silence all others of its kind."""
        try:
            return self._keep(obj)
        except Exception:
            told = {"resource": self.resource.plural, "object": _path_of(obj)}
            log.exception("an object cannot be read; it is as if it were not there", extra=told)
            return None

    async def _pause(self, longest: float, at_least: float = 0.0) -> None:
        self.restarts += 1
        await self._rest(longest, at_least)

    async def _rest(self, longest: float, at_least: float = 0.0) -> None:
        if time.monotonic() - self._began_at > STEADY:
            self._wait = FIRST_RETRY
        self._wait = min(longest, self._wait * 2)
        # Whom the API server sends away come back one after the other.
        await asyncio.sleep(max(self._wait * random.uniform(0.5, 1), at_least * random.uniform(1, 1.5)))


def _path_of(obj: Object) -> str:
    """Where the object is: "namespace/name", or "name" for an object of the cluster."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])

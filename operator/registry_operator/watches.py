"""Everything that is watched outside kopf, and whom a change concerns.

kopf's watches take no label selector: they would bring every Pod and ConfigMap of the cluster here. So kopf
watches the custom resources and the accounts, and these streams watch what has Roadstead's labels.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from registry_operator import names, seen
from registry_operator.cache import Cache
from registry_operator.children import Child
from registry_operator.cluster import Cluster, Resource, Scope, Stream
from registry_operator.cluster.resources import (
    AUTOSCALERS,
    BACKEND_TLS_POLICIES,
    BUDGETS,
    CERTIFICATE_REQUESTS,
    CERTIFICATES,
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    HTTP_ROUTES,
    INGRESSES,
    NETWORK_POLICIES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    TLS_ROUTES,
)
from registry_operator.cluster.stream import Sink
from registry_operator.concerns import Concerns
from registry_operator.errors import ClusterError, NotFound, NotPermitted
from registry_operator.models import Key
from registry_operator.observed import Absence, Consent, SecretData, ServiceAccount
from registry_operator.queue import Queue, Work
from registry_operator.relations import bundle_of
from registry_operator.secrets import Keep, Secrets

T = TypeVar("T")
OURS = f"{names.NAME}={names.RUNTIME},app.kubernetes.io/managed-by=roadstead"
CHILDREN = (
    *(CONFIG_MAPS, SERVICES, SERVICE_ACCOUNTS, DEPLOYMENTS),
    *(AUTOSCALERS, BUDGETS, NETWORK_POLICIES, ROLES, ROLE_BINDINGS),
)
FAILURES = 8  # of the first list, in ten seconds or more, after which a kind is done without
# What a cluster may lack, or an installation of before has no right to read.
OPTIONAL = (INGRESSES, CERTIFICATES, HTTP_ROUTES, TLS_ROUTES, BACKEND_TLS_POLICIES)


@dataclass(frozen=True)
class Known(Generic[T]):
    """What the cache knows of a kind: how it is told, what is there, and how it is told what went, and when.

    `went` is for what we write ourselves: it gets the version at which that was gone.
    """

    see: Callable[[Key, T | None], set[Work]]
    there: Callable[[], Iterable[Key]]
    went: Callable[[Key, str], set[Work]] | None = None

    def gone(self, key: Key, version: str) -> set[Work]:
        return self.went(key, version) if self.went else self.see(key, None)


class Table(Generic[T]):
    """The sink of a stream: what it is told goes into the cache, and the work of it into the queue."""

    def __init__(self, known: Known[T], queue: Queue) -> None:
        self._known = known
        self._queue = queue
        self.listed_once = asyncio.Event()

    def listed(self, objects: Mapping[str, T], version: str) -> None:
        for gone in [key for key in set(self._known.there()) if str(key) not in objects]:
            self._add(self._known.gone(gone, version))
        for key, obj in objects.items():
            self.changed(key, obj)
        self.listed_once.set()

    def changed(self, key: str, obj: T) -> None:
        self._add(self._known.see(as_key(key), obj))

    def removed(self, key: str, version: str) -> None:
        self._add(self._known.gone(as_key(key), version))

    def failed(self, error: ClusterError) -> None:
        """What was known stays: the stream goes on."""

    def _add(self, work: set[Work]) -> None:
        """What is in the first list did not change."""
        for one in work:
            self._queue.add(one, patient=not self.listed_once.is_set())


class OptionalTable(Table[T]):
    """Of a kind that may not be there: `served` is told whether it is."""

    def __init__(self, known: Known[T], queue: Queue, served: Callable[[Absence | None], set[Work]]) -> None:
        super().__init__(known, queue)
        self._served = served
        self._failures = 0

    def listed(self, objects: Mapping[str, T], version: str) -> None:
        super().listed(objects, version)
        self._add(self._served(None))

    def failed(self, error: ClusterError) -> None:
        """Of a kind that is gone nothing is left; what may not be read is not known.

        Nor is what cannot be: such as by a CRD whose conversion fails. It holds up no start for long.
        """
        self._failures += 1
        if isinstance(error, NotFound | NotPermitted):
            super().listed({}, "")
            absence = Absence.MISSING if isinstance(error, NotFound) else Absence.NOT_PERMITTED
            self._add(self._served(absence))
        elif self._failures >= FAILURES and not self.listed_once.is_set():
            super().listed({}, "")
            self._add(self._served(Absence.UNANSWERED))


class Watches:
    """All streams, those of Secrets included, and what a change in them brings about."""

    def __init__(self, cluster: Cluster, cache: Cache, queue: Queue) -> None:
        self._cluster = cluster
        self._cache = cache
        self._queue = queue
        self._bundles: dict[Key, tuple[Stream[Any], asyncio.Task[None]]] = {}
        self._refollow = asyncio.Event()
        self._streams: list[Stream[Any]] = []
        self._listed: list[asyncio.Event] = []
        self._concerns = Concerns(cache)
        self.secrets = Secrets(self._secrets_of, self._concerns, self)
        for resource in CHILDREN:
            self._watch(resource, self._children(resource.kind), seen.child, Scope(labels=OURS))
        for resource in OPTIONAL:
            self._watch_optional(resource, self._children(resource.kind), seen.child)
        requests = Known(cache.see_request, lambda: cache.requests.objects)
        self._watch_optional(CERTIFICATE_REQUESTS, requests, seen.request)
        pods = Known(cache.see_pod, lambda: cache.pods.objects)
        self._watch(PODS, pods, seen.pod, Scope(labels=OURS))
        slices = Known(cache.see_slice, lambda: cache.slices.objects)
        self._watch(ENDPOINT_SLICES, slices, seen.endpoint_slice, Scope(labels=OURS))
        consents = Known(self._see_consent, self._bindings)
        self._watch(ROLE_BINDINGS, consents, seen.consent, Scope())
        accounts = Known(self._see_service_account, lambda: cache.service_accounts.objects)
        self._service_accounts = self._watch(SERVICE_ACCOUNTS, accounts, seen.service_account, Scope())

    @property
    def restarts(self) -> int:
        return sum(stream.restarts for stream in self._streams) + self.secrets.restarts

    @property
    def faults(self) -> list[str]:
        """Streams that ended or hang. The end of one of `_streams` ends the operator by itself."""
        bundles = [task.get_name() for one, task in self._bundles.values() if task.done() or one.stuck]
        hanging = [one.resource.plural for one in self._streams if one.stuck]
        return [*(f"no stream: {name}" for name in (*bundles, *hanging)), *self.secrets.faults]

    @property
    def silence(self) -> float:
        """Seconds since the stream that is silent longest heard anything; a bookmark comes each minute."""
        return time.monotonic() - min(stream.alive_at for stream in self._streams)

    async def run(self, started: asyncio.Event) -> None:
        """Sets `started` when everything was listed once; returns only by cancellation."""
        try:
            async with asyncio.TaskGroup() as group:
                for stream in self._streams:
                    group.create_task(stream.run(), name="stream")
                for listed in self._listed:
                    await listed.wait()
                started.set()
                await self._follow()
        finally:
            bundles = [task for _, task in self._bundles.values()]
            for task in bundles:
                task.cancel()
            await asyncio.gather(*bundles, return_exceptions=True)
            await self.secrets.close()

    def changed(self) -> None:
        """Resources or accounts changed: other namespaces may be of interest."""
        self._refollow.set()

    def secret(self, key: Key, before: SecretData | None, after: SecretData | None) -> None:
        self._cache.see_secret(key, before, after)
        for work in self._concerns.of_secret(key, (before, after)):
            # What is seen first did not change.
            self._queue.add(work, patient=before is None)

    def consent(self, namespace: str) -> None:
        for work in self._concerns.of_consent(namespace):
            self._queue.add(work, patient=True)

    async def _follow(self) -> None:
        while True:
            wanted = self._concerns.namespaces() | self._cache.consents.keys()
            self.secrets.follow(wanted & self._cache.accounts.keys())
            self._follow_bundles()
            await self._refollow.wait()
            self._refollow.clear()
            await asyncio.sleep(0.02)  # a burst of changes is one look

    def _follow_bundles(self) -> None:
        """ConfigMaps of users, each by its name: nothing else of a namespace is read."""
        wanted = set(filter(None, map(bundle_of, self._cache.registries.objects.values())))
        for gone in self._bundles.keys() - wanted:
            self._bundles.pop(gone)[1].cancel()
            self._cache.see_bundle(gone, None)
        for new in wanted - self._bundles.keys():
            table = Table(Known(self._see_bundle, partial(frozenset, (new,))), self._queue)
            scope = Scope(new.namespace, fields=f"metadata.name={new.name}")
            stream = Stream(self._cluster, CONFIG_MAPS, table, seen.bundle, scope)
            self._bundles[new] = stream, asyncio.create_task(stream.run(), name=f"bundle {new}")

    def _see_bundle(self, key: Key, data: Mapping[str, str] | None) -> set[Work]:
        """Not there is something else than not read yet."""
        return self._cache.see_bundle(key, Absence.MISSING if data is None else data)

    def _bindings(self) -> set[Key]:
        found = self._cache.consents
        return {Key(namespace, name) for namespace, given in found.items() for name in given}

    def _see_consent(self, key: Key, given: Consent | None) -> set[Work]:
        if given is not None and given.beside:
            return self._concerns.of_consent(key.namespace)
        before = self._cache.see_consent(key, given)
        if before == given:
            return set()  # a list after a lost watch brings all of them again
        if given is None:
            # The API server's own authorizer hears of it some moments later than we do.
            asyncio.get_running_loop().call_later(2, self._withdrawn, key.namespace)
        if before is None or given is None or before.grant != given.grant:
            self.secrets.restart(key.namespace)
            self.changed()
        # What could not be written may be possible now, also where the Secrets could be read all the time.
        return self._concerns.of_consent(key.namespace) if given else set()

    def _see_service_account(self, key: Key, found: ServiceAccount | None) -> set[Work]:
        """The first list wakes nobody: every token is due from the start, and the sweep finds leftovers."""
        if self._service_accounts.is_set():
            return self._cache.see_service_account(key, found)
        self._cache.service_accounts.put(key, found)
        return set()

    def _withdrawn(self, namespace: str) -> None:
        """Where a ClusterRoleBinding gives the right all the same, no refusal tells of it."""
        self.secrets.restart(namespace)
        self.consent(namespace)

    def _children(self, kind: str) -> Known[Child]:
        return Known(
            partial(self._cache.see_child, kind),
            lambda: {key for there, key in self._cache.children if there == kind},
            partial(self._cache.see_child_gone, kind),
        )

    def _watch(
        self,
        resource: Resource,
        known: Known[T],
        keep: Callable[[dict[str, Any]], T | None],
        scope: Scope,
    ) -> asyncio.Event:
        """Returns what is set as soon as all was listed once."""
        return self._stream(resource, Table(known, self._queue), keep, scope)

    def _watch_optional(
        self, resource: Resource, known: Known[T], keep: Callable[[dict[str, Any]], T | None]
    ) -> None:
        table = OptionalTable(known, self._queue, partial(self._cache.see_api, resource.kind))
        self._stream(resource, table, keep, Scope(labels=OURS))

    def _stream(
        self, resource: Resource, table: Table[T], keep: Callable[[dict[str, Any]], T | None], scope: Scope
    ) -> asyncio.Event:
        self._listed.append(table.listed_once)
        self._streams.append(Stream(self._cluster, resource, table, keep, scope))
        return table.listed_once

    def _secrets_of(self, scope: Scope, sink: Sink[SecretData], keep: Keep) -> Stream[SecretData]:
        return Stream(self._cluster, SECRETS, sink, keep, scope)


def as_key(text: str) -> Key:
    namespace, _, name = text.partition("/")
    return Key(sys.intern(namespace), name)

"""All parts put together: what is seen goes into the cache, its work into the queue, workers take it."""

import asyncio
import gc
import logging
import random
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from registry_operator import gauges, seen
from registry_operator.activity import Activities
from registry_operator.cache import Cache
from registry_operator.cluster import Cluster, Credentials, Page, Resource, Scope
from registry_operator.cluster.resources import ACCESS_TOKENS, CLAIMS, NAMESPACES, REGISTRIES
from registry_operator.errors import ClusterError, InvalidResource
from registry_operator.events import Recorder
from registry_operator.handlers import Watchdog
from registry_operator.metrics import Metrics
from registry_operator.models import AccessToken, Key, Namespace, Registry
from registry_operator.observed import Unreadable
from registry_operator.propagations import Propagations
from registry_operator.queue import Kind, Pace, Queue, Work
from registry_operator.reconcile.access import Access
from registry_operator.reconcile.context import Context
from registry_operator.reconcile.running import Look
from registry_operator.reconcile.sweep import Sweep
from registry_operator.reconcile.worker import Worker
from registry_operator.replicas import Replicas
from registry_operator.settings import Settings
from registry_operator.watches import Watches
from registry_runtime.contract.activity import Activity
from registry_runtime.contract.state import ReplicaState

WORKERS = 12
WITHOUT_PASSWORD = 1.0  # seconds; a new token is no part of a policy before its Secret, which wakes that, too
SELDOM = 500  # looks at the young before one at all
SLOW = 6  # of these at most so many with Registries
log = logging.getLogger(__name__)


class Controller:
    """The operator while it leads."""

    def __init__(
        self, cluster: Cluster, credentials: Credentials, settings: Settings, metrics: Metrics, instance: str
    ) -> None:
        self._metrics = metrics
        self._cache = Cache()
        self._queue = Queue(SLOW, waited=metrics.waits.observe, awaited=self._cache.awaits)
        self._watches = Watches(cluster, self._cache, self._queue)
        self._replicas = Replicas(self._report, self._heard)
        self._context = Context(
            cluster=cluster,
            cache=self._cache,
            secrets=self._watches.secrets,
            replicas=self._replicas,
            queue=self._queue,
            recorder=Recorder(cluster, instance, metrics.dropped.add),
            settings=settings,
            now=lambda: datetime.now(UTC),
            propagations=Propagations(metrics.propagation.observe),
        )
        self._activities = Activities(self._cache, self._queue, self._context.recorder)
        self._look = Look(self._context)
        self._sweep = Sweep(self._context, self._see, metrics)
        self._primed: dict[Resource, str] = {}  # versions that nobody watches from yet
        self._watchdog = Watchdog(self._see, self._news, credentials, metrics.restarts.add)
        gauges.read(metrics, self._cache, self._queue, self._watches, self._replicas)
        self.started = False  # whether all was read once, and work is being done

    def faults(self) -> list[str]:
        """Why the process should be started anew; empty while all is well."""
        faults = [self._watchdog.fault] if self._watchdog.fault else []
        return [*faults, *(["the sweep is late"] if self._sweep.late else []), *self._watches.faults]

    async def run(self) -> None:
        """Returns only by cancellation, or by an error that nothing here can mend."""
        access = Access(self._context)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._replicas)
            self._primed = await self._prime()
            group = await stack.enter_async_context(asyncio.TaskGroup())
            group.create_task(self._watchdog.run(), name="kopf watchdog")
            started = asyncio.Event()
            group.create_task(self._watches.run(started), name="watches")
            await started.wait()
            _keep_for_good()
            self._put_off()
            self.started = True
            log.info("started", extra={"registries": len(self._cache.registries.objects)})
            pace = Pace()
            for number in range(WORKERS):
                worker = Worker(self._context, access, self._metrics, pace)
                group.create_task(worker.run(), name=f"worker {number}")
            group.create_task(self._sweep.run(), name="sweep")
            group.create_task(self._look.run(), name="look at pods")
            group.create_task(self._context.recorder.run(), name="events")
            group.create_task(self._activities.run(), name="activity")

    async def _prime(self) -> dict[Resource, str]:
        wait = 0.25
        while True:
            try:
                return await self._sweep.prime()
            except ClusterError as error:
                log.warning("cannot read the cluster yet", extra={"error": error.message})
            await asyncio.sleep(wait * random.uniform(0.5, 1))
            wait = min(10.0, wait * 2)

    def _put_off(self) -> None:
        """What was declared while no operator was there comes before all that was read."""
        self._queue.put_off()
        for work in self._cache.awaited():
            self._queue.add(work)

    def _see(self, resource: Resource, obj: dict[str, Any], gone: bool) -> None:
        key = seen.key_of(obj)
        uid = obj["metadata"].get("uid") or ""
        if not gone and self._knows(resource, obj):
            return
        new = resource is ACCESS_TOKENS and key not in self._cache.tokens.objects
        try:
            work = self._seen(resource, key, None if gone else obj, uid)
        except InvalidResource as error:
            log.error("a stored resource cannot be read", extra={"error": error.message})  # noqa: TRY400
            work = self._cache.see_unreadable(Work(Kind(resource.kind), *key), Unreadable(obj, error))
        else:
            work |= self._read(resource, key, uid)
        for one in work:
            if new and one.kind is Kind.POLICY:
                self._queue.add_after(one, WITHOUT_PASSWORD)
            else:
                self._queue.add(one)
        if work:
            self._watches.changed()

    def _knows(self, resource: Resource, obj: dict[str, Any]) -> bool:
        """Lists tell again what is known: to read ten thousand objects anew would keep all else waiting."""
        version = obj["metadata"].get("resourceVersion")
        if resource is NAMESPACES or not version:
            return False
        found = self._cache.table(Kind(resource.kind)).objects.get(seen.key_of(obj))
        return found is not None and found.meta.resource_version == version

    async def _news(self, resource: Resource) -> Page:
        """What there is now of these and was not seen so. Raises ClusterError.

        The first time nothing is listed again: the watch tells what came since all was read. What a later
        list has no longer went while nobody watched: kopf never tells that.
        """
        if primed := self._primed.pop(resource, ""):
            return Page([], primed)
        known = self._sweep.known(resource)
        news: list[dict[str, Any]] = []
        there: set[Key] = set()
        version = ""
        async for page in self._context.cluster.pages(resource, Scope()):
            news += [obj for obj in page.items if not self._knows(resource, obj)]
            there |= set(map(seen.key_of, page.items))
            version = page.version
        self._sweep.miss(resource, known, there)
        return Page(news, version)

    def _read(self, resource: Resource, key: Key, uid: str) -> set[Work]:
        """What could not be read before can be, or is gone."""
        if resource is NAMESPACES:
            return set()
        return self._cache.see_unreadable(Work(Kind(resource.kind), *key), None, uid)

    def _seen(self, resource: Resource, key: Key, obj: dict[str, Any] | None, uid: str) -> set[Work]:
        cache = self._cache
        if resource is NAMESPACES:
            before = set(cache.accounts)
            work = cache.see_account(key.name, seen.account(obj) if obj else None, uid)
            if before != set(cache.accounts):
                self._watches.changed()
            return work
        if resource is REGISTRIES:
            return cache.see_registry(key, Registry.parse(obj) if obj else None, uid)
        if resource is CLAIMS:
            return cache.see_claim(key, Namespace.parse(obj) if obj else None, uid)
        if resource is ACCESS_TOKENS:
            return cache.see_token(key, AccessToken.parse(obj) if obj else None, uid)
        return set()

    def _report(self, registry: Key, pod: str, state: ReplicaState | None) -> None:
        first = pod not in self._cache.replicas.get(registry, {})
        if state is None:
            self._activities.forget(registry, pod)
            self._context.propagations.forget_pod(registry, pod)
        else:
            self._context.propagations.hear(registry, pod, state.policy_revision)
        for work in self._cache.see_replica(registry, pod, state):  # what is heard first did not change
            self._queue.add(work, patient=first)

    def _heard(self, registry: Key, pod: str, told: Activity) -> None:
        self._activities.hear(registry, pod, told)


def _keep_for_good() -> None:
    """What is known stays known: a look for garbage among ten thousand tokens takes a third of a second.

    What comes later is looked through fifty times as seldom as usual: each draft of a policy replaces tens of
    thousands of tuples, none of which is ever part of a cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], SELDOM)

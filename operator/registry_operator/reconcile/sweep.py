"""What no event told: deletions that a lost watch swallowed, leftovers of owners that are gone.

Each round lists metadata only and compares it with the cache. Beside that every object is reconciled once
more, one after the other, in the time of a round.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from registry_operator.cluster import Resource, Scope
from registry_operator.cluster.resources import ACCESS_TOKENS, CLAIMS, NAMESPACES, REGISTRIES
from registry_operator.errors import ClusterError, NotFound
from registry_operator.metrics import Metrics
from registry_operator.models import AccessToken, Key, Registry, is_older
from registry_operator.queue import OWN, Kind, Work
from registry_operator.reconcile import access_token
from registry_operator.reconcile.context import Context
from registry_operator.reconcile.rounds import rounds
from registry_operator.seen import key_of
from registry_operator.tables import Table

PERIOD = 300.0  # seconds, on average
FIRST = 6.0  # seconds after the start: what was left behind before it is not left for long
log = logging.getLogger(__name__)

See = Callable[[Resource, dict[str, Any], bool], None]


class Sweep:
    """`see` is told of what the cache did not have, as by a watch."""

    def __init__(self, at: Context, see: See, metrics: Metrics, period: float = PERIOD) -> None:
        self._at = at
        self._see = see
        self._metrics = metrics
        self._period = period
        self.done_at = float("inf")  # the last round that went well; who waits for the Lease has none

    @property
    def late(self) -> bool:
        """Whether several rounds are missing."""
        return time.monotonic() - self.done_at > 4 * self._period

    async def prime(self) -> dict[Resource, str]:
        """Fills the cache before anything is reconciled: an empty one must not look like an empty cluster.

        Returns for each kind the version to watch from.
        """
        versions: dict[Resource, str] = {}
        for resource in (NAMESPACES, REGISTRIES, CLAIMS, ACCESS_TOKENS):
            async for page in self._at.cluster.pages(resource, Scope()):
                versions[resource] = page.version
                for obj in page.items:
                    self._see(resource, obj, False)
        self.done_at = time.monotonic()
        return versions

    async def run(self) -> None:
        """Returns only by cancellation."""
        async with asyncio.TaskGroup() as group:
            group.create_task(rounds(self.round, self._period, FIRST, "no sweep"))
            group.create_task(self._again())

    async def round(self) -> None:
        """Raises ClusterError."""
        for resource in (NAMESPACES, REGISTRIES, CLAIMS, ACCESS_TOKENS):
            await self._compare(resource)
        await self._forget()
        at = self._at
        at.normal = {child: content for child, content in at.normal.items() if child in at.cache.children}
        owners = {one.meta.uid for table in self._owners() for one in table.objects.values()}
        at.cache.gone.keep(owners)
        self.done_at = time.monotonic()

    async def _forget(self) -> None:
        """Of tokens that went while no operator was there. What a namespace refuses holds up nothing else."""
        try:
            await access_token.forget(self._at)
        except ClusterError as error:
            log.warning("leftovers of tokens stay", extra={"error": error.message})

    async def _again(self) -> None:
        """Not put into the queue for later: there fourteen thousand would have their times in memory."""
        while True:
            keys = [(kind, list(self._at.cache.table(kind).objects)) for kind in OWN]
            pause = self._period / (1 + sum(len(some) for _, some in keys))
            for kind, some in keys:
                for key in some:
                    await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                    self._at.queue.add(Work(kind, *key), patient=True)
            await asyncio.sleep(pause)

    async def _compare(self, resource: Resource) -> None:
        known = self.known(resource)
        there: dict[Key, str] = {}
        async for page in self._at.cluster.pages(resource, Scope(), metadata=True):
            for obj in page.items:
                there[key_of(obj)] = obj["metadata"]["resourceVersion"]
        self.miss(resource, known, there.keys())
        for key in [key for key, version in there.items() if is_newer(version, known.get(key))]:
            if is_newer(there[key], self.known(resource).get(key)):
                await self._fetch(resource, key)

    def miss(self, resource: Resource, known: Mapping[Key, str], there: AbstractSet[Key]) -> None:
        """What was `known` before a list and is not among what is `there` by it is gone, unless it is new."""
        for key in known.keys() - there:
            if self.known(resource).get(key) == known[key]:
                self._heal(resource, {"metadata": {"namespace": key.namespace, "name": key.name}}, gone=True)

    async def _fetch(self, resource: Resource, key: Key) -> None:
        try:
            obj = await self._at.cluster.get(resource, key.namespace or None, key.name)
        except NotFound:
            return
        self._heal(resource, obj, gone=False)

    def _heal(self, resource: Resource, obj: dict[str, Any], *, gone: bool) -> None:
        log.warning("no watch told of it", extra={"kind": resource.kind, "name_": obj["metadata"]["name"]})
        self._metrics.healed.add(1, resource.plural)
        self._see(resource, obj, gone)

    def known(self, resource: Resource) -> dict[Key, str]:
        """Resource versions in the cache; accounts have none, because nobody writes their status here."""
        cache = self._at.cache
        if resource is NAMESPACES:
            return {Key("", name): "" for name in cache.accounts}
        unread = {
            Key(work.namespace, work.name): one.version
            for work, one in cache.unreadable.items()
            if work.kind == resource.kind
        }
        return cache.table(Kind(resource.kind)).versions() | unread

    def _owners(self) -> tuple[Table[Registry], Table[AccessToken]]:
        return self._at.cache.registries, self._at.cache.tokens


def is_newer(version: str, known: str | None) -> bool:
    """Whether the cache lacks this version; "" in the cache stands for any."""
    if known is None:
        return True
    return is_older(known, version)

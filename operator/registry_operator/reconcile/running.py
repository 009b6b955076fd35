"""Which pods of the cluster run images of which Registry: a look now and then, and only counts are kept."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable

from registry_operator import seen
from registry_operator.cluster import Scope
from registry_operator.cluster.resources import PODS
from registry_operator.models import Key, Registry
from registry_operator.observed import Running
from registry_operator.reconcile.context import Context
from registry_operator.reconcile.rounds import rounds

PERIOD = 300.0  # seconds, on average
FIRST = 10.0  # seconds after the start
PAUSE = 0.05  # seconds between two pages: nobody waits for this
NAMED = 3
ALIVE = "status.phase!=Succeeded,status.phase!=Failed"
log = logging.getLogger(__name__)


class Look:
    """Looks at all pods that have not ended."""

    def __init__(self, at: Context, period: float = PERIOD) -> None:
        self._at = at
        self._period = period

    async def run(self) -> None:
        """Returns only by cancellation."""
        await rounds(self.look, self._period, FIRST, "not known which images run")

    async def look(self) -> None:
        """Raises ClusterError."""
        cache = self._at.cache
        serving = by_host(cache.registries.objects.values())
        found = dict.fromkeys(cache.registries.objects, Running())
        if serving:
            async for page in self._at.cluster.pages(PODS, Scope(fields=ALIVE)):
                for pod in page.items:
                    place = Key(pod["metadata"]["namespace"], pod["metadata"]["name"])
                    hosts = seen.image_hosts(pod)
                    for key in {key for host in hosts for key in serving.get(host, ())}:
                        found[key] = counted(found[key], key, place)
                await asyncio.sleep(PAUSE)
        for work in cache.see_running(found):
            self._at.queue.add(work, patient=True)


def by_host(registries: Iterable[Registry]) -> dict[str, list[Key]]:
    """Nobody keeps two Registries from saying the same name."""
    found = defaultdict(list)
    for registry in registries:
        for host in {*registry.spec.public_hosts, registry.spec.private_host}:
            found[host].append(registry.key)
    return found


def counted(before: Running, registry: Key, pod: Key) -> Running:
    """One more. Pods of other namespaces are not named: any tenant may give its Registry any host name."""
    own = before.own
    if pod.namespace == registry.namespace and len(own) < NAMED:
        own = (*own, pod.name)
    return Running(before.pods + 1, own)

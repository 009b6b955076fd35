"""Who of several operators works: the holder of a Lease (coordination.k8s.io/v1), as client-go elects.

A holder renews well before the Lease runs out, and stops by its own clock when it could not: it never
trusts that others see its last renewal late. Whoever waits measures by its own clock, too, since when the
Lease has not changed, so skewed clocks elect no second leader.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from registry_operator.cluster import Cluster
from registry_operator.cluster.resources import LEASES
from registry_operator.errors import ClusterError, NotFound, WriteConflict
from registry_operator.models import Key

DURATION = 15.0  # seconds after its last change until a Lease may be taken over
RENEWAL = 10.0  # seconds without a renewal after which the holder stops
RETRY = 2.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Seconds; RENEWAL < DURATION is what keeps two from working at a time."""

    duration: float = DURATION
    renewal: float = RENEWAL
    retry: float = RETRY


class Leader:
    """One candidate for the Lease."""

    def __init__(
        self,
        cluster: Cluster,
        lease: Key,
        identity: str,
        timing: Timing = Timing(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._lease = lease
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._seen: tuple[str, float] = ("", 0.0)  # resourceVersion, and since when it is that
        self._renewed = float("-inf")
        self._answered = float("-inf")  # when the API server last said whose the Lease is
        self.holder = ""  # as last read

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[asyncio.Event]:
        """Waits for the Lease and holds it; the event is set when it was lost. Released at the end."""
        await self._acquire()
        lost = asyncio.Event()
        renewing = asyncio.create_task(self._renew(lost), name="lease")
        try:
            yield lost
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            if not lost.is_set():
                await self._release()

    @property
    def holds(self) -> bool:
        """Whether the Lease is surely still ours: no write may start when it is not, also after a pause."""
        return self._clock() - self._renewed < self._timing.renewal

    @property
    def waits(self) -> bool:
        """Whether another leads, by what the API server said lately: this one would notice its end."""
        known = self._clock() - self._answered < self._timing.duration
        return known and self.holder not in {"", self._identity}

    async def _acquire(self) -> None:
        known = ""
        while not await self._attempt():
            if self.holder not in {"", known}:
                log.info("another operator leads; waiting", extra={"holder": self.holder})
                known = self.holder
            await asyncio.sleep(self._timing.retry * random.uniform(0.6, 1.0))
        log.info("leading", extra={"lease": str(self._lease), "holder": self._identity})

    async def _renew(self, lost: asyncio.Event) -> None:
        try:
            while self.holds:
                await asyncio.sleep(self._timing.retry)
                with suppress(TimeoutError):
                    left = self._renewed + self._timing.renewal - self._clock()
                    async with asyncio.timeout(max(0.0, left)):
                        await self._attempt()
            log.error("the lease was lost", extra={"lease": str(self._lease)})
        except Exception:  # a process that nobody renews for must end, too
            log.exception("the lease is not renewed any more", extra={"lease": str(self._lease)})
        lost.set()

    async def _attempt(self) -> bool:
        """Makes, takes or renews the Lease; False where another holds it or the API server is away."""
        asked = self._clock()
        try:
            held = await self._try()
        except WriteConflict:
            return False  # another was faster
        except ClusterError as error:
            log.warning("the lease cannot be had", extra={"error": error.message})
            return False
        if held:
            self._renewed = asked
            self.holder = self._identity
        return held

    async def _try(self) -> bool:
        try:
            there = await self._cluster.get(LEASES, *self._lease)
        except NotFound:
            await self._cluster.create(self._object({}, transitions=0))
            return True
        spec = there.get("spec") or {}
        version = there["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, self._clock())
        self.holder = holder = spec.get("holderIdentity") or ""
        self._answered = self._clock()
        expired = self._clock() - self._seen[1] > spec.get("leaseDurationSeconds", self._timing.duration)
        if holder not in {"", self._identity} and not expired:
            return False
        transitions = spec.get("leaseTransitions", 0) + (holder != self._identity)
        since = spec.get("acquireTime") if holder == self._identity else None
        await self._cluster.replace(self._object(there["metadata"], transitions, since))
        return True

    async def _release(self) -> None:
        """So that the next one need not wait."""
        with suppress(ClusterError):
            there = await self._cluster.get(LEASES, *self._lease)
            if there["spec"].get("holderIdentity") != self._identity:
                return
            there["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
            await self._cluster.replace(there)

    def _object(self, metadata: dict[str, Any], transitions: int, since: str | None = None) -> dict[str, Any]:
        now = _now()
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata | {"namespace": self._lease.namespace, "name": self._lease.name},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": max(1, round(self._timing.duration)),
                "acquireTime": since or now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

"""`make bench-changes`: what each change of a Registry costs its clients, on the three-zone cluster.

A steady load of pushes and pulls goes on, a connection for each request. Where a zone is lost the clients try
again, as real ones do; everywhere else each request has one try.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import metrics_server
from quickstart.story import TENANT
from tests.e2e.accounts import NAME, account, accounts, administer, hold
from tests.e2e.changing import SMALL, ZONES, Changing
from tests.e2e.conftest import telling
from tests.e2e.load import RETRYING, Load
from tests.e2e.platform import Platform

_CLAIM, _KEYS, _S3 = "quayside", "changing-keys", "changing-s3"
_MANY = 12
_NOTICE = 15  # seconds that a CA is announced
_SLOW = "8mbit"
_PARTS = ("keys_and_certificates", "numbers", "autoscaler", "zones")  # methods of Story


@dataclass(frozen=True)
class Line:
    """What clients met during one change."""

    change: str
    took: float  # seconds, of the change
    load: Load
    begun: float

    @property
    def row(self) -> str:
        load, ordered = self.load, sorted(self.load.seconds)
        p99 = ordered[min(len(ordered) - 1, -(-len(ordered) * 99 // 100) - 1)]
        times = f"{statistics.median(ordered):.2f} | {p99:.2f} | {ordered[-1]:.1f}"
        counts = f"{load.requests:,} | {len(load.failures)} | {self.again}"
        return f"| {self.change} | {counts} | {times} | {self.took:.0f} |"

    @property
    def again(self) -> str:
        """How many tries were made again, and until when after the change began such failed."""
        if not self.load.retried:
            return "none"
        last = max(one.began for one in self.load.retried) - self.begun
        return f"{len(self.load.retried)}, begun until {last:.0f} s"


@dataclass
class Story:
    """The changes, one after another, and what was measured."""

    stage: Platform
    registry: Changing
    workers: int
    lines: list[Line] = field(default_factory=list)

    @asynccontextmanager
    async def under_load(self, change: str, patience: tuple[float, ...] = ()) -> AsyncIterator[Load]:
        """Measures the block. A zone that is away is noticed by a timeout: the clients' is 8 s then."""
        client = self.registry.client(timeout=8 if patience else 60)
        load = Load(client, f"{_CLAIM}/line-{len(self.lines)}", self.workers, patience=patience)
        async with load.steady():
            await asyncio.sleep(3)
            begun = time.monotonic()
            yield load
            took = time.monotonic() - begun
            await asyncio.sleep(3)
        lost = await load.lost()
        line = Line(f"{change}, {len(lost)} images lost" if lost else change, took, load, begun)
        self.lines.append(line)
        print(line.row, load.summary(), [one.what for one in load.failures][:5], file=sys.stderr, flush=True)

    async def strict(self, change: str, do: Callable[[], object]) -> None:
        """Each request has one try."""
        async with self.under_load(change):
            await asyncio.to_thread(do)

    async def tell(self, parts: Sequence[str]) -> None:
        """These of `_PARTS`."""
        await self.strict("nothing, for 20 s", lambda: time.sleep(20))
        for part in parts:
            await getattr(self, part)()

    async def keys_and_certificates(self) -> None:
        registry = self.registry
        await self.strict("a change of the spec that replaces every replica", self._configure("2h"))
        await self.strict("TLS certificate renewed", registry.renew)
        async with self.under_load(f"CA followed by another, {_NOTICE} s of notice") as load:
            await registry.turn_ca(load, _NOTICE)
        await self.strict("key of the storage changed, old one revoked", self._storage_key)
        await self.strict("encryption key changed, content re-wrapped, old one removed", self._encryption_key)

    async def numbers(self) -> None:
        registry = self.registry
        await self.strict(f"3 to {_MANY} replicas", self._scale(_MANY))
        await self.strict(f"a change of the spec, {_MANY} replicas", self._configure("3h"))
        await self._lose(f"a zone lost and healed, {_MANY} replicas", 1)
        await asyncio.to_thread(self._spread)
        await self.strict(f"{_MANY} to 3 replicas", self._scale(3))

        def drain() -> None:
            for zone in ZONES:
                registry.drain(zone)

        await self.strict("nodes of the three zones drained, one after another", drain)

    async def autoscaler(self) -> None:
        """By the CPU of the load itself: far above its target, then far below it."""
        registry = self.registry
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            await asyncio.to_thread(metrics_server.start, self.stage, Path(folder))
            bounds = {"minReplicas": 3, "maxReplicas": 6}
            behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
            wanted = {**bounds, "behavior": behavior}

            def follow(percent: int, replicas: int) -> Callable[[], None]:
                def do() -> None:
                    target = {"targetCPUUtilizationPercentage": percent}
                    registry.change(autoscaling={**wanted, **target})
                    registry.until_replicas(replicas, replicas, 400)
                    registry.until(AutoscalingActive="True")

                return do

            await self.strict("autoscaler takes over, CPU high: 3 to 6", follow(20, 6))
            await self.strict("autoscaler, CPU low: 6 to 3", follow(5000, 3))
            await self.strict("autoscaler lets go: 4 replicas", self._let_go)
            await self.strict("4 to 3 replicas", self._scale(3))

    async def zones(self) -> None:
        await self._lose("a zone lost and healed, 3 replicas", 1)
        await self._lose("two zones lost and healed, 3 replicas", 2)
        (zone, *_) = self._away()

        def slow() -> None:
            self.stage.cluster.slow(zone, _SLOW)
            time.sleep(30)
            self.stage.cluster.quick(zone)

        await self.strict(f"a zone whose link carries {_SLOW}, for 30 s", slow)

    async def _lose(self, change: str, count: int) -> None:
        zones = self._away()[:count]
        await asyncio.to_thread(self.stage.move_operator, self.registry.home)
        async with self.under_load(change, RETRYING):
            with self.registry.lost(*zones):
                near = await asyncio.to_thread(self.registry.knock, self.registry.home, 100)
                assert near == 100, "who is in a live zone is sent to its own replica, from the start"
                await asyncio.to_thread(self.registry.until, ZoneRedundant="False")
                await asyncio.sleep(15)
        await asyncio.to_thread(self.registry.until_replicas, 1, 100, 300)

    def _away(self) -> list[str]:
        """Zones without the storage."""
        return sorted(set(ZONES) - {self.registry.home})

    def _configure(self, every: str) -> Callable[[], None]:
        def do() -> None:
            self.registry.change(collection={"every": every})
            self.registry.settle()

        return do

    def _scale(self, replicas: int) -> Callable[[], None]:
        def do() -> None:
            self.registry.change(replicas=replicas)
            self.registry.until_replicas(replicas, replicas, 400)

        return do

    def _let_go(self) -> None:
        self.registry.change(autoscaling=None, replicas=4)
        self.registry.until_replicas(4, 4)

    def _spread(self) -> None:
        """Those that moved to the other zones come back."""
        self.stage.kubectl("rollout", "restart", f"deployment/{self.registry.name}", "-n", TENANT)
        self.stage.kubectl.until_rolled_out([self.registry.name], TENANT, 300)
        self.registry.settle()

    def _storage_key(self) -> None:
        hold(self.stage, _S3, account(self.stage, "second"))
        time.sleep(5)  # a second after it has reached the pods
        administer(self.stage, "delete-user", "--access", "first")
        time.sleep(5)
        self.registry.settle()

    def _encryption_key(self) -> None:
        registry = self.registry
        hold(self.stage, _KEYS, {"k1": "1" * 32, "k2": "2" * 32})
        registry.change(encryption={"keySecretRef": {"name": _KEYS}, "activeKey": "k2"})
        self.stage.kubectl.until(
            "k1 removable", lambda: registry.status["encryption"].get("removable") == ["k1"], seconds=300
        )
        hold(self.stage, _KEYS, {"k2": "2" * 32})
        self.stage.kubectl.until(
            "k2 alone", lambda: list(registry.status["encryption"]["keys"]) == ["k2"], seconds=180
        )
        registry.settle()

    @property
    def table(self) -> str:
        head = "| change | requests | failed | tried again | p50 s | p99 s | longest s | took s |"
        return "\n".join((head, "|---|---|---|---|---|---|---|---|", *(line.row for line in self.lines)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.changes", description=__doc__)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS)
    words = parser.parse_args()
    with telling("roadstead-bench", loopback="127.0.92.") as stage, accounts(stage) as endpoint:
        keys = {"credentialsSecretRef": {"name": _S3}}
        registry = Changing(stage, "changing", _CLAIM, storage=(NAME, TENANT))
        registry.s3 = {"endpoint": endpoint, "insecure": True, **keys}
        hold(stage, _S3, account(stage, "first"))
        hold(stage, _KEYS, {"k1": "1" * 32})
        registry.change(resources=SMALL, encryption={"keySecretRef": {"name": _KEYS}, "activeKey": "k1"})
        story = Story(stage, registry, words.workers)
        with registry.claimed():
            try:
                asyncio.run(story.tell(words.only))
                shares = [registry.share(zone, 100) for zone in ZONES]
            finally:
                print(
                    f"\n{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n"
                )
                print(story.table, flush=True)
        print("\nOf 100 requests from each zone, answered there:", *(f"{share:.0%}" for share in shares))
    return 1 if any(line.load.failures for line in story.lines) else 0


if __name__ == "__main__":
    sys.exit(main())

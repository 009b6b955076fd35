"""`make bench-fleet`: a fleet that grows to 10, 100, 1,000 Registries; what each size costs the operator."""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial

import aiohttp

from benchmarks.api import GROUP, kubernetes, until
from benchmarks.fleet import declared
from benchmarks.fleet.declared import Object
from benchmarks.fleet.metrics import requests
from benchmarks.fleet.simulated import real, simulated
from benchmarks.memory import resident
from benchmarks.table import Row, median, p99, table
from quickstart.story import TENANT
from tests.e2e.conftest import telling
from tests.e2e.platform import OPERATOR, Platform

REAL = 10
AT_ONCE = 8
PATIENCE = 3600.0  # seconds
STEADY = 60.0
CHANGES = 50
SLOW = 1.0  # seconds after which a change is told by itself
NOBODY = "https://192.0.2.1:7070"  # TEST-NET-1 (RFC 5737)
ROOTS = {"Secret": "/api/v1", "ConfigMap": "/api/v1", "RoleBinding": "/apis/rbac.authorization.k8s.io/v1"}
PLURALS = {"Registry": "registries"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.fleet", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 100, 1000])
    of_each = f"AccessTokens of each Registry, of {declared.TOKENS}, that have a pull Secret"
    parser.add_argument("--pulling", type=int, default=0, help=of_each)
    asked = parser.parse_args()
    with telling("roadstead-fleet", loopback="127.0.93.") as stage:
        rows = asyncio.run(Fleet(stage, asked.pulling).rows(asked.sizes))
    print(f"\n{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(table(rows))
    return 0 if all(row.met for row in rows) else 1


class Fleet:
    """The Registries that are there, and what is asked of them."""

    def __init__(self, stage: Platform, pulling: int) -> None:
        self.stage = stage
        self.pulling = pulling
        self.size = 0
        self._ends = itertools.count(10_000)  # minutes: what is declared twice alike is no change

    async def rows(self, sizes: list[int]) -> list[Row]:
        rows: list[Row] = []
        await self._alone()
        async with kubernetes(self.stage) as api:
            rows += await self._grow(api, min(REAL, *sizes))
            with simulated(self.stage):
                for size in sizes:
                    if size > self.size:
                        rows += await self._grow(api, size)
                    rows += await self._looked_at(api)
                    print(table(rows), file=sys.stderr, flush=True)
        return rows

    async def _alone(self) -> None:
        """One operator, whose figures are those of the one that works, and anybody may read them.

        Nor may its NetworkPolicies stay: their rules name each pod that is known, and simulated ones are not.
        """
        name, namespace = OPERATOR
        self.stage.kubectl("delete", "networkpolicy", "--all", "-n", namespace)
        self.stage.kubectl("scale", "deployment", name, "-n", namespace, "--replicas=1")
        await until(self._is_alone, 120)

    async def _is_alone(self) -> bool:
        return len(self.stage.operators()) == 1

    async def _grow(self, api: aiohttp.ClientSession, size: int) -> list[Row]:
        """Declares what is missing, and waits until all of it is Ready."""
        new = range(self.size, size)
        if not new:
            return []
        before, began = requests(self.stage), time.monotonic()
        credentials, ca = self._storage()
        await _post(api, (one for number in new for one in self._whole(number, credentials, ca)))
        self.size = size
        await until(lambda: _all_ready(api, size), PATIENCE)
        took, made = time.monotonic() - began, requests(self.stage)
        each = (made.all - before.all) / len(new)
        among = f"{size:,} Registries"
        return [
            Row(f"{among}: from {new.start} to all Ready", "s", took, float("inf"), f"{len(new)} new"),
            Row(f"{among}: requests to the API server for each new one", "", each, float("inf"), ""),
            Row(f"{among}: of these a second", "/s", (made.all - before.all) / took, float("inf"), ""),
        ]

    async def _looked_at(self, api: aiohttp.ClientSession) -> list[Row]:
        await until(lambda: _all_looked_at(api), PATIENCE)
        among = f"{self.size:,} Registries"
        rows = [median(f"{among}: operator after growing, resident", "MiB", [self._memory()], 300)]
        rows.append(await self._steady(among))
        rows.append(p99(f"{among}: change → status", "s", await self._changes(api), 2))
        rows += await self._restart(api, among)
        with real(self.stage):
            return [*rows, *await self._beside_faults(api, among)]

    async def _beside_faults(self, api: aiohttp.ClientSession, among: str) -> list[Row]:
        """Changes of others while one Registry, which has real pods, can do nothing."""
        credentials, ca = self._storage()
        wrong = dict.fromkeys(credentials, base64.b64encode(b"wrong").decode())
        faults = {
            "bucket is gone": [declared.registry(0, bucket="no-such-bucket")],
            "key pair is wrong": declared.storage(0, wrong, ca),
            "storage never answers": [declared.registry(0, endpoint=NOBODY)],
        }
        rows = []
        for fault, broken in faults.items():
            await _post(api, broken)
            await until(lambda: _broken(api), PATIENCE)
            changes = await self._changes(api)
            rows.append(p99(f"{among}: the same while another's {fault}", "s", changes, 2))
            await _post(api, [*declared.storage(0, credentials, ca), declared.registry(0)])
            await until(lambda: _ready(api, declared.registry(0)), PATIENCE)
        return rows

    def _whole(self, number: int, credentials: dict[str, str], ca: str) -> Iterator[Object]:
        yield from declared.account(number)
        yield from declared.storage(number, credentials, ca)
        yield declared.registry(number)
        yield from declared.access(number, self.pulling)

    def _token(self, number: int, one: int) -> Object:
        """As it is declared, but for its end."""
        return declared.token(number, one, self.pulling, expiresAfter=f"{next(self._ends)}m")

    def _storage(self) -> tuple[dict[str, str], str]:
        """The key pair, as in a Secret's data, and the CA of the bucket."""
        credentials = (self.stage.kubectl.get("secret", "harbour-s3", TENANT) or {})["data"]
        return credentials, (self.stage.kubectl.get("configmap", "s3-ca", TENANT) or {})["data"]["ca.crt"]

    async def _steady(self, among: str) -> Row:
        before = requests(self.stage)
        await asyncio.sleep(STEADY)
        made = requests(self.stage).since(before)
        what = f"{among}: requests to the API server, nothing changes"
        spread = f"in {STEADY:.0f} s {made.written or 'nothing'} written"
        return Row(what, "/s", made.all / STEADY, float("inf"), spread)

    async def _changes(self, api: aiohttp.ClientSession) -> list[float]:
        """Seconds from a change of a token's spec to the status that speaks of it, by tenants in turn."""
        took = []
        for change in range(CHANGES):
            number = 1 + change * (self.size - 1) // CHANGES
            wanted = self._token(number, change % declared.TOKENS)
            began = time.monotonic()
            generation = (await _patch(api, wanted))["metadata"]["generation"]
            slow = asyncio.create_task(_tell(api, wanted, declared.registry(number)))
            try:
                await until(partial(_judged, api, wanted, generation), 120)
            finally:
                slow.cancel()
            took.append(time.monotonic() - began)
        return took

    async def _restart(self, api: aiohttp.ClientSession, among: str) -> list[Row]:
        """How soon it works again, what it writes before anything changes, who waits after one more."""
        works = await self._killed(api)
        await asyncio.sleep(STEADY)
        made = requests(self.stage)
        return [
            Row(f"{among}: killed → a change is judged", "s", works, float("inf"), "1 round"),
            # Of the change itself: the policy, two statuses (on its way, in force) of two resources, Events.
            Row(
                f"{among}: writes after the restart",
                "",
                made.writes,
                7,
                f"in {STEADY:.0f} s, with one change: {made.written}",
            ),
            median(f"{among}: operator after the restart, resident", "MiB", [self._memory()], 300),
            await self._hurried(api, among),
        ]

    async def _hurried(self, api: aiohttp.ClientSession, among: str) -> Row:
        """Changes from the moment on in which the first one is judged: it still looks at all the others."""
        await self._killed(api)
        return p99(f"{among}: change → status, right after a kill", "s", await self._changes(api), 2)

    async def _killed(self, api: aiohttp.ClientSession) -> float:
        """Killed, not asked to stop. Returns the seconds until a change is judged."""
        (pod,) = self.stage.operators()
        self.stage.kill_inside(pod)
        began = time.monotonic()
        wanted = self._token(1, 1)
        generation = (await _patch(api, wanted))["metadata"]["generation"]
        await until(lambda: _judged(api, wanted, generation), 300)
        return time.monotonic() - began

    def _memory(self) -> float:
        return next(mib for pod, mib in resident(self.stage).items() if pod.startswith(f"{OPERATOR[0]}-"))


async def _post(api: aiohttp.ClientSession, objects: Iterable[Object]) -> None:
    """A tenant's objects one after the other, several tenants at a time."""
    waiting = iter(objects)

    async def post() -> None:
        for one in waiting:
            await _patch(api, one)

    await asyncio.gather(*(post() for _ in range(AT_ONCE)))


async def _patch(api: aiohttp.ClientSession, obj: Object) -> Object:
    """Server-side apply."""
    headers = {"Content-Type": "application/apply-patch+yaml"}
    query = {"fieldManager": "fleet", "force": "true"}
    for _ in range(100):  # an object may come before its namespace
        async with api.patch(_path(obj), json=obj, headers=headers, params=query) as answer:
            if answer.status != 404:
                answer.raise_for_status()
                found: Object = await answer.json()
                return found
        await asyncio.sleep(0.1)
    raise TimeoutError(_path(obj))


def _path(obj: Object) -> str:
    kind, metadata = obj["kind"], obj["metadata"]
    if kind == "Namespace" and obj["apiVersion"] == "v1":
        return f"/api/v1/namespaces/{metadata['name']}"
    plural = PLURALS.get(kind, f"{kind.lower()}s")
    root = f"{ROOTS[kind]}/namespaces" if kind in ROOTS else GROUP
    return f"{root}/{metadata['namespace']}/{plural}/{metadata['name']}"


async def _all_ready(api: aiohttp.ClientSession, size: int) -> bool:
    await asyncio.sleep(3)
    found = {}
    wanted = {
        "registries": size,
        "namespaces": size * declared.NAMESPACES,
        "accesstokens": size * declared.TOKENS,
    }
    for plural in wanted:
        async with api.get(
            f"/apis/roadstead.dev/v1alpha1/{plural}", params={"resourceVersion": "0"}
        ) as answer:
            items = (await answer.json())["items"]
        mine = [one for one in items if one["metadata"]["namespace"].startswith("fleet-")]
        found[plural] = sum(1 for one in mine if _is(one, "Ready", one["metadata"]["generation"]))
    print(f"ready: {found}", file=sys.stderr, flush=True)
    return found == wanted


async def _all_looked_at(api: aiohttp.ClientSession) -> bool:
    """Whether the pods of the cluster were looked through since the last Registry came; InUse says so."""
    await asyncio.sleep(5)
    async with api.get("/apis/roadstead.dev/v1alpha1/registries", params={"resourceVersion": "0"}) as answer:
        items = (await answer.json())["items"]
    said = ({found["type"]: found["status"] for found in one["status"]["conditions"]} for one in items)
    return all(found.get("InUse", "Unknown") != "Unknown" for found in said)


async def _broken(api: aiohttp.ClientSession) -> bool:
    """Whether the fault has reached the Registry: a spec that changed is no fault yet."""
    await asyncio.sleep(1)
    found = await _get(api, declared.registry(0))
    return _is(found, "StorageReady", found["metadata"]["generation"], "False")


async def _ready(api: aiohttp.ClientSession, wanted: Object) -> bool:
    await asyncio.sleep(1)
    found = await _get(api, wanted)
    return _is(found, "Ready", found["metadata"]["generation"])


async def _judged(api: aiohttp.ClientSession, wanted: Object, generation: int) -> bool:
    return _is(await _get(api, wanted), "Ready", generation)


async def _tell(api: aiohttp.ClientSession, *awaited: Object) -> None:
    """Of a change that takes long, what is said meanwhile; with the time of day, by which logs are found."""
    while True:
        await asyncio.sleep(SLOW)
        for one in awaited:
            for said in (await _get(api, one)).get("status", {}).get("conditions", ()):
                if said["type"] in {"Ready", "PolicyPropagated"}:
                    when = datetime.now(UTC).isoformat(timespec="milliseconds")
                    print(f"{when} {_path(one)} {said}", file=sys.stderr, flush=True)


async def _get(api: aiohttp.ClientSession, wanted: Object) -> Object:
    async with api.get(_path(wanted)) as answer:
        found: Object = await answer.json()
        return found


def _is(one: Object, condition: str, generation: int, status: str = "True") -> bool:
    return any(
        (found["type"], found["status"], found["observedGeneration"]) == (condition, status, generation)
        for found in one.get("status", {}).get("conditions", ())
    )


if __name__ == "__main__":
    sys.exit(main())

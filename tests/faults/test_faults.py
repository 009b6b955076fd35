"""Parts of the platform die under a steady load of pushes and pulls."""

from __future__ import annotations

import asyncio
import time

import pytest

from quickstart.story import NAMESPACE, REGISTRY, TENANT
from tests.e2e.load import Load
from tests.e2e.platform import Platform

pytestmark = pytest.mark.cluster
ZONES = {"zone-a", "zone-b", "zone-c"}


async def test_a_replica_killed_in_the_middle_loses_nothing(platform: Platform) -> None:
    """Every push that was acknowledged is read back; new connections find another replica."""
    load = Load(platform.client(), f"{NAMESPACE}/killed")
    async with load.steady():
        await asyncio.sleep(3)
        await asyncio.to_thread(platform.delete_at_once, platform.replicas()[0])
        gone = time.monotonic()
        await asyncio.sleep(8)
    print(f"replica killed: {load.summary()}")
    assert len(load.acknowledged) > 10
    assert load.failures_begun_after(gone + 3) == []
    assert await load.lost() == []
    platform.kubectl.until_ready("reg", REGISTRY, TENANT)


async def test_a_process_killed_in_the_middle_loses_nothing(platform: Platform) -> None:
    """kill -9 of the registry inside its pod: the container starts again, nothing acknowledged is lost."""
    victim = platform.replicas()[0]
    load = Load(platform.client(), f"{NAMESPACE}/crashed")
    async with load.steady():
        await asyncio.sleep(3)
        await asyncio.to_thread(platform.kill_inside, victim)
        gone = time.monotonic()
        await asyncio.sleep(12)
    print(f"process killed: {load.summary()}")
    assert len(load.acknowledged) > 10
    assert load.failures_begun_after(gone + 6) == []
    assert await load.lost() == []
    found = platform.kubectl.get("pod", victim["metadata"]["name"], TENANT)
    assert found
    assert found["status"]["containerStatuses"][0]["restartCount"] == 1


async def test_a_rollout_under_load_fails_no_request(platform: Platform) -> None:
    """Every replica is replaced one after another, drained, and no client notices."""
    load = Load(platform.client(), f"{NAMESPACE}/rolled")
    async with load.steady():
        await asyncio.sleep(1)
        await asyncio.to_thread(
            platform.kubectl, "rollout", "restart", f"deployment/{REGISTRY}", "-n", TENANT
        )
        await asyncio.to_thread(platform.kubectl.until_rolled_out, [REGISTRY], TENANT, 240)
    print(f"rollout: {load.summary()}")
    assert load.failures == []
    assert await load.lost() == []
    platform.kubectl.until_ready("reg", REGISTRY, TENANT)


async def test_a_zone_is_cut_and_heals(platform: Platform) -> None:
    """Once the endpoints have dropped no new connection fails, no push is lost, and the status is true."""
    storage = platform.zone_of("app.kubernetes.io/name=s3", "s3-system")
    operator = platform.zone_of_leader()
    zone = min(ZONES - {storage, operator})
    load = Load(platform.client(timeout=8), f"{NAMESPACE}/cut", workers=6)
    async with load.steady():
        await asyncio.sleep(3)
        platform.cluster.cut(zone)
        cut = time.monotonic()
        await asyncio.to_thread(platform.until_condition, "reg", REGISTRY, TENANT, ZoneRedundant="False")
        dropped = time.monotonic()
        await asyncio.sleep(8)
    try:
        print(f"zone cut: endpoints dropped after {dropped - cut:.1f} s; {load.summary()}")
        assert load.failures_begun_after(dropped + 1) == []
        assert zone in platform.condition("reg", REGISTRY, TENANT, "ZoneRedundant")["message"]
        assert await load.lost() == []
    finally:
        await asyncio.to_thread(heal, platform, zone)


async def test_the_operators_zone_is_cut(platform: Platform) -> None:
    """The leader is lost with its zone: replicas go on serving, and the other one says what is true."""
    zone = platform.zone_of_leader()
    if zone == platform.zone_of("app.kubernetes.io/name=s3", "s3-system"):
        zone = await asyncio.to_thread(platform.move_operator, min(ZONES - {zone}))
    platform.cluster.cut(zone)
    try:
        await asyncio.sleep(20)
        load = Load(platform.client(), f"{NAMESPACE}/orphaned")
        async with load.steady():
            await asyncio.to_thread(
                platform.until_condition, "reg", REGISTRY, TENANT, seconds=120, ZoneRedundant="False"
            )
        print(f"operator's zone cut: {load.summary()}")
        assert load.failures == []
        assert zone in platform.condition("reg", REGISTRY, TENANT, "ZoneRedundant")["message"]
    finally:
        await asyncio.to_thread(heal, platform, zone)


def heal(platform: Platform, zone: str) -> None:
    """Joins the zone again; returns when all is as it was, so that the next test finds a whole platform."""
    platform.cluster.heal(zone)
    whole = {"ZoneRedundant": "True", "Ready": "True", "PolicyPropagated": "True"}
    platform.until_condition("reg", REGISTRY, TENANT, seconds=120, **whole)


async def test_the_api_server_is_away_for_a_minute(platform: Platform) -> None:
    """Pulls and pushes go on without the Kubernetes API, and what was asked meanwhile is done after it."""
    load = Load(platform.client(), f"{NAMESPACE}/apart")
    async with load.steady():
        platform.cluster.stop_apiserver()
        try:
            await asyncio.sleep(60)
        finally:
            platform.cluster.start_apiserver()
        await asyncio.sleep(5)
    print(f"API server away: {load.summary()}")
    assert len(load.acknowledged) > 100
    assert load.failures == []
    assert await load.lost() == []
    await asyncio.to_thread(platform.kubectl.apply, platform.token("after-the-outage"))
    await platform.until_everywhere(
        await asyncio.to_thread(platform.issued, "after-the-outage"), 200, seconds=30
    )
    await asyncio.to_thread(platform.kubectl, "delete", "at", "after-the-outage", "-n", TENANT)

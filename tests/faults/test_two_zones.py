"""Two of three zones are lost: what is left serves, and what is said is true."""

from __future__ import annotations

import asyncio

import pytest

from quickstart.story import NAMESPACE, REGISTRY, TENANT
from tests.e2e.changing import ZONES, Changing
from tests.e2e.load import RETRYING, Load
from tests.e2e.platform import Platform

pytestmark = pytest.mark.cluster


async def test_two_zones_are_lost_and_pulls_go_on(platform: Platform) -> None:
    """From the third: who is there notices nothing, who retries loses nothing, the status names the zones."""
    registry = Changing(platform, REGISTRY, NAMESPACE)
    home = registry.home
    away = sorted(set(ZONES) - {home})
    await asyncio.to_thread(platform.move_operator, home)
    await asyncio.to_thread(registry.until_near, home)
    load = Load(platform.client(timeout=8), f"{NAMESPACE}/two", workers=3, patience=RETRYING)
    async with load.steady():
        await asyncio.sleep(2)
        with registry.lost(*away):
            assert await asyncio.to_thread(registry.knock, home, 20) == 20
            await asyncio.to_thread(until_alone, registry, home)
            said = {one["type"]: one["message"] for one in registry.status["conditions"]}
            pulls = load.pulls
            async with asyncio.timeout(60):
                while load.pulls < pulls + 3:
                    await asyncio.sleep(0.1)
    print(f"two zones lost: {load.summary()}")
    assert load.failures == []
    assert said["ZoneRedundant"] == f"1 of 3 zones serve: {', '.join(away)} have none"
    assert said["Available"] == "pulls and pushes are served"
    assert said["Ready"].startswith("1 of 3 replicas serve")
    whole = {"ZoneRedundant": "True", "Ready": "True", "PolicyPropagated": "True"}
    await asyncio.to_thread(platform.until_condition, "reg", REGISTRY, TENANT, seconds=120, **whole)
    assert await load.lost() == []


def until_alone(registry: Changing, zone: str) -> None:
    """Until the status says that only this zone serves."""
    kubectl = registry.platform.kubectl
    kubectl.until(f"{zone} alone", lambda: {z for z, n in registry.status["zones"].items() if n} == {zone})

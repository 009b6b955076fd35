"""Whose request goes first."""

import asyncio

from aiohttp import web
from registry_operator.cluster import Cluster, Scope
from registry_operator.cluster.api import LISTS, REQUESTS
from registry_operator.cluster.resources import CONFIG_MAPS, LEASES, SECRETS

from tests.unit.operator.scripted import ScriptedApi, scripted


async def test_neither_a_write_nor_the_lease_waits_for_a_thousand_lists() -> None:
    """A start has a list for each namespace: an operator whose Lease waited for them would lose it."""
    api, go = ScriptedApi(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        await go.wait()
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": []})

    async def there(_: web.Request) -> web.Response:
        return web.json_response({"metadata": {"name": "one"}})

    api.on(LEASES.path("roadstead-system", "operator"), there)
    api.on(CONFIG_MAPS.path("shop", "one"), there)
    api.on(CONFIG_MAPS.path("shop", "slow"), slow)
    async with scripted(api) as cluster:
        for number in range(5 * LISTS):
            api.on(SECRETS.path(f"tenant-{number}"), slow)
        lists = [asyncio.create_task(_listed(cluster, f"tenant-{number}")) for number in range(5 * LISTS)]
        async with asyncio.timeout(10):
            assert await cluster.get(CONFIG_MAPS, "shop", "one")
        assert len(api.asked) == LISTS + 1, "the other lists wait"

        gets = [asyncio.create_task(cluster.get(CONFIG_MAPS, "shop", "slow")) for _ in range(REQUESTS)]
        async with asyncio.timeout(10):
            assert await cluster.get(LEASES, "roadstead-system", "operator")
        go.set()
        await asyncio.gather(*lists, *gets)


async def _listed(cluster: Cluster, namespace: str) -> None:
    async for _ in cluster.pages(SECRETS, Scope(namespace)):
        pass

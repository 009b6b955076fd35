"""How soon a change of a Secret is noticed, with a hundred namespaces that consented."""

from __future__ import annotations

import base64
import time

import aiohttp

from benchmarks.api import kubernetes, until
from benchmarks.table import Row, p99
from quickstart.kubectl import Object
from quickstart.story import REGISTRY, TENANT
from tests.e2e.platform import Platform, consent

NAMESPACES = 100


async def noticed(stage: Platform) -> list[Row]:
    """In each namespace the password Secret of an AccessToken is broken: until it is whole again."""
    names = [f"bench-{number}" for number in range(NAMESPACES)]
    with stage.open_to_all():
        for name in names:
            stage.kubectl.apply(*tenant(stage, name))
        for name in names:
            stage.kubectl.until_ready("at", "robot", name, 120)
        async with kubernetes(stage) as api:
            took = [await _broken_and_mended(api, name) for name in names]
        stage.kubectl("delete", "namespace", "--timeout=300s", *names)
    return [p99(f"Secret changed → noticed and mended, {NAMESPACES} namespaces", "s", took, 5)]


def tenant(stage: Platform, name: str) -> list[Object]:
    """A Kubernetes namespace that consented, with an AccessToken of the sample registry."""
    token = stage.token("robot", name, registryRefs=[{"name": REGISTRY, "namespace": TENANT}])
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    return [namespace, consent(name), token]


async def _broken_and_mended(api: aiohttp.ClientSession, namespace: str) -> float:
    path = f"/api/v1/namespaces/{namespace}/secrets/robot"
    async with api.get(path) as answer:
        whole = (await answer.json())["data"]["username"]
    broken = {"data": {"username": base64.b64encode(b"broken").decode()}}
    kind = {"Content-Type": "application/merge-patch+json"}
    begun = time.monotonic()
    async with api.patch(path, json=broken, headers=kind) as answer:
        answer.raise_for_status()

    async def mended() -> bool:
        async with api.get(path) as answer:
            return bool((await answer.json())["data"]["username"] == whole)

    await until(mended)
    return time.monotonic() - begun

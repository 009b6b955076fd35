"""Which pods run images of which Registry, found without keeping them."""

from __future__ import annotations

from typing import Any

import pytest
from registry_operator import seen
from registry_operator.cache import Cache
from registry_operator.cluster.api import PAGE
from registry_operator.cluster.resources import PODS
from registry_operator.models import Key
from registry_operator.observed import Running
from registry_operator.queue import Kind, Work
from registry_operator.reconcile import running
from registry_operator.reconcile.running import Look

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, context, listing, scripted

HARBOUR = Key("harbour", "harbour")
OTHER = Work(Kind.REGISTRY, "other", "other")


def pod(name: str, image: str, namespace: str = "harbour") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"containers": [{"image": image}]}}


def test_every_place_of_an_image_counts() -> None:
    """Containers of each kind and volumes of images; ports and Docker Hub's short names do not confuse it."""
    spec = {
        "containers": [{"image": "one.test/app"}, {"image": "busybox"}, {"image": "Two.test:5000/app:1"}],
        "initContainers": [{"image": "three.test/app@sha256:00"}, {}],
        "ephemeralContainers": [{"image": "four.test/app"}],
        "volumes": [{"name": "v", "image": {"reference": "five.test/app"}}, {"name": "w"}],
    }
    hosts = {"one.test", "two.test", "three.test", "four.test", "five.test"}
    assert seen.image_hosts({"spec": spec}) == hosts
    assert seen.image_hosts({}) == set()


async def test_pods_are_counted_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under each host name of a Registry; a change of the count is judged, the same count is no work."""
    monkeypatch.setattr(running, "PAUSE", 0)
    api, cache = ScriptedApi(), Cache()
    of = harbour.registry(status=harbour.ready(), exposure={"hosts": ["also.test"]})
    cache.see_registry(HARBOUR, of)
    pages = [
        listing(*(pod(f"web-{number}", "harbour.test/app") for number in range(4)), following="more"),
        listing(pod("other", "private.harbour.test/app", "guest"), pod("none", "elsewhere.test/app")),
    ]
    api.on(PODS.path(), *pages, *pages)
    async with scripted(api) as cluster:
        at = context(cluster, cache)
        look = Look(at)
        await look.look()
        assert cache.running == {HARBOUR: Running(5, ("web-0", "web-1", "web-2"))}
        assert at.queue.depth == 1
        at.queue.add(OTHER)
        assert await at.queue.take() == OTHER, "a count is nothing that anybody waits for"
        at.queue.done(OTHER)
        at.queue.done(await at.queue.take())
        await look.look()
        assert at.queue.depth == 0
    queries = [query for _, _, query in api.asked]
    assert {query["limit"] for query in queries} == {str(PAGE)}
    assert all("status.phase!=Succeeded" in query["fieldSelector"] for query in queries)


async def test_nobody_asks_for_pods_where_there_is_no_registry() -> None:
    """And what went during the look is not kept."""
    api, cache = ScriptedApi(), Cache()
    async with scripted(api) as cluster:
        await Look(context(cluster, cache)).look()
    assert api.asked == []
    assert cache.see_running({HARBOUR: Running(1)}) == set()
    cache.see_registry(HARBOUR, harbour.registry())
    assert cache.see_running({HARBOUR: Running(1)}) == {Work(Kind.REGISTRY, *HARBOUR)}
    cache.see_registry(HARBOUR, None)
    assert cache.running == {}

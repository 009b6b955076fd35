"""The number of replicas has another manager before ours gives it up."""

from __future__ import annotations

import pytest
from aiohttp import web
from registry_operator import seen
from registry_operator.cache import Cache
from registry_operator.cluster.resources import DEPLOYMENTS
from registry_operator.desired.registry import render
from registry_operator.errors import WriteConflict
from registry_operator.reconcile.apply import apply

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, context, scripted, status

RUNNING = 5
STORED = {"uid": "uid-1", "resourceVersion": "7"}


async def write(api: ScriptedApi) -> None:
    """Applies the Deployment of a Registry with an autoscaler, where one of an earlier spec runs."""
    before, after = harbour.registry(), harbour.registry(autoscaling={"maxReplicas": 12})
    (old,) = (one for one in render(harbour.observed(before), harbour.SETTINGS).children if is_it(one))
    (new,) = (one for one in render(harbour.observed(after), harbour.SETTINGS).children if is_it(one))
    old["spec"]["replicas"] = RUNNING
    old["metadata"] |= STORED
    async with scripted(api) as cluster:
        cache = Cache()
        cache.see_child("Deployment", before.key, seen.child(old))
        await apply(context(cluster, cache), after, new)


def is_it(child: harbour.Object) -> bool:
    return bool(child["kind"] == "Deployment")


async def test_what_runs_is_held_and_then_left() -> None:
    """The number alone, of this very object and without force; then all the rest, without it."""
    api = ScriptedApi()

    async def applied(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        return web.json_response({**body, "metadata": {**STORED, **body["metadata"]}})

    api.on(DEPLOYMENTS.path("harbour", "harbour"), applied)
    await write(api)
    hold, rest = api.bodies
    assert hold["spec"] == {"replicas": RUNNING}
    assert hold["metadata"] == {"name": "harbour", "namespace": "harbour", **STORED}
    assert "replicas" not in rest["spec"]
    asked = [(query["fieldManager"], query["force"]) for _, _, query in api.asked]
    assert asked == [("roadstead-handover", "false"), ("roadstead", "true")]


async def test_nothing_is_left_that_nobody_holds() -> None:
    """The autoscaler was quicker: a conflict, and our own manager goes on holding until the next try."""
    api = ScriptedApi()
    api.on(DEPLOYMENTS.path("harbour", "harbour"), status(409, "Conflict", "Apply failed with 1 conflict"))
    with pytest.raises(WriteConflict):
        await write(api)
    assert [body["spec"] for body in api.bodies] == [{"replicas": RUNNING}]

"""What is written is written over what was seen, and over nothing else."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aiohttp import web
from registry_operator import names, seen
from registry_operator.cache import Cache
from registry_operator.cluster.resources import CONFIG_MAPS, SECRETS
from registry_operator.concerns import Concerns
from registry_operator.desired.access_token import render
from registry_operator.errors import WriteConflict
from registry_operator.models import Key
from registry_operator.observed import Conflict, TokenObserved
from registry_operator.reconcile.apply import apply
from registry_operator.secrets import Secrets, read

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, context, plain, scripted, status
from tests.unit.operator.test_sweep import Nobody


async def test_a_late_request_changes_no_secret() -> None:
    """The API server is told which version of which object is meant; another one is a conflict."""
    token = harbour.token()
    (child,) = render(TokenObserved(token, harbour.NOW, kubernetes_namespaces=harbour.accounts()))
    metadata = {**child["metadata"], "uid": "uid-1", "resourceVersion": "41"}
    stored = {**child, "metadata": metadata, "data": {"password": "b2xk"}}
    asked: list[dict[str, Any]] = []

    async def conflict(request: web.Request) -> web.StreamResponse:
        asked.append(await request.json())
        return await status(409, "Conflict", "the object has been modified")(request)

    api = ScriptedApi()
    api.on(SECRETS.path(*token.secret), conflict)
    async with scripted(api) as cluster:
        cache = Cache()
        secrets = Secrets(cast("Any", None), Concerns(cache), Nobody())
        secrets.put(token.secret, read(stored))
        at = context(cluster, cache, secrets=secrets)
        with pytest.raises(WriteConflict):
            await apply(at, token, child)
    (body,) = asked
    assert (body["metadata"]["uid"], body["metadata"]["resourceVersion"]) == ("uid-1", "41")


@dataclass
class Store:
    """One ConfigMap under the API server's rule: an apply names what it is written over."""

    there: dict[str, Any] | None
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.method)
        if request.method == "GET":
            return web.json_response(self.there) if self.there else await status(404)(request)
        body = await request.json()
        meant = body["metadata"].get("uid"), body["metadata"]["resourceVersion"]
        now = (self.there["metadata"]["uid"], self.there["metadata"]["resourceVersion"]) if self.there else ()
        if meant != (now or (None, "1")):
            return await status(409, "Conflict")(request)
        own = {"uid": "made", "resourceVersion": "90"}
        self.there = {**body, "metadata": {**body["metadata"], **own}}
        return web.json_response(self.there)


def config_map(**changes: Any) -> dict[str, Any]:
    """A child of the Registry of the tests, or what somebody made of it."""
    registry = harbour.registry()
    metadata = {
        "name": "harbour-config",
        "namespace": "harbour",
        "labels": names.labels(registry, "config"),
        "annotations": {names.RENDERED: "new"},
        "ownerReferences": [{"uid": registry.meta.uid}],
    }
    metadata |= changes.pop("metadata", {})
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}
    return body | changes


SEEN = {"uid": "u", "resourceVersion": "41"}
RIGHT = config_map(metadata=SEEN)
OLD = config_map(metadata=SEEN | {"annotations": {names.RENDERED: "old"}}, data={"a": "0"})
BEFORE = OLD | {"metadata": OLD["metadata"] | {"resourceVersion": "40"}}
THEIRS = config_map(metadata=SEEN | {"labels": {}, "ownerReferences": []})


@pytest.mark.parametrize(
    ("there", "known", "asked"),
    [
        pytest.param(None, None, ["PATCH"], id="none"),
        pytest.param(OLD, OLD, ["PATCH"], id="as seen"),
        pytest.param(OLD, None, ["PATCH", "GET", "PATCH"], id="not seen"),
        pytest.param(OLD, BEFORE, ["PATCH", "GET", "PATCH"], id="changed since"),
        pytest.param(None, OLD, ["PATCH", "GET", "PATCH"], id="gone since"),
        pytest.param(RIGHT, BEFORE, ["PATCH", "GET"], id="right since"),
        pytest.param(RIGHT, RIGHT, [], id="right"),
        pytest.param(THEIRS, None, ["PATCH", "GET"], id="somebody else's"),
    ],
)
async def test_an_apply_is_over_what_was_seen(
    there: dict[str, Any] | None, known: dict[str, Any] | None, asked: list[str]
) -> None:
    """One request where that still is so; else it is looked at, and what is somebody else's stays."""
    api, cache, store = ScriptedApi(), Cache(), Store(deepcopy(there))
    key = Key("harbour", "harbour-config")
    api.on(CONFIG_MAPS.path(*key), store.answer)
    if known:
        cache.see_child("ConfigMap", key, seen.child(known))
    async with scripted(api) as cluster:
        found = await apply(context(cluster, cache), harbour.registry(), config_map())
    assert store.asked == asked
    assert store.there is not None
    if there is THEIRS:
        assert (found, store.there) == (Conflict("ConfigMap", key), THEIRS)
    else:
        assert (found, store.there["data"]) == (None, {"a": "1"})


async def test_what_changes_all_the_time_is_for_later() -> None:
    """Two conflicts are the end of this try: the queue has the next, and waits longer each time."""
    api = ScriptedApi()
    asked = CONFIG_MAPS.path("harbour", "harbour-config")
    api.on(asked, status(409, "Conflict"), plain(OLD), status(409, "Conflict"))
    async with scripted(api) as cluster:
        with pytest.raises(WriteConflict):
            await apply(context(cluster, Cache()), harbour.registry(), config_map())
    assert [method for method, _, _ in api.asked] == ["PATCH", "GET", "PATCH"]

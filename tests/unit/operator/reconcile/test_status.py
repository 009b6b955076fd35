"""A status on its way to the API server and back."""

import json

from aiohttp import web
from registry_operator.cache import Cache
from registry_operator.cluster.resources import ACCESS_TOKENS, REGISTRIES
from registry_operator.errors import InvalidResource
from registry_operator.models import AccessTokenStatus, Key
from registry_operator.names import CONTENT
from registry_operator.observed import Unreadable
from registry_operator.queue import Kind, Work
from registry_operator.reconcile import status

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, context, scripted


async def test_a_token_that_goes_while_its_status_is_written_stays_gone() -> None:
    """Its deletion is told before the write is answered: a ghost would keep its pull secrets in being."""
    api, cache, token = ScriptedApi(), Cache(), harbour.token()
    cache.see_token(token.key, token)

    async def answer(_: web.Request) -> web.StreamResponse:
        cache.see_token(token.key, None, token.meta.uid)
        spec = token.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        return web.json_response(
            {"metadata": harbour.metadata("deployer", resourceVersion="8"), "spec": spec}
        )

    api.on(f"{ACCESS_TOKENS.path(*token.key)}/status", answer)
    async with scripted(api) as cluster:
        at = context(cluster, cache)
        await status.write(at, token, AccessTokenStatus(id="0123456789abcdef"))
    assert [method for method, _, _ in api.asked] == ["PATCH"]
    assert not cache.tokens.objects


async def test_what_is_to_go_and_cannot_be_read_is_told_the_way_out() -> None:
    """Its finalizer of ours keeps it: a status says so; of what only others keep, nothing is said."""
    api, cache = ScriptedApi(), Cache()
    said: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        conditions = (await request.json())["status"]["conditions"]
        said.extend(one["message"] for one in conditions if one["type"] == "Ready")
        return web.json_response({})

    api.on(f"{REGISTRIES.path('harbour', 'odd')}/status", answer)
    work = Work(Kind.REGISTRY, "harbour", "odd")
    async with scripted(api) as cluster:
        at = context(cluster, cache)
        for finalizers in ((CONTENT, "example.com/other"), ("example.com/other",)):
            going = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": list(finalizers)}
            metadata = harbour.metadata("odd") | going
            raw = {"apiVersion": REGISTRIES.api_version, "kind": "Registry", "metadata": metadata}
            cache.see_unreadable(work, Unreadable(raw, InvalidResource("Registry harbour/odd", "spec: odd")))
            await status.unreadable(at, work)
    (message,) = said
    assert message.startswith("Registry harbour/odd: spec: odd; once it can be read again, its content is")
    command = message.splitlines()[-1]
    assert command.startswith("kubectl patch registries.roadstead.dev odd --namespace harbour ")
    assert json.loads(command.rpartition(" -p ")[2].strip("'")) == {"metadata": {"finalizers": None}}
    assert Key("harbour", "odd") not in cache.registries.objects

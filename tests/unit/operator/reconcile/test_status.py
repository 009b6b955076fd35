"""A status on its way to the API server and back."""

from aiohttp import web
from registry_operator.cache import Cache
from registry_operator.cluster.resources import ACCESS_TOKENS
from registry_operator.models import AccessTokenStatus
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

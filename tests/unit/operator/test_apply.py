"""What is written over a Secret is what was read of it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from aiohttp import web
from registry_operator.cache import Cache
from registry_operator.cluster.resources import SECRETS
from registry_operator.desired.access_token import render
from registry_operator.errors import WriteConflict
from registry_operator.observed import TokenObserved
from registry_operator.reconcile.apply import apply
from registry_operator.secrets import Secrets, read

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, context, scripted, status
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
        secrets = Secrets(cast("Any", None), cache, Nobody())
        secrets.put(token.secret, read(stored))
        at = context(cluster, cache, secrets=secrets)
        with pytest.raises(WriteConflict):
            await apply(at, token, child)
    (body,) = asked
    assert (body["metadata"]["uid"], body["metadata"]["resourceVersion"]) == ("uid-1", "41")

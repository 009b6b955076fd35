"""Who hears of what the operator itself wrote into a ServiceAccount."""

from __future__ import annotations

from typing import Any, cast

from registry_operator.cache import Cache
from registry_operator.cluster.resources import SERVICE_ACCOUNTS
from registry_operator.concerns import Concerns
from registry_operator.models import Key
from registry_operator.observed import KubernetesNamespace, PlacedEntry, ServiceAccount
from registry_operator.queue import Kind, Work
from registry_operator.reconcile import service_accounts
from registry_operator.secrets import Secrets

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, context, plain, scripted
from tests.unit.operator.test_sweep import Nobody

WEB = Key("app", "web")


async def test_who_lost_against_our_write_looks_again_at_once() -> None:
    """The watch tells it too, as no news: a token would wait for its next try, up to two minutes."""
    cache, api = Cache(), ScriptedApi()
    cache.see_account("app", KubernetesNamespace("app", "uid-app"))
    asking = harbour.token("asking", pullSecrets={"namespaces": ["app"], "serviceAccounts": ["web"]})
    cache.see_token(asking.key, asking)
    left = {"uid-gone": PlacedEntry("gone-pull", "AccessToken far/gone")}
    cache.see_service_account(WEB, ServiceAccount("5", ("gone-pull",), left, "uid-web"))
    written = {"namespace": "app", "name": "web", "uid": "uid-web", "resourceVersion": "6"}
    api.on(SERVICE_ACCOUNTS.path(*WEB), plain({"metadata": written}))
    async with scripted(api) as cluster:
        at = context(cluster, cache, secrets=Secrets(cast("Any", None), Concerns(cache), Nobody()))
        await service_accounts.forget(at, "uid-gone", [WEB])
        assert at.queue.awaits(Work(Kind.ACCESS_TOKEN, *asking.key))
    assert cache.see_service_account(WEB, cache.service_accounts.objects[WEB]) == set()

"""What becomes of an AccessToken's Secrets where something cannot be written."""

from __future__ import annotations

from typing import Any, NoReturn, cast

import pytest
from registry_operator import names
from registry_operator.cache import Cache
from registry_operator.cluster.resources import SECRETS
from registry_operator.concerns import Concerns
from registry_operator.errors import QuotaExceeded
from registry_operator.models import Key
from registry_operator.observed import KubernetesNamespace, SecretData
from registry_operator.reconcile import access_token
from registry_operator.secrets import Secrets

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, context, plain, scripted
from tests.unit.operator.test_sweep import Nobody


async def test_a_target_that_refuses_keeps_no_password_where_it_may_not_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One namespace has no room for a Secret; another is no target any more, and loses its own at once."""
    cache, api = Cache(), ScriptedApi()
    secrets = Secrets(cast("Any", None), Concerns(cache), Nobody())
    token = harbour.token(pullSecrets={"namespaces": ["full"]})
    left = Key("before", token.pull_secret_name)
    for namespace in ("harbour", "full", "before"):
        cache.see_account(namespace, KubernetesNamespace(namespace, f"uid-{namespace}"))
        secrets.listed(namespace, {}, "")
    cache.see_token(token.key, token)
    labels = {names.OWNER_UID: token.meta.uid}
    annotations = {names.OWNER: f"AccessToken {token.key}"}
    secrets.put(
        left, SecretData({}, uid="left", resource_version="5", labels=labels, annotations=annotations)
    )
    api.on(SECRETS.path(*left), plain({}))

    async def applied(*_: object) -> None:
        return

    async def refused(*_: object) -> NoReturn:
        raise QuotaExceeded("exceeded quota")

    monkeypatch.setattr(access_token, "apply", applied)
    monkeypatch.setattr(access_token, "apply_all", refused)
    secret, _ = harbour.password_secret(token)
    secrets.put(token.secret, secret)
    async with scripted(api) as cluster:
        with pytest.raises(QuotaExceeded):
            await access_token.reconcile(context(cluster, cache, secrets=secrets), token.key)
    assert [path for method, path, _ in api.asked if method == "DELETE"] == [SECRETS.path(*left)]

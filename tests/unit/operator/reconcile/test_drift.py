"""What another hand does to the Secrets of an AccessToken is told on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from aiohttp import web
from registry_operator.cache import Cache
from registry_operator.cluster import Cluster
from registry_operator.cluster.resources import SECRETS
from registry_operator.concerns import Concerns
from registry_operator.desired.access_token import render
from registry_operator.events import Note
from registry_operator.models import Key
from registry_operator.observed import SecretData, TokenObserved
from registry_operator.reconcile.apply import apply, remove
from registry_operator.secrets import Secrets

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, context, scripted
from tests.unit.operator.test_sweep import Nobody

PASSWORD, PULLS = Key("harbour", "deployer"), Key("shop", "deployer-pull")


class Told:
    """A recorder that remembers whose Events there were, and what they said."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []

    def record(self, about: Any, said: Iterable[Note]) -> None:
        self.notes += [(f"{about.KIND} {about.key}", note.note) for note in said]


class Changes(Nobody):
    """Tells the cache, as the watches do."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def secret(self, key: Key, before: SecretData | None, after: SecretData | None) -> None:
        self._cache.see_secret(key, before, after)


class Tenant:
    """A token with a pull secret in `shop`; its Secrets are as they were written last."""

    def __init__(self, cluster: Cluster) -> None:
        self.told = Told()
        cache = Cache()
        for name, account in harbour.accounts("shop").items():
            cache.see_account(name, account)
        self.secrets = Secrets(cast("Any", None), Concerns(cache), Changes(cache))
        self.at = context(cluster, cache, secrets=self.secrets, recorder=cast("Any", self.told))

    async def reconcile(self, now: datetime = harbour.NOW, hosts: tuple[str, ...] = (), **spec: Any) -> None:
        """What is wanted is applied."""
        token = harbour.token(pullSecrets={"namespaces": ["shop"]}, **spec)
        of = harbour.registry(exposure={"hosts": hosts})
        observed = TokenObserved(
            token,
            now,
            registries={of.key: of},
            kubernetes_namespaces=self.at.cache.accounts,
            secrets=self.secrets.view,
            consents=harbour.consents("shop"),
        )
        for child in render(observed):
            assert await apply(self.at, token, child) is None

    def edit(self, key: Key, name: str | None) -> None:
        """By another hand; None deletes the Secret."""
        there = self.secrets.view.found[key]
        edited = replace(there, values={**there.values, name: b"theirs"}) if name else None
        self.secrets.put(key, edited)


async def stored(request: web.Request) -> web.StreamResponse:
    """As the API server answers: an apply is stored, and `managedFields` say whose hand it was."""
    if request.method == "DELETE":
        return web.json_response({})
    if request.method == "GET":
        hand = {"manager": "thief", "fieldsV1": {"f:data": {"f:password": {}, "f:username": {}}}}
        return web.json_response({"metadata": {"managedFields": [hand]}})
    body = await request.json()
    return web.json_response(
        {**body, "metadata": {**body["metadata"], "uid": "made", "resourceVersion": "9"}}
    )


@pytest.fixture
def api() -> ScriptedApi:
    made = ScriptedApi()
    for key in (PASSWORD, PULLS):
        made.on(SECRETS.path(*key), stored)
    return made


@pytest.mark.parametrize(
    ("place", "name", "said"),
    [
        (PULLS, None, "Secret shop/deployer-pull was deleted by another hand; it was made again"),
        (
            PULLS,
            ".dockerconfigjson",
            "data['.dockerconfigjson'] was changed by another hand; it is as it was",
        ),
        (PASSWORD, None, "Secret harbour/deployer was deleted by another hand; another password was made"),
        (PASSWORD, "username", "data.username was changed by thief; it is as it was"),
        (PASSWORD, "password", "data.password was changed by thief; another password was made"),
    ],
)
async def test_what_another_hand_did_is_told_once(
    api: ScriptedApi, place: Key, name: str | None, said: str
) -> None:
    """In an Event of the token, without a value; what follows from it is no drift."""
    async with scripted(api) as cluster:
        tenant = Tenant(cluster)
        await tenant.reconcile()
        tenant.edit(place, name)
        for _ in range(2):
            await tenant.reconcile()
    ((whose, note),) = tenant.told.notes
    assert whose == "AccessToken harbour/deployer"
    assert note.endswith(said)
    assert "theirs" not in note


async def test_what_the_operator_took_away_was_no_other_hand(api: ScriptedApi) -> None:
    """A target that is left out and named again: its pull secret went, and nobody repairs anything."""
    async with scripted(api) as cluster:
        tenant = Tenant(cluster)
        await tenant.reconcile()
        await remove(tenant.at, "Secret", PULLS, harbour.token())
        assert PULLS not in tenant.secrets.view.found
        await tenant.reconcile()
    assert PULLS in tenant.secrets.view.found
    assert tenant.told.notes == []


async def test_what_is_wanted_anew_is_no_drift(api: ScriptedApi) -> None:
    """Another host, a rotation, and a namespace of the same name that is another one."""
    async with scripted(api) as cluster:
        tenant = Tenant(cluster)
        await tenant.reconcile()
        await tenant.reconcile(hosts=("more.test",))
        tenant.edit(PULLS, None)
        tenant.at.cache.see_account("shop", replace(harbour.accounts("shop")["shop"], uid="another"))
        await tenant.reconcile(hosts=("more.test",))
        before = tenant.secrets.view.found[PASSWORD].values["rotation.json"]
        late = harbour.NOW + timedelta(hours=2)
        await tenant.reconcile(late, hosts=("more.test",), rotation={"every": "1h"})
    assert tenant.secrets.view.found[PASSWORD].values["rotation.json"] != before
    assert tenant.told.notes == []

"""The policy of a Registry: when it is drafted and written, and when what was written is enough."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from aiohttp import web
from registry_operator import names, observed
from registry_operator.cache import Cache
from registry_operator.cluster.resources import CONFIG_MAPS, SECRETS
from registry_operator.concerns import Concerns
from registry_operator.models import Key, Registry
from registry_operator.observed import KubernetesNamespace, Propagation
from registry_operator.queue import Kind, Queue, Work
from registry_operator.reconcile import access
from registry_operator.reconcile.access import Access
from registry_operator.reconcile.context import Context
from registry_operator.secrets import Secrets

from registry_runtime.contract.policy import Policy
from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, Unasked, context, scripted, status
from tests.unit.operator.test_sweep import Nobody

REGISTRY = Key("harbour", "harbour")
POLICY = Work(Kind.POLICY, *REGISTRY)
OTHER = Work(Kind.REGISTRY, "other", "other")


@dataclass
class World:
    """A Registry with one token, and an API server that keeps what it is given."""

    at: Context
    access: Access
    stored: dict[str, Any] = field(default_factory=dict)
    writes: int = 0

    def apply_token(self, version: str, **spec: Any) -> None:
        """As a user does it; the queue has the work of it."""
        robot = harbour.token(meta={"resourceVersion": version, "generation": int(version)}, **spec)
        for work in self.at.cache.see_token(robot.key, robot):
            self.at.queue.add(work)

    async def keep(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            found = self.stored.get(request.path)
            return web.json_response(found) if found else await status(404, "NotFound")(request)
        self.writes += 1
        body = await request.json()
        own = {"uid": body["metadata"]["name"], "resourceVersion": str(self.writes)}
        body["metadata"] = {**body["metadata"], **own}
        path = request.path if request.method == "PATCH" else f"{request.path}/{body['metadata']['name']}"
        self.stored[path] = body
        return web.json_response(body)


@asynccontextmanager
async def world(registry: Registry) -> AsyncIterator[World]:
    api, cache = ScriptedApi(), Cache()
    queue = Queue(1, awaited=cache.awaits)
    secrets = Secrets(cast("Any", None), Concerns(cache), Nobody())
    async with scripted(api) as cluster:
        at = context(cluster, cache, secrets=secrets, queue=queue)
        found = World(at, Access(at))
        for key in names.policies(registry):
            api.on(SECRETS.path(*key), found.keep)
        api.on(SECRETS.path("harbour"), found.keep)
        api.on(CONFIG_MAPS.path(*names.claims(registry)), found.keep)
        cache.see_account("harbour", harbour.accounts()["harbour"])
        cache.see_registry(REGISTRY, registry)
        secrets.listed("harbour", {}, "")
        found.apply_token("1")
        secret, _ = harbour.password_secret(harbour.token())
        secrets.put(harbour.token().secret, secret)
        while queue.depth:
            queue.done(await queue.take())
        yield found


async def test_a_report_of_a_replica_drafts_no_policy() -> None:
    """What was written is what is judged by, as long as it is still there and nothing else is declared."""
    async with world(harbour.registry()) as found:
        first = await found.access.written(REGISTRY)
        assert first
        assert first.draft.policy.tokens
        assert found.writes == 1 + names.POLICY_SHARDS
        assert await found.access.written(REGISTRY) is first

        found.apply_token("2", suspended=True)
        second = await found.access.written(REGISTRY)
        assert second
        assert second.draft.revision != first.draft.revision
        assert found.writes == 1 + names.POLICY_SHARDS + 1
        assert found.at.queue.awaits(POLICY), "it is drafted again until the policy's own work is done"
        await found.access.reconcile(REGISTRY)


async def test_a_registry_that_was_not_looked_at_is_so_after_its_policy() -> None:
    """Whoever changed a token while no operator was there waits for what the replicas say of it."""
    async with world(harbour.registry()) as found:
        found.at.queue.add(OTHER, patient=True)
        await found.access.reconcile(REGISTRY)
        assert await found.at.queue.take() == Work(Kind.REGISTRY, *REGISTRY), "before what nobody waits for"
        found.at.queue.done(Work(Kind.REGISTRY, *REGISTRY))
        found.at.queue.done(await found.at.queue.take())

        found.at.cache.see_propagation(REGISTRY, Propagation.of(Policy(), "1", {}))
        found.apply_token("2", suspended=True)
        await found.access.reconcile(REGISTRY)
        assert not found.at.queue.awaits(Work(Kind.REGISTRY, *REGISTRY))


async def test_only_a_policy_that_becomes_another_is_awaited() -> None:
    """What an operator finds at its start is in force, mostly: a replica that lags behind says so itself."""
    async with world(harbour.registry()) as found:
        replicas = cast("Unasked", found.at.replicas)
        await found.access.reconcile(REGISTRY)
        assert replicas.attended == []
        found.apply_token("2", suspended=True)
        for _ in range(2):
            await found.access.reconcile(REGISTRY)
        assert replicas.attended == [REGISTRY]


async def test_of_small_registries_the_last_drafts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand of them would be 40 MiB; what was forgotten is drafted again, and is what it was."""
    monkeypatch.setattr(access, "SMALL_KEPT", 0)
    async with world(harbour.registry()) as found:
        first = await found.access.written(REGISTRY)
        again = await found.access.written(REGISTRY)
        assert first
        assert again
        assert again is not first
        assert again.draft.revision == first.draft.revision
        assert found.writes == 1 + names.POLICY_SHARDS, "nothing is written again"

        monkeypatch.setattr(observed, "SMALL", 0)
        large = await found.access.written(REGISTRY)
        assert await found.access.written(REGISTRY) is large


async def test_what_somebody_took_away_is_written_again() -> None:
    """A Secret that is gone, and one whose content is another; nobody had to declare anything."""
    async with world(harbour.registry()) as found:
        first = await found.access.written(REGISTRY)
        keys = names.policies(harbour.registry())
        found.at.secrets.remove(keys[0], "")
        second = await found.access.written(REGISTRY)
        assert second is not first
        assert await found.access.written(REGISTRY) is second

        there = found.at.secrets.view.found[keys[1]]
        found.at.secrets.put(keys[1], replace(there, values={"policy.json.gz": b"{}"}))
        assert await found.access.written(REGISTRY) is not second
        assert found.writes == 1 + names.POLICY_SHARDS + 2


async def test_an_encrypted_registry_goes_by_what_replicas_say() -> None:
    """Which key encrypts follows from their reports, and those are no change of access."""
    async with world(harbour.encrypted()) as found:
        first = await found.access.written(REGISTRY)
        assert first
        assert await found.access.written(REGISTRY) is not first


async def test_who_is_not_let_in_keeps_no_policy_from_being_written() -> None:
    """A stranger's token names the Registry, and the Secrets of his namespace cannot be read."""
    async with world(harbour.registry(allowedNamespaces={"from": "Same"})) as found:
        cache, stranger = found.at.cache, harbour.token(account="strange")
        cache.see_account("strange", KubernetesNamespace("strange", "uid-strange"))
        cache.see_token(stranger.key, stranger)
        assert stranger.key in cache.tokens.naming(REGISTRY)
        assert found.access.is_known(REGISTRY)
        cache.see_registry(REGISTRY, harbour.registry(allowedNamespaces={"from": "All"}))
        assert not found.access.is_known(REGISTRY)

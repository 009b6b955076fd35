"""What the controller makes of what it sees."""

import asyncio
from typing import Any

from registry_operator.cluster import Page
from registry_operator.cluster.resources import ACCESS_TOKENS
from registry_operator.controller import Controller
from registry_operator.metrics import Metrics
from registry_operator.models import Key
from registry_operator.queue import Kind, Pace, Work
from registry_operator.reconcile import status
from registry_operator.reconcile.access import Access
from registry_operator.reconcile.worker import Worker

from tests.unit.operator import harbour
from tests.unit.operator.scripted import ScriptedApi, credentials, listing, plain, scripted

ROBOT = Key("harbour", "deployer")


def stored(version: str, action: str, **meta: Any) -> dict[str, Any]:
    permissions = [{"repositories": ["pier-one/**"], "actions": [action]}]
    return {
        "apiVersion": "roadstead.dev/v1alpha1",
        "kind": "AccessToken",
        "metadata": harbour.metadata("deployer", resourceVersion=version, **meta),
        "spec": {"registryRefs": [{"name": "harbour"}], "permissions": permissions},
    }


async def test_what_cannot_be_read_keeps_its_last_good_version_and_says_so() -> None:
    """An action of a newer release: the token is not taken as deleted, and its condition names the field."""
    api = ScriptedApi()
    path = f"{ACCESS_TOKENS.path('harbour', 'deployer')}/status"
    api.on(path, plain({}))
    async with scripted(api) as cluster:
        at = Controller(cluster, credentials(api.url), harbour.SETTINGS, Metrics(), "test")
        async with at._replicas:
            at._see(ACCESS_TOKENS, stored("1", "pull"), False)
            at._see(ACCESS_TOKENS, stored("2", "levitate"), False)
            assert at._cache.tokens.versions() == {ROBOT: "1"}
            work = Work(Kind.ACCESS_TOKEN, *ROBOT)
            await status.unreadable(at._context, work)
            assert [asked for _, asked, _ in api.asked] == [path]
            at._see(ACCESS_TOKENS, stored("3", "push"), False)
            assert not at._cache.unreadable
            assert at._cache.tokens.versions() == {ROBOT: "3"}
            at._see(ACCESS_TOKENS, stored("4", "levitate"), False)
            at._see(ACCESS_TOKENS, stored("4", "levitate"), True)
            assert not at._cache.unreadable
            assert not at._cache.tokens.objects


async def test_a_new_token_renders_no_policy_that_cannot_know_it() -> None:
    """Its Secret does, when it is there; what was declared anew does at once."""
    api = ScriptedApi()
    async with scripted(api) as cluster:
        at = Controller(cluster, credentials(api.url), harbour.SETTINGS, Metrics(), "test")
        async with at._replicas:
            at._see(ACCESS_TOKENS, stored("1", "pull"), False)
            due = [await at._queue.take() for _ in range(at._queue.depth)]
            assert due == [Work(Kind.ACCESS_TOKEN, *ROBOT)]
            at._see(ACCESS_TOKENS, stored("2", "push", generation=2), False)
            due = [await at._queue.take() for _ in range(at._queue.depth)]
            assert due == [Work(Kind.POLICY, "harbour", "harbour")]  # and the token once more after this


async def test_a_list_tells_only_what_is_news() -> None:
    """By pages: what is known in this version is left out, before anything of it is read."""
    api = ScriptedApi()
    first = [stored("1", "pull") | {"metadata": harbour.metadata(name, resourceVersion="1")} for name in "ab"]
    changed = stored("2", "pull") | {"metadata": harbour.metadata("a", resourceVersion="2")}
    new = stored("3", "pull") | {"metadata": harbour.metadata("c", resourceVersion="3")}
    api.on(ACCESS_TOKENS.path(), listing(changed, first[1], following="more"), listing(new))
    async with scripted(api) as cluster:
        at = Controller(cluster, credentials(api.url), harbour.SETTINGS, Metrics(), "test")
        async with at._replicas:
            for one in first:
                at._see(ACCESS_TOKENS, one, False)
            found = await at._news(ACCESS_TOKENS)
            assert [one["metadata"]["name"] for one in found.items] == ["a", "c"]
            assert found.version == "10"
            at._see(ACCESS_TOKENS, first[1] | {"spec": "not looked at"}, False)
            assert not at._cache.unreadable


async def test_a_list_tells_what_went_while_nobody_watched() -> None:
    """kopf tells what a list has, and never what it has no longer; a successor of the name stays."""
    api = ScriptedApi()
    first = [stored("1", "pull") | {"metadata": harbour.metadata(name, resourceVersion="1")} for name in "ab"]
    anew = stored("9", "pull") | {"metadata": harbour.metadata("a", resourceVersion="9", uid="another")}
    api.on(ACCESS_TOKENS.path(), listing(anew))
    metrics = Metrics()
    async with scripted(api) as cluster:
        at = Controller(cluster, credentials(api.url), harbour.SETTINGS, metrics, "test")
        async with at._replicas:
            for one in first:
                at._see(ACCESS_TOKENS, one, False)
            assert await at._news(ACCESS_TOKENS) == Page([anew], "10")
            assert [key.name for key in at._cache.tokens.objects] == ["a"]
            assert metrics.healed.value("accesstokens") == 1
            assert at._queue.awaits(Work(Kind.ACCESS_TOKEN, "harbour", "b"))


async def test_the_first_list_is_what_was_read_at_the_start() -> None:
    """kopf watches from there: what changed since is told at once, not after another list of everything."""
    api = ScriptedApi()
    api.on(ACCESS_TOKENS.path(), listing(stored("1", "pull")))
    async with scripted(api) as cluster:
        at = Controller(cluster, credentials(api.url), harbour.SETTINGS, Metrics(), "test")
        async with at._replicas:
            at._primed = {ACCESS_TOKENS: "7"}
            assert await at._news(ACCESS_TOKENS) == Page([], "7")
            assert api.asked == []
            found = await at._news(ACCESS_TOKENS)
            assert [one["metadata"]["resourceVersion"] for one in found.items] == ["1"]


async def test_what_was_declared_while_nobody_was_there_comes_before_what_was() -> None:
    """All that was read is due; first of it whose status does not speak of it yet."""
    api = ScriptedApi()
    ready = {"status": harbour.ready()}
    async with scripted(api) as cluster:
        at = Controller(cluster, credentials(api.url), harbour.SETTINGS, Metrics(), "test")
        async with at._replicas:
            for name, status_ in (("a", ready), ("new", {}), ("b", ready)):
                meta = {"metadata": harbour.metadata(name, resourceVersion="1")}
                at._see(ACCESS_TOKENS, stored("1", "pull") | meta | status_, False)
            at._put_off()
            due = [await at._queue.take() for _ in range(at._queue.depth)]
            assert [one.name for one in due if one.kind is Kind.ACCESS_TOKEN] == ["new", "a", "b"]


async def test_what_a_replica_says_first_is_no_change_of_it() -> None:
    """After a start all of a fleet are heard for the first time: who changed something comes before them."""
    async with scripted(ScriptedApi()) as cluster:
        at = Controller(cluster, credentials("http://nowhere"), harbour.SETTINGS, Metrics(), "test")
        async with at._replicas:
            keys = [Key("harbour", name) for name in ("settled", "waiting", "other", "more")]
            for key in keys:
                said = {} if key.name == "waiting" else harbour.ready()
                at._cache.registries.put(key, harbour.registry(status=said))
                at._report(key, "pod-a", harbour.state("pod-a", "before"))
            assert [(await at._queue.take()).name for _ in keys] == ["waiting", "settled", "other", "more"]
            for key in keys:
                at._queue.done(Work(Kind.REGISTRY, *key))
            at._report(keys[0], "pod-b", harbour.state("pod-b", "before"))
            at._report(keys[2], "pod-a", harbour.state("pod-a", "after"))
            assert (await at._queue.take()).name == "other"


async def test_work_that_waits_for_nothing_lets_others_run() -> None:
    """Thousands of reconciles without a request must not keep the Lease from being renewed."""
    async with scripted(ScriptedApi()) as cluster:
        at = Controller(cluster, credentials("http://nowhere"), harbour.SETTINGS, Metrics(), "test")
        async with at._replicas:
            for number in range(300):
                at._queue.add(Work(Kind.NAMESPACE, "harbour", f"gone-{number}"))
            worker = Worker(at._context, Access(at._context), Metrics(), Pace())
            working = asyncio.create_task(worker.run())
            turns = 0
            while at._queue.depth:
                await asyncio.sleep(0)
                turns += 1
            working.cancel()
            assert turns >= 300

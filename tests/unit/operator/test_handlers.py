"""kopf under faults of the wire: each trap that the operator relies on having mended.

kopf's watches are the real ones; the API server is scripted.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import kopf
import pytest
from registry_operator import handlers
from registry_operator.cluster import Page, Resource, Scope
from registry_operator.cluster.resources import ACCESS_TOKENS
from registry_operator.handlers import WATCHED, Backoffs, Watchdog

from tests.unit.operator.scripted import (
    Answer,
    ScriptedApi,
    credentials,
    event,
    events,
    eventually,
    listing,
    obj,
    plain,
    scripted,
    status,
)

TOKENS = ACCESS_TOKENS.path()


@dataclass
class Seen:
    """What the operator was told."""

    objects: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    restarts: int = 0

    def see(self, _: Resource, found: dict[str, Any], gone: bool) -> None:
        name = found["metadata"]["name"]
        if gone:
            self.gone.append(name)
        else:
            self.objects[name] = found["metadata"]["resourceVersion"]

    def restarted(self) -> None:
        self.restarts += 1


def discovery(api: ScriptedApi) -> None:
    """What kopf asks for before it watches, and empty lists for all that this test is not about."""
    groups = {"groups": [group("roadstead.dev", "v1alpha1")]}
    own = [("registries", "Registry"), ("namespaces", "Namespace"), ("accesstokens", "AccessToken")]
    api.on("/api", plain({"versions": ["v1"]}))
    api.on("/api/v1", plain({"resources": [entry("namespaces", "Namespace", namespaced=False)]}))
    api.on("/apis", plain(groups))
    api.on("/apis/roadstead.dev/v1alpha1", plain({"resources": [entry(*one) for one in own]}))
    for resource in WATCHED:
        if resource is not ACCESS_TOKENS:
            api.on(resource.path(), listing())
            api.on(resource.path(), events(), watch=True)


def group(name: str, version: str) -> dict[str, Any]:
    return {"name": name, "versions": [{"version": version}], "preferredVersion": {"version": version}}


def entry(plural: str, kind: str, *, namespaced: bool = True) -> dict[str, Any]:
    verbs = ["list", "watch", "get", "patch"]
    return {
        "name": plural,
        "singularName": kind.lower(),
        "kind": kind,
        "namespaced": namespaced,
        "verbs": verbs,
    }


@asynccontextmanager
async def watching(api: ScriptedApi) -> AsyncIterator[tuple[Seen, Watchdog]]:
    discovery(api)
    seen = Seen()
    async with scripted(api) as cluster:

        async def news(resource: Resource) -> Page:
            """All that there is; what of it is known is the controller's to say."""
            (page,) = [page async for page in cluster.pages(resource, Scope())]
            return page

        watchdog = Watchdog(seen.see, news, credentials(api.url), seen.restarted)
        task = asyncio.create_task(watchdog.run())
        try:
            yield seen, watchdog
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(handlers, "LOOK", 0.02)
    monkeypatch.setattr(handlers, "GRACE", 1.0)
    monkeypatch.setattr(handlers, "FIRST_RETRY", 0.02)
    yield
    time.sleep(0.05)  # kopf's thread closes its last sockets


async def test_a_watch_that_ends_for_good_is_started_anew() -> None:
    """An ERROR event of 500 ends kopf's watch task; nobody else would notice (nolar/kopf#1276)."""
    api = ScriptedApi()
    error = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "message": "scripted"}}
    api.on(TOKENS, listing(obj("a", "1")))
    api.on(TOKENS, events(error), events(event("ADDED", obj("b", "12"))), watch=True)
    async with watching(api) as (seen, watchdog):
        await eventually(lambda: seen.objects == {"a": "1", "b": "12"}, 20)
        assert seen.restarts == 1
        await eventually(lambda: not watchdog.fault)


async def test_a_list_may_fail_for_minutes() -> None:
    """kopf's own backoffs end after eight tries, and the watch with them; these do not end."""
    api = ScriptedApi()
    api.on(TOKENS, *[status(500), status(429), status(403, "Forbidden")] * 2, listing(obj("a", "1")))
    api.on(TOKENS, events(), watch=True)
    async with watching(api) as (seen, _):
        await eventually(lambda: seen.objects == {"a": "1"}, 60)
        assert seen.restarts == 0
    waits = list(islice(Backoffs(), 100))
    assert len(waits) == 100
    assert 5 <= max(waits) <= 10
    again = Backoffs()
    assert len(list(islice(again, 5))) == len(list(islice(again, 5))) == 5  # re-iterable


async def test_a_version_that_is_too_old_leads_to_a_new_list() -> None:
    """410 is the one error that kopf survives by itself."""
    api = ScriptedApi()
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "scripted"}}
    api.on(TOKENS, listing(obj("a", "1")), listing(obj("a", "2")))
    api.on(TOKENS, events(gone), events(), watch=True)
    async with watching(api) as (seen, _):
        await eventually(lambda: seen.objects == {"a": "2"}, 20)
        assert seen.restarts == 0


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(status(410, "Gone"), id="410 at once"),
        pytest.param(status(429, "TooManyRequests", Retry_After="1"), id="429"),
        pytest.param(status(500), id="500"),
        pytest.param(events(hang=False), id="ends at once"),
        pytest.param(events(cut=True), id="cut in a line"),
        pytest.param(events(rest=b"<html>504 Gateway Time-out</html>\n", hang=False), id="no JSON"),
        pytest.param(events(), id="silent"),
    ],
)
async def test_a_watch_that_breaks_is_taken_up_again(broken: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By kopf itself or by the watchdog; what changed and what went meanwhile is told, and it is no storm."""
    chosen = handlers.settings

    def impatient() -> kopf.OperatorSettings:
        found = chosen()
        found.watching.inactivity_timeout = 0.5
        return found

    monkeypatch.setattr(handlers, "settings", impatient)
    api = ScriptedApi()
    api.on(TOKENS, listing(obj("a", "1")), listing(obj("a", "2")))
    api.on(TOKENS, broken, events(event("ADDED", obj("b", "12"))), watch=True)
    async with watching(api) as (seen, watchdog):
        await eventually(lambda: seen.objects.get("b") == "12", 30)
        await eventually(lambda: seen.objects.get("a") in {"1", "2"}, 30)
        await eventually(lambda: not watchdog.fault, 30)
    assert api.count(TOKENS) <= 12


async def test_kopf_writes_nothing() -> None:
    """No finalizer, no annotation, no event: not one request but GET."""
    api = ScriptedApi()
    api.on(TOKENS, listing(obj("a", "1")))
    api.on(TOKENS, events(event("MODIFIED", obj("a", "2")), event("DELETED", obj("a", "3"))), watch=True)
    async with watching(api) as (seen, _):
        await eventually(lambda: seen.gone == ["a"], 20)
        await asyncio.sleep(0.2)
    assert {method for method, _, _ in api.asked} == {"GET"}


async def test_a_resource_that_is_not_there_yet_is_found_later() -> None:
    """The operator may start before its CRDs: kopf would never look again, the watchdog starts it anew."""
    api = ScriptedApi()
    api.on(TOKENS, listing(obj("a", "1")))
    api.on(TOKENS, events(), watch=True)
    api.on("/apis/roadstead.dev/v1alpha1", status(404))
    async with watching(api) as (seen, watchdog):
        await eventually(lambda: "does not watch" in watchdog.fault, 20)
        await eventually(lambda: seen.objects == {"a": "1"}, 20)
        assert seen.restarts == 1


async def test_a_kopf_that_ends_by_itself_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loop is closed then: to stop it must not end the operator."""

    async def ends(**_: object) -> None:
        return

    monkeypatch.setattr("kopf.operator", ends)
    async with watching(ScriptedApi()) as (seen, _):
        await eventually(lambda: seen.restarts >= 2)

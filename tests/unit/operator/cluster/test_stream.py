"""List and watch, whatever the wire does."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from registry_operator.cluster import Scope, Stream
from registry_operator.cluster import api as api_module
from registry_operator.cluster import stream as module
from registry_operator.cluster.resources import SECRETS
from registry_operator.errors import ClusterError, NotFound, NotPermitted, Unavailable

from tests.unit.operator.scripted import (
    Answer,
    ScriptedApi,
    event,
    events,
    eventually,
    listing,
    obj,
    scripted,
    status,
)

PATH = "/api/v1/namespaces/shop/secrets"


class Heard:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}
        self.lists = 0
        self.errors: list[ClusterError] = []

    def listed(self, objects: Mapping[str, str], version: str) -> None:  # noqa: ARG002
        self.objects = dict(objects)
        self.lists += 1

    def changed(self, key: str, obj: str) -> None:
        self.objects[key] = obj

    def removed(self, key: str, version: str) -> None:  # noqa: ARG002
        self.objects.pop(key, None)

    def failed(self, error: ClusterError) -> None:
        self.errors.append(error)


def version(found: dict[str, Any]) -> str | None:
    """Keeps the version of what is not called `dull`."""
    metadata = found["metadata"]
    return None if metadata["name"] == "dull" else metadata["resourceVersion"]


@asynccontextmanager
async def following(api: ScriptedApi) -> AsyncIterator[Heard]:
    heard = Heard()
    async with scripted(api) as cluster:
        task = asyncio.create_task(Stream(cluster, SECRETS, heard, version, Scope("shop")).run())
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(module, "LAST_RETRY", 0.02)
    monkeypatch.setattr(module, "FORBIDDEN_RETRY", 0.02)


async def test_a_list_of_pages_then_changes() -> None:
    """All pages are one list; what is made, changed and removed after it is heard."""
    api = ScriptedApi()
    api.on(PATH, listing(obj("a", "1"), obj("b", "2"), following="next"), listing(obj("c", "3"), version="9"))
    api.on(
        PATH,
        events(
            event("MODIFIED", obj("a", "11")),
            event("DELETED", obj("b", "12")),
            event("ADDED", obj("d", "13")),
        ),
        watch=True,
    )
    async with following(api) as heard:
        await eventually(lambda: heard.objects == {"shop/a": "11", "shop/c": "3", "shop/d": "13"})
    watch = next(query for _, _, query in api.asked if "watch" in query)
    assert watch["resourceVersion"] == "9"
    assert watch["allowWatchBookmarks"] == "true"


async def test_what_is_of_no_interest_is_not_kept() -> None:
    """In the list and in events; what loses its interest is removed."""
    api = ScriptedApi()
    api.on(PATH, listing(obj("a", "1"), obj("dull", "2")))
    api.on(PATH, events(event("ADDED", obj("dull", "11")), event("ADDED", obj("b", "12"))), watch=True)
    async with following(api) as heard:
        await eventually(lambda: heard.objects == {"shop/a": "1", "shop/b": "12"})


async def test_what_came_last_does_not_wait_with_the_stream() -> None:
    """A thousand streams wait for hours: an object that stayed with each would be 30 KiB of it."""
    api, size = ScriptedApi(), 4 << 20
    api.on(PATH, listing())
    api.on(PATH, events(event("ADDED", obj("a", "11", data={"large": "x" * size}))), watch=True)
    tracemalloc.start()
    try:
        async with following(api) as heard:
            before, _ = tracemalloc.get_traced_memory()
            await eventually(lambda: heard.objects == {"shop/a": "11"})
            await eventually(lambda: tracemalloc.get_traced_memory()[0] - before < size / 4)
            assert tracemalloc.get_traced_memory()[1] - before > size, "it was in memory"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("code", [410, 500, 429])
async def test_an_error_event_leads_to_a_new_list(code: int) -> None:
    """Where kopf's watch ends for good on anything but 410, this one lists again; ghosts are gone by that."""
    api = ScriptedApi()
    api.on(PATH, listing(obj("a", "1"), obj("ghost", "2")), listing(obj("a", "3")))
    error = {"type": "ERROR", "object": {"kind": "Status", "code": code, "message": "scripted"}}
    api.on(PATH, events(error), events(event("ADDED", obj("b", "12"))), watch=True)
    async with following(api) as heard:
        await eventually(lambda: heard.objects == {"shop/a": "3", "shop/b": "12"})


BOOKMARK = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "77"}}}
ERROR = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "scripted"}}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(events(BOOKMARK, hang=False), id="ends"),
        pytest.param(events(BOOKMARK, cut=True), id="cut in a line"),
        pytest.param(events(BOOKMARK, hang=False, rest=b'{"type": "MODI'), id="ends in a line"),
        pytest.param(events(BOOKMARK, rest=b"<html>504 Gateway Time-out</html>\n"), id="no JSON"),
        pytest.param(events(BOOKMARK), id="silent"),
    ],
)
async def test_a_watch_that_breaks_goes_on_where_it_was(
    broken: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ended it, and where: nothing is heard twice or lost, and nothing is listed again."""
    monkeypatch.setattr(api_module, "QUIET_SECONDS", 0.2)
    api = ScriptedApi()
    api.on(PATH, listing(obj("a", "1")))
    api.on(PATH, broken, events(event("MODIFIED", obj("a", "78"))), watch=True)
    async with following(api) as heard:
        await eventually(lambda: heard.objects == {"shop/a": "78"})
    assert heard.lists == 1
    assert [query["resourceVersion"] for _, _, query in api.asked if "watch" in query][:2] == ["10", "77"]


async def test_a_version_that_is_too_old_leads_to_a_new_list() -> None:
    """At once as an answer, and between two pages: what was listed so far is forgotten."""
    api = ScriptedApi()
    pages = listing(obj("ghost", "1"), following="next"), status(410, "Expired")
    api.on(PATH, listing(obj("a", "1")), *pages, listing(obj("a", "2")))
    api.on(PATH, status(410, "Gone"), events(), watch=True)
    async with following(api) as heard:
        await eventually(lambda: heard.objects == {"shop/a": "2"})
    assert (heard.lists, api.count(PATH)) == (2, 4)


@pytest.mark.parametrize(
    ("answer", "lists"),
    [
        pytest.param(events(BOOKMARK, hang=False), 1, id="ends at once"),
        pytest.param(events(BOOKMARK, ERROR), 9, id="410 as an event"),
        pytest.param(status(410), 9, id="410 as an answer"),
        pytest.param(status(500), 1, id="500"),
    ],
)
async def test_what_always_fails_is_no_storm(
    answer: Answer, lists: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two seconds a handful of requests, also where each try hears something first."""
    monkeypatch.setattr(module, "FIRST_RETRY", 0.2)
    monkeypatch.setattr(module, "LAST_RETRY", 5.0)
    api = ScriptedApi()
    api.on(PATH, listing(obj("a", "1")))
    api.on(PATH, answer, watch=True)
    async with following(api):
        await asyncio.sleep(2)
    assert 2 <= api.count(PATH, watch=True) <= 9
    assert api.count(PATH) <= lists


async def test_who_is_sent_away_comes_back_when_it_was_told() -> None:
    """429 with Retry-After, as API priority and fairness answers: it counts, not the shorter wait of ours."""
    api, times = ScriptedApi(), []

    async def away(request: web.Request) -> web.StreamResponse:
        times.append(asyncio.get_running_loop().time())
        return await (status(429, Retry_After="1") if len(times) == 1 else listing())(request)

    api.on(PATH, away)
    api.on(PATH, events(), watch=True)
    async with following(api) as heard:
        await eventually(lambda: heard.lists == 1)
    assert times[1] - times[0] >= 1
    assert isinstance(heard.errors[0], Unavailable)


@pytest.mark.parametrize(("header", "seconds"), [("2", 2), ("", 0), ("99999999", 30), ("soon", 0), ("-1", 0)])
async def test_what_is_asked_for_is_bounded(header: str, seconds: float) -> None:
    """No answer keeps a stream away for longer than half a minute."""
    api = ScriptedApi()
    api.on(f"{PATH}/a", status(429, Retry_After=header))
    async with scripted(api) as cluster:
        with pytest.raises(Unavailable) as raised:
            await cluster.get(SECRETS, "shop", "a")
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize("code", [429, 500, 503])
async def test_a_list_that_fails_is_tried_for_ever(code: int) -> None:
    """Twenty failures in a row are no reason to stop."""
    api = ScriptedApi()
    api.on(PATH, *[status(code)] * 20, listing(obj("a", "1")))
    api.on(PATH, events(), watch=True)
    async with following(api) as heard:
        await eventually(lambda: heard.objects == {"shop/a": "1"})
    assert len(heard.errors) == 20
    assert all(isinstance(error, Unavailable) for error in heard.errors)


async def test_a_missing_right_is_told_and_the_right_is_noticed() -> None:
    """403 is no end: where a kopf watch would hang or die, the sink is told and the list is tried again."""
    api = ScriptedApi()
    api.on(PATH, status(403, "Forbidden", "no"), status(403, "Forbidden", "no"), listing(obj("a", "1")))
    api.on(PATH, events(), watch=True)
    async with following(api) as heard:
        await eventually(lambda: heard.lists == 1)
    error = heard.errors[0]
    assert isinstance(error, NotPermitted)
    assert error.namespace == "shop"


async def test_a_resource_that_does_not_exist_is_told_and_is_no_failure() -> None:
    """A CRD may be installed later: the list is tried again, and nobody counts it as a fault until then."""
    api = ScriptedApi()
    api.on(PATH, status(404, "NotFound"), status(404, "NotFound"), listing(obj("a", "1")))
    api.on(PATH, events(), watch=True)
    heard = Heard()
    async with scripted(api) as cluster:
        stream = Stream(cluster, SECRETS, heard, version, Scope("shop"))
        task = asyncio.create_task(stream.run())
        await eventually(lambda: heard.lists == 1)
        task.cancel()
    assert [type(error) for error in heard.errors[:2]] == [NotFound, NotFound]
    assert stream.restarts == 0


async def test_an_object_of_a_mebibyte_is_heard() -> None:
    """aiohttp's own line reader refuses lines over 128 KiB."""
    api = ScriptedApi()
    large = obj("large", "11", data={"value": "x" * 1_000_000})
    api.on(PATH, listing())
    api.on(PATH, events(event("ADDED", large), event("ADDED", obj("b", "12"))), watch=True)
    async with following(api) as heard:
        await eventually(lambda: heard.objects == {"shop/large": "11", "shop/b": "12"})


async def test_an_object_that_cannot_be_digested_silences_no_other() -> None:
    """A fault of ours in one event: the stream lists again and goes on."""
    api = ScriptedApi()
    broken = {"type": "ADDED", "object": {"metadata": {"name": "broken"}}}
    api.on(PATH, listing(obj("a", "1")), listing(obj("a", "2")))
    api.on(PATH, events(broken), events(event("ADDED", obj("b", "12"))), watch=True)
    async with following(api) as heard:
        await eventually(lambda: heard.objects == {"shop/a": "2", "shop/b": "12"})


async def test_what_cannot_be_digested_keeps_no_list_from_being_read() -> None:
    """Whoever may write an object with our labels must not freeze what is known of all others."""

    def keep(one: dict[str, Any]) -> str:
        return str(one["spec"]["what"])

    api, heard = ScriptedApi(), Heard()
    good = obj("a", "1") | {"spec": {"what": "good"}}
    api.on(PATH, listing(good, obj("broken", "2")))
    new = obj("b", "12") | {"spec": {"what": "new"}}
    api.on(PATH, events(event("MODIFIED", obj("a", "11")), event("ADDED", new)), watch=True)
    async with scripted(api) as cluster:
        task = asyncio.create_task(Stream(cluster, SECRETS, heard, keep, Scope("shop")).run())
        await eventually(lambda: heard.objects == {"shop/b": "new"})
        task.cancel()
    assert heard.lists == 1


async def test_a_sink_that_fails_when_told_of_an_error_ends_no_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exception out of `failed` is a fault as any other: the stream goes on after a pause."""

    def failed(_self: Heard, _: ClusterError) -> None:
        raise ValueError

    monkeypatch.setattr(Heard, "failed", failed)
    api = ScriptedApi()
    api.on(PATH, status(500), listing(obj("a", "1")))
    api.on(PATH, events(), watch=True)
    async with following(api) as heard:
        await eventually(lambda: heard.objects == {"shop/a": "1"})

"""A network that breaks and a storage that fails, before and after the effect: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import random
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.name import RepositoryName
from registry_runtime.content.range import Span
from registry_runtime.errors import StorageRefused, StorageUnavailable
from registry_runtime.storage.base import SMALL, Conflict, Missing, Place
from registry_runtime.storage.s3 import administration, pool, wire
from tests import s3_proxy
from tests.contract.test_s3 import registry_of
from tests.contract.test_storage import whole
from tests.images import body, pull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from registry_runtime.storage.base import Storage
    from tests.s3_proxy import Proxy

NAME = RepositoryName("team/app")


def once(method: str) -> Callable[[web.Request], bool]:
    """Yes to the first request with this method."""
    left = [method]

    def first(request: web.Request) -> bool:
        return request.method in left and left.pop() == method

    return first


async def test_a_busy_storage_is_asked_again(proxied: tuple[Proxy, Storage]) -> None:
    """503 now and then is nothing that a caller notices; 503 for ever is said."""
    proxy, storage = proxied
    proxy.instead = lambda _request: 503 if len(proxy.seen) % 2 else None
    for number in range(10):
        await storage.put(f"k/{number}", [b"x"], absent=True)
    assert len((await storage.list("k/")).entries) == 10
    proxy.instead = lambda _request: 503
    with pytest.raises(StorageUnavailable, match="SlowDown"):
        await storage.get("k/1")


async def test_retries_have_a_budget(proxied: tuple[Proxy, Storage]) -> None:
    """A storage that fails all the time is soon asked once for each call, and no more."""
    proxy, storage = proxied
    proxy.instead = lambda _request: 503
    storage._wire._budget.left = 3  # type: ignore[attr-defined]
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            await storage.get("k")
    assert len(proxy.seen) == 5 + 3


async def test_an_answer_that_is_lost_is_no_conflict(proxied: tuple[Proxy, Storage]) -> None:
    """The write took effect, its answer did not come, the retry meets its own work."""
    proxy, storage = proxied
    lost: set[str] = set()

    def lose(request: object) -> bool:
        first = request.method == "PUT" and proxy.seen[-1] not in lost  # type: ignore[attr-defined]
        lost.add(proxy.seen[-1])
        return first

    proxy.lose = lose
    etag = await storage.put("k/new", [b"unique 1"], absent=True)
    found = await storage.get("k/new")
    assert found is not None
    assert (found.content, found.etag) == (b"unique 1", etag)
    lost.clear()
    await storage.put("k/new", [b"unique 2"], match=etag)
    lost.clear()
    with pytest.raises(Conflict):
        await storage.put("k/new", [b"unique 3"], match=etag)


async def test_a_stream_that_breaks_goes_on_where_it_broke(proxied: tuple[Proxy, Storage]) -> None:
    """A read that is cut after some bytes, and again, still gives every byte once."""
    proxy, storage = proxied
    content = os.urandom(3_000_000)
    await storage.put("data/long", [content])
    proxy.truncate = lambda request: 900_000 if request.method == "GET" else None
    assert await whole(await storage.open("data/long")) == content
    assert await whole(await storage.open("data/long", Span(10, 2_000_000))) == content[10:2_000_001]
    proxy.truncate = lambda request: 0 if request.method == "GET" else None
    with pytest.raises(StorageUnavailable):
        await whole(await storage.open("data/long"))


async def test_a_push_survives_a_bad_network(proxied: tuple[Proxy, Storage]) -> None:
    """Every third request fails before or after its effect: the blob is there, whole, once."""
    proxy, storage = proxied
    proxy.instead = lambda _request: 503 if len(proxy.seen) % 3 == 0 else None
    proxy.lose = lambda _request: len(proxy.seen) % 5 == 0
    content = os.urandom(20_000_000)
    registry = registry_of(storage)
    upload = registry.uploads.start(NAME)
    await registry.uploads.append(NAME, upload.id, body(content))
    await registry.uploads.commit(NAME, upload.id, Digest.of(content))
    assert await pull(registry, NAME, Digest.of(content)) == content
    assert len((await storage.list("data/")).entries) == 1
    assert (await storage.list("uploads/")).entries == ()


@pytest.mark.parametrize("when", ["reset", "lose", "fail"])
async def test_a_write_on_a_condition_happens_once(proxied: tuple[Proxy, Storage], when: str) -> None:
    """The connection goes before the effect or after it, or a 500 comes: the writer is told the truth."""
    proxy, storage = proxied
    setattr(proxy, when, once("PUT"))
    etag = await storage.put("k", [b"mine 1"], absent=True)
    setattr(proxy, when, once("PUT"))
    etag = await storage.put("k", [b"mine 2"], match=etag)
    found = await storage.get("k")
    assert found is not None
    assert (found.content, found.etag) == (b"mine 2", etag)
    setattr(proxy, when, once("PUT"))
    with pytest.raises(Conflict):
        await storage.put("k", [b"another"], absent=True)
    assert proxy.seen.count(proxy.seen[0]) >= 6


@pytest.mark.parametrize("when", ["reset", "lose", "fail"])
async def test_parts_survive_it(proxied: tuple[Proxy, Storage], when: str) -> None:
    """Begun, written and completed with each first answer missing: one object, of the right parts."""
    proxy, storage = proxied
    block = os.urandom(SMALL)
    setattr(proxy, when, once("POST"))
    multipart = await storage.begin("data/x")
    setattr(proxy, when, once("PUT"))
    parts = [await storage.write(multipart, Place(1, 0, 1), [block])]
    parts.append(await storage.write(multipart, Place(2, SMALL, 1), [b"end"]))
    setattr(proxy, when, once("POST"))
    with suppress(Missing):  # it may be told that its own success has ended the upload
        await storage.complete(multipart, parts, fence=1)
    assert await whole(await storage.open("data/x")) == block + b"end"
    setattr(proxy, when, once("DELETE"))
    await storage.delete(["data/x"])
    assert await storage.size("data/x") is None


@pytest.mark.parametrize("code", ["InternalError", "SlowDown"])
async def test_a_success_with_an_error_in_it_is_none(proxied: tuple[Proxy, Storage], code: str) -> None:
    """S3 may say 200 to a completion and then that it failed: it is asked again, and else it is an error."""
    proxy, storage = proxied
    error = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    multipart = await storage.begin("data/x")
    part = await storage.write(multipart, Place(1, 0, 1), [b"all"])
    failed, proxy.instead = [0], lambda _request: None
    forward = proxy._forward

    async def without_effect(request: web.Request, content: bytes) -> object:
        if "uploadId" not in request.query or request.method != "POST" or failed[0] >= 2:
            return await forward(request, content)
        failed[0] += 1
        answer, _ = await forward(request.clone(method="HEAD"), b"")
        answer.status = 200
        return answer, error

    proxy._forward = without_effect  # type: ignore[method-assign, assignment]
    await storage.complete(multipart, [part], fence=1)
    assert failed == [2]
    assert await whole(await storage.open("data/x")) == b"all"


async def test_what_is_cut_short_is_read_again(proxied: tuple[Proxy, Storage]) -> None:
    """A record, a listing and what a batch of deletes answers: half of it is never taken for all."""
    proxy, storage = proxied
    keys = [f"k/{number}" for number in range(20)]
    await asyncio.gather(*(storage.put(key, [b"x" * 1000]) for key in keys))
    for cut in (300, 0):
        left = [2]

        def truncate(_request: web.Request, left: list[int] = left, cut: int = cut) -> int | None:
            left[0] -= 1
            return cut if left[0] >= 0 else None

        proxy.truncate = truncate
        found = await storage.get("k/1")
        assert found is not None
        assert found.content == b"x" * 1000
        left[0] = 2
        assert [entry.key for entry in (await storage.list("k/")).entries] == sorted(keys)
    proxy.truncate = lambda request: 10 if request.method == "POST" and len(proxy.seen) % 2 else None
    await storage.delete(keys)
    proxy.truncate = lambda _request: None
    assert (await storage.list("k/")).entries == ()


async def test_a_storage_that_falls_silent_is_not_waited_for(
    proxied: tuple[Proxy, Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a record, of a listing or of a stream: the next attempt gives it whole."""
    monkeypatch.setattr(pool, "STALLED_SECONDS", 0.3)
    monkeypatch.setattr(administration, "_STALLED", 0.3)
    proxy, storage = proxied
    content = os.urandom(2_000_000)
    await storage.put("data/x", [content])
    silent = [0]

    def half(_request: web.Request) -> int | None:
        silent[0] += 1
        return 100 if silent[0] % 2 else None

    proxy.stall, proxy.truncate = True, half
    found = await storage.get("data/x")
    assert found is not None
    assert found.content == content
    assert len((await storage.list("")).entries) == 1
    proxy.truncate = lambda _request: 700_000
    assert await whole(await storage.open("data/x")) == content
    proxy.truncate = lambda _request: 0
    with pytest.raises(StorageUnavailable):
        await storage.get("data/x")


async def test_an_answer_that_drips_is_given_up(
    proxied: tuple[Proxy, Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes now and then keep no small read alive beyond its time."""
    monkeypatch.setattr(wire, "_PATIENCE", 0.2)
    monkeypatch.setattr(wire, "_SLOWEST", float("inf"))
    proxy, storage = proxied
    await storage.put("k", [b"x"])
    proxy.stall, proxy.truncate = True, lambda _request: 0
    with pytest.raises(StorageUnavailable):
        await storage.get("k")


async def test_a_batch_that_is_done_in_part_is_finished(proxied: tuple[Proxy, Storage]) -> None:
    """Keys that could not be removed now are asked for again, alone; what may not be is an error."""
    proxy, storage = proxied
    keys = [f"d/{number}" for number in range(10)]
    code, times = "InternalError", [2]

    def alter(request: web.Request, content: bytes) -> bytes:
        if "delete" not in request.query or times[0] == 0:
            return content
        times[0] -= 1
        for number in (3, 4):
            failed = f"<Error><Key>d/{number}</Key><Code>{code}</Code></Error>".encode()
            content = re.sub(rb"<Deleted><Key>d/%d</Key>.*?</Deleted>" % number, failed, content)
        return content

    proxy.alter = alter
    await storage.delete(keys)
    batches = [re.findall(rb"<Key>([^<]*)</Key>", body) for body in proxy.bodies]
    assert batches == [[key.encode() for key in keys], [b"d/3", b"d/4"], [b"d/3", b"d/4"]]
    code, times[0] = "AccessDenied", 1
    with pytest.raises(StorageRefused, match="AccessDenied"):
        await storage.delete(keys)
    code, times[0] = "SlowDown", 99
    with pytest.raises(StorageUnavailable, match="SlowDown"):
        await storage.delete(keys)


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm(proxied: tuple[Proxy, Storage], seed: int) -> None:
    """Every fault at any request: a client that tries again gets everything in, and out, once each."""
    proxy, storage = proxied
    chance = random.Random(seed)
    proxy.instead = lambda _request: 503 if chance.random() < 0.06 else None
    proxy.reset = proxy.lose = proxy.fail = lambda _request: chance.random() < 0.04
    proxy.truncate = lambda _request: chance.choice([0, 90, 10_000]) if chance.random() < 0.06 else None
    blobs = [chance.randbytes(size) for size in (0, 1, 70_000, 9_000_000, 22_000_000)]

    async def push(content: bytes) -> None:
        await registry_of(storage).uploads.push(NAME, Digest.of(content), body(content), "me")

    async def check(content: bytes) -> None:
        assert await pull(registry_of(storage), NAME, Digest.of(content)) == content

    async def tried(action: Callable[[bytes], Awaitable[None]], content: bytes) -> None:
        for _ in range(30):
            with suppress(StorageUnavailable):
                await action(content)
                return
        raise AssertionError("a client gives up")

    await asyncio.gather(*(tried(push, content) for content in blobs + blobs))
    await asyncio.gather(*(tried(check, content) for content in blobs))
    proxy.instead = proxy.truncate = lambda _request: None
    proxy.reset = proxy.lose = proxy.fail = lambda _request: False
    await registry_of(storage).uploads.stale.run(datetime.now(UTC) + timedelta(days=2))
    assert len((await storage.list("data/")).entries) == 3  # two are so short that they lie in their pointers
    assert (await storage.list("uploads/")).entries == ()


async def test_what_is_no_s3_is_said(proxied: tuple[Proxy, Storage], monkeypatch: pytest.MonkeyPatch) -> None:
    """A success without its ETag, as something else than S3 answers, is an error and no crash."""
    _, storage = proxied
    await storage.put("k", [b"x"])
    monkeypatch.setattr(s3_proxy, "_ANSWERED", ("Last-Modified",))
    multipart = await storage.begin("data/x")
    for action in (
        storage.get("k"),
        storage.put("k", [b"y"]),
        storage.open("k"),
        storage.write(multipart, Place(1, 0, 1), [b"z"]),
    ):
        with pytest.raises(StorageUnavailable, match="without ETag"):
            await action
    monkeypatch.setattr(s3_proxy, "_ANSWERED", ("ETag",))
    with pytest.raises(StorageUnavailable, match="without Last-Modified"):
        await storage.get("k")

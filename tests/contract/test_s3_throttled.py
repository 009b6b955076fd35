"""A bucket that asks for fewer requests while much is deleted: nothing counts as gone that is there."""

from __future__ import annotations

import asyncio
import random
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.name import RepositoryName
from registry_runtime.contract.config import Collection
from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageError, StorageRefused, StorageUnavailable
from registry_runtime.metrics import Metrics
from registry_runtime.repository import Registry
from registry_runtime.repository.emptying import Emptying
from registry_runtime.storage import paths
from registry_runtime.storage.calls import Calls
from registry_runtime.storage.s3 import retries
from tests.contract.test_collection import LEAST, PASSES
from tests.images import MIXED, push_blobs

if TYPE_CHECKING:
    from aiohttp import web

    from registry_runtime.storage.base import Storage
    from tests.s3_proxy import Proxy

NAME = RepositoryName("team/app")
SLOW = "SlowDown"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pauses are remembered by their number, and are short; botocore's own too."""
    pauses: list[int] = []

    def short(attempt: int) -> float:
        pauses.append(attempt)
        return 0.001

    monkeypatch.setattr(retries, "delay", short)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.001)
    return pauses


async def keys(storage: Storage) -> set[str]:
    return {entry.key for entry in (await storage.list("")).entries}


async def filled(storage: Storage, count: int) -> list[str]:
    """Keys of small objects."""
    names = [f"k/{number:03}" for number in range(count)]
    await asyncio.gather(*(storage.put(name, [b"x"]) for name in names))
    return names


def batches(proxy: Proxy) -> list[set[str]]:
    """Keys of each batch that was asked for."""
    found = (re.findall(r"<Key>(.*?)</Key>", body.decode()) for body in proxy.bodies if b"<Delete" in body)
    return [set(one) for one in found]


async def test_a_whole_batch_that_is_refused_is_asked_for_again(proxied: tuple[Proxy, Storage]) -> None:
    """503 has no effect and a pause; for ever, it is an error that names every key as left."""
    proxy, storage = proxied
    names = await filled(storage, 8)
    refused = [3]

    def instead(request: web.Request) -> int | None:
        if "delete" in request.query and refused[0]:
            refused[0] -= 1
            return 503
        return None

    proxy.instead = instead
    await storage.delete(names[:4])
    assert await keys(storage) == set(names[4:])
    assert batches(proxy) == [set(names[:4])] * 4
    refused[0] = 99
    with pytest.raises(StorageUnavailable, match=SLOW) as raised:
        await storage.delete(names[4:])
    assert set(raised.value.left or ()) == set(names[4:]) == await keys(storage)


async def test_a_batch_that_shrinks_is_not_given_up(proxied: tuple[Proxy, Storage], hasty: list[int]) -> None:
    """However little goes each time; each key is asked for until it is gone, with pauses that grow."""
    proxy, storage = proxied
    names = await filled(storage, 30)
    proxy.spare = lambda key: SLOW if key != min(batches(proxy)[-1]) else ""  # one each time
    await storage.delete(names)
    assert await keys(storage) == set()
    assert batches(proxy) == [set(names[start:]) for start in range(len(names))]
    assert hasty[:5] == [1, 2, 3, 4, 4]


async def test_an_error_says_which_keys_are_left(proxied: tuple[Proxy, Storage], hasty: list[int]) -> None:
    """No more and no less; also where the storage says yes and no of the same key."""
    proxy, storage = proxied
    names = await filled(storage, 20)
    stuck = set(names[5:9])
    proxy.spare = lambda key: SLOW if key in stuck else ""
    with pytest.raises(StorageUnavailable, match=SLOW) as raised:
        await storage.delete(names)
    assert set(raised.value.left or ()) == stuck == await keys(storage)
    assert len(hasty) == retries.ATTEMPTS
    proxy.spare = lambda key: {names[5]: "AccessDenied", names[6]: SLOW}.get(key, "")
    with pytest.raises(StorageRefused, match="AccessDenied") as raised_again:
        await storage.delete(sorted(stuck))
    assert set(raised_again.value.left or ()) == set(names[5:7]) == await keys(storage)
    proxy.alter = lambda _request, content: content.replace(
        b"</DeleteResult>", b"<Deleted><Key>k/005</Key></Deleted></DeleteResult>"
    )
    with pytest.raises(StorageRefused) as contradicted:
        await storage.delete(sorted(stuck))
    assert set(contradicted.value.left or ()) == set(names[5:7])


async def test_a_key_that_nobody_asked_for_is_never_deleted(proxied: tuple[Proxy, Storage]) -> None:
    """Whatever an answer names: what is asked for again is of what was asked for."""
    proxy, storage = proxied
    *names, other = await filled(storage, 4)
    error = f"<Error><Key>{other}</Key><Code>InternalError</Code></Error></DeleteResult>".encode()
    proxy.alter = lambda _request, content: content.replace(b"</DeleteResult>", error)
    await storage.delete(names)
    assert await keys(storage) == {other}


async def test_throttling_within_a_success_is_counted(proxied: tuple[Proxy, Storage]) -> None:
    """As throttling, and what follows it as a retry: the alert on a slow bucket sees it."""
    proxy, storage = proxied
    names = await filled(storage, 4)
    metrics = Metrics()
    storage._administration._calls = Calls(metrics)  # type: ignore[attr-defined]
    left = [2]

    def spare(key: str) -> str:
        left[0] -= key == names[0]
        return SLOW if key == names[0] and left[0] >= 0 else ""

    proxy.spare = spare
    await storage.delete(names)
    assert metrics.s3_throttled.value("DeleteObjects") == 2
    assert metrics.s3_retries.value("DeleteObjects") == 2


@pytest.mark.parametrize("seed", range(3))
async def test_an_emptying_counts_what_is_gone_and_nothing_else(
    proxied: tuple[Proxy, Storage], seed: int
) -> None:
    """At each error, and at the end, whatever is refused in between: batches, keys, and one for long."""
    proxy, storage = proxied
    registry = Registry(storage, MIXED, lambda: datetime.now(UTC), "owner")
    assert (await registry.check()).reason is StorageReason.READY
    blobs = [f"layer {number} ".encode() * 20_000 for number in range(12)]
    await push_blobs(registry, NAME, *blobs)
    before = await keys(storage)
    chance, held = random.Random(seed), {min(key for key in before if key.startswith(paths.DATA))}
    proxy.instead = lambda request: 503 if "delete" in request.query and chance.random() < 0.3 else None
    proxy.spare = lambda key: "AccessDenied" if key in held else SLOW if chance.random() < 0.7 else ""
    emptying = Emptying(storage, "owner")
    for attempt in range(20):
        try:
            await emptying.run()
        except StorageError:
            assert not emptying.state.done
            assert emptying.state.objects == len(before - await keys(storage))
            assert paths.MARKER in await keys(storage)
        else:
            break
        if attempt == 3:
            held.clear()
    assert emptying.state.done
    assert await keys(storage) == set()
    assert emptying.state.objects == len(before)


async def test_a_collection_frees_nothing_that_is_there(proxied: tuple[Proxy, Storage]) -> None:
    """Data that cannot be deleted is on no receipt; when it can, it is on one, once."""
    proxy, storage = proxied
    now = Collection(grace_seconds=0)
    registry = Registry(storage, MIXED, lambda: datetime.now(UTC), "owner", collecting=now)
    assert (await registry.check()).reason is StorageReason.READY
    loose = [f"layer {number} ".encode() * 20_000 for number in range(4)]
    await push_blobs(registry, NAME, *loose)
    data = {key for key in await keys(storage) if key.startswith(paths.DATA)}
    proxy.spare = lambda key: SLOW if key == min(data) else ""
    proxy.instead = lambda request: 503 if request.method == "DELETE" and "/data/" in request.path else None
    freed = problems = 0
    for _ in range(PASSES):
        await asyncio.sleep(LEAST)
        receipt = await registry.collection.run()
        assert receipt is not None
        freed += receipt.freed
        problems += bool(receipt.problems)
        gone = len(data - await keys(storage))
        assert freed <= sum(sorted(map(len, loose))[-gone:] if gone else ())
        if problems == 2:
            proxy.spare, proxy.instead = lambda _key: "", lambda _request: None
        if freed:
            break
    assert problems == 2
    assert freed == sum(map(len, loose))
    assert not data & await keys(storage)

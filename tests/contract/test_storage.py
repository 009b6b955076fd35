"""The one suite that binds every driver of the storage."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.range import Span
from registry_runtime.storage.base import PAGE, SMALL, Conflict, Missing, Multipart, Part, Place
from registry_runtime.storage.probes import erases

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from registry_runtime.content.buffer import Chunks
    from registry_runtime.storage.base import Storage


async def whole(chunks: Chunks) -> bytes:
    return b"".join([bytes(chunk) async for chunk in chunks])


async def holds(action: Awaitable[object]) -> bool:
    """Whether a conditional write went through."""
    try:
        await action
    except Conflict:
        return False
    return True


async def test_an_object_is_read_as_it_was_written(storage: Storage) -> None:
    """Bytes, size and ETag of a small object, over and over; what is not there is None."""
    assert await storage.get("data/one") is None
    assert await storage.size("data/one") is None
    etag = await storage.put("data/one", [b"he", memoryview(b"llo")])
    found = await storage.get("data/one")
    assert found is not None
    assert (found.content, found.etag) == (b"hello", etag)
    assert await storage.size("data/one") == 5
    again = await storage.put("data/one", [b"other"])
    assert again != etag
    assert await whole(await storage.open("data/one")) == b"other"


async def test_an_empty_object_is_there(storage: Storage) -> None:
    """An object without a byte is no absent one: tombstones rest on it."""
    etag = await storage.put("tags/empty", [])
    found = await storage.get("tags/empty")
    assert found is not None
    assert (found.content, found.etag) == (b"", etag)
    assert [entry.size for entry in (await storage.list("tags/")).entries] == [0]
    assert await whole(await storage.open("tags/empty")) == b""


async def test_conditions_are_held(storage: Storage) -> None:
    """A write on a condition that is not true changes nothing."""
    first = await storage.put("p/x", [b"1"], absent=True)
    with pytest.raises(Conflict):
        await storage.put("p/x", [b"2"], absent=True)
    second = await storage.put("p/x", [b"2"], match=first)
    with pytest.raises(Conflict):
        await storage.put("p/x", [b"3"], match=first)
    with pytest.raises(Conflict):
        await storage.put("p/never", [b"3"], match=second)
    found = await storage.get("p/x")
    assert found is not None
    assert found.content == b"2"
    await storage.delete(["p/x"])
    with pytest.raises(Conflict):
        await storage.put("p/x", [b"4"], match=second)
    await storage.put("p/x", [b"5"], absent=True)


async def test_conditions_are_held_for_what_is_large(storage: Storage) -> None:
    """Whoever refuses it before all of it has come says so, and is not taken for somebody who is away."""
    content = bytes(SMALL - 1)
    await storage.put("p/large", [content])
    for number in range(20):
        with pytest.raises(Conflict):
            await storage.put("p/large", [content, b"%x" % (number % 16)], absent=True)
        with pytest.raises(Conflict):
            await storage.put("p/large", [content, b"%x" % (number % 16)], match='"another"')


@pytest.mark.parametrize("round_", range(5))
async def test_a_race_has_one_winner(storage: Storage, round_: int) -> None:
    """Of writers at once with the same condition exactly one goes through, and its bytes stay."""
    for condition in ("absent", "match"):
        found = await storage.get("p/raced")
        match = found.etag if found else None
        assert (match is None) == (condition == "absent")
        texts = [f"{condition} {number}".encode() for number in range(16)]
        won = await asyncio.gather(
            *(holds(storage.put("p/raced", [text], absent=match is None, match=match)) for text in texts)
        )
        found = await storage.get("p/raced")
        assert won.count(True) == 1
        assert found is not None
        assert found.content == texts[won.index(True)]


async def test_counting_by_compare_and_swap_loses_nothing(storage: Storage) -> None:
    """Eight writers that add one by If-Match, ten times each, make eighty."""
    await storage.put("p/count", [b"0"])

    async def add(writer: int) -> None:
        for step in range(10):
            while True:
                seen = await storage.get("p/count")
                assert seen is not None
                more = int(seen.content.split()[0]) + 1
                if await holds(storage.put("p/count", [b"%d %d %d" % (more, writer, step)], match=seen.etag)):
                    break

    await asyncio.gather(*(add(writer) for writer in range(8)))
    found = await storage.get("p/count")
    assert found is not None
    assert found.content.startswith(b"80 ")


async def test_listing_is_in_the_order_of_bytes(storage: Storage) -> None:
    """Pages by prefix and start are complete, in order, and say whether more follows."""
    names = ["A", "Z", "_", "a", "a-b", "a-b.c", "a.b", "a/b", "a/b/c", "a0", "aa", "b:c", "b!c", "é"]
    keys = [f"tags/{name}" for name in names if name not in {"a", "a/b"}]
    for key in [*keys, "tag", "tags0"]:
        await storage.put(key, [b"x"])
    expected = sorted(keys, key=str.encode)
    everything = await storage.list("tags/")
    assert [entry.key for entry in everything.entries] == expected
    assert not everything.more
    seen: list[str] = []
    while True:
        page = await storage.list("tags/", after=seen[-1] if seen else "", limit=3)
        seen += [entry.key for entry in page.entries]
        if not page.more:
            break
        assert len(page.entries) == 3
    assert seen == expected
    after = await storage.list("tags/", after="tags/a", limit=2)
    assert [entry.key for entry in after.entries] == ["tags/a-b", "tags/a-b.c"]
    assert [entry.key for entry in (await storage.list("tags/a/")).entries] == ["tags/a/b/c"]
    assert (await storage.list("nothing/")).entries == ()


async def test_a_listing_tells_size_and_age(storage: Storage) -> None:
    """Size in bytes, and a time with its zone, close to now."""
    await storage.put("uploads/u", [b"12345"])
    (entry,) = (await storage.list("uploads/")).entries
    assert entry.size == 5
    assert abs(entry.modified - datetime.now(UTC)) < timedelta(minutes=1)


async def test_deletes_come_in_batches(storage: Storage) -> None:
    """Many keys at once, some of which are not there; the others stay."""
    await asyncio.gather(*(storage.put(f"d/{number:04}", [b"x"]) for number in range(120)))
    await storage.delete([f"d/{number:04}" for number in range(60, 180)])
    assert len((await storage.list("d/")).entries) == 60
    await storage.delete(["d/0000"])
    await storage.delete(["d/0000"])
    await storage.delete([])
    assert await storage.get("d/0000") is None


async def test_a_full_batch_is_one_delete(storage: Storage) -> None:
    """A thousand keys, as many as a listing has, go with one call."""
    for start in range(0, PAGE, 100):
        await asyncio.gather(*(storage.put(f"d/{start + number:04}", [b"x"]) for number in range(100)))
    listing = await storage.list("d/")
    assert (len(listing.entries), listing.more) == (PAGE, False)
    await storage.delete([entry.key for entry in listing.entries])
    assert (await storage.list("d/")).entries == ()


async def test_an_erasure_on_a_condition(storage: Storage) -> None:
    """What is there as it was read goes, a tombstone too; what is gone is no error.

    Where the storage holds the condition, what was written meanwhile stays.
    """
    first = await storage.put("p/x", [b"1"])
    second = await storage.put("p/x", [b"2"])
    if await erases(storage):
        with pytest.raises(Conflict):
            await storage.erase("p/x", first)
        assert await storage.get("p/x")
    await storage.erase("p/x", second)
    assert await storage.get("p/x") is None
    await storage.erase("p/x", second)
    await storage.erase("p/x", await storage.put("p/x", [], absent=True))
    assert (await storage.list("")).entries == ()


@pytest.mark.parametrize(
    "key",
    [
        "repositories/a/b__c/_tags/V1.0_x-y",
        "placements/sha256:" + "0" * 64 + "/a!b-c",
        "catalog/" + "x" * 255,
        "odd/ space+plus%2F%20&=?#'\"<>|é☃",
        "odd/.hidden",
        "odd/...",
        "odd/~tilde",
        "odd/*",
    ],
)
async def test_awkward_keys_are_kept_apart(storage: Storage, key: str) -> None:
    """What is written under a key is found under that key, and listed by its true name."""
    await storage.put(key, [key.encode()])
    found = await storage.get(key)
    assert found is not None
    assert found.content == key.encode()
    folder = key.rpartition("/")[0] + "/"
    assert [entry.key for entry in (await storage.list(folder)).entries] == [key]
    await storage.delete([key])
    assert await storage.get(key) is None


async def test_spans_are_exact(storage: Storage) -> None:
    """Any span of an object gives exactly its bytes, over the driver's own boundaries."""
    content = os.urandom(3 * 1024 * 1024 + 17)
    await storage.put("data/spans", [content])
    size, window = len(content), 1024 * 1024
    edges = [
        (0, 0),
        (0, size - 1),
        (5, 5),
        (window - 1, window),
        (window, 2 * window - 1),
        (size - 1, size - 1),
    ]
    for start, end in edges:
        assert await whole(await storage.open("data/spans", Span(start, end))) == content[start : end + 1]


async def test_what_is_not_there_cannot_be_opened(storage: Storage) -> None:
    """The error comes before the first byte."""
    with pytest.raises(Missing):
        await storage.open("data/never")
    with pytest.raises(Missing):
        await storage.open("data/never", Span(0, 5))


async def test_a_reader_may_leave_early(storage: Storage) -> None:
    """A stream that is given up holds nothing, and the next one is whole."""
    content = os.urandom(6 * 1024 * 1024)
    await storage.put("data/left", [content])
    for _ in range(5):
        chunks = await storage.open("data/left")
        assert content.startswith(bytes(await anext(chunks)))
        await chunks.aclose()
    assert await whole(await storage.open("data/left")) == content


async def test_parts_make_one_object(storage: Storage) -> None:
    """Parts with gaps between their numbers, written at once, appear all together at the end."""
    blocks = [os.urandom(SMALL), os.urandom(SMALL + 1), b"the end"]
    multipart = await storage.begin("data/parts")
    places = [Place(1, 0, 1), Place(7, SMALL, 1), Place(33, 2 * SMALL + 1, 1)]
    parts = await asyncio.gather(
        *(storage.write(multipart, place, [block]) for place, block in zip(places, blocks, strict=True))
    )
    assert [part.number for part in parts] == [1, 7, 33]
    assert await storage.size("data/parts") is None
    assert (await storage.list("data/")).entries == ()
    await storage.complete(multipart, parts, fence=1)
    assert await whole(await storage.open("data/parts")) == b"".join(blocks)
    with suppress(Missing):  # some buckets answer it once more as they did at first
        await storage.complete(multipart, parts, fence=1)
    with pytest.raises(Missing):
        await storage.write(multipart, places[2], [b"late"])
    assert await whole(await storage.open("data/parts")) == b"".join(blocks)


async def test_a_later_writer_is_never_overwritten(storage: Storage) -> None:
    """A writer that was given up and writes still does no harm to the one that took its place."""
    base, late, good = os.urandom(SMALL), b"late" * 10, b"good"
    multipart = await storage.begin("data/fenced")
    first = await storage.write(multipart, Place(1, 0, 1), [base])
    await storage.write(multipart, Place(2, SMALL, 1), [late])
    second = await storage.write(multipart, Place(33, SMALL, 33), [good])

    async def come_late() -> Part | None:
        try:
            return await storage.write(multipart, Place(3, SMALL, 1), [late])
        except Conflict:
            return None

    await come_late()
    await storage.complete(multipart, [first, second], fence=33)
    assert await whole(await storage.open("data/fenced")) == base + good


async def test_a_writer_that_was_overtaken_completes_its_own_parts_or_nothing(storage: Storage) -> None:
    """The bytes of the later writer never get into the object of the earlier one."""
    base, early, late = os.urandom(SMALL), b"early", b"later"
    multipart = await storage.begin("data/overtaken")
    parts = [
        await storage.write(multipart, Place(1, 0, 1), [base]),
        await storage.write(multipart, Place(2, SMALL, 1), [early]),
    ]
    await storage.write(multipart, Place(33, SMALL, 33), [late])
    try:
        await storage.complete(multipart, parts, fence=1)
    except Conflict:
        assert await storage.size("data/overtaken") is None
    else:
        assert await whole(await storage.open("data/overtaken")) == base + early


async def test_unfinished_multiparts_are_found_and_aborted(storage: Storage) -> None:
    """Those that nobody ended are listed by key with their age, and leave nothing when aborted."""
    multipart = await storage.begin("data/stale")
    await storage.write(multipart, Place(1, 0, 1), [b"x"])
    done = await storage.begin("data/done")
    await storage.complete(done, [await storage.write(done, Place(1, 0, 1), [b"y"])], fence=1)
    (unfinished,) = await storage.unfinished("data/")
    assert unfinished.multipart == multipart
    assert abs(unfinished.started - datetime.now(UTC)) < timedelta(minutes=1)
    await storage.abort(multipart)
    await storage.abort(multipart)
    assert list(await storage.unfinished("data/")) == []
    assert await storage.get("data/stale") is None
    with pytest.raises(Missing):
        await storage.write(multipart, Place(2, 0, 2), [b"x"])


async def test_a_multipart_that_never_was_is_missing(storage: Storage) -> None:
    """An upload id of another time is no crash."""
    multipart = Multipart("data/none", "0" * 32)
    with pytest.raises(Missing):
        await storage.write(multipart, Place(1, 0, 1), [b"x"])
    with pytest.raises(Missing):
        await storage.complete(multipart, [Part(1, 1, '"0"')], fence=1)

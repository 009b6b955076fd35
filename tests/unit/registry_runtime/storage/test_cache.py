"""The cache of blobs: what it serves, what it never serves, and how much it keeps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from registry_runtime.content.buffer import Chunks
from registry_runtime.content.digest import Digest
from registry_runtime.content.range import Span
from registry_runtime.contract.state import StorageReason
from registry_runtime.errors import StorageRefused
from registry_runtime.storage.base import Multipart, Place
from registry_runtime.storage.cache import Cache
from registry_runtime.storage.directory import Directory

SIZE = 3 * 1024 * 1024 + 17
KEY = "data/one"


class Counting(Directory):
    """A storage that counts what it was asked for."""

    opened = 0

    async def open(self, key: str, span: Span | None = None) -> Chunks:
        self.opened += 1
        return await super().open(key, span)


@pytest.fixture
def storage(tmp_path: Path) -> Counting:
    return Counting(tmp_path / "bucket")


async def stored(storage: Directory, key: str = KEY, size: int = SIZE) -> bytes:
    content = os.urandom(size)
    multipart: Multipart = await storage.begin(key)
    part = await storage.write(multipart, Place(1, 0, 1), (content,))
    await storage.complete(multipart, (part,), 1)
    return content


async def all_of(chunks: Chunks) -> bytes:
    content = b"".join([bytes(chunk) async for chunk in chunks])
    await chunks.aclose()
    return content


async def filled(cache: Cache, storage: Directory, key: str, digest: Digest | None = None) -> None:
    """Two pulls."""
    for _ in range(2):
        await all_of(await cache.open(storage, key, None, digest))


@pytest.mark.parametrize("clear", [True, False], ids=["clear", "ciphertext"])
async def test_the_third_pull_asks_nobody(storage: Counting, tmp_path: Path, clear: bool) -> None:
    """The first leaves nothing, the second fills; then it is served from the file, whole and in spans."""
    cache, content = Cache(tmp_path / "cache", 10 * SIZE), await stored(storage)
    digest = Digest.of(content) if clear else None
    assert await all_of(await cache.open(storage, KEY, None, digest)) == content
    assert list((tmp_path / "cache").iterdir()) == []
    assert await all_of(await cache.open(storage, KEY, None, digest)) == content
    assert storage.opened == 2
    assert await all_of(await cache.open(storage, KEY, None, digest)) == content
    assert await all_of(await cache.open(storage, KEY, Span(5, SIZE - 2), digest)) == content[5 : SIZE - 1]
    assert storage.opened == 2


async def test_what_is_not_of_its_digest_is_never_kept(storage: Counting, tmp_path: Path) -> None:
    """Each pull of it is the storage's, which may mend it."""
    cache, content = Cache(tmp_path / "cache", 10 * SIZE), await stored(storage)
    for _ in range(3):
        assert await all_of(await cache.open(storage, KEY, None, Digest.of(b"other"))) == content
        assert list((tmp_path / "cache").iterdir()) == []
    assert storage.opened == 3
    assert cache._room == 10 * SIZE


async def test_ciphertext_that_its_reader_refuses_is_dropped(storage: Counting, tmp_path: Path) -> None:
    """The next pull is the storage's again."""
    cache = Cache(tmp_path / "cache", 10 * SIZE)
    await stored(storage)
    await filled(cache, storage, KEY)

    class Refusing:
        def __aiter__(self) -> Refusing:
            return self

        async def __anext__(self) -> bytes:
            raise StorageRefused("damaged", StorageReason.DENIED)

        async def aclose(self) -> None: ...

    with pytest.raises(StorageRefused):
        await all_of(cache.guarded(KEY, Refusing()))
    assert list((tmp_path / "cache").iterdir()) == []
    await all_of(await cache.open(storage, KEY, None, None))
    assert storage.opened == 3


async def test_half_a_pull_leaves_nothing(storage: Counting, tmp_path: Path) -> None:
    """A client that left, or a storage that broke off: the part goes, and its room is free."""
    cache, content = Cache(tmp_path / "cache", SIZE), await stored(storage)
    await all_of(await cache.open(storage, KEY, None, None))
    chunks = await cache.open(storage, KEY, None, None)
    await anext(chunks)
    await anext(chunks)
    await chunks.aclose()
    assert list((tmp_path / "cache").iterdir()) == []
    assert await all_of(await cache.open(storage, KEY, None, None)) == content
    assert [file.stat().st_size for file in (tmp_path / "cache").iterdir()] == [SIZE]


async def test_a_span_fills_nothing(storage: Counting, tmp_path: Path) -> None:
    """Only a whole pull does."""
    cache, content = Cache(tmp_path / "cache", SIZE), await stored(storage)
    for _ in range(3):
        assert await all_of(await cache.open(storage, KEY, Span(0, 9), None)) == content[:10]
    assert list((tmp_path / "cache").iterdir()) == []


async def test_it_keeps_to_its_size(storage: Counting, tmp_path: Path) -> None:
    """What was not asked for longest goes; what is larger than all of it is not kept."""
    cache = Cache(tmp_path / "cache", 2 * SIZE)
    contents = {f"data/{number}": await stored(storage, f"data/{number}") for number in range(3)}
    contents["data/large"] = await stored(storage, "data/large", 3 * SIZE)
    for key in ("data/0", "data/1", "data/0", "data/2"):
        await filled(cache, storage, key)
        assert await all_of(await cache.open(storage, key, None, None)) == contents[key]
    assert set(cache._kept) == {"data/0", "data/2"}
    await filled(cache, storage, "data/large")
    assert await all_of(await cache.open(storage, "data/large", None, None)) == contents["data/large"]
    taken = sum(file.stat().st_size for file in (tmp_path / "cache").iterdir())
    assert taken <= 2 * SIZE
    assert cache._room == 2 * SIZE - taken


async def test_a_file_that_was_removed_is_pulled_again(storage: Counting, tmp_path: Path) -> None:
    """Whoever cleans the disk breaks nothing."""
    cache, content = Cache(tmp_path / "cache", 10 * SIZE), await stored(storage)
    await filled(cache, storage, KEY)
    os.unlink(cache.path(KEY))  # noqa: PTH108
    assert await all_of(await cache.open(storage, KEY, None, None)) == content
    assert storage.opened == 3


async def test_nothing_outlives_a_restart(storage: Counting, tmp_path: Path) -> None:
    """What a killed process left, whole or not, is removed."""
    cache, content = Cache(tmp_path / "cache", 10 * SIZE), await stored(storage)
    await filled(cache, storage, KEY)
    (tmp_path / "cache" / "data~two.part").write_bytes(b"half")
    again = Cache(tmp_path / "cache", 10 * SIZE)
    assert list((tmp_path / "cache").iterdir()) == []
    assert await all_of(await again.open(storage, KEY, None, None)) == content
    assert storage.opened == 3


async def test_a_disk_that_fails_is_not_the_pulls_business(storage: Counting, tmp_path: Path) -> None:
    """Without its directory the cache keeps nothing, and everything is served."""
    cache, content = Cache(tmp_path / "cache", 10 * SIZE), await stored(storage)
    (tmp_path / "cache").rmdir()
    for _ in range(3):
        assert await all_of(await cache.open(storage, KEY, None, None)) == content
    assert storage.opened == 3

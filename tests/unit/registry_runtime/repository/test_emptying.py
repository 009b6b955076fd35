"""Emptying a storage that is far larger than memory, and what counts as the registry's own."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from registry_runtime.repository.emptying import WIDTH, Emptying
from registry_runtime.storage import paths
from registry_runtime.storage.base import PAGE, Entry, Found, Listing

if TYPE_CHECKING:
    from registry_runtime.storage.base import Storage

OBJECTS = 1_000_000
DATED = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = f"sha256:{'0' * 64}"


class Endless:
    """A bucket of a million pointers that nobody ever wrote: each key is made when it is listed."""

    width = 16

    def __init__(self) -> None:
        self.marker: bytes | None = b'{"version":1,"change":"c","format":1,"owner":"owner"}\n'
        self.deleted = 0
        self.most = 0  # objects at a time that were listed, and not deleted yet
        self.order: list[str] = []

    async def get(self, key: str) -> Found | None:
        return Found(self.marker, "e", DATED) if key == paths.MARKER and self.marker else None

    async def put(self, _key: str, content: Sequence[bytes], **_: Any) -> str:
        self.marker = b"".join(content)
        return "e"

    async def list(self, _prefix: str, *, after: str = "", limit: int = PAGE) -> Listing:
        begins = max(self.deleted, int(after[-64:], 16) + 1 if after.startswith(paths.BLOBS) else 0)
        numbers = range(begins, min(OBJECTS, begins + limit))
        self.most = max(self.most, numbers.stop - self.deleted)
        found = tuple(Entry(f"{paths.BLOBS}sha256/{number:064x}", 100, DATED) for number in numbers)
        return Listing(found, begins + limit < OBJECTS)

    async def delete(self, keys: Sequence[str]) -> None:
        assert len(keys) <= PAGE
        if keys == [paths.MARKER]:
            self.marker = None
        else:
            self.deleted += len(keys)
        self.order = [*self.order[-1:], keys[-1]]

    async def unfinished(self, _prefix: str) -> Sequence[Any]:
        return ()

    async def abort(self, _multipart: object) -> None:
        raise AssertionError("none was listed")

    async def sweep(self, _before: datetime) -> int:
        return 0


async def test_a_million_objects_take_the_memory_of_a_few_pages() -> None:
    """What is listed is deleted before more is listed; the marker goes last."""
    bucket = Endless()
    emptying = Emptying(cast("Storage", bucket), "owner")
    await emptying.run()
    assert emptying.state.objects == OBJECTS + 1
    assert emptying.state.size == 100 * OBJECTS
    assert bucket.marker is None
    assert bucket.order[-1] == paths.MARKER
    assert bucket.most <= (WIDTH + 1) * PAGE


@pytest.mark.parametrize(
    "key",
    [
        "data/customers.csv",
        "data/report.2026",
        f"data/{uuid.uuid4()}",
        f"data/{uuid.uuid4()}.zz",
        "uploads/photo.jpg",
        "blobs/sha256",
        "blobs/container/image",
        "repositories/app/src/main.c",
        "repositories/app/_other/x",
        "repositories/_tags/x",
        "catalog/Readme.md",
        "tokens/short/uses/1",
        "roadstead.json.bak",
        "backup/roadstead.json",
        "jobs/a/b",
        "",
    ],
)
def test_what_only_looks_alike_is_somebody_elses(key: str) -> None:
    """A bucket may be shared with what was there before: only keys of exactly our forms are ours."""
    assert not paths.is_ours(key)


def test_every_key_of_the_tree_is_ours() -> None:
    """Each line that the tree is drawn with, as a key."""
    words = {
        "<uuid>": str(uuid.uuid4()),
        "<nonce>": "00ff",
        "<alg>": "sha256",
        "<hex>": "0" * 64,
        "<escaped repository>": "team!app__x.y",
        "<name>": "team/app__x.y",
        "<tag>": "V1.0_x-y",
        "<time>": "20260101T000000.000000Z",
        "<id>": "0123456789abcdef",
        "<n>": "17",
    }
    drawn = re.findall(r"^([a-z]\S*(?: \S+>)?)  +\S", paths.__doc__ or "", re.MULTILINE)
    assert len(drawn) > 14
    for line in drawn:
        key = line.replace("jobs/<name>", "jobs/collection")
        for word, value in words.items():
            key = key.replace(word, value)
        assert paths.is_ours(key), line


def test_every_folder_of_the_tree_is_known() -> None:
    """A prefix that is new in `paths` must be among the forms that are deleted with the Registry."""
    folders = {value for name, value in vars(paths).items() if name.isupper() and str(value).endswith("/")}
    form = paths._OURS.pattern
    assert {folder for folder in folders if folder not in form} == set()

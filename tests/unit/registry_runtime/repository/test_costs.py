"""What small pushes and pulls ask of the storage, call by call: on a bucket that is what they cost.

Decision 23 has these counts as a table.
"""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract.config import Limits
from registry_runtime.repository import Registry
from tests.images import body, image, pull, push_blobs
from tests.unit.registry_runtime.repository.interposed import Interposed

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from registry_runtime.encryption.vault import Vault
    from registry_runtime.storage.directory import Directory

NAME, OTHER = RepositoryName("team/app"), RepositoryName("team/other")
CONFIG, LAYER = b"{}", b"a layer of some bytes"
DIGEST, IMAGE = Digest.of(LAYER), image(LAYER, config=CONFIG)


class Bill:
    """A replica of its own, what it has asked of the storage since it was read last, and its clock."""

    def __init__(self, storage: Directory, vault: Vault | None) -> None:
        self._asked: Counter[str] = Counter()
        self.now = 0.0  # seconds
        watched, clock = Interposed(storage, self._note), lambda: datetime.now(UTC)
        self.registry = Registry(watched, Limits(), clock, "owner", vault, uptime=lambda: self.now)

    async def _note(self, operation: str, _key: str) -> None:
        self._asked[operation] += 1

    async def of(self, work: Awaitable[object]) -> dict[str, int]:
        """The operations that this takes, by their names."""
        self._asked.clear()
        await work
        return dict(self._asked)


@pytest.fixture
def bill(storage: Directory, vault: Vault | None) -> Bill:
    return Bill(storage, vault)


async def test_a_push_of_a_small_blob(bill: Bill) -> None:
    """Link, placement and pointer are written, and nothing is read; a PATCH adds its session."""
    uploads = bill.registry.uploads
    once = {"put": 3}
    assert await bill.of(uploads.push(NAME, DIGEST, body(LAYER), "me")) == once
    two, content = uploads.start(NAME), b"in POST and PUT"
    assert await bill.of(uploads.commit(NAME, two.id, Digest.of(content), body(content), "me")) == once
    three, content = uploads.start(NAME), b"in POST, PATCH and PUT"
    assert await bill.of(uploads.append(NAME, three.id, body(content), "me")) == {"put": 1}
    begun = three.id.removesuffix(".new")
    assert uuid.UUID(begun)
    ends = await bill.of(uploads.commit(NAME, begun, Digest.of(content), None, "me"))
    assert ends == {"get": 1, "put": 3, "delete": 1}


async def test_a_push_of_a_small_blob_that_another_repository_has(bill: Bill) -> None:
    """The pointer is there, and is read; a mount reads what it mounts, and looks at the pointer again."""
    await push_blobs(bill.registry, OTHER, LAYER)
    again = await bill.of(bill.registry.uploads.push(NAME, DIGEST, body(LAYER), "me"))
    assert again == {"put": 3, "get": 1}
    mounted = await bill.of(bill.registry.blobs.mount(RepositoryName("team/third"), DIGEST, OTHER))
    assert mounted == {"put": 2, "get": 3}


async def test_a_push_of_a_manifest(bill: Bill) -> None:
    """Catalog and manifest are written, two links read; a moment later the manifest alone is written.

    Of a client that went on an hour later, what it pushed is looked at again.
    """
    registry = bill.registry
    await push_blobs(registry, NAME, CONFIG, LAYER)
    assert await bill.of(registry.manifests.put(NAME, Digest.of(IMAGE), OCI_IMAGE, IMAGE)) == {
        "put": 2,
        "get": 2,
    }
    second, third = (image(LAYER, config=CONFIG, annotations={"n": str(number)}) for number in (2, 3))
    soon = await bill.of(registry.manifests.put(NAME, Digest.of(second), OCI_IMAGE, second))
    assert soon == {"put": 1, "get": 2}
    bill.now += 3600
    later = await bill.of(registry.manifests.put(NAME, Digest.of(third), OCI_IMAGE, third))
    assert later == {"put": 2, "get": 4}
    tagged = await bill.of(registry.manifests.put(NAME, Tag("v1"), OCI_IMAGE, second))
    assert tagged == {"put": 4, "get": 5}  # over the manifest that is there, and a tag with its index


async def test_a_pull_of_a_small_blob(bill: Bill) -> None:
    """Link and pointer are read, for the bytes as for a look at them: they lie in the pointer."""
    await push_blobs(bill.registry, NAME, LAYER)
    assert await bill.of(pull(bill.registry, NAME, DIGEST)) == {"get": 2}
    assert await bill.of(bill.registry.blobs.stat(NAME, DIGEST)) == {"get": 2}

"""Collections: previewed, receipted, killed at every call."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from registry_runtime.__main__ import main
from registry_runtime.content.digest import Digest
from registry_runtime.content.manifest import OCI_IMAGE, OCI_INDEX
from registry_runtime.content.name import RepositoryName, Tag
from registry_runtime.contract.config import Collection
from registry_runtime.errors import ManifestUnknown
from registry_runtime.repository import Registry
from registry_runtime.repository.collection import collection, lease, taking
from tests.images import MIXED, image, index, pull, push_blobs
from tests.simulation.bucket import Bucket, Connection
from tests.simulation.scheduler import AtOnce
from tests.unit.registry_runtime.repository.interposed import Killed, Mortal

if TYPE_CHECKING:
    from pathlib import Path

    from registry_runtime.storage.base import Storage

GONE, KEPT = RepositoryName("team/gone"), RepositoryName("team/kept")
LAYERS = [b"first layer", b"second layer"]
CHILD, IMAGE = image(*LAYERS), image(LAYERS[0])
INDEX = index(CHILD)
NOW = Collection(grace_seconds=0)


@pytest.fixture
def storage() -> Connection:
    return Connection(Bucket(erases=True), AtOnce(), None)


@pytest.fixture(autouse=True)
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket's clock stands still, so what was just written is old."""
    monkeypatch.setattr(taking, "LEAST", timedelta(0))


def registry(storage: Storage, settings: Collection = NOW) -> Registry:
    return Registry(storage, MIXED, lambda: datetime.now(UTC), "owner", collecting=settings)


async def prepared(at: Registry) -> None:
    """Two repositories share a layer; in one of them an index is deleted, and its image is nobody's."""
    for name in (GONE, KEPT):
        await push_blobs(at, name, b"{}", *LAYERS)
    await at.manifests.put(KEPT, Tag("v1"), OCI_IMAGE, IMAGE)
    await at.manifests.put(GONE, Digest.of(CHILD), OCI_IMAGE, CHILD)
    await at.manifests.put(GONE, Tag("v1"), OCI_INDEX, INDEX)
    at.uploads._storage._bucket.now += timedelta(seconds=1)  # type: ignore[attr-defined]  # let go of later
    await at.manifests.delete(GONE, Digest.of(INDEX))


async def collect(at: Registry, passes: int = 8) -> None:
    for _ in range(passes):
        receipt = await at.collection.run(audit=True)
        assert receipt is not None
        assert receipt.done, receipt.problems


async def check(storage: Connection) -> None:
    """What is named is there to the last byte, and nothing else is."""
    at = registry(storage)
    assert (await at.manifests.get(KEPT, Tag("v1"))).content == IMAGE
    assert await pull(at, KEPT, Digest.of(LAYERS[0])) == LAYERS[0]
    with pytest.raises(ManifestUnknown):
        await at.manifests.get(GONE, Digest.of(CHILD))
    keys = [entry.key for entry in (await storage.list("")).entries if entry.size]
    assert not [key for key in keys if "gone" in key or Digest.of(LAYERS[1]).hex in key]
    assert len([key for key in keys if key.startswith("data/")]) == 1  # the config lies in its pointer


async def test_what_nobody_names_goes_step_by_step(storage: Connection) -> None:
    """Hidden first and readable, then gone; what another repository names stays."""
    at = registry(storage)
    await prepared(at)
    first = await at.collection.run()
    assert first is not None
    assert first.hidden["manifest"] == 1
    assert not first.taken["blob"]
    assert (await at.manifests.get(GONE, Digest.of(CHILD))).content == CHILD
    await collect(at)
    await check(storage)


async def test_within_the_grace_a_deleted_image_comes_back(storage: Connection) -> None:
    """Its layers are hidden by a day's grace; pushing the manifest alone is enough."""
    at = registry(storage)
    await prepared(at)
    await at.manifests.delete(GONE, Digest.of(CHILD))
    receipt = await at.collection.run()
    assert receipt is not None
    assert receipt.hidden["link"] == 4
    await at.manifests.put(GONE, Tag("again"), OCI_IMAGE, CHILD)
    await collect(at)
    assert await pull(at, GONE, Digest.of(LAYERS[1])) == LAYERS[1]


async def test_nothing_goes_before_its_grace(storage: Connection) -> None:
    """A day is a day, whatever the replica's clock says."""
    at = registry(storage)
    await prepared(at)
    far = Registry(storage, MIXED, lambda: datetime.now(UTC) + timedelta(days=9), "owner")
    receipt = await far.collection.run(audit=True)
    assert receipt is not None
    assert not receipt.hidden.total() + receipt.taken.total()


async def test_a_preview_says_what_a_pass_does_and_does_nothing(storage: Connection) -> None:
    """The same counts as the pass that follows, and not a key has changed."""
    at = registry(storage)
    await prepared(at)
    await collect(at, 2)
    before = {entry.key: (await storage.get(entry.key)) for entry in (await storage.list("")).entries}
    preview = await at.collection.preview(audit=True)
    assert before == {entry.key: (await storage.get(entry.key)) for entry in (await storage.list("")).entries}
    receipt = await at.collection.run(audit=True)
    assert receipt is not None
    assert preview.hidden["link"] == receipt.hidden["link"]
    assert preview.taken["link"] == receipt.taken["link"]
    assert preview.freed == receipt.freed


async def test_lost_data_is_told_and_a_push_brings_it_back(storage: Connection) -> None:
    """An audit names the blob; orphans of the audit are taken only when they are old."""
    at = registry(storage)
    await push_blobs(at, KEPT, b"{}", LAYERS[0])
    await at.manifests.put(KEPT, Tag("v1"), OCI_IMAGE, IMAGE)
    await storage.delete([entry.key for entry in (await storage.list("data/")).entries])
    receipt = await at.collection.run(audit=True)
    assert receipt is not None
    assert len(receipt.lost) == 1  # the config lies in its pointer
    await push_blobs(at, KEPT, b"{}", LAYERS[0])
    assert await pull(at, KEPT, Digest.of(LAYERS[0])) == LAYERS[0]


@pytest.mark.parametrize("effect", ["lost", "done"])
async def test_a_collection_may_be_killed_at_any_call(
    storage: Connection, effect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was done, the next ones end it, and nothing that is named is harmed."""

    async def erases(_storage: Storage) -> bool:
        return True  # the probe alone would be most of the calls

    monkeypatch.setattr(collection, "erases", erases)
    monkeypatch.setattr(lease, "LAPSE", timedelta(0))
    for fatal in range(1, 4000, 7):
        await storage.delete([entry.key for entry in (await storage.list("")).entries])
        at = registry(storage)
        await prepared(at)
        mortal = Mortal(storage, fatal, effect)
        try:
            await collect(registry(mortal), 5)
        except Killed:
            await mortal.settle()
        else:
            await check_after(storage, at)
            return
        await check_after(storage, at)
    raise AssertionError("five collections take fewer calls")


async def check_after(storage: Connection, at: Registry) -> None:
    await collect(at)
    await check(storage)


def test_it_runs_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A preview, then a collection with an audit; each prints its receipt."""
    for options in (["--preview"], ["--audit"]):
        assert main(["collect", "--data", str(tmp_path), *options], {}) == 0
        receipt = json.loads(capsys.readouterr().out)
        assert receipt["done"]
        assert receipt["preview"] == (options == ["--preview"])
